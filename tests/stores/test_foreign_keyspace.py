"""A keyspace that is not Cohort's, on a real Cassandra: values that no datetime holds, write times, and what goes wrong
(R-MIGRATE-1)."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from cassandra import InvalidRequest

from rules.errors import CohortError, InvalidInput, NotFound, StoreUnavailable
from rules.legacy.values import NO_YEAR, Unreadable, moment_of
from stores.foreign_keyspace import ForeignKeyspace, ForeignTable
from stores.keys import ring
from stores.rows import Row
from tests.conftest import CASSANDRA, cluster

pytestmark = pytest.mark.stack

HOST, _, PORT = CASSANDRA.rpartition("@")[2].partition(":")
(EVERYTHING,) = ring(1)

TIMES = {
    "a whole second": 1_700_000_000_000,
    "microseconds": 1_515_709_065_000_000,  # the year 50000 and later
    "year 0": -62_198_755_200_000,  # 731 days before year 1
    "the first of all": -(2**63),
    "none": None,
}
NUMBERS = {"nan": math.nan, "infinity": math.inf, "below": -math.inf, "half": 0.5}
DDL = (
    "CREATE TYPE {0}.answer (id text, at timestamp, took decimal, tags list<frozen<map<text, text>>>)",
    "CREATE TABLE {0}.times (learner text, place text, at timestamp, PRIMARY KEY (learner, place))",
    "CREATE TABLE {0}.numbers (name text PRIMARY KEY, single float, double double, whole int)",
    "CREATE TABLE {0}.shapes (name text PRIMARY KEY, answers list<frozen<answer>>, statuses map<text, int>, "
    "tags set<text>, day date, pair frozen<tuple<text, timestamp>>, seen map<text, timestamp>)",
    "CREATE TABLE {0}.timed (name text PRIMARY KEY, active boolean, status int, statuses map<text, int>)",
)


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    """The keyspace's name. It is made once, as making tables takes long."""
    made = f"test_foreign_{uuid4().hex[:10]}"
    with cluster(CASSANDRA) as connected:
        session = connected.connect()

        def run(cql: str, values: Sequence[Any] = ()) -> None:
            session.execute(session.prepare(cql) if values else cql, values or None, timeout=60)

        run(
            f"CREATE KEYSPACE {made} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        try:
            for ddl in DDL:
                run(ddl.format(made))
            for place, at in TIMES.items():
                # As a text of CQL: the driver itself can't bind what it can't read.
                run(
                    f"INSERT INTO {made}.times (learner, place, at) VALUES ('ada', '{place}', {at or 'null'})"
                )
            for called, value in NUMBERS.items():
                run(
                    f"INSERT INTO {made}.numbers (name, single, double) VALUES (?, ?, ?)",
                    [called, value, value],
                )
            run(
                f"INSERT INTO {made}.shapes (name, answers, statuses, tags, day, pair, seen) VALUES ('one', "
                f"[{{id: 'q1', at: {TIMES['microseconds']}, took: 3.5, tags: [{{'1': 'two'}}]}}, {{id: 'q2'}}], "
                "{'a': 2, 'b': 1}, {'x', 'y'}, '2025-12-31', ('left', 5), {'a': 7})"
            )
            run(f"INSERT INTO {made}.shapes (name) VALUES ('nothing')")
            run(
                f"INSERT INTO {made}.timed (name, active, status) VALUES ('ada', true, 1) USING TIMESTAMP 1000"
            )
            run(f"UPDATE {made}.timed USING TIMESTAMP 3000 SET active = false WHERE name = 'ada'")
            run(
                f"INSERT INTO {made}.timed (name, active, status) VALUES ('bob', true, 1) USING TIMESTAMP 1000"
            )
            run(f"UPDATE {made}.timed USING TIMESTAMP 2000 SET statuses['a'] = 1 WHERE name = 'bob'")
            run(f"UPDATE {made}.timed USING TIMESTAMP 4000 SET statuses['b'] = 2 WHERE name = 'bob'")
            run(f"INSERT INTO {made}.timed (name) VALUES ('cleo') USING TIMESTAMP 1000")
            yield made
        finally:
            run(f"DROP KEYSPACE {made}")


@pytest.fixture
async def keyspace(name: str) -> AsyncIterator[ForeignKeyspace]:
    opened = await ForeignKeyspace.open(f"{CASSANDRA}/{name}", field="from")
    yield opened
    await opened.close()


async def table_of(keyspace: ForeignKeyspace, name: str) -> ForeignTable:
    return (await keyspace.tables())[name]


async def rows_of(
    keyspace: ForeignKeyspace, name: str, *, written: dict[str, list[str]] | None = None, page_size: int = 2
) -> dict[str, Row]:
    """All rows by the last part of their key."""
    table = await table_of(keyspace, name)
    columns = {column: column for column in table.columns}
    walk = keyspace.walk(table, EVERYTHING, columns, page_size=page_size, written=written or {})
    return {row[table.key[-1]]: row async for page in walk for row in page.rows}


async def test_a_time_that_no_datetime_holds_does_not_take_its_page_along(keyspace: ForeignKeyspace) -> None:
    found = await rows_of(keyspace, "times", page_size=100)
    assert {place: row["at"] for place, row in found.items()} == TIMES
    for place in ("microseconds", "year 0", "the first of all"):
        with pytest.raises(Unreadable, match=NO_YEAR):
            moment_of(found[place]["at"])


async def test_numbers_come_as_they_are_stored(keyspace: ForeignKeyspace) -> None:
    found = await rows_of(keyspace, "numbers")
    for called, value in NUMBERS.items():
        for column in ("single", "double"):
            assert str(found[called][column]) == str(value)
        assert found[called]["whole"] is None


async def test_collections_and_types_of_the_user_come_as_dicts_and_lists(keyspace: ForeignKeyspace) -> None:
    found = await rows_of(keyspace, "shapes")
    first = {"id": "q1", "at": TIMES["microseconds"], "took": 3.5, "tags": [{"1": "two"}]}
    assert found["one"] == {
        "name": "one",
        "answers": [first, {"id": "q2", "at": None, "took": None, "tags": None}],
        "statuses": {"a": 2, "b": 1},
        "tags": ["x", "y"],
        "day": "2025-12-31",
        "pair": ["left", 5],
        "seen": {"a": 7},
    }
    assert type(found["one"]["statuses"]) is dict
    assert {*found["nothing"].values()} == {"nothing", None}


async def test_rows_are_found_by_any_part_of_their_key_and_named_as_asked(keyspace: ForeignKeyspace) -> None:
    table = await table_of(keyspace, "times")
    columns = {"user_id": "learner", "where": "place", "when": "at"}
    assert await keyspace.rows(table, {"user_id": "ada", "where": "none"}, columns) == [
        {"user_id": "ada", "where": "none", "when": None}
    ]
    assert len(await keyspace.rows(table, {"user_id": "ada"}, columns)) == len(TIMES)
    assert await keyspace.rows(table, {"user_id": "bob"}, columns) == []


async def test_a_walk_goes_on_after_any_page(keyspace: ForeignKeyspace) -> None:
    table = await table_of(keyspace, "times")
    columns = {"place": "place"}
    found, resume = [], None
    while True:
        async for page in keyspace.walk(table, EVERYTHING, columns, page_size=2, resume=resume):
            found += [row["place"] for row in page.rows]
            resume = page.resume
            break
        if resume is None:
            break
    assert found == sorted(TIMES)


WRITTEN = {"written_at": ["active", "status", "statuses"], "active_written_at": ["active"]}


async def test_the_newest_write_time_of_a_row_is_read(keyspace: ForeignKeyspace) -> None:
    """In microseconds, as Cassandra has them; a map's newest entry counts; a row of its key alone has none."""
    found = await rows_of(keyspace, "timed", written=WRITTEN)
    times = {name: (row["written_at"], row["active_written_at"]) for name, row in found.items()}
    assert times == {"ada": (3000, 3000), "bob": (4000, 1000), "cleo": (None, None)}
    table = await table_of(keyspace, "timed")
    (ada,) = await keyspace.rows(
        table, {"name": "ada"}, {"name": "name", "active": "active"}, {"at": ["active"]}
    )
    assert ada == {"name": "ada", "active": False, "at": 3000}


async def test_before_cassandra_5_a_row_with_a_map_has_no_write_time(
    keyspace: ForeignKeyspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older server knows no MAXWRITETIME, and refuses WRITETIME of a map."""
    prepare = keyspace._session.prepare

    async def older(cql: str) -> Any:
        if "MAXWRITETIME" in cql:
            raise InvalidRequest("Unknown function 'maxwritetime'")
        return await prepare(cql)

    monkeypatch.setattr(keyspace._session, "prepare", older)
    found = await rows_of(keyspace, "timed", written=WRITTEN)
    times = {name: (row["written_at"], row["active_written_at"]) for name, row in found.items()}
    assert times == {"ada": (3000, 3000), "bob": (None, 1000), "cleo": (None, None)}


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        (
            f"cassandra://cohort:wrongpass@{HOST}:{PORT}/test_none",
            InvalidInput,
            "user and password are refused",
        ),
        (f"cassandra://{HOST}:{PORT}/test_none", InvalidInput, "user and password are refused"),
        (
            f"{CASSANDRA}/test_none?dc=elsewhere",
            InvalidInput,
            "there is no data centre elsewhere; take dc=[a-z0-9]+",
        ),
        (f"{CASSANDRA}/test_none", NotFound, "there is no keyspace test_none"),
        ("cassandra://a:wrongpass@127.0.0.1:1/test_none", StoreUnavailable, "can't be reached: .*refused"),
        (
            "cassandra://a:wrongpass@nowhere.invalid/test_none",
            StoreUnavailable,
            "no host of this name is known",
        ),
    ],
)
async def test_what_is_wrong_with_the_url_is_one_line_and_nothing_is_logged(
    url: str, kind: type[CohortError], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(kind, match=told) as refused:
        await ForeignKeyspace.open(url, field="from")
    assert refused.value.field == "from"
    assert "\n" not in str(refused.value)
    assert "wrongpass" not in str(refused.value)
    assert [record for record in caplog.records if record.name.startswith("cassandra")] == []


class Proxy:
    """A host before the real one, which can die."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Gives its port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self._server.sockets[0].getsockname()[1]
        finally:
            self.die()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection(HOST, int(PORT))
        self._open |= {writer, before}
        await asyncio.gather(self._pass(reader, before), self._pass(behind, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while some := await reader.read(2**16):
                writer.write(some)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def die(self) -> None:
        self._server.close()
        while self._open:
            self._open.pop().transport.abort()


async def test_a_host_that_dies_in_the_middle_is_told_once(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = CASSANDRA.rpartition("@")[0]
    proxy = Proxy()
    async with proxy.running() as port:
        keyspace = await ForeignKeyspace.open(f"{user}@127.0.0.1:{port}/{name}", field="from")
        try:
            table = await table_of(keyspace, "times")
            walk = keyspace.walk(table, EVERYTHING, {"place": "place"}, page_size=1)
            assert len((await anext(walk)).rows) == 1
            proxy.die()
            with pytest.raises(StoreUnavailable, match="the keyspace to read did not answer") as away:
                await anext(walk)
            # Meanwhile the driver looks again and again whether the host is back.
            await asyncio.sleep(2.5)
        finally:
            await keyspace.close()
    assert away.value.field == "from"
    assert [record for record in caplog.records if record.name.startswith("cassandra")] == []
