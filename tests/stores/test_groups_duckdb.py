"""What is true of the embedded engine alone: who has the file, and how it is fed."""

import asyncio
import copy
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import orjson
import pytest
from duckdb import DuckDBPyConnection as Connection

from druid_specs import ACTIVITY_STATE, DATA_SOURCES, DataSource
from rules.errors import DeadlineExceeded, InvalidInput, StoreUnavailable
from stores.deadline import deadline
from stores.duckdb_file import READERS, DuckFile
from stores.events import Message
from stores.events_embedded import EmbeddedEvents
from stores.groups import GONE, Between, Figures, Groups, Kind, Lane, Measure, OneOf, Query, Rows
from stores.groups_duckdb import DuckGroups
from stores.topics import STATES, TOPICS
from tests.stores.groups_data import message, state

ALL = Rows(ACTIVITY_STATE, ("user_id", "status"))
HEAVY = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
"""Runs for an hour."""


@pytest.fixture
async def events(tmp_path: Path) -> AsyncIterator[EmbeddedEvents]:
    events = await EmbeddedEvents.open(tmp_path / "events.db")
    await events.init(TOPICS)
    yield events
    await events.close()


@pytest.fixture
async def groups(tmp_path: Path, events: EmbeddedEvents) -> AsyncIterator[DuckGroups]:
    groups = await DuckGroups.open(tmp_path / "groups.duckdb", events)
    yield groups
    await groups.close()


async def send(events: EmbeddedEvents, *users: str, version: int = 1, status: int = 0) -> None:
    told = (message(state("a", user, version, status=status)) for user in users)
    await events.send(STATES.name, *told)


async def found(groups: Groups, query: Query = ALL) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in (await groups.query(query, Lane.PAGES)).rows)


async def until(groups: Groups, *expected: tuple[object, ...]) -> None:
    async with asyncio.timeout(60):
        while await found(groups) != [*expected]:
            await asyncio.sleep(0.02)


async def test_opening_the_stores_does_not_touch_the_file(groups: DuckGroups, tmp_path: Path) -> None:
    assert not (tmp_path / "groups.duckdb").exists()
    await groups.ping()
    assert (tmp_path / "groups.duckdb").exists()


async def test_the_first_answer_has_all_that_was_sent_before(
    groups: DuckGroups, events: EmbeddedEvents
) -> None:
    await send(events, *(f"u{n}" for n in range(12_000)))
    count = Figures(ACTIVITY_STATE, (), (Measure("n", Kind.COUNT),))
    assert await asyncio.gather(*(found(groups, count) for _ in range(5))) == [[(12_000,)]] * 5


async def test_what_is_sent_later_is_visible_after_a_moment(
    groups: DuckGroups, events: EmbeddedEvents
) -> None:
    assert await found(groups) == []
    await send(events, "ada")
    await until(groups, ("ada", 0))


async def test_the_first_answer_does_not_wait_for_what_others_go_on_sending(
    groups: DuckGroups, events: EmbeddedEvents
) -> None:
    await send(events, *(f"u{n}" for n in range(200)))

    async def go_on() -> None:
        for n in range(1_000_000):
            await send(events, "late", version=n)

    sending = asyncio.create_task(go_on())
    assert len(await found(groups, Rows(ACTIVITY_STATE, ("user_id",), (("context_id", ("cb:1",)),)))) >= 200
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending


async def test_a_file_that_is_opened_again_goes_on_where_it_was_and_a_new_one_begins_anew(
    events: EmbeddedEvents, tmp_path: Path
) -> None:
    await send(events, "ada")
    first = await DuckGroups.open(tmp_path / "one.duckdb", events)
    assert await found(first) == [("ada", 0)]
    await first.close()
    await send(events, "bob")
    for name in ("one.duckdb", "two.duckdb"):
        groups = await DuckGroups.open(tmp_path / name, events)
        assert await found(groups) == [("ada", 0), ("bob", 0)]
        await groups.close()


async def test_what_is_no_event_is_logged_and_passed_over(
    groups: DuckGroups, events: EmbeddedEvents, caplog: pytest.LogCaptureFixture
) -> None:
    whole = state("a", "ada", 1, status=2)
    broken: list[object] = [
        [],
        None,
        "text",
        7,
        {**whole, "user_id": 7},
        {**whole, "version": "1"},
        {**whole, "version": None},
        {**whole, "version": True},
        {**whole, "version": 2**63},
        {name: value for name, value in whole.items() if name != "version"},
        {name: value for name, value in whole.items() if name != "context_id"},
    ]
    values = [b"", b"{", b"\xff", b'{"user_id": "\\ud800"}', *map(orjson.dumps, broken)]
    await events.send(STATES.name, *(Message(str(n), value) for n, value in enumerate(values)))
    await send(events, "bob")
    with caplog.at_level(logging.WARNING):
        assert await found(groups) == [("bob", 0)]
    assert sum("passed over" in record.message for record in caplog.records) == len(values)


async def test_nothing_may_be_a_part_of_a_key(groups: DuckGroups, events: EmbeddedEvents) -> None:
    of_nobody = {**state("a", "ada", 1, status=1), "user_id": None}
    for event in (of_nobody, {**of_nobody, "version": 3, "status": 2}, {**of_nobody, "version": 2}):
        await events.send(STATES.name, message(event))
    await send(events, "bob")
    answer = await groups.query(Rows(ACTIVITY_STATE, ("user_id", "status")), Lane.PAGES)
    assert set(map(tuple, answer.rows)) == {("bob", 0), (None, 2)}


async def test_a_value_that_its_column_cannot_hold_is_nothing(
    groups: DuckGroups, events: EmbeddedEvents
) -> None:
    odd = {**state("a", "ada", state="North"), "status": "many", "time_spent": {"a": 1}, "unknown": 1}
    await events.send(STATES.name, message(odd))
    query = Rows(ACTIVITY_STATE, ("user_id", "status", "time_spent", "state"))
    assert await found(groups, query) == [("ada", None, None, "North")]


async def test_a_moment_beyond_all_calendars_has_no_month(groups: DuckGroups, events: EmbeddedEvents) -> None:
    await events.send(STATES.name, message(state("a", "ada", enrolled_on=2**62)))
    assert await found(groups, Rows(ACTIVITY_STATE, ("user_id", "enrolled_month"))) == [("ada", None)]


async def test_a_column_that_the_spec_gained_is_added(events: EmbeddedEvents, tmp_path: Path) -> None:
    supervisor = copy.deepcopy(dict(ACTIVITY_STATE.supervisor))
    schema = supervisor["spec"]["dataSchema"]
    schema["metricsSpec"] = [metric for metric in schema["metricsSpec"] if metric["name"] != "status"]
    older = replace(ACTIVITY_STATE, supervisor=supervisor)
    path = tmp_path / "groups.duckdb"
    groups = await DuckGroups.open(path, events, [older])
    assert await groups.init([older]) == ["created table activity-state-2"]
    await send(events, "ada", status=2)
    assert await found(groups, Rows(older, ("user_id",))) == [("ada",)]
    await groups.close()

    groups = await DuckGroups.open(path, events)
    lines = await groups.init(DATA_SOURCES)
    assert sorted(lines) == [
        "added column status to activity-state-2",
        "created table activity-day-1",
        "created table activity-totals-2",
    ]
    assert await groups.init(DATA_SOURCES) == []
    await send(events, "bob", status=1)
    await until(groups, ("ada", None), ("bob", 1))
    await groups.close()


HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


async def test_a_file_that_another_process_has_is_told_and_taken_when_that_has_gone(
    groups: DuckGroups, events: EmbeddedEvents, tmp_path: Path
) -> None:
    await send(events, "ada")
    path = str(tmp_path / "groups.duckdb")
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, path, stdin=PIPE, stdout=PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"open\n"
    for call in (groups.query(ALL, Lane.PAGES), groups.ping()):
        with pytest.raises(StoreUnavailable, match=r"open in another process.*COHORT_GROUPS"):
            await call
    assert await groups.init(DATA_SOURCES) == [], "the other one lays out its file"
    await other.communicate(b"")
    assert await found(groups) == [("ada", 0)]


async def test_a_closed_file_is_free_for_others(
    groups: DuckGroups, events: EmbeddedEvents, tmp_path: Path
) -> None:
    await send(events, "ada")
    await found(groups)
    await groups.close()
    count = "import sys, duckdb; print(*duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
    statement = 'SELECT count(*), min(user_id) FROM "activity-state-2"'
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", count, str(tmp_path / "groups.duckdb"), statement, stdout=PIPE
    )
    assert (await other.communicate())[0] == b"1 ada\n"


async def test_a_log_that_is_away_for_a_while_is_waited_for(
    groups: DuckGroups, events: EmbeddedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(events, "ada")

    async def away(*_: object) -> None:
        raise StoreUnavailable("the log is away")

    monkeypatch.setattr(EmbeddedEvents, "consumer", away)
    with deadline(0.3), pytest.raises(DeadlineExceeded):
        await found(groups)
    monkeypatch.undo()
    assert await found(groups) == [("ada", 0)]


async def test_without_topics_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stores.duckdb_feed.PATIENCE", 0.3)
    events = await EmbeddedEvents.open(tmp_path / "events.db")
    groups = await DuckGroups.open(tmp_path / "groups.duckdb", events)
    with pytest.raises(StoreUnavailable, match="run cohort init"):
        await found(groups)
    await groups.close()
    await events.close()


async def test_a_long_statement_ends_with_its_caller_and_at_the_deadline(tmp_path: Path) -> None:
    file = await DuckFile.open(tmp_path / "groups.duckdb")

    def heavy(connection: duckdb.DuckDBPyConnection) -> object:
        return connection.execute(HEAVY).fetchall()

    # More than run at once: some are cancelled before they began.
    asked = [asyncio.create_task(file.read(Lane.TABLES, heavy)) for _ in range(2 * READERS + 1)]
    await asyncio.sleep(0.3)
    for task in asked:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*asked, return_exceptions=True)
    )
    with deadline(0.2), pytest.raises(DeadlineExceeded):
        await file.read(Lane.TABLES, heavy)
    assert await file.read(Lane.TABLES, lambda connection: connection.execute("SELECT 7").fetchone()) == (7,)
    await file.close()


async def test_long_tables_do_not_hold_up_pages(tmp_path: Path) -> None:
    file = await DuckFile.open(tmp_path / "groups.duckdb")
    asked = [
        asyncio.create_task(file.read(Lane.TABLES, lambda connection: connection.execute(HEAVY)))
        for _ in range(2 * READERS)
    ]
    await asyncio.sleep(0.1)
    assert await file.read(Lane.PAGES, lambda connection: connection.execute("SELECT 7").fetchone()) == (7,)
    for task in asked:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await file.close()


async def test_a_batch_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    file = await DuckFile.open(tmp_path / "groups.duckdb")

    def fail(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE TABLE half (n BIGINT)")
        raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        await file.write(fail)
    tables = await file.read(Lane.PAGES, lambda connection: connection.execute("SHOW TABLES").fetchall())
    assert tables == []
    await file.close()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Rows(ACTIVITY_STATE, ("user_id",), where=OneOf("status", ("2",))), "status holds numbers"),
        (Rows(ACTIVITY_STATE, ("user_id",), where=Between("state", 1, None)), "state holds texts"),
        (Rows(ACTIVITY_STATE, ("user_id",), (("state", ("North",)),)), "the key of activity-state"),
        (Rows(ACTIVITY_STATE, ()), "columns of different names"),
        (Rows(ACTIVITY_STATE, ("user_id", "user_id")), "columns of different names"),
        (Figures(ACTIVITY_STATE, ("state",), (Measure("state", Kind.COUNT),)), "columns of different names"),
        (Figures(ACTIVITY_STATE, (), (Measure("m", Kind.MAX, "state"),)), "state holds texts"),
        (Figures(ACTIVITY_STATE, (), (Measure("m", Kind.SUM),)), "a sum of a column"),
        (Figures(ACTIVITY_STATE, (), (Measure("m", Kind.COUNT, "status"),)), "a count is of rows"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(groups: DuckGroups, query: Query, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await found(groups, query)


# --- keys that tell nothing any more


def gone(user: str, version: int) -> Message:
    told = message(state("a", user, version))
    return Message(told.key, told.value, GONE)


async def test_a_key_that_is_gone_is_no_row_and_what_is_older_does_not_bring_it_back(
    groups: DuckGroups, events: EmbeddedEvents
) -> None:
    await send(events, "ann", "bob", version=3)
    await until(groups, ("ann", 0), ("bob", 0))
    await events.send(STATES.name, gone("ann", 2), gone("bob", 4))
    await until(groups, ("ann", 0))
    await send(events, "bob", version=4, status=1)
    await send(events, "cyd", version=1)
    await until(groups, ("ann", 0), ("cyd", 0))
    await send(events, "bob", version=5, status=2)
    await until(groups, ("ann", 0), ("bob", 2), ("cyd", 0))
    # In one batch, too, the highest version decides.
    await events.send(STATES.name, gone("dan", 7), message(state("a", "dan", 6)), gone("cyd", 9))
    await until(groups, ("ann", 0), ("bob", 2))


def names_in(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def values_in(path: Path) -> set[str]:
    """Every text in any table of the file, which compresses them."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        rows = [row for name in tables for row in connection.execute(f'SELECT * FROM "{name}"').fetchall()]
    return {str(value) for row in rows for value in row}


async def test_the_file_is_written_anew_without_keys_that_are_gone(
    groups: DuckGroups, events: EmbeddedEvents, tmp_path: Path
) -> None:
    path = tmp_path / "groups.duckdb"
    await send(events, "VERY-DISTINCT", "bob")
    await until(groups, ("VERY-DISTINCT", 0), ("bob", 0))
    before = path.stat().st_ino
    await events.send(STATES.name, gone("VERY-DISTINCT", 2))
    async with asyncio.timeout(60):
        while path.stat().st_ino == before:
            await asyncio.sleep(0.05)
    await until(groups, ("bob", 0))
    await send(events, "cyd")
    await until(groups, ("bob", 0), ("cyd", 0))
    await groups.close()
    assert names_in(tmp_path, "groups*") == ["groups.duckdb"]
    assert b"VERY-DISTINCT" not in path.read_bytes()
    assert not any("VERY-DISTINCT" in value for value in values_in(path))
    assert any("bob" in value for value in values_in(path))


async def test_a_file_that_died_before_it_was_written_anew_is_written_when_it_is_opened_again(
    groups: DuckGroups, events: EmbeddedEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "groups.duckdb"

    async def dies(*_: object) -> None:
        raise StoreUnavailable("no room")

    monkeypatch.setattr(DuckFile, "renew", dies)
    await send(events, "VERY-DISTINCT", "bob")
    await until(groups, ("VERY-DISTINCT", 0), ("bob", 0))
    await events.send(STATES.name, gone("VERY-DISTINCT", 2))
    await until(groups, ("bob", 0))
    await groups.close()
    before = path.stat().st_ino
    monkeypatch.undo()
    again = await DuckGroups.open(path, events)
    await until(again, ("bob", 0))
    async with asyncio.timeout(60):
        while path.stat().st_ino == before:
            await asyncio.sleep(0.05)
    await until(again, ("bob", 0))
    await again.close()


async def test_queries_wait_while_the_file_is_written_anew(tmp_path: Path) -> None:
    file = await DuckFile.open(tmp_path / "groups.duckdb")
    await file.write(
        lambda connection: connection.execute("CREATE TABLE t AS SELECT range AS n FROM range(1000)")
    )

    def count(connection: duckdb.DuckDBPyConnection) -> object:
        return connection.execute("SELECT count(*) FROM t").fetchone()

    async def ask() -> list[object]:
        return [await file.read(Lane.PAGES, count) for _ in range(50)]

    asked = [asyncio.create_task(ask()) for _ in range(4)]
    for _ in range(5):
        await file.renew(lambda connection: None)
        await asyncio.sleep(0.01)
    assert {answer for answers in await asyncio.gather(*asked) for answer in answers} == {(1000,)}
    await file.close()


# --- after what went wrong


def older_state() -> DataSource:
    """The source as a version knew it that had no ``status``."""
    supervisor = copy.deepcopy(dict(ACTIVITY_STATE.supervisor))
    schema = supervisor["spec"]["dataSchema"]
    schema["metricsSpec"] = [metric for metric in schema["metricsSpec"] if metric["name"] != "status"]
    return replace(ACTIVITY_STATE, supervisor=supervisor)


async def test_a_column_that_an_older_version_did_not_know_is_empty_beside_what_that_wrote(
    events: EmbeddedEvents, tmp_path: Path
) -> None:
    """Upgraded, taken back, and upgraded again. What is sent again then, as it was, fills the column."""
    path = tmp_path / "groups.duckdb"
    await send(events, "ann", "bob", version=1, status=2)
    newer = await DuckGroups.open(path, events)
    await until(newer, ("ann", 2), ("bob", 2))
    await newer.close()
    told = {name: value for name, value in state("a", "ann", 2, time_spent=7).items() if name != "status"}
    same = {name: value for name, value in state("a", "bob", 1).items() if name != "status"}
    await events.send(STATES.name, message(told), message(same))
    older = await DuckGroups.open(path, events, [older_state()])
    spent = Rows(older_state(), ("time_spent",), (("user_id", ("ann",)),))
    async with asyncio.timeout(60):
        while await found(older, spent) != [(7,)]:
            await asyncio.sleep(0.02)
    await older.close()
    again = await DuckGroups.open(path, events)
    await until(again, ("ann", None), ("bob", 2))
    await send(events, "ann", version=2, status=1)
    await until(again, ("ann", 1), ("bob", 2))
    await again.close()


FILLS_THE_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path

from rules.errors import StoreUnavailable
from stores.duckdb_file import DuckFile
from stores.groups import Lane

ROWS = "SELECT range + {0} AS n, sha256(range::VARCHAR) || sha256((range + 7)::VARCHAR) FROM range({1})"


def insert(start, count):
    return lambda connection: connection.execute("INSERT INTO t " + ROWS.format(start, count))


def counted(connection):
    return connection.execute("SELECT count(*) FROM t").fetchone()[0]


async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
    file = await DuckFile.open(path)
    await file.write(lambda connection: connection.execute("CREATE TABLE t (n BIGINT PRIMARY KEY, text VARCHAR)"))
    await file.write(insert(0, 300_000))
    await file.renew(lambda connection: None)
    held = 300_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100_000, resource.RLIM_INFINITY))
    while True:
        try:
            await file.write(insert(held, 60_000))
        except StoreUnavailable as error:
            print(error.detail, flush=True)
            break
        held += 60_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    # The batch whose answer was an error may be there: it comes again, and changes nothing.
    left = await asyncio.gather(*(file.read(Lane.PAGES, counted) for _ in range(5)))
    assert set(left) <= {held, held + 60_000}, (left, held)
    await file.write(insert(10_000_000, 1))
    assert await file.read(Lane.PAGES, counted) == left[0] + 1
    await file.close()
    again = await DuckFile.open(path)
    assert await again.read(Lane.PAGES, counted) == left[0] + 1
    await again.close()


asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_file_whose_disk_was_full_goes_on_with_what_was_acknowledged(tmp_path: Path) -> None:
    """DuckDB refuses everything after that, until the file is opened again."""
    path = str(tmp_path / "groups.duckdb")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FILLS_THE_DISK, path, stdout=PIPE, stderr=PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"FatalException" in out


@pytest.mark.parametrize("fails", [True, False])
async def test_calls_that_find_the_file_closed_share_one_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """As after a fatal error. Where that opening fails, so do all who waited for it; the next call opens the file again."""
    file = await DuckFile.open(tmp_path / "groups.duckdb")
    opened, connect, open_again = 0, DuckFile._connect, DuckFile._open_again

    def counted(self: DuckFile) -> None:
        nonlocal opened
        opened += 1
        open_again(self)

    def refuses(_: DuckFile) -> Connection:
        raise StoreUnavailable("the groups store is away", detail="the disk is full")

    monkeypatch.setattr(DuckFile, "_open_again", counted)
    monkeypatch.setattr(DuckFile, "_connect", refuses if fails else connect)
    file._away(duckdb.FatalException("no space left"))
    asked = (file.read(Lane.PAGES, seven) for _ in range(4))
    results = await asyncio.gather(*asked, file.write(seven), return_exceptions=True)
    assert opened == 1
    assert [*map(str, results)] == ["the groups store is away: the disk is full" if fails else "7"] * 5
    monkeypatch.setattr(DuckFile, "_connect", connect)
    assert await file.read(Lane.PAGES, seven) == 7
    assert opened == 1 + fails
    await file.close()


def seven(connection: Connection) -> int:
    (found,) = connection.execute("SELECT 7").fetchone() or (0,)
    return int(found)


async def test_a_file_that_could_not_be_written_anew_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await DuckFile.open(tmp_path / "groups.duckdb")
    await file.write(lambda connection: connection.execute("CREATE TABLE t AS SELECT 7 AS n"))

    def refuses(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "replace", refuses)
    with pytest.raises(StoreUnavailable):
        await file.renew(lambda connection: None)
    monkeypatch.undo()
    assert names_in(tmp_path, "groups*") == ["groups.duckdb"]
    answers = await asyncio.gather(
        *(file.read(Lane.PAGES, lambda connection: connection.execute("FROM t").fetchall()) for _ in range(5))
    )
    assert answers == [[(7,)]] * 5
    await file.renew(lambda connection: None)
    assert await file.read(Lane.PAGES, lambda connection: connection.execute("FROM t").fetchall()) == [(7,)]
    await file.close()


KILLED = """
import asyncio, sys
from pathlib import Path

from stores.duckdb_file import DuckFile


async def main(path):
    file = await DuckFile.open(path)
    await file.write(lambda connection: connection.execute("CREATE TABLE t (batch BIGINT, n BIGINT)"))
    batch = 0
    while True:
        def insert(connection):
            for part in range(4):
                connection.execute("INSERT INTO t SELECT ?, range FROM range(2500)", [batch])
        await file.write(insert)
        print(batch, flush=True)
        batch += 1


asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_file_whose_process_was_killed_has_whole_batches_and_all_that_were_acknowledged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "groups.duckdb"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(path), stdout=PIPE)
    assert process.stdout is not None
    for _ in range(20):
        last = int(await process.stdout.readline())
    process.kill()
    told = [int(line) for line in (await process.communicate())[0].splitlines()]
    last = max([last, *told])
    file = await DuckFile.open(path)
    counts = await file.read(
        Lane.PAGES,
        lambda connection: connection.execute(
            "SELECT batch, count(*) FROM t GROUP BY batch ORDER BY batch"
        ).fetchall(),
    )
    assert {count for _, count in counts} == {10_000}
    assert [batch for batch, _ in counts] in ([*range(last + 1)], [*range(last + 2)])
    await file.close()
