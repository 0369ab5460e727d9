"""Promises about the schema itself."""

from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
)

from graph.errors import ERROR_CODES
from graph.schema import PRINTED, printed_schema, schema
from rules.learners import ATTRIBUTES

CORE: GraphQLSchema = schema._schema


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


def test_everything_is_described() -> None:
    assert [name for name, description in described() if not (description or "").strip()] == []


def test_the_committed_schema_is_current() -> None:
    assert PRINTED.read_text() == printed_schema(), "stale: run `cohort schema --write`"


@pytest.mark.parametrize("type_name", ["Learner", "UpdateLearnerInput"])
def test_learner_attributes_are_those_of_the_rules(type_name: str) -> None:
    fields = set(CORE.type_map[type_name].fields)  # type: ignore[attr-defined]
    camel = {name.replace("_b", "B") for name in ATTRIBUTES}
    assert camel <= fields


def test_error_codes_are_those_of_the_rules() -> None:
    codes = CORE.type_map["ErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    assert set(codes.values) == set(ERROR_CODES)


@pytest.mark.parametrize("name", ["Collection", "Context", "Learner", "Enrolment", "View", "Group"])
def test_nouns_have_global_ids(name: str) -> None:
    kind = CORE.type_map[name]
    assert isinstance(kind, GraphQLObjectType)
    assert "Node" in {interface.name for interface in kind.interfaces}
