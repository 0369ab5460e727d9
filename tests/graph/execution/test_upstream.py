"""What graph/execution/upstream.py takes for granted of graphql-core and Strawberry, beyond what they document.

A test that fails here after an upgrade says what has changed there; the rest of the suite says what depends on it.
"""

import ast
import inspect
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql import (
    FieldsOnCorrectTypeRule,
    GraphQLEnumType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    Source,
    parse,
    validate,
)
from graphql.execution import Executor as CoreExecutor
from graphql.execution.executor import CollectedErrors
from hypothesis import given
from hypothesis import strategies as st
from strawberry.extensions import FieldExtension, SchemaExtension
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graph.execution.planned import Planned, PlansTold
from graph.execution.reads import Show
from graph.execution.upstream import (
    Executor,
    Selected,
    attribute_of,
    classes_of,
    core_schema,
    definition_of,
    enum_class_of,
    plain_function_of,
)
from graph.execution.upstream_documents import (
    MAX_FRAGMENT_WORK,
    TooManyComparisons,
    TooManyTokens,
    bounded_overlaps,
    few_suggestions,
    parsed,
    tokens_in,
)
from graph.fields import field
from resolvers.nouns import QueryPlan, Taken
from resolvers.nouns import Source as PlanSource

ROOT = Path(__file__).parents[3]
TAKEN = Taken(QueryPlan(PlanSource.ROWS, "few", 1), "computed", 0.0)


class Wrapped(FieldExtension):
    async def resolve_async(self, next_: Any, source: Any, info: Any, **arguments: Any) -> Any:
        return await next_(source, info, **arguments)


@strawberry.enum
class Colour(Enum):
    RED = "r"


@strawberry.type
class Leaf:
    plain: str
    colour: Colour

    @strawberry.field
    def times(self, by: int = 2) -> str:
        return self.plain * by

    @strawberry.field
    def about(self, info: strawberry.Info) -> str:
        return info.field_name

    @strawberry.field
    async def later(self) -> str:
        return self.plain

    @field(description="Wrapped.", extensions=[Wrapped()])
    async def wrapped(self) -> str:
        return self.plain


@strawberry.type
class Query:
    @strawberry.field
    def leaf(self) -> Leaf:
        return Leaf(plain="a", colour=Colour.RED)

    @field(description="Planned.", graphql_type=list[str] | None)
    async def planned(self, info: strawberry.Info) -> Planned[list[str]]:
        return Planned(["x"], TAKEN)


class Watching(Executor):
    """Remembers which fields it was asked to read, and reads ``leaf { plain }`` itself."""

    asked: list[str] = []  # noqa: RUF012
    below_leaf: Any = None
    arguments_of_times: Any = None

    def list_reader(self, of: GraphQLOutputType, selected: Selected, count: int) -> Show | None:
        return None

    def reader(self, parent: GraphQLObjectType, selected: Selected) -> Show | None:
        name = selected[0].node.name.value
        Watching.asked.append(f"{parent.name}.{name}")
        field = parent.fields[name]
        if name == "leaf":
            of = getattr(field.type, "of_type", field.type)
            Watching.below_leaf = list(self.below(of, selected) or ())
        if name == "times":
            Watching.arguments_of_times = self.arguments(field, selected[0])
        return (lambda _source, _caller: "read") if name == "plain" else None


SCHEMA = strawberry.Schema(Query, execution_context_class=Watching, extensions=[PlansTold])
LEAF = SCHEMA._schema.type_map["Leaf"]


@pytest.fixture(autouse=True)
def forgotten() -> None:
    Watching.asked = []


def leaf_field(name: str) -> GraphQLField:
    assert isinstance(LEAF, GraphQLObjectType)
    found: GraphQLField = LEAF.fields[name]
    return found


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("hook", ["execute_field", "complete_value", "handle_field_error", "build_response"])
def test_the_executor_has_the_hooks_with_the_parameters_that_are_overridden(hook: str) -> None:
    upstreams = getattr(StrawberryGraphQLCoreExecutionContext, hook)
    assert parameters(getattr(Executor, hook)) == parameters(upstreams), f"{hook} has other parameters now"
    assert issubclass(StrawberryGraphQLCoreExecutionContext, CoreExecutor)


@pytest.mark.parametrize("name", ["collect_subfields", "is_awaitable", "build_resolve_info"])
def test_the_executor_has_what_is_called_of_it(name: str) -> None:
    assert hasattr(StrawberryGraphQLCoreExecutionContext, name)


async def test_every_field_of_a_query_comes_to_the_hook() -> None:
    result = await SCHEMA.execute("{ leaf { plain times(by: 3) later } }")
    assert result.errors is None
    assert result.data == {"leaf": {"plain": "read", "times": "aaa", "later": "a"}}
    assert sorted(Watching.asked) == ["Leaf.later", "Leaf.plain", "Leaf.times", "Query.leaf"]
    assert Watching.below_leaf == ["plain", "times", "later"]
    assert Watching.arguments_of_times == {"by": 3}


async def test_no_field_comes_to_the_hook_where_an_extension_wraps_resolvers() -> None:
    class Wrapping(SchemaExtension):
        def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
            return _next(root, info, *args, **kwargs)

    schema = strawberry.Schema(Query, execution_context_class=Watching, extensions=[Wrapping])
    await schema.execute("{ leaf { plain } }")
    assert Watching.asked == []


async def test_what_comes_about_by_a_plan_is_unwrapped_and_told() -> None:
    result = await SCHEMA.execute("{ again: planned planned }")
    assert result.errors is None
    assert result.data == {"again": ["x"], "planned": ["x"]}
    told = [{"path": [name], **TAKEN.told()} for name in ("again", "planned")]
    assert result.extensions == {"plans": told}
    assert (await SCHEMA.execute("{ leaf { plain } }")).extensions == {}


def test_the_schema_of_graphql_core_is_behind_strawberrys() -> None:
    assert isinstance(core_schema(SCHEMA), GraphQLSchema)


def test_the_executor_tells_where_it_collects_errors_whether_a_field_is_nulled() -> None:
    assert parameters(CollectedErrors.has_nulled_position) == ["self", "start_path"]
    assert CollectedErrors().errors == []


@pytest.mark.parametrize(
    "text", ["{ a b c }", "#\n#\n#\n#\n#\n{ a }"], ids=["tokens", "comments, which are counted by themselves"]
)
def test_a_document_with_too_many_tokens_is_told_from_one_that_has_an_error(text: str) -> None:
    with pytest.raises(TooManyTokens):
        parsed(text, 4)
    assert tokens_in(parsed("{ a b } # c", 4)) == 4 + 1
    with pytest.raises(GraphQLSyntaxError, match=r"Unexpected Name 'b'"):
        parsed("b", 4)


@given(st.text("ab\n\r", max_size=40))
def test_places_in_a_text_are_those_that_the_library_tells(text: str) -> None:
    ours, theirs = parsed(f"{{ a }} #{text.replace('a', '#').replace('b', '#')}", 100).loc, Source(text)
    assert ours is not None
    assert type(ours.source).get_location is not Source.get_location
    for position, character in enumerate(text):
        if character not in "\r\n":
            assert type(ours.source)(text).get_location(position) == theirs.get_location(position)


def test_rules_of_validation_can_be_bounded() -> None:
    core, twice = core_schema(SCHEMA), "{ leaf { plain plain plain } }"
    within, beyond = (validate(core, parse(twice), [bounded_overlaps(most)]) for most in (6, 5))
    assert within == []  # three pairs of two steps
    assert [type(error) for error in beyond] == [TooManyComparisons]
    document = parse("{ leaf { plein plein plein } }")
    told = [
        error.message
        for error in validate(core, document, [few_suggestions(2), FieldsOnCorrectTypeRule], max_errors=3)
    ]
    unknown = "Cannot query field 'plein' on type 'Leaf'."
    assert told == [*[f"{unknown} Did you mean 'plain'?"] * 2, unknown]
    assert MAX_FRAGMENT_WORK == 50_000


def test_definitions_tell_attributes_from_resolvers() -> None:
    plain, times = definition_of(leaf_field("plain")), definition_of(leaf_field("times"))
    assert plain is not None
    assert times is not None
    assert (attribute_of(plain), plain_function_of(plain)) == ("plain", None)
    function = plain_function_of(times)
    assert attribute_of(times) is None
    assert function is not None
    assert function(Leaf(plain="b", colour=Colour.RED), by=2) == "bb"


@pytest.mark.parametrize("name", ["about", "later"])
def test_a_resolver_that_takes_info_or_awaits_is_not_plain(name: str) -> None:
    definition = definition_of(leaf_field(name))
    assert definition is not None
    assert plain_function_of(definition) is None


def test_a_field_that_an_extension_wraps_has_no_definition_to_go_by() -> None:
    assert definition_of(leaf_field("wrapped")) is None


def test_types_know_their_classes() -> None:
    colour = SCHEMA._schema.type_map["Colour"]
    assert isinstance(LEAF, GraphQLObjectType)
    assert isinstance(colour, GraphQLEnumType)
    assert classes_of(LEAF) == frozenset({Leaf})
    assert classes_of(GraphQLObjectType("Other", {})) is None
    assert enum_class_of(colour) is Colour


def test_no_other_module_uses_their_private_api() -> None:
    """Modules of graphql-core below the package, Strawberry's executor and converter, and names with an underscore."""
    private = ("graphql.", "strawberry.schema.schema", "strawberry.types.base", "strawberry.types.arguments")
    allowed = {"strawberry.schema.exceptions", "strawberry.schema.config"}
    wrong = []
    for path in [*(ROOT / "graph").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")]:
        if path.name in ("upstream.py", "upstream_documents.py", "upstream_inputs.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module not in allowed:
                if (node.module or "").startswith(private):
                    wrong.append(f"{path.name}:{node.lineno} imports {node.module}")
            elif isinstance(node, ast.Attribute) and node.attr in ("_schema", "_raw_info"):
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    continue  # an attribute of our own
                wrong.append(f"{path.name}:{node.lineno} reads {node.attr}")
    assert wrong == []
