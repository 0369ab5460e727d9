"""What went wrong in migrations of real keyspaces goes right: each fault with a few rows of its own, all in one keyspace."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ingest.importers.legacy import MigrationReport, migrate_legacy
from rules.errors import InvalidInput
from rules.origins import Origin
from stores.rows import Row
from tests.conftest import CASSANDRA, Instance
from tests.ingest.learner_tables import COMPARED
from tests.ingest.legacy_faults import COMMON, Fault, faults
from tests.ingest.legacy_keyspace import LegacyKeyspace
from tests.ingest.legacy_platform import URL, MemorySource
from tests.ingest.legacy_world import TABLES, Written, in_memory
from tests.ingest.migration_run import working

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def keyspace(cohort: Instance) -> AsyncIterator[LegacyKeyspace | None]:
    """None on the embedded engines: there the rows are read from memory."""
    if not cohort.urls["rows"].startswith(CASSANDRA):
        yield None
        return
    made = await LegacyKeyspace.made()
    yield made
    made.drop()


async def migrate(
    cohort: Instance, keyspace: LegacyKeyspace | None, before: Sequence[Written], writes: Sequence[Written]
) -> MigrationReport:
    """From a platform that wrote this ``before``, and these writes now."""
    options: dict[str, Any] = {"rate": 1e6, "every": 1, "ranges": 4}
    if keyspace is None:
        return await migrate_legacy(
            cohort.shared, URL, source=MemorySource(in_memory([*before, *writes])), **options
        )
    await keyspace.write(writes)
    return await migrate_legacy(cohort.shared, keyspace.url, **options)


async def test_each_fault_is_brought_over_right_and_a_rerun_changes_nothing(
    cohort: Instance, keyspace: LegacyKeyspace | None
) -> None:
    await cohort.publish()
    known = faults()
    first = [*COMMON, *(write for fault in known for write in fault.writes)]
    then = [write for fault in known for write in fault.then]
    async with working(cohort):
        before = await migrate(cohort, keyspace, [], first)
        await cohort.drain()
        await migrate(cohort, keyspace, first, then)
    await cohort.drain()
    rows = await _rows(cohort)
    wrong = [f"{fault.name}: {line}" for fault in known for line in _wrong(fault, rows, before)]
    assert not wrong, "\n".join(wrong)
    again = await migrate(cohort, keyspace, [*first, *then], [])
    assert {name: table.written for name, table in again.tables.items() if table.written} == {}
    assert sum(table.filled + table.triggers for table in again.tables.values()) == 0


@pytest.mark.parametrize(
    ("table", "column", "follows"),
    [
        ("user_content_consumption", "status", "no content is known to be completed"),
        ("user_enrolments", "contentstatus", "contents without a consumption row are lost"),
    ],
)
async def test_a_column_without_which_results_are_wrong_stops_it_unless_it_is_named(
    cohort: Instance, keyspace: LegacyKeyspace | None, table: str, column: str, follows: str
) -> None:
    """And the report lists what was found and what follows from what is missing."""
    await cohort.publish()
    tables = dict(in_memory(COMMON))
    columns = {name: kind for name, kind in TABLES[table].columns.items() if name != column}
    tables[table] = replace(tables[table], columns=columns)
    options: dict[str, Any] = {"rate": 1e6, "ranges": 4}
    url = URL
    if keyspace is None:
        options["source"] = MemorySource(tables)
    else:
        await keyspace.drop_column(table, column)
        url = keyspace.url
    with pytest.raises(InvalidInput, match=f"{table} has no column {column}.*{follows}"):
        await migrate_legacy(cohort.shared, url, **options)
    report = await migrate_legacy(cohort.shared, url, without=[f"{table}.{column}"], **options)
    told = report.document()["columns"][table]
    assert told["missing"][column] == follows
    assert {*told["used"], *told["ignored"]} == {*told["found"]} == {*columns}


def _wrong(fault: Fault, rows: Mapping[str, Sequence[Row]], report: MigrationReport) -> list[str]:
    """What did not become of it what should."""
    wrong = []
    for table, wanted in fault.becomes.items():
        for one in wanted:
            key = {name: one[name] for name in ("contentid", "attempt_id", "activity_id") if name in one}
            mine = [
                row
                for row in rows[table]
                if fault.name in (row.get("userid"), row.get("user_id"), row.get("contextid"))
                and key.items() <= row.items()
            ]
            found = [_seen(row, one) for row in mine]
            expected = [] if one.get("gone") else [dict(one)]
            if found != expected:
                wrong.append(f"{table}: {found} is not {expected}")
    rejected = [
        (
            row["table"],
            row["key"].get("attempt_id") or row["key"].get("content_id"),
            row["column"],
            row["why"],
        )
        for table in report.tables.values()
        for row in table.rejected
        if row["key"].get("user_id") == fault.name
    ]
    if fault.rejected and rejected != [*fault.rejected]:
        wrong.append(f"rejected: {rejected} is not {fault.rejected}")
    for table, words in fault.noted.items():
        about = [
            reason
            for reason, examples in report.tables[table].examples.items()
            if words in reason and any(fault.name in example.split() for example in examples)
        ]
        if not about:
            wrong.append(f"{table}: nothing about {words} in {report.tables[table].examples}")
    return wrong


def _seen(row: Row, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that are looked at, of a map the entries."""
    origin = Origin.decode(row["origin"]) if row.get("origin") else None
    seen: dict[str, Any] = {}
    for name, value in wanted.items():
        if name == "kind":
            seen[name] = origin and origin.kind.value
        elif name == "origin":
            seen[name] = origin and origin.reason
        elif name == "question":
            seen[name] = [question["id"] for question in row[name] or ()]
        elif isinstance(value, dict):
            seen[name] = {entry: (row[name] or {}).get(entry) for entry in value}
        else:
            seen[name] = row.get(name)
    return seen


async def _rows(cohort: Instance) -> dict[str, list[Row]]:
    rows = cohort.stores.rows
    return {
        table.name: [
            row
            for token_range in rows.ranges(1)
            async for page in rows.walk(table, token_range)
            for row in page.rows
        ]
        for table in COMPARED
    }
