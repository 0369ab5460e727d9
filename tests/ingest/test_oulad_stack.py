"""OULAD through commands and workers gives what a DuckDB query over the same files says: in the stored rows, and in
what a client gets from the schema, of learners, of groups and of everybody.

With COHORT_OULAD the published files in the folder that it names are loaded on the real servers: AAA 2013J, which has
the views, and every fourth student of the others, or with COHORT_OULAD_EVERY=1 all of them. Without, a generated dataset
is. The test's id says which. ``--log-cli-level=info`` says how long each phase takes.
"""

import asyncio
import logging
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from druid_specs import ACTIVITY_DAY, ACTIVITY_TOTALS
from ingest.aggregation import aggregate
from ingest.importers.oulad import load_oulad
from ingest.importers.oulad.dataset import parts
from ingest.workers.worker import Worker
from loaders.responses import ResponseCache
from rules.progress import Status, percentage
from rules.viewers import Role
from stores.tables import AGGREGATES, ENROLMENTS, SCORES, VIEWS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.graph.conftest import data
from tests.ingest.oulad_dashboard import COURSE, check_dashboard
from tests.ingest.oulad_files import Files, generated, part_of, write
from tests.ingest.test_sample import rows_of

pytestmark = pytest.mark.long

log = logging.getLogger(__name__)

PUBLISHED = os.environ.get("COHORT_OULAD")
EVERY = int(os.environ.get("COHORT_OULAD_EVERY", "4"))
ASKED_AT_ONCE = 32
IN_COURSE = "code_module = 'AAA' and code_presentation = '2013J'"

PAIRS = """
    select 'oulad:' || code_module || '-' || code_presentation, count(distinct (id_student, id_site))
    from views group by 1
"""
SCORES_OF = """
    select ('oulad:' || id_student, 'oulad:assessment:' || id_assessment), score::double
    from submissions where score is not null
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

# Of everybody whose enrolment is active, that is who registered and did not unregister, by the profile of the latest
# presentation that they are in.
FIGURES_BY = """
    with sizes as (select code_module, code_presentation, count(*) as size from sites group by all),
    done as (
        select code_module, code_presentation, id_student, count(distinct id_site) as seen from views group by all
    ),
    standing as (
        select {dimension}, 'oulad:' || code_module || '-' || code_presentation as course,
            coalesce(size, 0) as size, coalesce(seen, 0) as seen, coalesce(seen * 100 // size, 0) as progress
        from registrations join profiles using (id_student)
        left join sizes using (code_module, code_presentation)
        left join done using (code_module, code_presentation, id_student)
        where date_unregistration is null
    )
    select (course, {dimension}), (
        count(*), count(*) filter (where seen = size and size > 0), avg(progress),
        count(*) filter (where seen = size and size > 0) * 100 // count(*)
    )
    from standing group by course, {dimension}
"""
UNITS_BY_REGION = """
    with plans as (
        select *, 'oulad:' || code_module || '-' || code_presentation || ':' || case
            when week_from is null then 'type-' || activity_type
            when coalesce(week_to, week_from) = week_from then 'week-' || week_from
            else 'weeks-' || week_from || '-' || week_to
        end as unit
        from sites
    ), sizes as (select unit, count(*) as size from plans group by 1),
    done as (
        select unit, region, id_student, count(distinct id_site) as seen
        from views join plans using (id_site, code_module, code_presentation)
        join registrations using (id_student, code_module, code_presentation)
        join profiles using (id_student)
        where date_unregistration is null group by all
    )
    select (unit, region), (count(*), count(*) filter (where seen = size))
    from done join sizes using (unit) group by unit, region
"""
MEMBERS = """
    with places as (
        select *, 'oulad:' || code_module || '-' || code_presentation as course,
            (row_number() over (
                partition by code_module, code_presentation, region order by id_student::int
            ) - 1) // 150 + 1 as part
        from registrations join profiles using (id_student) where region is not null
    ), sizes as (select code_module, code_presentation, count(*) as size from sites group by all),
    done as (
        select code_module, code_presentation, id_student, count(distinct id_site) as seen from views group by all
    )
    select (
        course || ':' || trim(regexp_replace(lower(region), '[^a-z0-9]+', '-', 'g'), '-') || ':' || part,
        'oulad:' || id_student
    ), (coalesce(seen, 0), coalesce(size, 0), date_unregistration is null)
    from places left join sizes using (code_module, code_presentation)
    left join done using (code_module, code_presentation, id_student)
"""


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


TABLES = """
    query Tables($courses: [String!], $metrics: [ActivityMetric!]!, $mode: AggregationMode) {
      region: activityMetrics(query: {
        metrics: $metrics, dimensions: [COLLECTION, REGION], activityIds: $courses, limit: 1000, mode: $mode
      }) { ...Table }
      gender: activityMetrics(query: {
        metrics: $metrics, dimensions: [COLLECTION, GENDER], activityIds: $courses, limit: 1000, mode: $mode
      }) { ...Table }
      education: activityMetrics(query: {
        metrics: $metrics, dimensions: [COLLECTION, EDUCATION], activityIds: $courses, limit: 1000, mode: $mode
      }) { ...Table }
      units: activityMetrics(query: {
        metrics: [ENROLLED_COUNT, COMPLETED_COUNT], dimensions: [UNIT, REGION],
        activityIds: $courses, limit: 1000, mode: $mode
      }) { ...Table }
    }
    fragment Table on MetricTable { rows source complete }
"""
METRICS = ["ENROLLED_COUNT", "COMPLETED_COUNT", "AVERAGE_PROGRESS", "COMPLETION_PERCENTAGE"]
PAGE = """
    query Page($group: String!, $mode: AggregationMode) {
      group(groupId: $group) {
        activities(mode: $mode) {
          source
          complete
          agg(metrics: [ENROLLED_COUNT, COMPLETED_COUNT, COMPLETION_PERCENTAGE]) { metric value }
          members(first: 200) {
            edges { node {
              learner { userId }
              status
              completionPercentage
              agg(metrics: [COMPLETED_COUNT]) { value }
            } }
          }
        }
      }
    }
"""


async def check(cohort: Instance, directory: Path) -> None:
    files = Files(directory)
    async with worked_off(cohort):
        phases = Phases()
        await load_oulad(cohort.shared, directory, phases.told)
        await cohort.take_attempts()
    phases.told("workers", 0, 0)
    percentages: dict[str, int] = files.query(PERCENTAGES)
    units: dict[tuple[str, str], tuple[int, int]] = files.query(UNITS)
    averages: dict[str, float] = files.query(AVERAGE_BY_REGION)
    assert max(averages.values()) > 0
    assert any(done == size for done, size in units.values())
    with phase("rows"):
        await check_rows(cohort, files, percentages, units)
    with phase("scores"):
        await check_scores(cohort, files)
    with phase("learners"):
        await check_answers(cohort, percentages, units, averages)
    with phase("visible in the groups store"):
        await cohort.arrived()
    with phase("tables from states"):
        await check_tables(cohort, files, "STATES")
    with phase("aggregation"):
        await aggregate(cohort.shared)
        await cohort.arrived(ACTIVITY_TOTALS)
    with phase("tables from totals"):
        await check_tables(cohort, files, "TOTALS")
    with phase("visible in the groups store, days"):
        await cohort.arrived(ACTIVITY_DAY)
    with phase("dashboard"):
        await check_dashboard(cohort, files)
    with phase("group pages"):
        await check_pages(cohort, files)


class Phases:
    """How long each phase of the loading took."""

    def __init__(self) -> None:
        self._phase, self._since = "", time.monotonic()

    def told(self, phase: str, done: int, total: int) -> None:
        if phase != self._phase:
            now = time.monotonic()
            log.info("%s: %.1f s", self._phase or "start", now - self._since)
            self._phase, self._since = phase, now


@contextmanager
def phase(name: str) -> Iterator[None]:
    since = time.monotonic()
    yield
    log.info("%s: %.1f s", name, time.monotonic() - since)


@asynccontextmanager
async def worked_off(cohort: Instance, within: float = 600) -> AsyncIterator[None]:
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


async def check_scores(cohort: Instance, files: Files) -> None:
    """Of each learner and assessment, in the table of scores and in the figures of the course."""
    expected = files.query(SCORES_OF) if files.has_submissions else {}
    assert files.has_submissions == bool(expected)
    stored = {
        (row["user_id"], row["assessment_id"]): row["best_score"]
        for row in await rows_of(cohort.shared, SCORES)
    }
    assert stored == expected
    shown = {
        (row["user_id"], name.removeprefix("score:")): value
        for row in await rows_of(cohort.shared, AGGREGATES)
        if row["activity_id"].count(":") == 1
        for name, value in row["aggregates"].items()
        if name.startswith("score:")
    }
    assert shown == expected


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
            if unit["unit"]["name"] == "Assessments":
                assert (unit["completedCount"], unit["requiredCount"]) == (0, 0)
                continue
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


async def check_tables(cohort: Instance, files: Files, source: str) -> None:
    """Figures of every presentation, as a dashboard asks for them. States answer for up to 20 activities at a time."""
    mode = {"STATES": "QUERY", "TOTALS": "BATCH"}[source]
    dimensions = ("region", "gender", "education")
    figures = {dimension: files.query(FIGURES_BY.format(dimension=dimension)) for dimension in dimensions}
    units = files.query(UNITS_BY_REGION)
    assert sum(completed for _, completed in units.values()) > 0
    courses = sorted({course for course, _ in figures["region"]})
    told: dict[str, dict[tuple[str, str], tuple[Any, ...]]] = defaultdict(dict)
    for some in parts(courses, 20):
        reporter = cohort.session("reporter", Role.REPORTER)
        answer = await data(reporter, TABLES, courses=some, metrics=METRICS, mode=mode)
        for name, table in answer.items():
            assert (table["source"], table["complete"]) == (source, True)
            told[name] |= {(row[0], row[1]): tuple(row[2:]) for row in table["rows"]}
    # The assessments are optional: nobody completes the unit that has them alone.
    told_units = told.pop("units")
    assert {key: told_units[key] for key in told_units if not key[0].endswith(":assessments")} == units
    assert not any(told_units[key][1] for key in told_units.keys() - units.keys())
    # Averages come with two decimals.
    assert told == {
        dimension: {
            key: (enrolled, completed, pytest.approx(average, abs=0.00501), percent)
            for key, (enrolled, completed, average, percent) in expected.items()
        }
        for dimension, expected in figures.items()
    }


async def check_pages(cohort: Instance, files: Files) -> None:
    """Each group of one presentation, and some of the others, from every source of group pages."""
    groups: dict[str, dict[str, tuple[int, int, bool]]] = defaultdict(dict)
    for (group, user), standing in files.query(MEMBERS).items():
        groups[group][user] = standing
    shown = [group for group in groups if group.startswith(f"{COURSE}:")]
    shown += sorted(groups.keys() - set(shown))[::40]
    sources = {"ROWS": ("QUERY", 500), "STATES": ("QUERY", 0), "BATCH": ("BATCH", 500)}
    # A page that is given again would hide the other sources.
    cohort.shared = replace(cohort.shared, responses=ResponseCache(ttl=0))
    for source, (mode, cheap_keys) in sources.items():
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("rules.plans.CHEAP_KEYS", cheap_keys)
            for group in shown:
                assert await page(cohort, group, mode) == expected_page(groups[group], source), (
                    group,
                    source,
                )


async def page(cohort: Instance, group: str, mode: str) -> Any:
    reporter = cohort.session("reporter", Role.REPORTER)
    (activity,) = (await data(reporter, PAGE, group=group, mode=mode))["group"]["activities"]
    nodes = [edge["node"] for edge in activity["members"]["edges"]]
    return (
        (activity["source"], activity["complete"]),
        {figure["metric"]: figure["value"] for figure in activity["agg"]},
        {
            node["learner"]["userId"]: (
                node["status"],
                *(figure["value"] for figure in node["agg"]),
                node["completionPercentage"],
            )
            for node in nodes
        },
    )


def expected_page(members: dict[str, tuple[int, int, bool]], source: str) -> Any:
    enrolled = [seen == size for seen, size, active in members.values() if active]
    return (
        (source, True),
        {
            "enrolledCount": len(enrolled),
            "completedCount": sum(enrolled),
            "completionPercentage": 100 * sum(enrolled) // len(enrolled) if enrolled else 0,
        },
        {
            user: (status_of(seen, size), seen, 100 * seen // size)
            for user, (seen, size, _) in members.items()
        },
    )


def status_of(done: int, size: int) -> str:
    """Of something whose views are all completed."""
    return ("COMPLETED" if done == size else "IN_PROGRESS") if done else "NOT_STARTED"


@pytest.mark.stack
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "published",
    [pytest.param(PUBLISHED, id="druid, published data" if PUBLISHED else "druid, generated data")],
)
async def test_the_whole_of_it_on_the_real_servers(published: str | None, tmp_path: Path) -> None:
    if published:
        directory = part_of(Path(published), tmp_path, EVERY) if EVERY > 1 else Path(published)
    else:
        directory = write(tmp_path, generated())
    async with instance_of(real_urls(), tmp_path, groups=True) as cohort:
        await check(cohort, directory)


async def test_a_generated_dataset_on_the_embedded_engines(tmp_path: Path) -> None:
    async with instance_of(embedded_urls(), tmp_path, groups=True) as cohort:
        await check(cohort, write(tmp_path, generated()))
