"""The platform's tables as a deployment has them: missing columns, and write times (R-MIGRATE-1)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from ingest.importers.legacy.source import Platform, open_source
from ingest.importers.legacy.walking import pages, reading
from rules.errors import InvalidInput
from rules.legacy.tables import LEGACY_TABLES
from stores.keys import ring
from stores.rows import Row
from tests.conftest import CASSANDRA, cluster
from tests.ingest.legacy_platform import OLD, WRITTEN, LegacyTable, MemorySource, platform

CONSUMPTION, ENROLMENTS = "user_content_consumption", "user_enrolments"
STATUS = f"{CONSUMPTION}.status"


def lacking(name: str, *columns: str, rows: list[Row] | None = None) -> dict[str, LegacyTable]:
    tables = platform(OLD)
    table = tables[name]
    left = {column: kind for column, kind in table.columns.items() if column not in columns}
    tables[name] = replace(table, columns=left, rows=table.rows if rows is None else rows)
    return tables


async def platform_of(tables: dict[str, LegacyTable], *without: str) -> Platform:
    return await Platform.of(MemorySource(tables), LEGACY_TABLES, without)


async def test_the_columns_are_told_by_table() -> None:
    tables = lacking(CONSUMPTION, "last_access_time", "lastaccesstime", "last_completed_time", "datetime")
    found = (await platform_of(tables)).columns()
    assert found.keys() == tables.keys()
    consumption = found[CONSUMPTION]
    assert {*consumption.found} == {*tables[CONSUMPTION].columns}
    assert consumption.ignored == ()
    # Of the date of completion the text is still there; of the access neither.
    assert consumption.missing == {
        "last_access_time or lastaccesstime": "the last update stands in for the last access",
        "datetime": "a row without the other times has none",
    }
    enrolments = found[ENROLMENTS]
    assert enrolments.ignored == ("completionpercentage",), "the platform computes it when it is read"
    assert {*enrolments.used} | {*enrolments.ignored} == {*enrolments.found}
    assert enrolments.missing == {}


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        (CONSUMPTION, ["status"], "no column status, so no content is known to be completed"),
        (
            ENROLMENTS,
            ["contentstatus"],
            "no column contentstatus, so contents without a consumption row are lost",
        ),
        (ENROLMENTS, ["active"], "no column active, so every enrolment is active"),
        ("course_batch", ["end_date", "enddate"], "no column end_date or enddate, so no batch ends"),
    ],
)
async def test_a_column_without_which_results_are_wrong_stops_the_run_unless_told_otherwise(
    table: str, columns: list[str], told: str
) -> None:
    tables, name = lacking(table, *columns), f"{table}.{columns[0]}"
    with pytest.raises(InvalidInput, match=f"{told}; --without {name} goes on all the same") as refused:
        await platform_of(tables)
    assert refused.value.field == "from"
    found = await platform_of(tables, name)
    assert found.columns()[table].missing == {" or ".join(columns): told.partition(", so ")[2]}


@pytest.mark.parametrize("name", ["status", "user_enrolments.datetime", "nowhere.status"])
async def test_only_a_needed_column_is_named_as_missing(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is none of .*user_content_consumption\.status") as refused:
        await platform_of(platform(OLD), name)
    assert refused.value.field == "without"


async def test_a_source_that_is_refused_is_closed() -> None:
    source = MemorySource(lacking(CONSUMPTION, "status"))
    with pytest.raises(InvalidInput):
        async with reading(source, LEGACY_TABLES):
            pass
    assert source.closed


PLACE = {"userid": "ada", "courseid": "course", "batchid": "batch"}


async def test_a_row_has_its_newest_write_time_where_it_is_asked_for() -> None:
    times = {"active": 2000, "datetime": 5000, "completionpercentage": 9000}
    rows: list[Row] = [
        PLACE | {"active": False, WRITTEN: times},
        PLACE | {"userid": "bob"},
    ]
    found = await platform_of(lacking(ENROLMENTS, rows=rows))
    (ada,) = await found.rows(
        ENROLMENTS, clocks=True, user_id="ada", collection_id="course", context_id="batch"
    )
    # What is ignored has no say.
    assert (ada["written_at"], ada["active_written_at"]) == (5000, 2000)
    walked = {
        row["user_id"]: (row["written_at"], row["active_written_at"])
        for token_range in ring(4)
        async for page in found.walk(ENROLMENTS, token_range, page_size=1, resume=None, clocks=True)
        for row in page.rows
    }
    assert walked == {"ada": (5000, 2000), "bob": (None, None)}
    (ada,) = await found.rows(ENROLMENTS, user_id="ada", collection_id="course", context_id="batch")
    assert "written_at" not in ada


@pytest.fixture
async def keyspace() -> AsyncIterator[str]:
    """On a real Cassandra, with the tables that every platform has, as one that was never migrated has them."""
    name = f"test_source_{uuid4().hex[:10]}"
    key = "userid text, courseid text, batchid text"
    with cluster(CASSANDRA) as connected:
        session = connected.connect()

        def run(cql: str) -> Any:
            return session.execute(cql, timeout=60)

        run(
            f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        try:
            run(
                f"CREATE TABLE {name}.course_batch (courseid text, batchid text, end_date timestamp, "
                "PRIMARY KEY (courseid, batchid))"
            )
            run(
                f"CREATE TABLE {name}.user_content_consumption ({key}, contentid text, completionpercentage float, "
                "datetime timestamp, PRIMARY KEY (userid, courseid, batchid, contentid))"
            )
            run(
                f"CREATE TABLE {name}.user_enrolments ({key}, active boolean, status int, datetime timestamp, "
                "contentstatus map<text, int>, PRIMARY KEY (userid, courseid, batchid))"
            )
            run(
                f"INSERT INTO {name}.user_enrolments (userid, courseid, batchid, active, status, contentstatus) "
                "VALUES ('ada', 'course', 'batch', false, 1, {'a': 2}) USING TIMESTAMP 1000"
            )
            run(
                f"UPDATE {name}.user_enrolments USING TIMESTAMP 3000 SET contentstatus['b'] = 1 "
                "WHERE userid = 'ada' AND courseid = 'course' AND batchid = 'batch'"
            )
            run(
                f"INSERT INTO {name}.user_content_consumption (userid, courseid, batchid, contentid, "
                "completionpercentage, datetime) VALUES ('ada', 'course', 'batch', 'a', NaN, 1515709065000000)"
            )
            yield name
        finally:
            run(f"DROP KEYSPACE {name}")


@pytest.mark.stack
async def test_a_real_platform_without_some_columns_is_read_as_it_is(keyspace: str) -> None:
    source = await open_source(f"{CASSANDRA}/{keyspace}")
    try:
        with pytest.raises(InvalidInput, match=f"--without {STATUS}"):
            await Platform.of(source, LEGACY_TABLES)
        found = await Platform.of(source, LEGACY_TABLES, {STATUS})
        missing = found.columns()[CONSUMPTION].missing
        assert missing["status"] == "no content is known to be completed"
        assert "last_completed_time or lastcompletedtime" in missing
        assert "progress or completionpercentage" not in missing
        (row,) = [
            row
            async for page, _ in pages(found, CONSUMPTION, ranges=4, page_size=100, start=None)
            for row in page
        ]
        assert (row["datetime"], str(row["completionpercentage"])) == (1_515_709_065_000_000, "nan")
        place = {"user_id": "ada", "collection_id": "course", "context_id": "batch"}
        (ada,) = await found.rows(ENROLMENTS, clocks=True, **place)
        assert (ada["written_at"], ada["active_written_at"]) == (3000, 1000)
        assert ada["contentstatus"] == {"a": 2, "b": 1}
    finally:
        await source.close()
