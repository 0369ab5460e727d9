"""OULAD through commands and workers gives what a DuckDB query over the same files says: in the stored rows, and in
what a client gets from the schema.

With COHORT_OULAD the published files in the folder that it names are loaded on the real servers, whole; without, a
generated dataset is. The test's id says which.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.oulad import load_oulad
from ingest.workers import Worker
from rules.progress import Status, percentage
from rules.viewers import Role
from stores.tables import AGGREGATES, ENROLMENTS, VIEWS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.graph.conftest import data
from tests.ingest.oulad_files import generated, write
from tests.ingest.test_sample import rows_of

PUBLISHED = os.environ.get("COHORT_OULAD")
COURSE = "oulad:AAA-2013J"
ASKED_AT_ONCE = 32
IN_COURSE = "code_module = 'AAA' and code_presentation = '2013J'"

PAIRS = """
    select 'oulad:' || code_module || '-' || code_presentation, count(distinct (id_student, id_site))
    from views group by 1
"""
PERCENTAGES = f"""
    select 'oulad:' || id_student, count(distinct id_site) * 100 // (select count(*) from sites where {IN_COURSE})
    from students left join views using (code_module, code_presentation, id_student)
    where {IN_COURSE} group by 1
"""
UNITS = f"""
    with plans as (
        select id_site, case
            when week_from is null then activity_type
            when coalesce(week_to, week_from) = week_from then 'Week ' || week_from
            else 'Weeks ' || week_from || '-' || week_to
        end as unit
        from sites where {IN_COURSE}
    ), sizes as (select unit, count(*) as size from plans group by 1),
    done as (
        select id_student, unit, count(distinct id_site) as seen from views join plans using (id_site)
        where {IN_COURSE} group by 1, 2
    )
    select ('oulad:' || id_student, unit), (coalesce(seen, 0), size)
    from (select id_student from students where {IN_COURSE}) cross join sizes
    left join done using (id_student, unit)
"""
AVERAGE_BY_REGION = f"""
    with latest as (
        select id_student, arg_max(region, code_presentation || code_module) as region from students group by 1
    ), course (user_id, percentage) as ({PERCENTAGES})
    select region, avg(percentage) from latest join course on user_id = 'oulad:' || id_student group by 1
"""


class Files:
    """The files as tables, every field as it is written there."""

    def __init__(self, directory: Path) -> None:
        self._connection = duckdb.connect()
        for table, name in {"students": "studentInfo", "sites": "vle", "views": "studentVle"}.items():
            self._connection.sql(
                f"create table {table} as select * from read_csv("
                f"'{directory / name}.csv', header = true, nullstr = ['', '?'], all_varchar = true)"
            )

    def query(self, sql: str) -> dict[Any, Any]:
        return dict(self._connection.sql(sql).fetchall())


STANDING = """
    query Standing($user: String!, $collection: String!, $context: String!) {
      learner(userId: $user) {
        region
        enrolment(collectionId: $collection, contextId: $context) {
          status
          completedCount
          requiredCount
          completionPercentage
        }
        summary(collectionId: $collection, contextId: $context) {
          status
          completedCount
          requiredCount
          completionPercentage
          units {
            unit { name }
            status
            completedCount
            requiredCount
          }
        }
      }
    }
"""


async def check(cohort: Instance, directory: Path) -> None:
    files = Files(directory)
    async with worked_off(cohort):
        await load_oulad(cohort.shared, directory)

    percentages: dict[str, int] = files.query(PERCENTAGES)
    units: dict[tuple[str, str], tuple[int, int]] = files.query(UNITS)
    averages: dict[str, float] = files.query(AVERAGE_BY_REGION)
    assert max(averages.values()) > 0
    assert any(done == size for done, size in units.values())
    await check_rows(cohort, files, percentages, units)
    await check_answers(cohort, percentages, units, averages)


@asynccontextmanager
async def worked_off(cohort: Instance, within: float = 400) -> AsyncIterator[None]:
    """A worker runs meanwhile, and in the end until nothing is left to do. What is left is asked seldom: it costs
    about as much as a batch."""
    worker = Worker(cohort.shared)
    running = asyncio.create_task(worker.run())
    try:
        yield
        async with asyncio.timeout(within):
            while not running.done() and await cohort.lag():
                await asyncio.sleep(1)
    finally:
        worker.stop()
        await running


async def check_rows(
    cohort: Instance,
    files: Files,
    percentages: dict[str, int],
    units: dict[tuple[str, str], tuple[int, int]],
) -> None:
    pairs: dict[str, int] = defaultdict(int)
    for row in await rows_of(cohort.shared, VIEWS):
        assert row["status"] == Status.COMPLETED
        pairs[row["collectionid"]] += 1
    assert pairs == files.query(PAIRS)

    stored: dict[str, int] = {}
    completed_units: dict[str, int] = defaultdict(int)
    for row in await rows_of(cohort.shared, AGGREGATES):
        figures = row["aggregates"]
        if row["activity_id"] == COURSE:
            assert figures["requiredCount"] == 211
            stored[row["user_id"]] = percentage(int(figures["completedCount"]), 211)
        elif row["activity_id"].startswith(f"{COURSE}:") and row["status"] == Status.COMPLETED:
            completed_units[row["user_id"]] += 1
    assert stored == percentages
    expected: dict[str, int] = defaultdict(int)
    for (user, _), (done, size) in units.items():
        if done == size:
            expected[user] += 1
    assert completed_units == expected

    enrolments = await cohort.stores.rows.partitions(ENROLMENTS, [(user,) for user in percentages])
    assert {
        row["userid"]: percentage(row["progress"], 211)
        for rows in enrolments.values()
        for row in rows
        if row["collectionid"] == COURSE
    } == percentages


async def check_answers(
    cohort: Instance,
    percentages: dict[str, int],
    units: dict[tuple[str, str], tuple[int, int]],
    averages: dict[str, float],
) -> None:
    """What a reporter is told of every learner of the course."""
    answered: dict[str, Any] = {}
    users = sorted(percentages)
    for first in range(0, len(users), ASKED_AT_ONCE):
        batch = users[first : first + ASKED_AT_ONCE]
        answered |= zip(batch, await asyncio.gather(*(standing(cohort, user) for user in batch)), strict=True)

    by_region: dict[str, list[int]] = defaultdict(list)
    told_units = {}
    for user, learner in answered.items():
        summary = learner["summary"]
        for unit in summary.pop("units"):
            done, size = unit["completedCount"], unit["requiredCount"]
            assert unit["status"] == status_of(done, size)
            told_units[user, unit["unit"]["name"]] = done, size
        assert summary == learner["enrolment"]
        assert summary["requiredCount"] == 211
        assert summary["completionPercentage"] == percentage(summary["completedCount"], 211)
        assert summary["status"] == status_of(summary["completedCount"], 211)
        by_region[learner["region"]].append(summary["completionPercentage"])
    assert {user: of["summary"]["completionPercentage"] for user, of in answered.items()} == percentages
    assert told_units == units
    assert {region: sum(all_) / len(all_) for region, all_ in by_region.items()} == pytest.approx(averages)


async def standing(cohort: Instance, user: str) -> Any:
    reporter = cohort.session("reporter", Role.REPORTER)
    place = {"collection": COURSE, "context": f"{COURSE}:batch"}
    return (await data(reporter, STANDING, user=user, **place))["learner"]


def status_of(done: int, size: int) -> str:
    """Of something whose views are all completed."""
    return ("COMPLETED" if done == size else "IN_PROGRESS") if done else "NOT_STARTED"


@pytest.mark.stack
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "published", [pytest.param(PUBLISHED, id="published data" if PUBLISHED else "generated data")]
)
async def test_the_whole_of_it_on_the_real_servers(published: str | None, tmp_path: Path) -> None:
    directory = Path(published) if published else write(tmp_path, generated())
    async with instance_of(real_urls(), tmp_path) as cohort:
        await check(cohort, directory)


async def test_a_generated_dataset_on_the_embedded_engines(tmp_path: Path) -> None:
    async with instance_of(embedded_urls(), tmp_path) as cohort:
        await check(cohort, write(tmp_path, generated()))
