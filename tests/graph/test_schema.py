"""Promises about the schema itself."""

import re
from collections.abc import Iterator
from importlib import import_module

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
)

from graph.errors import BAD_REQUEST, ERROR_CODES
from graph.execution.upstream import MORE_ERRORS
from graph.schema import PRINTED, printed_schema, schema
from resolvers.opaque_texts import encode
from rules.errors import CohortError
from rules.learners import ATTRIBUTES
from rules.plans import AggregationMode
from tests.conftest import Instance
from tests.graph.conftest import ask
from tests.test_rooms import ROOMS, ROOT

CORE: GraphQLSchema = schema._schema
NODES = sorted(kind.name for kind in CORE.get_possible_types(CORE.type_map["Node"]))  # type: ignore[arg-type]


def described() -> Iterator[tuple[str, str | None]]:
    """The name of everything that a client can see, and its description."""
    for name, kind in CORE.type_map.items():
        if name.startswith("__"):
            continue
        yield name, kind.description
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name})", argument.description
        elif isinstance(kind, GraphQLInputObjectType):
            for field_name, input_field in kind.fields.items():
                yield f"{name}.{field_name}", input_field.description
        elif isinstance(kind, GraphQLEnumType):
            for value_name, value in kind.values.items():
                yield f"{name}.{value_name}", value.description
        else:
            assert isinstance(kind, GraphQLScalarType)


def named_type(of: object) -> str:
    return str(get_named_type(of))  # type: ignore[call-overload]


def test_everything_is_described() -> None:
    assert [name for name, description in described() if not (description or "").strip()] == []


def test_the_committed_schema_is_current() -> None:
    assert PRINTED.read_text() == printed_schema(), "stale: run `cohort schema --write`"


@pytest.mark.parametrize("type_name", ["Learner", "UpdateLearnerInput"])
def test_learner_attributes_are_those_of_the_rules(type_name: str) -> None:
    fields = set(CORE.type_map[type_name].fields)  # type: ignore[attr-defined]
    camel = {name.replace("_b", "B") for name in ATTRIBUTES}
    assert camel <= fields


NEVER_ANSWERED = {"INVALID_SETTINGS"}
"""Codes of errors that end a process before it answers."""


def errors_below(of: type[CohortError]) -> Iterator[type[CohortError]]:
    yield of
    for error in of.__subclasses__():
        yield from errors_below(error)


def test_error_codes_are_all_that_any_error_has() -> None:
    """Whichever room an error is in: a client that was generated from the schema knows its code."""
    # Room by room: what servers write beside the code (.stack) comes and goes while this looks.
    for file in (file for room in ROOMS - {"tests", "bench"} for file in (ROOT / room).rglob("*.py")):
        *parts, module = file.relative_to(ROOT).with_suffix("").parts
        if module != "__main__":
            import_module(".".join(parts if module == "__init__" else [*parts, module]))
    found = {error.code for error in errors_below(CohortError)}
    assert {"GROUPS_BUSY", "INTERNAL_ERROR", "INVALID_SETTINGS"} <= found
    codes = CORE.type_map["ErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    assert set(codes.values) == found - NEVER_ANSWERED | {BAD_REQUEST, MORE_ERRORS}


def test_codes_that_are_answered_without_an_error_class_are_known() -> None:
    """Whatever GraphQL's own room and its endpoint write as a code."""
    written = set()
    for file in (*(ROOT / "graph").rglob("*.py"), ROOT / "gateway" / "graphql_http.py"):
        written |= set(re.findall(r"""["']code["']: *["']([A-Z_]+)["']""", file.read_text()))
    assert written <= set(ERROR_CODES)


def test_an_id_is_that_of_a_node_and_nothing_else_is_called_so() -> None:
    """Caches of clients take a field ``id`` for the identity of an object, whatever type it has."""
    named = {
        f"{name}.id": str(kind.fields["id"].type)
        for name, kind in CORE.type_map.items()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType)
        and "id" in kind.fields
    }
    assert named == {f"{name}.id": "ID!" for name in ("Node", *NODES)}


def test_an_identifier_of_type_id_is_a_global_one() -> None:
    """``ID`` is the type of global ids alone, and only ``node`` takes one."""
    arguments = [
        f"{name}.{field_name}({argument})"
        for name, kind in CORE.type_map.items()
        if isinstance(kind, GraphQLObjectType)
        for field_name, field in kind.fields.items()
        for argument, of in field.args.items()
        if not name.startswith("__") and (argument == "id" or named_type(of.type) == "ID")
    ]
    assert arguments == ["Query.node(id)"]
    fields = [
        f"{name}.{field_name}"
        for name, kind in CORE.type_map.items()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType)
        for field_name, field in kind.fields.items()
        if field_name != "id" and named_type(field.type) == "ID"
    ]
    assert fields == []


@pytest.mark.parametrize("name", NODES)
async def test_every_node_is_found_by_its_global_id(embedded: Instance, name: str) -> None:
    """Of some number of parts the id is one that the API gives out; what it names is another thing."""
    messages = set()
    for count in range(1, 6):
        for last in ("x", *(mode.value for mode in AggregationMode)):
            asked = encode(name, *["x"] * (count - 1), last)
            answer = await ask(embedded.session(), "query ($id: ID!) { node(id: $id) { id } }", id=asked)
            messages |= {error["message"] for error in answer.get("errors", [{"message": "found"}])}
    assert messages - {"id must be one that this API gave out"}
