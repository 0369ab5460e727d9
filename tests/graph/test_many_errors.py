"""An answer tells its first errors, and how many others there are (R-LIMIT-4)."""

from typing import Any

import pytest
import strawberry
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension

from graph.documents.limits import Limits
from graph.execution.planned import PlansTold
from graph.execution.projection import ProjectingExecutor
from graph.execution.upstream import MORE_ERRORS
from graph.schema import build_schema
from tests.conftest import Instance
from tests.graph.conftest import ask


def unknown(times: int) -> str:
    nodes = " ".join(f'a{n}: node(id: "{n}") {{ id }}' for n in range(times))
    return f"{{ {nodes} me {{ userId }} }}"


async def test_an_answer_tells_as_many_errors_as_it_may_and_the_number_of_the_others(
    embedded: Instance,
) -> None:
    schema = build_schema(Limits(most_errors=3))
    at_most = await ask(embedded.session("ann"), unknown(3), of=schema)
    assert [error["path"] for error in at_most["errors"]] == [["a0"], ["a1"], ["a2"]]
    beyond = await ask(embedded.session("ann"), unknown(40), of=schema)
    assert beyond["data"] == {**{f"a{n}": None for n in range(40)}, "me": {"userId": "ann"}}
    *told, last = beyond["errors"]
    assert told == at_most["errors"]
    assert last == {
        "message": "37 more errors are not told: correct these first",
        "extensions": {"code": "MORE_ERRORS", "more": 37},
    }


# --- where values may not be null


@strawberry.type
class Leaf:
    @strawberry.field
    def fails(self) -> str | None:
        raise GraphQLError("a field that may be null")

    @strawberry.field
    async def fails_later(self) -> str | None:
        raise GraphQLError("a field that may be null, later")

    @strawberry.field
    def needed(self) -> str:
        raise GraphQLError("a field that may not be null")


@strawberry.type
class Query:
    @strawberry.field
    def leaves(self, count: int = 10) -> list[Leaf | None]:
        return [Leaf() for _ in range(count)]

    @strawberry.field
    def all_needed(self) -> list[Leaf]:
        return [Leaf(), Leaf()]


class Few(ProjectingExecutor):
    most_errors = 4


EXTENSIONS: list[type[SchemaExtension]] = [PlansTold]
ALL = strawberry.Schema(Query, execution_context_class=ProjectingExecutor, extensions=EXTENSIONS)
FEW = strawberry.Schema(Query, execution_context_class=Few, extensions=EXTENSIONS)


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("{ leaves { fails } }", 6),
        ("{ leaves { failsLater } }", 6),
        ("{ leaves { fails failsLater } }", 16),
        # The error of a member that may not be null is the member's.
        ("{ leaves { needed } }", 6),
        ("{ leaves(count: 4) { needed } }", 0),
        # It goes up to the answer itself, which is null for one reason.
        ("{ allNeeded { needed } }", 0),
        ("{ leaves(count: 3) { fails } allNeeded { needed } }", 0),
    ],
)
async def test_what_is_null_is_null_whether_its_error_is_told_or_not(query: str, more: int) -> None:
    every, few = await ALL.execute(query), await FEW.execute(query)
    assert every.errors is not None
    assert few.errors is not None
    assert few.data == every.data
    told: list[Any] = [error for error in few.errors if error.path is not None]
    assert [error.path for error in told] == [error.path for error in every.errors[: len(told)]]
    rest = [error.extensions for error in few.errors if error.path is None]
    assert rest == ([{"code": MORE_ERRORS, "more": more}] if more else [])
    assert len(every.errors) == len(told) + more


async def test_an_answer_that_is_null_as_a_whole_says_why_whatever_came_before() -> None:
    result = await FEW.execute("{ leaves { fails } allNeeded { needed } }")
    assert result.data is None
    assert [error.path for error in result.errors or ()][:5] == [
        *(["leaves", n, "fails"] for n in range(4)),
        ["allNeeded", 0, "needed"],
    ]
