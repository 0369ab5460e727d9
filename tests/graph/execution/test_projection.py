"""The projecting executor answers exactly what graphql-core's own does."""

from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st
from strawberry.extensions import SchemaExtension
from strawberry.scalars import JSON

from graph.execution.projection import ProjectingExecutor
from graph.fields import field
from graph.scalars import CONFIG


@strawberry.enum
class Colour(Enum):
    RED = "r"
    GREEN = "g"


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Leaf(Named):
    number: int | None
    flag: bool | None
    share: float | None
    key: strawberry.ID | None
    colour: Colour | None
    at: datetime | None
    data: JSON | None
    words: list[str | None] | None
    strict: list[int] | None
    kept: strawberry.Private[dict[str, str] | None]

    @field(description="Of what is kept, or else loaded.", at_hand=lambda leaf: leaf.kept.get("word"))
    async def word(self) -> str | None:
        return "loaded" if self.kept is None else self.kept["word"]

    @strawberry.field
    def times(self, by: int = 2, words: list[str] | None = None) -> str:
        if by == 13:
            raise GraphQLError("no luck")
        if by == 17:
            faults.append(self.name)
            raise RuntimeError("a fault")
        return " ".join([self.name] * by + (words or []))

    @strawberry.field
    async def later(self) -> str:
        return f"{self.name} later"

    @strawberry.field
    def about(self, info: strawberry.Info) -> str:
        return ".".join(str(key) for key in info.path.as_list())


faults: list[str] = []
"""Of whom a resolver failed."""


@strawberry.type
class Branch(Named):
    leaf: Leaf | None
    leaves: list[Leaf | None]
    strict_leaves: list[Leaf] | None
    anything: Named | None
    branches: list["Branch"]


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, info: strawberry.Info) -> Branch | None:
        branch: Branch = info.context
        return branch


class Shouting(SchemaExtension):
    def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
        result = _next(root, info, *args, **kwargs)
        return result.upper() if isinstance(result, str) else result


PLAIN = strawberry.Schema(Query, types=[Leaf], config=CONFIG)
PROJECTING = strawberry.Schema(Query, types=[Leaf], config=CONFIG, execution_context_class=ProjectingExecutor)

moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))]))
wrong = st.sampled_from([object(), ValueError("a value"), 2**40, [1], {"a": 1}, "", float("nan")])


def odd(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Now and then nothing, or what does not belong there."""
    return st.integers(0, 19).flatmap(lambda n: st.none() if n == 0 else wrong if n == 1 else values)


texts = st.text("abc", max_size=3)
leaf_values = st.builds(
    Leaf,
    name=odd(texts),
    number=odd(st.one_of(st.integers(-5, 5), st.booleans(), st.just("7"))),
    flag=odd(st.booleans()),
    share=odd(st.floats(0, 1)),
    key=odd(st.one_of(texts, st.integers(0, 9))),
    colour=odd(st.one_of(st.sampled_from(Colour), st.sampled_from(["r", "x"]))),
    at=odd(moments),
    data=odd(st.sampled_from([{"a": [1, None]}, [], 0, "text"])),
    words=odd(st.lists(odd(texts), max_size=3)),
    strict=odd(st.lists(odd(st.integers(0, 9)), max_size=3)),
    kept=st.sampled_from([None, {"word": "kept"}]),
)
branches: st.SearchStrategy[list[Branch]] = st.recursive(
    st.just([]),
    lambda below: st.lists(
        st.builds(
            Branch,
            name=odd(texts),
            leaf=odd(leaf_values),
            leaves=st.lists(odd(leaf_values), max_size=3),
            strict_leaves=odd(st.lists(odd(leaf_values), max_size=3)),
            anything=odd(leaf_values),
            branches=below,
        ),
        max_size=2,
    ),
    max_leaves=4,
)

leaf_fields = st.sampled_from(
    [
        *("name", "number", "flag", "share", "key", "colour", "at", "data", "words", "strict", "__typename"),
        *(
            "again: name",
            "times",
            "times(by: 3)",
            "other: times(by: $by, words: $words)",
            "bad: times(by: 13)",
        ),
        *("later", "about", "word", "name @include(if: $yes)", "number @skip(if: $yes)"),
        *("... @include(if: $yes) { flag }", "...leaf", "... on Named { first: name }"),
    ]
)


def selection(fields: list[str]) -> str:
    return f"{{ {' '.join(fields)} }}"


leaf_selections = st.lists(leaf_fields, min_size=1, max_size=5).map(selection)
branch_selections = st.recursive(
    st.sampled_from(["{ name }", "{ __typename n: name }"]),
    lambda below: st.lists(
        st.one_of(
            st.sampled_from(["name", "__typename"]),
            *(
                leaf_selections.map(f"{name} {{}}".format)
                for name in ("leaf", "leaves", "strictLeaves", "some: leaves")
            ),
            leaf_selections.map(lambda chosen: f"anything {{ name ... on Leaf {chosen} }}"),
            below.map(lambda chosen: f"branches {chosen}"),
        ),
        min_size=1,
        max_size=4,
    ).map(selection),
    max_leaves=4,
)


async def answer(schema: strawberry.Schema, query: str, branch: Any, variables: dict[str, Any]) -> Any:
    result = await schema.execute(query, variables, context_value=branch)
    errors = sorted(repr(error.formatted) for error in result.errors or ())
    return repr(result.data), errors


def in_document(chosen: str) -> str:
    head = "query ($yes: Boolean!, $by: Int!, $words: [String!], $unused: Boolean)"
    use = "unused: __typename @include(if: $yes) @skip(if: $yes) ...use"
    fragments = "fragment use on Query { u: __typename } fragment leaf on Leaf { name number key }"
    return f"{head} {{ {use} branch {chosen} }} {fragments}"


@given(
    data=branches.filter(bool),
    chosen=branch_selections,
    yes=st.booleans(),
    by=st.sampled_from([0, 2, 13]),
    words=st.none() | st.lists(texts, max_size=2),
)
async def test_any_selection_is_answered_as_by_the_executor(
    data: list[Branch], chosen: str, yes: bool, by: int, words: list[str] | None
) -> None:
    variables = {"yes": yes, "by": by, "words": words}
    query = in_document(chosen)
    assert await answer(PROJECTING, query, data[0], variables) == await answer(
        PLAIN, query, data[0], variables
    )


LEAF = Leaf(
    name="a",
    number=1,
    flag=None,
    share=0.5,
    key=strawberry.ID("k"),
    colour=Colour.RED,
    at=datetime(2026, 3, 1, tzinfo=UTC),
    data=JSON({"a": 1}),
    words=["x", None],
    strict=None,
    kept={"word": "kept"},
)
BRANCH = Branch(name="b", leaf=LEAF, leaves=[LEAF, None], strict_leaves=None, anything=LEAF, branches=[])
EVERYTHING = """{ branch { leaves {
    __typename n: name number flag share key colour at data words strict word times(by: 3) } strictLeaves { name } } }"""
EXPECTED = {
    "leaves": [
        {
            "__typename": "Leaf",
            "n": "a",
            "number": 1,
            "flag": None,
            "share": 0.5,
            "key": "k",
            "colour": "RED",
            "at": "2026-03-01T00:00:00.000Z",
            "data": {"a": 1},
            "words": ["x", None],
            "strict": None,
            "word": "kept",
            "times": "a a a",
        },
        None,
    ],
    "strictLeaves": None,
}


async def test_what_is_plain_never_meets_the_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the executor completed a leaf")

    monkeypatch.setattr(ProjectingExecutor, "complete_leaf_value", refuse)
    result = await PROJECTING.execute(EVERYTHING, context_value=BRANCH)
    assert result.errors is None
    assert result.data == {"branch": EXPECTED}


async def test_a_fault_is_met_once_and_told_at_the_field_that_was_compiled() -> None:
    faults.clear()
    result = await PROJECTING.execute("{ branch { name leaves { times(by: 17) } } }", context_value=BRANCH)
    assert faults == ["a"], "a resolver that broke is not called again"
    assert [error.path for error in result.errors or []] == [["branch", "leaves"]]
    assert result.data == {"branch": None}


async def test_extensions_that_wrap_resolvers_are_not_passed_by() -> None:
    schema = strawberry.Schema(
        Query, types=[Leaf], extensions=[Shouting], execution_context_class=ProjectingExecutor
    )
    result = await schema.execute("{ branch { name } }", context_value=BRANCH)
    assert result.data == {"branch": {"name": "B"}}
