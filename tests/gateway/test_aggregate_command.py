"""`cohort aggregate`, and the aggregation that a worker runs by itself."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.settings import load_settings
from gateway.wiring import running
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.totals import activity_results, last_aggregation
from tests.conftest import COURSE
from tests.gateway.test_cli import cohort


@pytest.fixture
def initialised(initialised: None) -> None:
    Path("course.json").write_text(json.dumps(COURSE))
    assert cohort("load", "collection", "course.json").returncode == 0


@pytest.mark.usefixtures("initialised")
def test_a_run_says_what_it_did_and_the_status_when() -> None:
    status = cohort("aggregate", "status")
    assert status.returncode == 0, status.stderr
    assert re.match(
        r"last run +none yet\nat it now +nobody\nwaiting +0 of activity-states-2\n", status.stdout
    )
    done = cohort("aggregate", "run")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"everything: 0 activities, 0 of groups, 0 cells \(0 vanished\), 0 removed, 0 files, \d+\.\d s\n",
        done.stdout,
    )
    assert done.stderr.splitlines()[-2:] == ["places: 0 of 0", "groups: 16 of 16"]
    assert cohort("aggregate", "run").stdout.startswith("what 0 records touched: ")
    assert re.match(r"last run +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", cohort("aggregate", "status").stdout)


@pytest.mark.usefixtures("initialised")
def test_a_run_can_be_read_by_a_program_and_writes_files_where_it_is_told_to() -> None:
    done = cohort("aggregate", "run", "--all", "--json", COHORT_STATIC="edge")
    report = json.loads(done.stdout)
    assert report.pop("seconds") >= 0
    counts = ("records", "activities", "groups", "cells", "vanished", "removed", "files")
    assert report == {"everything": True, "shown": True, **dict.fromkeys(counts, 0)}
    assert json.loads(Path("edge/index.json").read_bytes()).keys() == {"asOf", "groups", "activities"}


@pytest.mark.usefixtures("initialised")
async def test_a_worker_aggregates_by_itself_where_it_is_told_how_often() -> None:
    from ingest.commands.contexts import NewContext, create_context
    from rules.identifiers import ContextType

    async with running(load_settings(aggregate_every=0.05), worker=True) as instance, asyncio.timeout(60):
        session = instance.operator()
        await create_context(session, NewContext(ContextType.BATCH, "Batch", ("course",), "batch"))
        await enrol(session, EnrolmentCall("course", "batch", "ada"))
        found = None
        while found is None:
            await asyncio.sleep(0.05)
            (found,) = (
                await activity_results(instance.stores.rows, [("course", "course", "cb:batch")])
            ).values()
        assert found.figures["enrolledCount"] == 1


@pytest.mark.usefixtures("initialised")
async def test_without_a_schedule_a_worker_does_not() -> None:
    async with running(load_settings(aggregate_every=0), worker=True) as instance:
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "aggregation"]
        assert await last_aggregation(instance.stores.rows) is None
