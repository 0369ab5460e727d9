"""Stores that are away and code that is wrong: what a client then sees."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from rules.errors import StoreUnavailable
from stores.cache import Cache
from stores.cache_redis import RedisCache
from stores.deadline import deadline
from stores.events import Events
from stores.events_embedded import EmbeddedEvents
from stores.events_kafka import KafkaEvents
from stores.groups import Groups
from stores.groups_druid import DruidGroups
from stores.groups_duckdb import DuckGroups
from stores.rows import Rows
from stores.rows_cassandra import CassandraRows
from stores.rows_sqlite import SqliteRows
from stores.tables import VIEWS
from tests.conftest import READS, Instance
from tests.graph.conftest import BATCH, ask, document, record

SECRET = "secret of the store"


def break_rows(instance: Instance, monkeypatch: pytest.MonkeyPatch, error: Exception, *only: str) -> None:
    """Every read of these tables (of all, without any) fails."""
    rows = type(instance.stores.rows)
    for name in (*READS, "insert_if_absent", "update_if"):
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


async def ping_nowhere(engine: str, folder: Path, events: Events) -> None:
    """Of a real engine that is not there."""
    store: Rows | Events | Cache | Groups
    match engine:
        case "sqlite":
            store = await SqliteRows.open(folder / "rows.db")
        case "cassandra":
            store = await CassandraRows.open("cassandra://127.0.0.1:1/none")
        case "embedded events":
            store = await EmbeddedEvents.open(folder / "events.db")
        case "kafka":
            store = await KafkaEvents.open("kafka://127.0.0.1:1", "here")
        case "valkey":
            store = await RedisCache.open("redis://127.0.0.1:1/0", "here")
        case "duckdb":
            store = await DuckGroups.open(folder / "groups.duckdb", events)
        case _:
            store = await DruidGroups.open("druid://127.0.0.1:1", prefix="here", events="kafka://127.0.0.1:1")
    try:
        await store.ping()
    finally:
        await store.close()


@pytest.mark.parametrize(
    "engine", ["sqlite", "cassandra", "embedded events", "kafka", "valkey", "duckdb", "druid"]
)
async def test_where_a_store_is_and_what_its_driver_says_is_for_the_log_alone(
    embedded: Instance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    engine: str,
) -> None:
    """GraphQL: as a query's error and as a mutation's."""
    with pytest.raises(StoreUnavailable) as told:
        await ping_nowhere(engine, tmp_path / "nowhere", embedded.stores.events)
    error = told.value
    break_rows(embedded, monkeypatch, error)
    asked = await ask(embedded.session("ann"), "{ me { name } }")
    changed = await ask(
        embedded.session("ann"), 'mutation { startView(input: {contentId: "a"}) { errors { code message } } }'
    )
    said = [asked["errors"][0]["message"], changed["data"]["startView"]["errors"][0]["message"]]
    assert said == [error.message] * 2
    assert "STORE_UNAVAILABLE" in str(asked)
    driver = error.__cause__
    assert driver is not None
    for inner in ("/", "127.0.0.1", ":1", "Error", "Exception", type(driver).__name__, str(driver)):
        assert not inner or inner not in error.message
    logged = [record.getMessage() for record in caplog.records if record.name == "resolvers.errors"]
    assert len(logged) == 2
    for line in logged:
        assert str(error) in line
        # A driver that tried several hosts says why of each.
        words = [repr(driver), str(driver), *map(str, getattr(driver, "errors", {}).values())]
        assert any(each and each in line for each in words)


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
    async with asyncio.timeout(60):
        await finished.wait()
        while not await embedded.lag():
            await asyncio.sleep(0.01)
