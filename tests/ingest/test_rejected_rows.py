"""A row that can't be read stops nothing: it is named, counted, kept in a file, and tried again from there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.importers.legacy import MigrationReport, TableReport, report_of, retry_rejected
from ingest.importers.legacy.rejects import Rejected, RejectsFile, read_rejects
from ingest.importers.legacy.report import EXAMPLES, MOST_NAMED
from ingest.jobs.runner import Jobs
from rules.errors import InvalidInput
from rules.jobs import JobState
from rules.legacy.values import Unreadable
from stores.rows import Row
from tests.conftest import Instance
from tests.ingest.legacy_platform import OLD, URL, LegacyTable, MemorySource, on, platform
from tests.ingest.test_migration import migrate, totals, view

CONSUMPTION = "user_content_consumption"
ENROLMENTS = "user_enrolments"


def with_rows(name: str, *rows: Row) -> dict[str, LegacyTable]:
    tables = platform(OLD)
    tables[name] = replace(tables[name], rows=[*tables[name].rows, *rows])
    return tables


def consumed(user: str, status: int) -> Row:
    times = {"last_completed_time": on(5), "last_updated_time": on(5)}
    return {
        "userid": user,
        "courseid": "course",
        "batchid": "batch",
        "contentid": "a",
        "status": status,
        **times,
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def test_a_rejected_row_is_named_in_the_report_and_in_a_file_beside_it(
    embedded: Instance, tmp_path: Path
) -> None:
    """Hal's content a has the status 7, his enrolment and his attempt have no time at all. What was not started is
    skipped, but nothing is wrong with it."""
    await embedded.publish()
    done = await migrate(embedded.shared, report=tmp_path / "report-JOB.json")
    assert done.rejected == 3
    file = tmp_path / f"report-{done.job}-rejected.jsonl"
    rejected = {row["table"]: row for row in lines(file)}
    assert rejected[CONSUMPTION] == {
        "table": CONSUMPTION,
        "key": {"user_id": "hal", "collection_id": "course", "context_id": "batch", "content_id": "a"},
        "column": "status",
        "value": "7",
        "why": "a status other than 0, 1, 2",
    }
    assert sorted(rejected) == ["assessment_aggregator", CONSUMPTION, ENROLMENTS]
    assert done.document()["rejected"] == [
        rejected[name] for name in (CONSUMPTION, ENROLMENTS, "assessment_aggregator")
    ]
    assert not done.is_whole


async def test_rejected_rows_are_read_again_by_their_keys_and_brought_over_as_any(
    embedded: Instance, tmp_path: Path
) -> None:
    """Hal's status is mended there, his attempt is deleted, and his enrolment stays as it is."""
    await embedded.publish()
    done = await migrate(embedded.shared, report=tmp_path / "first.json")
    await embedded.drain()
    tables = platform(OLD)
    rows = [
        consumed("hal", 2) if (row["userid"], row["contentid"]) == ("hal", "a") else row
        for row in tables[CONSUMPTION].rows
    ]
    tables[CONSUMPTION] = replace(tables[CONSUMPTION], rows=rows)
    attempts = tables["assessment_aggregator"]
    tables[attempts.name] = replace(attempts, rows=[row for row in attempts.rows if row["user_id"] != "hal"])
    source = MemorySource(tables)
    files = [tmp_path / "first-rejected.jsonl"]
    again = await retry_rejected(embedded.shared, URL, files, source=source, report=tmp_path / "second.json")
    assert {name: counts for name, counts in totals(again).items() if counts[0]} == {
        CONSUMPTION: (1, 1, 0, 0, 0),
        ENROLMENTS: (1, 0, 0, 0, 1),
        "assessment_aggregator": (1, 0, 0, 0, 1),
    }
    assert again.tables["assessment_aggregator"].skipped == {"not there any more": 1}
    assert (again.rejected, again.tables[CONSUMPTION].triggers) == (1, 1)
    assert [row["table"] for row in lines(tmp_path / "second-rejected.jsonl")] == [ENROLMENTS]
    a = await view(embedded, "hal", "course", "batch", "a")
    assert a is not None
    assert (a.status, a.completed_on) == (2, on(5))
    assert source.closed
    assert source.pages == 0, "no table is walked"
    # It is no job, and the first one is as it was.
    assert [job.id for job in await Jobs(embedded.shared).list()] == [done.job]


async def test_the_last_line_of_a_row_counts_and_another_file_is_refused(tmp_path: Path) -> None:
    key = {"user_id": "hal", "collection_id": "course", "context_id": "batch"}
    first = Rejected(ENROLMENTS, key, None, None, "no time of enrolment")
    last = replace(first, why="an id that is blank")
    one, other = RejectsFile(tmp_path / "one.jsonl"), RejectsFile(tmp_path / "other.jsonl")
    one.append([first.document(), first.document()])
    one.append([first.document()])
    other.append([last.document()])
    assert read_rejects([one.path, other.path]) == [last]
    assert read_rejects([other.path, one.path]) == [first]
    for content in (b'{"table": "user_enrolments"}\n', b"torn {\n", b"[]\n"):
        other.path.write_bytes(content)
        with pytest.raises(InvalidInput, match="names no rejected row"):
            read_rejects([one.path, other.path])


async def test_more_rejected_rows_than_allowed_stop_it_and_a_higher_bound_goes_on(
    embedded: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted over all tables and pages: hal's status, then of u1 to u4 the third is one too many."""
    monkeypatch.setattr("ingest.importers.legacy.job.PAGE", 1)
    await embedded.publish()
    tables = with_rows(CONSUMPTION, *(consumed(f"u{number}", 9) for number in range(1, 5)))
    options: dict[str, Any] = {"report": tmp_path / "JOB.json", "most_rejected": 3}
    with pytest.raises(InvalidInput, match="4 rows can't be read, which is more than 3") as refused:
        await migrate(embedded.shared, source=MemorySource(tables), **options)
    assert refused.value.field == "most-rejected"
    (job,) = await Jobs(embedded.shared).list()
    assert job.state is JobState.FAILED
    assert "4 rows can't be read" in (job.error or "")
    # Every one of them is in the file, also that of the page that went too far.
    file = tmp_path / f"{job.id}-rejected.jsonl"
    assert len(lines(file)) == 4
    done = await migrate(embedded.shared, source=MemorySource(tables), **options | {"most_rejected": 100})
    assert (done.job, done.state, done.rejected) == (job.id, JobState.DONE, 7)
    assert len(read_rejects([file])) == 7


async def test_a_dry_run_keeps_rejected_rows_too(embedded: Instance, tmp_path: Path) -> None:
    await migrate(embedded.shared, dry_run=True, report=tmp_path / "dry.json")
    assert len(read_rejects([tmp_path / "dry-rejected.jsonl"])) == 3


async def test_nothing_of_a_value_that_is_too_long_is_lost_but_its_end() -> None:
    row = {"user_id": "u", "collection_id": "c", "context_id": "b"}
    found = Rejected.of(ENROLMENTS, row, Unreadable("why", "datetime", "x" * 500))
    assert found.value == "'" + "x" * 199


async def test_a_report_can_be_had_at_any_moment(embedded: Instance) -> None:
    """While it runs, by the job's row alone. Its figures only grow."""
    await embedded.publish()
    seen: list[MigrationReport] = []
    done = await migrate(embedded.shared, on_progress=lambda job: seen.append(report_of(job)))
    assert seen[0].state in (JobState.WAITING, JobState.RUNNING)
    assert sum(table.read for table in seen[0].tables.values()) == 0
    assert not seen[0].is_whole
    assert seen[-1].document() == done.document()


REASONS = st.sampled_from(["not started", "no time of enrolment", "another"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["skip", "note", "leave", "compare"]), REASONS, st.integers(0, 30))
)


def _counted(report: TableReport, steps: list[tuple[str, str, int]]) -> TableReport:
    for kind, reason, row in steps:
        name = f"row {row}"
        if kind == "skip":
            report.skip(reason, name)
        elif kind == "note":
            report.note([reason], name)
        elif kind == "leave":
            report.leave(name)
        else:
            report.compare(reason if row % 2 else None, name)
    return report


@given(pages=st.lists(STEPS, max_size=5))
def test_reports_of_pages_together_are_the_report_of_all_their_rows(
    pages: list[list[tuple[str, str, int]]],
) -> None:
    """Whichever pages are put together first."""
    whole = _counted(TableReport(ENROLMENTS), [step for page in pages for step in page])
    parts = [_counted(TableReport(ENROLMENTS), page) for page in pages]
    together = TableReport(ENROLMENTS).merged(parts)
    assert together == whole
    assert TableReport.parse(ENROLMENTS, together.document()) == whole
    assert all(len(rows) <= EXAMPLES for rows in together.examples.values())
    half = len(parts) // 2
    left, right = (TableReport(ENROLMENTS).merged(some) for some in (parts[:half], parts[half:]))
    assert left.merged([right]) == whole


def test_a_report_names_some_of_very_many() -> None:
    pages = [TableReport(ENROLMENTS, rejected=[{"row": number}]) for number in range(3 * MOST_NAMED)]
    assert len(TableReport(ENROLMENTS).merged(pages).rejected) == MOST_NAMED
