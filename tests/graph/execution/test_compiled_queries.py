"""A query that is compiled answers exactly what graphql-core and Strawberry do, and calls each resolver once."""

import asyncio
import gc
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, OperationDefinitionNode, parse
from hypothesis import given
from hypothesis import strategies as st

from graph.access import Access, check_before_fields
from graph.documents.validation import problems
from graph.execution.answered_fields import answer_once, answered
from graph.execution.compiled_operations import CompiledOperation, compiled
from graph.execution.projection import ProjectingExecutor
from graph.execution.upstream import core_schema
from graph.fields import field
from graph.scalars import CONFIG
from graph.schema import schema as served
from resolvers.nouns import Bill, Session
from rules.viewers import Viewer
from tests.conftest import Instance
from tests.gateway.test_metrics import grown, own
from tests.graph.conftest import BATCH, ask, document, record
from tests.graph.execution.test_projection import (
    BRANCH,
    LEAF,
    Branch,
    Colour,
    Leaf,
    branch_selections,
    branches,
    leaf_selections,
    leaf_values,
    selection,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine 'GraphQLCoreConverter:RuntimeWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <coroutine object GraphQLCoreConverter:pytest.PytestUnraisableExceptionWarning"
    ),
]
"""Where a field that can't be null is, the libraries leave what they would have awaited beside it."""
calls: Counter[str] = Counter()
"""How often the resolver at a place of the answer was called."""


def called(info: strawberry.Info) -> None:
    calls[".".join(str(key) for key in info.path.as_list())] += 1


@strawberry.input
class Chosen:
    by: int | None = None
    word: str = "word"
    colours: list[Colour] | None = None


@strawberry.type
class Nest:
    world: strawberry.Private["World"]
    number: int | None
    known: strawberry.Private[str | None]

    @field(description="Of what is known, or else loaded.", at_hand=lambda nest: nest.known.upper())
    async def name(self, info: strawberry.Info) -> str | None:
        called(info)
        return self.known and self.known.upper()

    @field(description="Of the world, in a while.")
    async def branch(self, info: strawberry.Info, number: int = 0) -> Branch | None:
        called(info)
        return self.world.branches[number] if number < len(self.world.branches) else None

    @field(description="There is always one, or it is a fault.")
    async def leaf(self) -> Leaf:
        leaf: Leaf = self.world.leaf
        return leaf

    @field(description="What it was given.")
    async def given(
        self,
        by: int | None = None,
        words: list[str] | None = None,
        colour: Colour | None = None,
        chosen: Chosen | None = None,
    ) -> str | None:
        if by == 13:
            raise GraphQLError("no luck")
        return repr((by, words, colour, chosen))

    @field(description="Where it stands.")
    async def place(self, info: strawberry.Info) -> str:
        nodes = [node.alias.value if node.alias else node.name.value for node in info._raw_info.field_nodes]
        return f"{info.field_name} {info.path.as_list()} {nodes} {info.return_type}"

    @field(description="One below.")
    async def nest(self, info: strawberry.Info) -> "Nest | None":
        called(info)
        below: Nest | None = self.world.below
        return below

    @field(description="One below, without waiting.")
    def strict(self) -> "Nest | None":
        below: Nest | None = self.world.below
        return below


def nest_of(world: Any, number: Any, known: Any) -> Nest:
    return Nest(world=world, number=number, known=known)


class World(SimpleNamespace):
    """What resolvers find, as a session."""

    branches: list[Branch]
    leaf: Any
    below: Any


@strawberry.type
class Query:
    @field(description="The first one.", access=Access.SIGNED_IN)
    def nest(self, info: strawberry.Info) -> Nest | None:
        world: Any = info.context
        return Nest(world=world, number=world.number, known=world.known)

    @field(description="A branch.", access=Access.SIGNED_IN)
    async def branch(self, info: strawberry.Info, number: int = 0) -> Branch | None:
        world: Any = info.context
        return world.branches[number]  # type: ignore[no-any-return]


PLAIN = strawberry.Schema(Query, types=[Leaf], config=CONFIG)
COMPILING = strawberry.Schema(Query, types=[Leaf], config=CONFIG, execution_context_class=ProjectingExecutor)
check_before_fields(core_schema(COMPILING))
answer_once(core_schema(COMPILING))

odd = st.sampled_from([None, None, 3, ValueError("a value")])
nests = st.builds(
    lambda number, known: (number, known),
    st.integers(0, 3) | odd,
    st.none() | st.text("abc", max_size=2) | odd,
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(
        branches=draw(branches.filter(bool)),
        leaf=draw(st.one_of(leaf_values, leaf_values, odd)),
        viewer=Viewer("ann"),
        bill=Bill(),
    )
    world.number, world.known = draw(nests)
    world.below = draw(odd) if draw(st.integers(0, 5)) == 0 else nest_of(world, *draw(nests))
    return world


arguments = st.sampled_from(
    [
        *(
            "",
            "(by: 2)",
            "(by: $by)",
            "(by: 13)",
            "(words: $words)",
            '(words: ["a", "b"])',
            "(colour: $colour)",
        ),
        *("(colour: RED, by: null)", "(chosen: {by: $by})", '(chosen: {word: "x", colours: [GREEN, RED]})'),
        "(chosen: {by: 1, colours: null}, words: [])",
    ]
)
nest_selections = st.recursive(
    st.sampled_from(["{ number }", "{ name }", "{ __typename number n: name }", "{ ...part place }"]),
    lambda below: st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "number",
                    "name",
                    "__typename",
                    "place",
                    "at: place",
                    "...part",
                    "... on Nest { number place }",
                ]
            ),
            arguments.map("given{}".format),
            arguments.map("other: given{}".format),
            branch_selections.map("branch {}".format),
            branch_selections.map("second: branch(number: $number) {}".format),
            leaf_selections.map("leaf {}".format),
            below.map("nest {}".format),
            below.map("strict {}".format),
        ),
        min_size=1,
        max_size=4,
    ).map(selection),
    max_leaves=5,
)
roots = st.lists(
    st.one_of(
        nest_selections.map("nest {}".format),
        nest_selections.map("again: nest {}".format),
        branch_selections.map("branch(number: $number) {}".format),
        st.just("__typename"),
    ),
    min_size=1,
    max_size=3,
).map(selection)
variable_values = st.fixed_dictionaries(
    {},
    optional={
        "by": st.sampled_from([0, 2, 13, None, "x", 2.0, True]),
        "words": st.none() | st.lists(st.sampled_from(["a", "b", ""]), max_size=2) | st.just("a"),
        "colour": st.sampled_from(["RED", "GREEN", None, "BLUE"]),
        "number": st.sampled_from([0, 0, 0, 1, None]),
        "yes": st.booleans(),
    },
)
FRAGMENTS = {
    "part": "fragment part on Nest { name third: nest { number } }",
    "leaf": "fragment leaf on Leaf { name number key }",
}


def in_document(chosen: str) -> str | None:
    """A document that asks for what is chosen; None where that can't be in one document."""
    used = [
        (name, of)
        for name, of in (
            ("by", "Int"),
            ("words", "[String!]"),
            ("colour", "Colour"),
            ("number", "Int! = 0"),
            ("yes", "Boolean! = true"),
        )
        if f"${name}" in chosen
    ]
    head = f"query ({', '.join(f'${name}: {of}' for name, of in used)})" if used else "query"
    fragments = [text for name, text in FRAGMENTS.items() if f"...{name}" in chosen]
    text = " ".join([head, chosen, *fragments])
    return None if problems(core_schema(PLAIN), parse(text)) else text


def told(result: Any) -> Any:
    """The data and the errors. Of several errors below what became null the first is told alone, whichever that is: of these only
    what became null is compared."""
    errors = [error.formatted for error in result.errors or ()]
    shown = {repr(_up_to_null(result.data, error.get("path") or []) or error) for error in errors}
    return repr(result.data), sorted(shown)


def _up_to_null(data: Any, path: list[Any]) -> list[Any] | None:
    """The beginning of the path where the data is null above the field at its end."""
    for length, key in enumerate(path[:-1]):
        if data is None:
            return path[:length]
        data = data[key]
    return path[:-1] if data is None else None


async def answer(world: World, query: str, variables: dict[str, Any]) -> tuple[Any, bool]:
    """The answer, and whether compiled code has given it alone."""
    parsed, core = parse(query), core_schema(COMPILING)
    operation = next(part for part in parsed.definitions if isinstance(part, OperationDefinitionNode))
    made = compiled(core, parsed, operation, ProjectingExecutor.of_document(core, parsed))
    given_values = None if made is None else made.given(variables)
    begun: Any = None
    if made is not None and given_values is not None:
        begun = await made.execute(world, given_values)  # type: ignore[arg-type]
        if not isinstance(begun, dict):
            return told(begun), True
    with answered(begun):
        result = await COMPILING.execute(query, variables, context_value=world)
    return told(result), False


@given(data=st.data(), chosen=roots, variables=variable_values)
async def test_any_query_is_answered_as_by_the_libraries_and_nothing_is_read_twice(
    data: st.DataObject, chosen: str, variables: dict[str, Any]
) -> None:
    query = in_document(chosen)
    if query is None:
        return
    world = data.draw(worlds())
    calls.clear()
    mine, _ = await answer(world, query, variables)
    assert not [place for place, times in calls.items() if times > 1]
    assert mine == told(await PLAIN.execute(query, variables, context_value=world))
    for _ in range(5):  # what the libraries no longer wait for ends here
        await asyncio.sleep(0)


EVERYTHING = """query ($by: Int, $words: [String!], $number: Int! = 0) {
  nest { number name given(by: $by, words: $words, chosen: {word: "x", colours: [RED]}) leaf { name colour }
    branch(number: $number) { name leaves { word number } } nest { name place } } }"""


def world_of(**more: Any) -> World:
    world = World(branches=[BRANCH], leaf=LEAF, viewer=Viewer("ann"), bill=Bill(), number=1, known="nest")
    world.below = nest_of(world, 2, None)
    vars(world).update(more)
    return world


async def test_what_resolvers_give_is_shown_without_the_libraries() -> None:
    shown, alone = await answer(world_of(), EVERYTHING, {"by": 4, "words": ["w"]})
    chosen = Chosen(by=None, word="x", colours=[Colour.RED])
    assert alone
    assert shown == (
        repr(
            {
                "nest": {
                    "number": 1,
                    "name": "NEST",
                    "given": repr((4, ["w"], None, chosen)),
                    "leaf": {"name": "a", "colour": "RED"},
                    "branch": {"name": "b", "leaves": [{"word": "kept", "number": 1}, None]},
                    "nest": {
                        "name": None,
                        "place": "place ['nest', 'nest', 'place'] ['place'] <class 'str'>",
                    },
                }
            }
        ),
        [],
    )


@pytest.mark.parametrize("viewer", [Viewer(), Viewer("ann")])
async def test_who_may_not_ask_is_refused_before_the_resolver_begins(viewer: Viewer) -> None:
    shown, alone = await answer(world_of(viewer=viewer), "{ nest { number } }", {})
    assert alone is (viewer.user_id is not None)
    assert ("a bearer token is needed" in str(shown)) is not alone


async def test_what_a_resolver_refused_is_told_without_a_second_call() -> None:
    calls.clear()
    shown, alone = await answer(world_of(), "{ nest { given(by: 13) branch { name } nest { number } } }", {})
    assert not alone
    assert "no luck" in str(shown)
    assert calls == {"nest.branch": 1, "nest.nest": 1}


async def test_a_query_of_a_client_is_compiled_once_its_document_is_known(published: Instance) -> None:
    await record(published.session("ann"), "Enrol", **BATCH)
    first = await ask(published.session("ann"), document("my_courses"))
    before = own()
    assert await ask(published.session("ann"), document("my_courses")) == first
    assert first["data"]["me"]["enrolments"]["edges"]
    assert grown(before, "cohort_compiled_answers_total", what="query", way="compiled") == 1


async def test_what_was_refused_leaves_nothing_to_the_garbage_collector(published: Instance) -> None:
    asked = '{ me { userId enrolment(collectionId: "course", contextId: "none") { status } summary(collectionId: "none") { status } } }'
    for _ in range(3):
        answered_by = await ask(published.session("ann"), asked)
    assert len(answered_by["errors"]) == 2
    gc.collect()
    gc.disable()
    try:
        await ask(published.session("ann"), asked)
        await asyncio.sleep(0)  # else the loop is still where the last resolver ended
        kept = [
            one
            for one in gc.get_objects()
            if type(one).__name__ == "_Request" and isinstance(one.session, Session)
        ]
    finally:
        gc.enable()
    assert not kept


def test_the_documents_of_the_project_that_can_be_are_compiled() -> None:
    """Those of the home page and of one collection; not those with lists whose members have resolvers of their own."""
    for name in ("my_courses", "my_summary", "course_tree", "collection_contexts", "find_learners"):
        known = served.known(document(name))
        found = known.compiled(None, served._executor)
        assert isinstance(found, CompiledOperation), name
