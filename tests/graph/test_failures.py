"""Stores that are away and code that is wrong: what a client then sees."""

import asyncio
import logging
from typing import Any

import pytest

from rules.errors import StoreUnavailable
from stores.deadline import deadline
from stores.tables import VIEWS
from tests.conftest import Instance
from tests.graph.conftest import BATCH, ask, document, record

SECRET = "secret of the store"


def break_rows(instance: Instance, monkeypatch: pytest.MonkeyPatch, error: Exception, *only: str) -> None:
    """Every read of these tables (of all, without any) fails."""
    rows = type(instance.stores.rows)
    for name in ("get", "get_many", "partition", "partitions", "statics", "insert_if_absent", "update_if"):
        real = getattr(rows, name)

        def failing(self: Any, table: Any, *args: Any, real: Any = real, **kwargs: Any) -> Any:
            if only and table.name not in only:
                return real(self, table, *args, **kwargs)

            async def fail() -> None:
                raise error

            return fail()

        monkeypatch.setattr(rows, name, failing)


async def test_what_a_store_away_leaves_is_answered(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    break_rows(embedded, monkeypatch, StoreUnavailable("the rows are away"))
    answer = await ask(embedded.session("ann"), document("my_courses"))
    assert answer["data"] == {"me": {"userId": "ann", "name": None, "enrolments": None}}
    assert sorted((e["path"], e["extensions"]["code"]) for e in answer["errors"]) == [
        (["me", "enrolments"], "STORE_UNAVAILABLE"),
        (["me", "name"], "STORE_UNAVAILABLE"),
    ]


async def test_a_tree_is_answered_without_the_progress_on_it(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    await embedded.batch()
    break_rows(embedded, monkeypatch, StoreUnavailable("the rows are away"), VIEWS.name)
    answer = await ask(embedded.session("ann"), document("course_page"), collection="course", context="batch")
    units = answer["data"]["collection"]["children"]
    assert [unit["progress"] for unit in units] == [None, None]
    assert [leaf["name"] for unit in units for leaf in unit["children"]] == ["A", "B", "B", "C", "D"]
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"STORE_UNAVAILABLE"}


async def test_a_call_that_may_be_sent_again_says_so_in_its_payload(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    await embedded.batch()
    break_rows(embedded, monkeypatch, StoreUnavailable("the rows are away"), VIEWS.name)
    payload = await record(embedded.session("ann"), "Start", contentId="a", **BATCH)
    assert payload["view"] is None
    assert payload["errors"] == [{"code": "STORE_UNAVAILABLE", "message": "the rows are away", "field": None}]


async def test_an_enrolment_that_can_not_be_shown_was_made_all_the_same(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    await embedded.batch()
    break_rows(embedded, monkeypatch, StoreUnavailable("the rows are away"), VIEWS.name)
    answer = await ask(
        embedded.session("ann"),
        document("record_view"),
        operation="Enrol",
        collectionId="course",
        contextId="batch",
    )
    assert answer["data"]["enrol"] == {"enrolment": None, "errors": []}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["STORE_UNAVAILABLE"]


async def test_a_question_that_takes_too_long_says_so(embedded: Instance) -> None:
    with deadline(0):
        answer = await ask(embedded.session("ann"), document("my_courses"))
    assert answer["data"]["me"]["userId"] == "ann"
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"DEADLINE_EXCEEDED"}


async def test_an_unexpected_error_leaves_only_an_id(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    break_rows(embedded, monkeypatch, RuntimeError(SECRET))
    with caplog.at_level(logging.ERROR):
        asked = await ask(embedded.session("ann"), "{ me { name userId } }")
        changed = await ask(
            embedded.session("ann"), 'mutation { startView(input: {contentId: "a"}) { token } }'
        )
    assert asked["data"] == {"me": {"name": None, "userId": "ann"}}
    for answer in (asked, changed):
        (error,) = answer["errors"]
        assert error["message"] == "internal error"
        assert error["extensions"]["code"] == "INTERNAL_ERROR"
        assert SECRET not in str(answer)
        logged = next(r for r in caplog.records if error["extensions"]["errorId"] in r.getMessage())
        assert logged.exc_info is not None
        assert SECRET in str(logged.exc_info[1])


async def test_a_command_that_has_begun_is_finished_although_its_caller_leaves(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    await embedded.batch()
    reached, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    insert = type(embedded.stores.rows).insert_if_absent

    async def slow(*args: Any) -> Any:
        reached.set()
        await go_on.wait()
        applied = await insert(*args)
        finished.set()
        return applied

    monkeypatch.setattr(type(embedded.stores.rows), "insert_if_absent", slow)
    call = asyncio.ensure_future(record(embedded.session("ann"), "Start", contentId="a", **BATCH))
    await reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go_on.set()
    async with asyncio.timeout(5):
        await finished.wait()
        while not await embedded.lag():
            await asyncio.sleep(0.01)
