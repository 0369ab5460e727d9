"""Measures of tables that only states tell: learners, those who left, at risk, medians, time to complete; shares and
comparisons. Everything is worked out by hand.

One instance serves the module, since Druid has few tasks; its data never changes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from loaders.metrics.tables import Answered
from loaders.session import Session, Shared
from resolvers.metrics import activity_metrics
from rules.errors import InvalidInput, NotFound
from rules.metric_queries import OrderBy, metric_query
from rules.metrics import Metric
from rules.plans import AggregationMode
from rules.progress import Status
from rules.states import State
from rules.viewers import Role, Viewer
from tests.conftest import COURSE, Instance, embedded_urls, instance_of, real_urls
from tests.loaders.figures import fill

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

TOLD: list[tuple[str, str, str | None, int, str | None, str | None, str | None]] = [
    ("ann", "spring", "F", 100, "2026-01-01T00:00:00Z", "2026-01-11T12:00:00Z", "2026-01-11T12:00:00Z"),
    ("ann", "autumn", "F", 40, "2026-02-01T00:00:00Z", None, "2026-02-15T11:59:59.999Z"),
    ("ben", "spring", "M", 0, "2026-01-10T00:00:00Z", None, None),
    ("cleo", "spring", "F", 0, "2026-02-20T00:00:00Z", None, None),
    ("dan", "spring", "M", 100, "2026-02-03T00:00:00Z", "2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z"),
    ("eve", "autumn", None, 75, "2026-02-10T00:00:00Z", None, "2026-02-15T12:00:00Z"),
    ("fay", "autumn", "F", 100, "2026-02-05T00:00:00Z", "2026-02-08T06:00:00Z", "2026-02-08T06:00:00Z"),
    ("gone", "spring", "M", 50, "2026-01-05T00:00:00Z", None, "2026-01-06T00:00:00Z"),
    ("peek", "spring", "M", 50, None, None, "2026-01-06T00:00:00Z"),
]
"""Learner, context, gender, progress, and when they enrolled, completed, and were last seen. ``gone`` left, and ``peek``
views without an enrolment. It is 1 March 2026 at noon: who was last seen before noon of 15 February is at risk."""


def states() -> list[State]:
    def at(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text)

    return [
        State(
            "course",
            "course",
            f"cb:{context}",
            user,
            1,
            status=Status(2 if progress == 100 else progress > 0),
            completion_percentage=progress,
            active=user not in ("gone", "peek"),
            enrolled_on=at(enrolled),
            completed_on=at(completed),
            last_accessed_on=at(seen),
            attributes={"gender": gender} if gender else {},
        )
        for user, context, gender, progress, enrolled, completed, seen in TOLD
    ]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["embedded", pytest.param("druid", marks=pytest.mark.stack)]
)
async def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Instance]:
    real = (
        {name: real_urls()[name] for name in ("events", "groups", "prefix")}
        if request.param == "druid"
        else {}
    )
    async with AsyncExitStack() as stack:
        opened = instance_of(embedded_urls() | real, tmp_path_factory.mktemp("measures"), groups=True)
        instance = await stack.enter_async_context(opened)
        await instance.publish({**COURSE, "identifier": "course"})
        for context in ("spring", "autumn"):
            await instance.batch(context, "course")
        await fill(instance, states(), datetime(2026, 2, 28, tzinfo=UTC))
        yield instance


def session(instance: Instance) -> Session:
    shared = Shared.of(instance.stores, instance.shared.now, answers_ttl=0)
    return Session(Viewer("rita", frozenset({Role.REPORTER})), shared)


async def ask(
    instance: Instance, *metrics: Metric, mode: AggregationMode | None = None, **asked: Any
) -> Answered:
    query = metric_query(metrics=metrics, activity_ids=["course"], **asked)
    return await activity_metrics(session(instance), query, mode=mode)


async def test_a_learner_in_two_batches_counts_once(filled: Instance) -> None:
    """Seven enrolments of six learners: Ann is in both batches."""
    found = await ask(
        filled, Metric.ENROLLED_COUNT, Metric.LEARNERS_COUNT, dimensions=["context"], totals=True
    )
    assert found.table.rows == [["autumn", 3, 3], ["spring", 4, 4]]
    assert found.table.totals == [None, 7, 6]
    alone = await ask(filled, Metric.LEARNERS_COUNT)
    assert (alone.table.rows, alone.complete) == ([[6]], True)


async def test_tables_of_one_document_count_learners_each_by_its_own_rows(filled: Instance) -> None:
    """What another table is grouped by beside it must not split a learner."""
    one = session(filled)
    asked = [
        metric_query(
            metrics=[Metric.LEARNERS_COUNT], activity_ids=["course"], dimensions=dimensions, totals=True
        )
        for dimensions in ([], ["gender"], ["context", "gender"], ["gender", "context"])
    ]
    everything, by_gender, both, turned = await asyncio.gather(
        *(activity_metrics(one, each) for each in asked)
    )
    assert everything.table.rows == [[6]]
    assert by_gender.table.rows == [[None, 1], ["F", 3], ["M", 2]]
    assert both.table.rows == [
        ["autumn", None, 1],
        ["autumn", "F", 2],
        ["spring", "F", 2],
        ["spring", "M", 2],
    ]
    assert sorted(map(str, turned.table.rows)) == sorted(str([b, a, n]) for a, b, n in both.table.rows)
    assert [found.table.totals for found in (everything, by_gender, both)] == [
        [6],
        [None, 6],
        [None, None, 6],
    ]


async def test_who_left_is_counted_apart_from_who_is_enrolled(filled: Instance) -> None:
    """``gone`` left with 50 %; ``peek`` never enrolled. The mean of F is (100 + 40 + 0 + 100) / 4, that of M (0 + 100) / 2,
    and 415 / 7 that of all: what was left is in none."""
    metrics = (Metric.LEFT_COUNT, Metric.ENROLLED_COUNT, Metric.AVERAGE_PROGRESS, Metric.LEARNERS_COUNT)
    found = await ask(filled, *metrics, dimensions=["gender"], totals=True)
    assert found.table.rows == [[None, 0, 1, 75.0, 1], ["F", 0, 4, 60.0, 3], ["M", 1, 2, 50.0, 2]]
    assert found.table.totals == [None, 1, 7, 59.29, 6]


async def test_a_table_of_who_left_shows_what_nobody_is_enrolled_in_any_more(filled: Instance) -> None:
    """In the first week of 2026 Ann enrolled, in the second ``gone``, who left, and Ben."""
    asked: dict[str, Any] = {"dimensions": ["enrolled_day"], "limit": 3}
    found = await ask(filled, Metric.ENROLLED_COUNT, Metric.LEFT_COUNT, Metric.MEDIAN_PROGRESS, **asked)
    assert found.table.rows == [
        ["2026-01-01", 1, 0, 100.0],
        ["2026-01-05", 0, 1, None],
        ["2026-01-10", 1, 0, 0.0],
    ]
    without = await ask(filled, Metric.ENROLLED_COUNT, **asked)
    assert [row[0] for row in without.table.rows] == ["2026-01-01", "2026-01-10", "2026-02-01"]


async def test_who_was_not_seen_for_two_weeks_is_at_risk(filled: Instance) -> None:
    """Ann in autumn, last seen 1 ms too early, and Ben, never seen since January. Not Eve, seen at noon of that day, nor
    Cleo, who enrolled since, nor those who completed. After 30 days only Ben is; after 5 days Eve is, too, and Cleo."""
    found = await ask(filled, Metric.AT_RISK_COUNT, dimensions=["gender"], totals=True)
    assert (found.table.rows, found.table.totals) == ([[None, 0], ["F", 1], ["M", 1]], [None, 2])
    assert found.seen_before == datetime(2026, 2, 15, 12, tzinfo=UTC)
    one = session(filled)
    several = await asyncio.gather(
        *(
            activity_metrics(
                one,
                metric_query(metrics=[Metric.AT_RISK_COUNT], activity_ids=["course"], at_risk_days=days),
            )
            for days in (30, 14, 5)
        )
    )
    assert [answered.table.rows for answered in several] == [[[1]], [[2]], [[4]]]
    assert (await ask(filled, Metric.ENROLLED_COUNT)).seen_before is None


async def test_the_spread_of_progress(filled: Instance) -> None:
    """0, 0, 40, 75, 100, 100, 100: the fourth is 75. At 25 % it is half of the way from the second to the third. Of M the
    two are 0 and 100."""
    metrics = (Metric.MEDIAN_PROGRESS, Metric.PROGRESS_PERCENTILES)
    found = await ask(filled, *metrics, dimensions=["gender"], totals=True)
    assert found.table.totals == [
        None,
        75.0,
        {"10": 0.0, "25": 20.0, "50": 75.0, "75": 100.0, "90": 100.0},
    ]
    assert found.table.rows[2] == ["M", 50.0, {"10": 10.0, "25": 25.0, "50": 50.0, "75": 75.0, "90": 90.0}]


async def test_days_from_enrolment_to_completion(filled: Instance) -> None:
    """Ten and a half, three and a quarter, and, before the enrolment, none: 13.75 / 3 = 4.58; of 10, 3 and 0 whole days the
    median is 3. Of F (10.5 + 3.25) / 2 = 6.875, and the mean of 10 and 3."""
    metrics = (Metric.AVERAGE_DAYS_TO_COMPLETE, Metric.MEDIAN_DAYS_TO_COMPLETE)
    found = await ask(filled, *metrics, dimensions=["gender"], totals=True)
    assert found.table.rows == [[None, None, None], ["F", 6.88, 6.5], ["M", 0.0, 0.0]]
    assert found.table.totals == [None, 4.58, 3.0]


async def test_shares_are_of_all_rows_also_those_cut_off(filled: Instance) -> None:
    """4, 2 and 1 of 7; 2 of 3 completed are of F and 1 of M; nobody left but one of M."""
    asked: dict[str, Any] = {
        "shares": [Metric.ENROLLED_COUNT, Metric.COMPLETED_COUNT, Metric.TIME_SPENT],
        "dimensions": ["gender"],
        "order": [OrderBy("enrolledCountShare", descending=True)],
        "totals": True,
    }
    found = await ask(filled, Metric.ENROLLED_COUNT, **asked, limit=2)
    assert [column.name for column in found.table.columns] == [
        *("gender", "enrolledCount", "enrolledCountShare", "completedCountShare", "timeSpentShare")
    ]
    assert found.table.rows == [["F", 4, 57.14, 66.67, None], ["M", 2, 28.57, 33.33, None]]
    assert found.table.totals == [None, 7, 100.0, 100.0, None]


FEBRUARY = {
    "of": "enrolled_on",
    "from": datetime(2026, 2, 1, tzinfo=UTC),
    "to": datetime(2026, 3, 1, tzinfo=UTC),
}
"""The 28 days before begin on 4 January: Ann's first enrolment is earlier, Ben's and that of who left are within."""


async def test_a_period_stands_beside_the_one_before(filled: Instance) -> None:
    """Five enrolled in February, of them three women, and Ben, a man, in the 28 days before."""
    found = await ask(
        filled,
        Metric.ENROLLED_COUNT,
        Metric.PROGRESS_DISTRIBUTION,
        dimensions=["gender"],
        compare={"previousPeriod": FEBRUARY},
        order=[OrderBy("enrolledCountDifference", descending=True)],
        totals=True,
    )
    assert [(column.name, column.kind.name) for column in found.table.columns] == [
        ("gender", "DIMENSION"),
        ("enrolledCount", "NUMBER"),
        ("progressDistribution", "DISTRIBUTION"),
        ("previousEnrolledCount", "NUMBER"),
        ("enrolledCountDifference", "NUMBER"),
        ("previousProgressDistribution", "DISTRIBUTION"),
    ]
    shown = [[row[0], row[1], row[3], row[4]] for row in found.table.rows]
    assert shown == [["F", 3, 0, 3], [None, 1, 0, 1], ["M", 1, 1, 0]]
    assert found.table.totals is not None
    assert [found.table.totals[place] for place in (0, 1, 3, 4)] == [None, 5, 1, 4]


async def test_weeks_stand_beside_the_weeks_at_the_same_place(filled: Instance) -> None:
    """1 February is a Sunday of week 5, 4 January one of week 1: week 2, in which Ben enrolled, stands beside week 6. By
    months there is one row."""
    asked: dict[str, Any] = {"compare": {"previousPeriod": FEBRUARY}}
    found = await ask(filled, Metric.ENROLLED_COUNT, dimensions=["enrolled_week"], fill_gaps=True, **asked)
    assert found.table.rows == [
        ["2026-W05", 1, 0, 1],
        ["2026-W06", 2, 1, 1],
        ["2026-W07", 1, 0, 1],
        ["2026-W08", 1, 0, 1],
        ["2026-W09", 0, 0, 0],
    ]
    months = await ask(filled, Metric.LEARNERS_COUNT, dimensions=["enrolled_month"], **asked)
    assert months.table.rows == [["2026-02", 5, 1, 4]]


async def test_other_contexts_stand_beside_these(filled: Instance) -> None:
    """Four in spring with 200 %, three in autumn with 215 %: 50 and 71.67."""
    found = await ask(
        filled,
        Metric.ENROLLED_COUNT,
        Metric.AVERAGE_PROGRESS,
        context_ids=["spring"],
        compare={"contextIds": ["autumn"]},
    )
    assert [column.name for column in found.table.columns][2:] == [
        *("comparedEnrolledCount", "enrolledCountDifference"),
        *("comparedAverageProgress", "averageProgressDifference"),
    ]
    assert found.table.rows == [[4, 50.0, 3, 1, 71.67, -21.67]]
    with pytest.raises(NotFound, match="no context never"):
        await ask(filled, Metric.ENROLLED_COUNT, compare={"contextIds": ["never"]})


@pytest.mark.parametrize(
    ("metrics", "asked", "queries"),
    [
        (
            [Metric.ENROLLED_COUNT, Metric.LEFT_COUNT, Metric.AT_RISK_COUNT, Metric.AVERAGE_DAYS_TO_COMPLETE],
            {},
            1,
        ),
        ([Metric.MEDIAN_PROGRESS, Metric.PROGRESS_PERCENTILES], {}, 1),
        ([Metric.ENROLLED_COUNT, Metric.MEDIAN_PROGRESS, Metric.MEDIAN_DAYS_TO_COMPLETE], {}, 3),
        ([Metric.LEARNERS_COUNT], {"totals": True}, 1),
        ([Metric.LEARNERS_COUNT], {"dimensions": ["gender"], "totals": True}, 2),
        ([Metric.ENROLLED_COUNT], {"compare": {"previousPeriod": FEBRUARY}}, 2),
        ([Metric.ENROLLED_COUNT], {"shares": [Metric.COMPLETED_COUNT], "dimensions": ["gender"]}, 1),
    ],
)
async def test_what_adds_up_costs_one_query_and_each_spread_another(
    filled: Instance, metrics: list[Metric], asked: dict[str, Any], queries: int
) -> None:
    with filled.stores.groups.meter.measure() as counts:
        await ask(filled, *metrics, **asked)
    assert (counts["activity-state"], counts["activity-totals"]) == (queries, 0)


@pytest.mark.parametrize(
    "metric",
    [
        Metric.LEARNERS_COUNT,
        Metric.LEFT_COUNT,
        Metric.AT_RISK_COUNT,
        Metric.MEDIAN_PROGRESS,
        Metric.PROGRESS_PERCENTILES,
        Metric.AVERAGE_DAYS_TO_COMPLETE,
        Metric.MEDIAN_DAYS_TO_COMPLETE,
    ],
)
async def test_batch_mode_says_what_it_has_no_sums_of(filled: Instance, metric: Metric) -> None:
    with pytest.raises(InvalidInput, match=f"asks for {metric.value}, which does not follow") as refused:
        await ask(filled, metric, mode=AggregationMode.BATCH)
    assert refused.value.field == "mode"


async def test_batch_mode_has_shares_and_compares_contexts(filled: Instance) -> None:
    found = await ask(
        filled,
        Metric.ENROLLED_COUNT,
        mode=AggregationMode.BATCH,
        dimensions=["gender"],
        context_ids=["spring"],
        shares=[Metric.ENROLLED_COUNT],
        compare={"contextIds": ["autumn"]},
    )
    assert found.table.rows == [[None, 0, 0.0, 1, -1], ["F", 2, 50.0, 2, 0], ["M", 2, 50.0, 0, 2]]
    with pytest.raises(InvalidInput, match="filters by enrolled_on"):
        await ask(
            filled,
            Metric.ENROLLED_COUNT,
            mode=AggregationMode.BATCH,
            compare={"previousPeriod": FEBRUARY},
        )
