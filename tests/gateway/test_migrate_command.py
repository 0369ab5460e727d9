"""`cohort migrate`: a table on the console, a report in a file, and an exit code that tells."""

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.settings import load_settings
from ingest.importers.legacy import collections, job, retrying
from tests.gateway.conftest import copy_data
from tests.gateway.test_cli import cohort
from tests.ingest.legacy_hierarchies import hierarchies, live, row
from tests.ingest.legacy_platform import OLD, URL, MemorySource, platform

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The platform is read from memory, the instance is an empty one."""

    async def opened(_: str) -> MemorySource:
        return MemorySource(platform(OLD) | hierarchies())

    monkeypatch.setattr(collections, "open_source", opened)
    monkeypatch.setattr(job, "open_source", opened)
    monkeypatch.setattr(retrying, "open_source", opened)
    monkeypatch.setenv("COHORT_DATA", str(tmp_path / "data"))
    asyncio.run(copy_data(load_settings()))


def test_what_could_not_be_taken_is_told_and_in_the_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = cohort("migrate", "legacy", "--from", URL, "--sample", "1", "--report", str(file))
    assert done.returncode == 3
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["user_content_consumption", "10", "8", "0", "0", "0", "2", "0", "0", "0"] in lines
    assert "  skipped: a status other than 0, 1, 2: 1\n    hal course batch a\n" in done.stdout
    assert "  rows of 2 collections not published here: 9\n" in done.stdout
    assert "  compared 0: 0 the same, 0 differ; 5 not comparable\n" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    report = orjson.loads(file.read_bytes())
    assert (report["whole"], report["dryRun"], report["missingTables"]) == (False, False, [])
    assert report["tables"]["user_enrolments"]["written"] == 5
    listed = cohort("jobs", "list").stdout
    assert "migrate-legacy" in listed
    assert "part 384 of 384, 23 rows" in listed


def test_a_dry_run_says_so_and_a_whole_one_ends_with_nought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def without_hal(_: str) -> MemorySource:
        return MemorySource(
            {
                name: replace(table, rows=[row for row in table.rows if "hal" not in row.values()])
                for name, table in platform(OLD).items()
            }
        )

    monkeypatch.setattr(job, "open_source", without_hal)
    done = cohort("migrate", "legacy", "--from", URL, "--dry-run")
    assert (done.returncode, done.stdout.splitlines()[0].split("  ")[0]) == (0, "dry run, nothing written")
    (file,) = tmp_path.glob("migration-*.json")
    assert f"report: {file.name}\n" in done.stdout
    assert orjson.loads(file.read_bytes())["dryRun"] is True


def test_a_report_that_could_not_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.write_text("a file")
    for file, told in (
        (tmp_path / "none" / "report.json", f"there is no folder {tmp_path}/none for the report"),
        (closed / "report.json", f"there is no folder {closed} for the report"),
    ):
        for command in (("legacy", "--from", URL), ("collections", "--from", URL), ("report", "1")):
            done = cohort("migrate", *command, "--report", str(file))
            assert (done.returncode, done.stdout, done.stderr) == (1, "", f"cohort: {told}\n")
    assert cohort("jobs", "list").stdout == ""


def test_after_a_failure_there_is_a_report_of_what_was_done(tmp_path: Path) -> None:
    """Hal's content stops it, after the batches and in the middle of consumption."""
    file = tmp_path / "JOB.json"
    failed = cohort("migrate", "legacy", "--from", URL, "--most-rejected", "0", "--report", str(file))
    assert failed.returncode == 1
    assert "cohort: 1 rows can't be read, which is more than 0; they are in " in failed.stderr
    (written,) = tmp_path.glob("*.json")
    report = orjson.loads(written.read_bytes())
    assert (report["state"], report["whole"]) == ("failed", False)
    assert "1 rows can't be read" in report["error"]
    assert report["tables"]["course_batch"]["written"] == 2
    assert report["tables"]["user_enrolments"]["read"] == 0
    # And again whenever it is asked for.
    again = tmp_path / "again.json"
    told = cohort("migrate", "report", report["job"], "--report", str(again))
    assert (told.returncode, told.stdout.split("  ")[0]) == (0, "so far, failed")
    assert orjson.loads(again.read_bytes()) == report
    # A higher bound goes on with it.
    done = cohort("migrate", "legacy", "--from", URL, "--report", str(file))
    assert done.returncode == 3
    assert orjson.loads(written.read_bytes())["state"] == "done"


def test_rejected_rows_are_tried_again_from_their_file(tmp_path: Path) -> None:
    cohort("migrate", "legacy", "--from", URL, "--report", str(tmp_path / "first.json"))
    rejected = str(tmp_path / "first-rejected.jsonl")
    done = cohort(
        *("migrate", "legacy", "--from", URL, "--only-rejected", rejected),
        *("--report", str(tmp_path / "second.json")),
    )
    assert done.returncode == 3
    report = orjson.loads((tmp_path / "second.json").read_bytes())
    assert {name: table["read"] for name, table in report["tables"].items() if table["read"]} == {
        "user_content_consumption": 1,
        "user_enrolments": 1,
        "assessment_aggregator": 1,
    }
    assert (tmp_path / "second-rejected.jsonl").exists()


def test_a_report_of_a_job_that_is_not_there_is_a_line(tmp_path: Path) -> None:
    done = cohort("migrate", "report", "7", "--report", str(tmp_path / "report.json"))
    assert (done.returncode, done.stderr) == (1, "cohort: there is no job migrate-legacy 7\n")


def test_another_url_is_a_line_and_exit_code_one() -> None:
    done = cohort("migrate", "legacy", "--from", "mysql://user:secret@host/db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "cohort: from takes cassandra://user:password@host,host:9042/keyspace\n"


def test_collections_are_counted_and_those_left_out_are_named(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = cohort("migrate", "collections", "--from", URL, "--report", str(file))
    assert done.returncode == 3
    first, *lines = done.stdout.splitlines()
    assert first == (
        "12 collections: 5 brought over (3 live, 3 with changes that are not published), 0 unchanged, "
        "0 edited here since, 4 refused"
    )
    assert "  skipped: retired: 1" in lines
    assert "  do_torn: the hierarchy is no JSON" in lines
    report = orjson.loads(file.read_bytes())
    assert (report["whole"], report["dryRun"], report["refused"], len(report["why"])) == (False, False, 4, 4)
    assert "migrate-collections" in cohort("jobs", "list").stdout


def test_collections_that_are_all_brought_over_end_with_nought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def one(_: str) -> MemorySource:
        return MemorySource(hierarchies([row("do", live("do"))]))

    monkeypatch.setattr(collections, "open_source", one)
    done = cohort("migrate", "collections", "--from", URL, "--dry-run")
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "dry run")
    assert cohort("migrate", "collections", "--from", URL).stdout.startswith("1 collections: 1 brought over")
