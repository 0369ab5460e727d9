"""A dashboard of OULAD: each tile as a client asks for it, and the same out of the files alone, by SQL.

The SQL is written from what docs/oulad.md says of the files, and knows nothing of Cohort but ids.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import data
from tests.ingest.oulad_files import Files

log = logging.getLogger(__name__)

COURSE = "oulad:AAA-2013J"
METRICS = ["LEARNERS_COUNT", "ENROLLED_COUNT", "LEFT_COUNT", "AT_RISK_COUNT", "MEDIAN_PROGRESS"]
RISK_DAYS = 7

TABLES = """
    create table presentations as
    select *, 'oulad:' || code_module || '-' || code_presentation as course,
        make_date(left(code_presentation, 4)::int, case right(code_presentation, 1) when 'B' then 2 else 10 end, 1)
            as starts
    from courses;

    create table active_days as
    select course, id_student, starts + date::int as day
    from views join presentations using (code_module, code_presentation)
    union
    select course, id_student, starts + least(date_submitted::int, module_presentation_length::int)
    from submissions join assessments using (id_assessment) join presentations using (code_module, code_presentation)
    where score is not null;

    create table plans as
    select *, 'oulad:' || code_module || '-' || code_presentation as course, case
            when week_from is null then activity_type
            when coalesce(week_to, week_from) = week_from then 'Week ' || week_from
            else 'Weeks ' || week_from || '-' || week_to
        end as unit
    from sites;

    create table seen as
    select course, unit, id_student, id_site, starts + min(date::int) + interval 12 hour as viewed
    from views join plans using (code_module, code_presentation, id_site)
    join presentations using (code_module, code_presentation, course)
    group by course, unit, id_student, id_site, starts;

    create table standings as
    with sizes as (select course, count(*) as size from plans group by 1),
    done as (select course, id_student, count(*) as seen, max(viewed) as last_seen from seen group by all)
    select course, id_student, region, date_unregistration is null as active,
        starts + coalesce(date_registration, '0')::int as enrolled,
        coalesce(seen * 100 // size, 0) as progress, coalesce(seen = size, false) as completed, last_seen
    from registrations join presentations using (code_module, code_presentation)
    join profiles using (id_student)
    left join sizes using (course) left join done using (course, id_student)
"""

ACTIVE = """
    with days as (select * from active_days where course in {courses}),
    weeks as (
        select unnest(generate_series(
            date_trunc('week', min(day) - 7), date_trunc('week', max(day) + 7), interval 7 day
        ))::date as week from days
    )
    select strftime(week, '%Y-%m-%d'), apart, count(distinct id_student)
    from weeks cross join (select distinct {apart} as apart from days)
    left join days on date_trunc('week', day) = week and (apart is null or apart = course)
    group by all order by all
"""
FIRST_AND_LAST = "select min(day) - 7, max(day) + 7 from active_days where course in {courses}"
LAST_SEEN = f"""
    select quantile_disc(last_seen, 0.5) from standings where course = '{COURSE}' and active and not completed
"""
BY_REGION = """
    select region, count(distinct id_student) filter (active), count(*) filter (active),
        count(*) filter (not active),
        count(*) filter (active and not completed and coalesce(last_seen, enrolled) < timestamp '{at_risk_before}'),
        quantile_cont(progress, 0.5) filter (active)
    from standings where course in {courses} group by rollup (region) order by grouping(region), region
"""
ENROLLED = """
    with own as (select * from standings where active and course in {courses}),
    periods as (
        select unnest(generate_series(
            date_trunc('{period}', min(enrolled)), date_trunc('{period}', max(enrolled)), interval 1 {period}
        ))::date as period from own
    )
    select strftime(period, '{written}'), count(enrolled)
    from periods left join own on date_trunc('{period}', enrolled) = period group by period order by period
"""
STEPS = f"""
    with plan as (
        select unit, count(*) as size, min(week_from::int) as first_week,
            min(coalesce(week_to, week_from)::int) as last_week
        from plans where course = '{COURSE}' group by 1
    ), own as (select id_student from standings where course = '{COURSE}' and active),
    reached as (
        select unit, id_student, count(*) as seen from seen join own using (id_student)
        where course = '{COURSE}' group by all
    )
    select unit, any_value(size), (select count(*) from own), count(id_student), count(*) filter (seen = size)
    from plan left join reached using (unit) group by unit
    order by any_value(first_week) nulls last, any_value(last_week), unit
"""
REACHED = f"""
    select (select count(*) from plans where course = '{COURSE}'), count(*), count(last_seen),
        count(*) filter (completed)
    from standings where course = '{COURSE}' and active
"""

WEEKS = """
    query Weeks($asked: ActiveLearnersInput!) {
      activeLearners(query: $asked) { rows dayZone complete }
    }
"""
TABLE = """
    query Table($asked: ActivityMetricsInput!) {
      activityMetrics(query: $asked) { columns { name } rows totals source complete atRiskBefore }
    }
"""
FUNNEL = """
    query Funnel($course: String!) {
      activityFunnel(collectionId: $course) {
        requiredCount enrolledCount startedCount completedCount complete
        steps { name depth requiredCount enrolledCount startedCount completedCount startedShare completedShare }
      }
    }
"""


async def check_dashboard(cohort: Instance, files: Files) -> None:
    """Each tile, of one course and of all."""
    files.run(TABLES)
    courses = [course for (course,) in files.rows("select course from presentations order by 1")]
    for some in ([COURSE], courses):
        await check_active_learners(cohort, files, some)
        await check_regions(cohort, files, some)
        await check_enrolled(cohort, files, some)
    await check_funnel(cohort, files)


async def check_active_learners(cohort: Instance, files: Files, courses: Sequence[str]) -> None:
    """By week, with a week of nobody before and after; together, and each collection apart."""
    ((first, last),) = files.rows(of(FIRST_AND_LAST, courses))
    asked = {"from": day(first), "to": day(last), "every": "WEEK", **named(courses)}
    shown = await tile(cohort, WEEKS, f"active learners of {len(courses)}", asked=asked)
    expected = [(week, learners) for week, _, learners in files.rows(of(ACTIVE, courses, apart="null"))]
    assert max(learners for _, learners in expected) > 0
    assert expected[0][1] == expected[-1][1] == 0
    assert (shown["dayZone"], shown["complete"]) == ("UTC", True)
    assert shown["rows"] == listed(expected)

    asked |= {"by": "COLLECTION"}
    shown = await tile(cohort, WEEKS, f"active learners by collection of {len(courses)}", asked=asked)
    assert shown["rows"] == listed(files.rows(of(ACTIVE, courses, apart="course")))


async def check_regions(cohort: Instance, files: Files, courses: Sequence[str]) -> None:
    """Distinct learners, who left, who is at risk, and median progress, by region and over all."""
    # The moment when one of them was last seen, who is not at risk by that.
    ((before,),) = files.rows(LAST_SEEN)
    *regions, total = files.rows(of(BY_REGION, courses, at_risk_before=str(before)))
    # Some are at risk and some are not, and some left.
    assert 0 < total[4] < total[2]
    assert total[3] > 0
    asked = {"dimensions": ["REGION"], "atRiskDays": RISK_DAYS, "mode": "QUERY", **named(courses)}
    learners = asked | {"metrics": ["LEARNERS_COUNT"]}
    shown = await tile(cohort, TABLE, f"learners by region of {len(courses)}", asked=learners)
    assert shown["rows"] == [[region, counted] for region, counted, *_ in regions]

    asked |= {"metrics": METRICS, "totals": True}
    within_the_hour = timedelta(days=RISK_DAYS, minutes=30)
    with clock_at(cohort, before.replace(tzinfo=UTC) + within_the_hour):
        shown = await tile(cohort, TABLE, f"regions of {len(courses)}", asked=asked)
    assert (shown["source"], shown["complete"]) == ("STATES", True)
    assert shown["atRiskBefore"] == f"{before:%Y-%m-%dT%H:%M:%S}.000Z"
    assert shown["rows"] == listed(regions)
    assert shown["totals"] == list(total)


async def check_enrolled(cohort: Instance, files: Files, courses: Sequence[str]) -> None:
    """By month from states and from totals, and by week, each without gaps."""
    for period, written, modes in (
        ("month", "%Y-%m", {"QUERY": "STATES", "BATCH": "TOTALS"}),
        ("week", "%G-W%V", {"QUERY": "STATES"}),
    ):
        expected = listed(files.rows(of(ENROLLED, courses, period=period, written=written)))
        assert len(expected) > 1
        for mode, source in modes.items():
            asked = {
                "metrics": ["ENROLLED_COUNT"],
                "dimensions": [f"ENROLLED_{period.upper()}"],
                "fillGaps": True,
                "limit": 1000,
                "mode": mode,
                **named(courses),
            }
            name = f"enrolled by {period} of {len(courses)} from {source}"
            shown = await tile(cohort, TABLE, name, asked=asked)
            assert (shown["source"], shown["complete"]) == (source, True)
            assert shown["rows"] == expected


async def check_funnel(cohort: Instance, files: Files) -> None:
    shown = await tile(cohort, FUNNEL, "funnel", course=COURSE)
    steps = files.rows(STEPS)
    assert any(completed for *_, completed in steps)
    # The assessments are optional, and handing one in is no view.
    (*told, last) = (
        shown.pop("steps") if shown["steps"][-1]["name"] == "Assessments" else (*shown.pop("steps"), None)
    )
    names = ("requiredCount", "enrolledCount", "startedCount", "completedCount")
    assert last is None or (last["requiredCount"], last["startedCount"], last["completedCount"]) == (0, 0, 0)
    assert told == [
        {"name": unit, "depth": 1, **dict(zip(names, counts, strict=True)), **shares(*counts[1:])}
        for unit, *counts in steps
    ]
    ((size, *counts),) = files.rows(REACHED)
    assert shown == dict(zip(names, (size, *counts), strict=True)) | {"complete": True}


async def tile(cohort: Instance, document: str, name: str, **variables: Any) -> Any:
    reporter, since = cohort.session("reporter", Role.REPORTER), time.monotonic()
    (shown,) = (await data(reporter, document, **variables)).values()
    log.info("tile, %s: %.3f s", name, time.monotonic() - since)
    return shown


@contextmanager
def clock_at(cohort: Instance, at: datetime) -> Iterator[None]:
    before: Callable[[], datetime] = cohort.shared.now
    cohort.sets_clock(at)
    yield
    cohort.sets_clock(before())


def shares(enrolled: int, started: int, completed: int) -> Mapping[str, float]:
    return {
        "startedShare": round(100 * started / enrolled, 2),
        "completedShare": round(100 * completed / enrolled, 2),
    }


def named(courses: Sequence[str]) -> Mapping[str, Any]:
    """One by its name; all by none, as a dashboard of everything asks."""
    return {"activityIds": [*courses]} if len(courses) == 1 else {}


def of(sql: str, courses: Sequence[str], **parts: str) -> str:
    listed = ", ".join(f"'{course}'" for course in courses)
    return sql.format(courses=f"({listed})", **parts)


def day(found: Any) -> str:
    assert isinstance(found, date)
    return found.isoformat()[:10]


def listed(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(row) for row in rows]
