"""Operations that need none of Strawberry's extensions go straight to the executor, and are answered as by the library."""

from contextlib import nullcontext
from typing import Any
from unittest.mock import AsyncMock, patch

import orjson
import pytest
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from graph.documents.limits import Limits
from graph.schema import CohortSchema, build_schema
from loaders.session import Session
from rules.prices import Budget, Price
from tests.conftest import Instance
from tests.graph.conftest import document

Told = tuple[type[object], object, object, object]
"""The kind of a result, its data, errors and extensions; of an exception its kind and words."""

QUERIES: list[tuple[str, dict[str, Any] | None, str | None]] = [
    ("{ __typename }", None, None),
    ("{ me { userId } }", None, None),
    ("{ me { userId } nothing: me { nowhere } }", None, None),
    ("query One { me { userId } } query Two { __typename }", None, "Two"),
    ("query One { me { userId } } query Two { __typename }", None, None),
    ("query One { me { userId } }", None, "Other"),
    ("query ($id: ID!) { node(id: $id) { id } }", {"id": 5.5}, None),
    ("query ($id: ID!) { node(id: $id) { id } }", {"id": "nothing"}, None),
    ("query ($id: ID!) { node(id: $id) { id } }", None, None),
    (
        "query ($id: ID!, $show: Boolean!) { node(id: $id) @include(if: $show) { id } }",
        {"id": "x", "show": False},
        None,
    ),
    ('{ collection(id: "none") { name } }', None, None),
    ("{ __schema { queryType { name } } }", None, None),
    ("{ collection { name } }", None, None),
    ("{ me { userId ", None, None),
    ("", None, None),
]


async def answer(
    of: CohortSchema, session: Session, asked: tuple[str, dict[str, Any] | None, str | None], *, plain: bool
) -> Told:
    query, variables, name = asked
    given: dict[str, Any] = {"context_value": session, "operation_name": name, "variable_values": variables}
    given["allowed_operation_types"] = {OperationType.QUERY}
    try:
        with nullcontext() if plain else patch.object(of, "_plain", AsyncMock(return_value=None)):
            result = await of.execute(query, **given)
    except Exception as error:  # noqa: BLE001 - the two are compared
        return type(error), repr(error), None, None
    errors = [error.formatted for error in result.errors or ()]
    return type(result), orjson.loads(orjson.dumps(result.data)), errors, result.extensions or {}


@pytest.mark.parametrize("asked", QUERIES, ids=lambda asked: f"{asked[0]} {asked[2]}")
async def test_an_operation_is_answered_as_by_the_library(
    embedded: Instance, asked: tuple[str, dict[str, Any] | None, str | None]
) -> None:
    fresh = build_schema()
    by_library = await answer(fresh, embedded.session("ann"), asked, plain=False)
    first, again = [await answer(fresh, embedded.session("ann"), asked, plain=True) for _ in range(2)]
    assert first == again == by_library


async def test_what_is_over_the_budget_is_refused_as_by_the_library(embedded: Instance) -> None:
    fresh, bills = build_schema(), []
    for plain in (False, True):
        session = embedded.session("ann")
        session.bill.budget = Budget(Price(1, 0, 10))
        _, data, errors, _ = await answer(fresh, session, (document("my_courses"), None, None), plain=plain)
        assert data is None
        bills.append((errors, session.bill.estimate, session.bill.partitions))
    assert bills[0] == bills[1]
    assert bills[0][2] == 0, "nothing was read"


async def test_a_document_that_is_let_through_is_counted_once_a_request(embedded: Instance) -> None:
    fresh = build_schema(Limits(deepest=1, warn_only=frozenset({"documents"})))
    for count in (1, 2):
        await answer(fresh, embedded.session("ann"), ("{ me { userId } }", None, None), plain=True)
        assert sum(fresh.documents.let_through.values()) == count


async def test_small_queries_do_not_go_through_the_extensions(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = build_schema()
    monkeypatch.setattr(fresh, "get_extensions", lambda: pytest.fail("no extension is needed"))
    result = await answer(fresh, embedded.session("ann"), ("{ me { userId } }", None, None), plain=True)
    assert result == (ExecutionResult, {"me": {"userId": "ann"}}, [], {})
