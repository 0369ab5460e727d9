"""Tables of figures: what they have in them, and what they cost. Expected values are counted by figures.py or by hand.

One instance serves the module, since Druid has few tasks; its data never changes.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druid_specs import ACTIVITY_STATE, DataSource
from loaders.answers import AnswerOrigin
from loaders.metrics import labels, tabulation
from loaders.metrics import queries as asking
from loaders.metrics.plans import Tile
from loaders.metrics.queries import TooManyGroups
from loaders.metrics.tables import Answered, Tables
from loaders.session import Session, Shared
from resolvers.metrics import activity_metrics
from rules import metric_gaps
from rules.errors import CohortError, InvalidInput, NotFound, StoreUnavailable
from rules.metric_columns import camel
from rules.metric_plans import TARGET
from rules.metric_queries import MetricQuery, OrderBy, metric_query
from rules.metric_tables import Table
from rules.metrics import Metric
from rules.plans import AggregationMode, Source
from rules.progress import Status
from rules.scores import NO_SCORE, ActivityScore, Best
from rules.states import State
from rules.viewers import Role, Viewer
from stores.groups import Answer, Figures, Lane, Query
from tests.conftest import LEAF, NOW, Instance, embedded_urls, examples, instance_of, real_urls
from tests.loaders.figures import MOMENTS, STATUSES, Ask, fill, left, table

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300), pytest.mark.long]

AGGREGATED_ON = datetime(2026, 2, 28, 3, tzinfo=UTC)
UNITS = {"algebra": ("lines", "shared"), "geometry": ("circles", "shared", "poetry"), "poetry": ()}
"""The units of each collection; one is in two, and poetry, which has none, is a unit of another as well."""
CONTEXTS = {
    "algebra": ("cb:spring", "pr:autumn", "co:algebra"),
    "geometry": ("cb:spring", "co:geometry"),
    "poetry": ("cb:spring", "pr:autumn"),
}
"""Under one context are both collections that share a unit, and poetry by itself and as a unit."""
CONTEXT_IDS = {"spring": "algebra", "autumn": "algebra", "one": "hand", "two": "hand", "three": "exam"}
"""Contexts, each with a collection that it may have been made for."""
VALUES: dict[str, tuple[str | None, ...]] = {
    "collection": tuple(UNITS),
    "unit": ("lines", "shared", "circles", "poetry"),
    "context": (None, "spring", "autumn"),
    "status": STATUSES,
    "enrolled_month": (None, "2025-12", "2026-01", "2026-02"),
    "completed_month": (None, "2026-01", "2026-02"),
    "enrolled_day": (None, "2025-12-31", "2026-01-01", "2026-01-31"),
    "completed_week": (None, "2026-W01", "2026-W05"),
    "last_accessed_quarter": (None, "2025-Q4", "2026-Q1"),
    "last_accessed_year": (None, "2025", "2026"),
    "gender": (None, "", "F", "M"),
    "district": (None, "Idukki", "Pune"),
}
DAYS = (None, "2025-12-31T23:59:59.999+00:00", "2026-01-01T00:00:00+00:00", "2026-02-01T05:29:59.999+05:30")
"""The last of December, the first of January, and the last of January, which is February in Kolkata."""


def population() -> list[State]:
    """150 learners in up to three collections, their units, and a few contexts; some left again."""
    chance = random.Random(4)
    found = []
    for number in range(150):
        attributes = {name: chance.choice(VALUES[name]) for name in ("gender", "district")}
        known = {name: value for name, value in attributes.items() if value is not None}
        for collection in chance.sample(list(UNITS), chance.randint(1, 3)):
            context = chance.choice(CONTEXTS[collection])
            for activity in (collection, *UNITS[collection]):
                if activity != collection and chance.random() < 0.3:
                    continue
                percentage = chance.choice((0, 0, 1, 24, 25, 50, 66, 99, 100))
                moments = {
                    name: datetime.fromisoformat(day) if (day := chance.choice(DAYS)) else None
                    for name in MOMENTS
                }
                state = State(
                    activity,
                    collection,
                    context,
                    f"u{number}",
                    number + 1,
                    status=Status(2 if percentage == 100 else percentage > 0),
                    completion_percentage=percentage,
                    time_spent=chance.randrange(1000),
                    active=True,
                    attributes=known,
                    score=scores(chance),
                    **moments,  # type: ignore[arg-type]
                )
                found.append(left(state) if chance.random() < 0.1 else state)
    return [*{state.key: state for state in found}.values(), *by_hand(), *scored_by_hand()]


def scores(chance: random.Random) -> ActivityScore:
    """In up to three assessments; the maximum of a survey is 0."""
    assessments = {
        f"quiz-{n}": Best(chance.choice((0.0, 0.25, 0.5, 1.0)) * most, most, chance.randint(1, 4), NOW)
        for n in range(chance.choice((0, 0, 1, 2, 3)))
        for most in (chance.choice((0.0, 3.0, 8.0, 10.0)),)
    }
    passable = chance.randint(0, len(assessments))
    right_first, passed = chance.randint(0, len(assessments)), chance.randint(0, passable)
    return ActivityScore(assessments, right_first, passable, passed)


def scored_by_hand() -> list[State]:
    """Five who scored 0, 50, 66, 90 and 100 %, one who attempted nothing, and one with 100 % who left."""
    told = {
        "a": ActivityScore({"quiz": Best(0.0, 3.0, 1, NOW)}, 0, 1, 0),
        "b": ActivityScore({"quiz": Best(5.0, 10.0, 2, NOW)}, 0, 1, 1),
        "c": ActivityScore({"quiz": Best(2.0, 3.0, 3, NOW)}, 0, 1, 1),
        "d": ActivityScore({"quiz": Best(9.0, 10.0, 1, NOW)}, 0, 0, 0),
        "e": ActivityScore({"quiz": Best(3.0, 3.0, 1, NOW)}, 1, 1, 1),
        "f": NO_SCORE,
        "gone": ActivityScore({"quiz": Best(3.0, 3.0, 9, NOW)}, 1, 1, 1),
    }
    return [
        State("exam", "exam", "cb:three", user, 1, active=user != "gone", score=score)
        for user, score in told.items()
    ]


def by_hand() -> list[State]:
    """Four who are enrolled and one who left. Enrolled in the last millisecond of 2025, in the first of 2026, later
    in that month by the clock of Kolkata but not by UTC, and nobody knows when."""
    on = [DAYS[1], DAYS[2], DAYS[3], None, None]
    told = [("a", "one", 100, 10), ("b", "one", 50, 30), ("c", "one", 0, 40), ("d", "two", 100, 20)]
    return [
        State(
            "hand",
            "hand",
            f"cb:{context}",
            user,
            1,
            status=Status(2 if percentage == 100 else percentage > 0),
            completion_percentage=percentage,
            time_spent=spent,
            active=user != "gone",
            enrolled_on=datetime.fromisoformat(at) if at else None,
        )
        for (user, context, percentage, spent), at in zip([*told, ("gone", "one", 100, 500)], on, strict=True)
    ]


POPULATION = population()


def document(collection: str) -> dict[str, Any]:
    leaf = {"identifier": f"{collection}-leaf", "name": "Leaf", "mimeType": LEAF}
    units = [
        # As they are by themselves.
        document(unit) if unit in UNITS else {"identifier": unit, "name": unit, "children": [leaf]}
        for unit in UNITS.get(collection, ())
    ]
    return {"identifier": collection, "name": collection, "children": units or [leaf]}


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["embedded", pytest.param("druid", marks=pytest.mark.stack)]
)
async def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Instance]:
    """With POPULATION, its collections, and what an aggregation added up."""
    real = (
        {name: real_urls()[name] for name in ("events", "groups", "prefix")}
        if request.param == "druid"
        else {}
    )
    async with AsyncExitStack() as stack:
        opened = instance_of(embedded_urls() | real, tmp_path_factory.mktemp("metrics"), groups=True)
        instance = await stack.enter_async_context(opened)
        for collection in (*reversed(UNITS), "hand", "exam"):
            await instance.publish(document(collection))
        for context, collection in CONTEXT_IDS.items():
            await instance.batch(context, collection)
        await fill(instance, POPULATION, AGGREGATED_ON)
        yield instance


def session(instance: Instance, ttl: float = 0) -> Session:
    """Of a reporter, with answers of its own that are kept for ``ttl`` seconds."""
    shared = Shared.of(instance.stores, instance.shared.now, answers_ttl=ttl)
    return Session(Viewer("rita", frozenset({Role.REPORTER})), shared)


def query(ask: Ask) -> MetricQuery:
    return metric_query(
        **{
            **ask,
            "metrics": [Metric(metric) for metric in ask["metrics"]],
            "order": [OrderBy(camel(name), descending) for name, descending in ask.get("order", ())],
        }
    )


async def ask_all(
    session: Session, asks: Sequence[Ask], mode: AggregationMode | None = None
) -> list[Answered]:
    """In one document."""
    return await asyncio.gather(*(activity_metrics(session, query(ask), mode=mode) for ask in asks))


async def ask_one(session: Session, ask: Ask, mode: AggregationMode | None = None) -> Table:
    (answered,) = await ask_all(session, [ask], mode)
    return answered.table


def expected(ask: Ask) -> tuple[list[Any], Any]:
    return table(ask, POPULATION, UNITS)


# --- whatever is asked


conditions = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.one_of(
        st.builds(lambda yes: {"dimension": {"dimension": name, "isNull": yes}}, st.booleans()),
        st.lists(st.sampled_from([value for value in VALUES[name] if value is not None]), min_size=1).map(
            lambda values: {"dimension": {"dimension": name, "in": values}}
        ),
    )
)
_NUMBERS = ("completion_percentage", "time_spent", "score_percentage", "attempts_count")


def kind_of(name: str) -> str:
    return "moment" if name in MOMENTS else "measure"


numbers = st.sampled_from((*_NUMBERS, *MOMENTS)).flatmap(
    lambda name: st.one_of(
        st.builds(lambda yes: {kind_of(name): {kind_of(name): name, "isNull": yes}}, st.booleans()),
        st.builds(
            lambda least, most: {kind_of(name): {kind_of(name): name, "range": {**least, **most}}},
            *(
                st.builds(
                    lambda end, at: {end: at},
                    st.sampled_from(ends),
                    st.sampled_from(DAYS[1:] if name in MOMENTS else (0, 1, 2, 50, 99.5)),
                )
                for ends in (("gte", "gt"), ("lte", "lt"))
            ),
        ),
    )
)


def filters(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"and": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"or": parts}),
            inner.map(lambda part: {"not": part}),
        ),
        max_leaves=4,
    )


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    dimensions = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True))
    metrics = draw(st.lists(st.sampled_from([metric.value for metric in Metric]), min_size=1, unique=True))
    orderable = [
        name for name in (*dimensions, *metrics) if not name.endswith(("Distribution", "Percentiles"))
    ]
    order = st.lists(
        st.tuples(st.sampled_from(orderable), st.booleans()), max_size=2, unique_by=lambda order: order[0]
    )
    named = st.none() | st.lists(st.sampled_from((*UNITS, "lines", "shared")), min_size=1, unique=True)
    contexts = st.none() | st.lists(st.sampled_from(("spring", "autumn", "algebra")), min_size=1, unique=True)
    return {
        "metrics": metrics,
        "dimensions": dimensions,
        "activity_ids": draw(named),
        "context_ids": draw(contexts),
        "filter": draw(st.none() | filters(conditions) | filters(conditions | numbers)),
        "order": draw(order) if orderable else [],
        "limit": draw(st.sampled_from((1, 3, 100))),
        "totals": draw(st.booleans()),
        "zone": draw(st.sampled_from((None, "UTC", "Asia/Kolkata", "Europe/Berlin"))),
    }


some = settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))


@some
@given(asks())
async def test_a_table_is_what_a_count_of_the_enrolments_gives(filled: Instance, ask: Ask) -> None:
    """Of states or of totals: both have the same enrolments here."""
    found = await ask_one(session(filled), ask)
    assert (found.rows, found.totals) == expected(ask)


@some
@given(st.lists(asks(), min_size=2, max_size=4), st.booleans())
async def test_tables_of_one_document_are_those_that_each_would_be_alone(
    filled: Instance, several: list[Ask], alike: bool
) -> None:
    if alike:
        shared = ("activity_ids", "context_ids", "filter")
        several = [{**ask, **{name: several[0][name] for name in shared}} for ask in several]
    found = await ask_all(session(filled), several)
    assert [(one.table.rows, one.table.totals) for one in found] == [expected(ask) for ask in several]


# --- by hand


async def test_a_percentage_is_of_the_sums_not_of_other_percentages(filled: Instance) -> None:
    """In one batch 1 of 3 completed, in the other 1 of 1; of all 2 of 4. Progress: 100, 50, 0 and 100."""
    found = await ask_one(
        session(filled),
        {
            "activity_ids": ["hand"],
            "dimensions": ["context"],
            "metrics": ["completionPercentage", "averageProgress"],
            "totals": True,
        },
    )
    assert found.rows == [["one", 33, 50.0], ["two", 100, 100.0]]
    assert found.totals == [None, 50, 62.5]


BANDS_OF_TEN = dict.fromkeys([*(f"{low}-{low + 9}" for low in range(0, 100, 10)), "100"], 0)


async def test_scores_of_five_learners(filled: Instance) -> None:
    """0, 50, 66, 90 and 100 %: 306 / 5 = 61.2, and 66 is in the middle. Three of four passed what has a mark: 75 %. Eight
    attempts of five learners: 1.6. One of five had everything right in the first: 20 %."""
    bands = BANDS_OF_TEN | {"0-9": 1, "50-59": 1, "60-69": 1, "90-99": 1, "100": 1}
    metrics = {
        "averageScore": 61.2,
        "scoreDistribution": bands,
        "passRate": 75,
        "attemptsPerLearner": 1.6,
        "firstAttemptRight": 20,
    }
    ask = {"activity_ids": ["exam"], "metrics": [*metrics]}
    for mode in AggregationMode:
        (answered,) = await ask_all(session(filled), [ask], mode)
        assert (answered.plan.source, answered.table.rows) == (
            {AggregationMode.QUERY: Source.STATES, AggregationMode.BATCH: Source.TOTALS}[mode],
            [[*metrics.values()]],
        )


async def test_the_median_is_counted_from_enrolments_alone(filled: Instance) -> None:
    """Of 0, 50, 66, 90 and 100 it is 66; of 50, 66, 90 and 100 it is 78; in batch mode there is none."""
    ask = {"activity_ids": ["exam"], "metrics": ["medianScore"]}
    assert (await ask_one(session(filled), ask)).rows == [[66.0]]
    half = {"measure": {"measure": "score_percentage", "range": {"gte": 50}}}
    assert (await ask_one(session(filled), {**ask, "filter": half})).rows == [[78.0]]
    with pytest.raises(
        InvalidInput, match="asks for medianScore, which does not follow from sums"
    ) as refused:
        await ask_one(session(filled), ask, AggregationMode.BATCH)
    assert refused.value.field == "mode"


async def test_a_limit_cuts_rows_off_but_not_totals(filled: Instance) -> None:
    ask = {
        "activity_ids": ["hand"],
        "dimensions": ["enrolled_month"],
        "metrics": ["enrolledCount", "timeSpent"],
        "order": [("timeSpent", True)],
        "limit": 1,
        "totals": True,
    }
    found = await ask_one(session(filled), ask)
    assert (found.rows, found.totals) == ([["2026-01", 2, 70]], [None, 4, 100])


async def test_a_month_begins_and_ends_in_utc_and_none_is_a_group_by_itself(filled: Instance) -> None:
    ask = {"activity_ids": ["hand"], "dimensions": ["enrolled_month"], "metrics": ["enrolledCount"]}
    found = await ask_one(session(filled), ask)
    assert found.rows == [[None, 1], ["2025-12", 1], ["2026-01", 2]]
    assert await ask_one(session(filled), ask, AggregationMode.BATCH) == found


async def test_weeks_of_a_zone_without_gaps(filled: Instance) -> None:
    """Three enrolled: by the clocks of Kolkata 2025-12-31 is over at 18:30Z, so the last millisecond of the year in UTC is
    on 1 January there, a Thursday of the first week; the third is on 1 February, 05:29, a Sunday of the fifth."""
    ask = {
        "activity_ids": ["hand"],
        "dimensions": ["enrolled_week"],
        "metrics": ["enrolledCount", "averageProgress"],
        "zone": "Asia/Kolkata",
    }
    assert (await ask_one(session(filled), ask)).rows == [
        [None, 1, 100.0],
        ["2026-W01", 2, 75.0],
        ["2026-W05", 1, 0.0],
    ]
    filled_up = await ask_one(session(filled), {**ask, "fill_gaps": True, "limit": 4, "totals": True})
    assert filled_up.rows == [
        [None, 1, 100.0],
        ["2026-W01", 2, 75.0],
        ["2026-W02", 0, None],
        ["2026-W03", 0, None],
    ]
    assert filled_up.totals == [None, 4, 62.5]


async def test_a_table_with_too_many_gaps_is_refused_and_leaves_those_beside_it(
    filled: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_gaps, "MOST_FILLED", 30)
    ask = {"activity_ids": ["hand"], "dimensions": ["enrolled_day"], "metrics": ["enrolledCount"]}
    asker = session(filled)
    found = await asyncio.gather(
        ask_one(asker, {**ask, "fill_gaps": True}), ask_one(asker, ask), return_exceptions=True
    )
    refused, beside = found
    assert isinstance(refused, InvalidInput)
    assert refused.field == "fillGaps"
    assert isinstance(beside, Table)
    assert len(beside.rows) == 4


async def test_gaps_are_filled_beside_the_event_loop(
    filled: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter can ask for 10,000 days of which four have a row: the rows do not tell how much there is to do."""
    threads = []

    def noted(*args: Any) -> Any:
        threads.append(threading.current_thread())
        return metric_gaps.filled(*args)

    monkeypatch.setattr(tabulation, "filled", noted)
    ask = {"activity_ids": ["hand"], "dimensions": ["enrolled_day"], "metrics": ["enrolledCount"]}
    await ask_one(session(filled), {**ask, "fill_gaps": True})
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_rows_go_by_names_however_many_the_limit_cuts_off(filled: Instance) -> None:
    """Collections are named as they are identified here."""
    ask = {"dimensions": ["collection"], "metrics": ["enrolledCount"], "labels": True}
    found = await ask_one(session(filled), {**ask, "order": [("collection_name", True)], "limit": 2})
    assert [column.name for column in found.columns] == ["collection", "collectionName", "enrolledCount"]
    assert [row[:2] for row in found.rows] == [["poetry", "poetry"], ["hand", "hand"]]


async def test_an_order_by_names_is_bounded_and_one_by_others_is_not(
    filled: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are five collections. Of one row one name is read."""
    monkeypatch.setattr(labels, "MOST_NAMES", 4)
    ask = {"dimensions": ["collection"], "metrics": ["enrolledCount"], "labels": True, "limit": 1}
    with pytest.raises(InvalidInput, match="an order by collectionName is of at most 4 names") as refused:
        await ask_one(session(filled), {**ask, "order": [("collection_name", False)]})
    assert refused.value.field == "orderBy"
    assert (await ask_one(session(filled), ask)).rows[0][:2] == ["algebra", "algebra"]


async def test_a_learner_who_left_is_not_counted(filled: Instance) -> None:
    """``gone`` left: were they counted, there would be five."""
    assert any(state.activity_id == "hand" and state.user_id == "gone" for state in POPULATION)
    ask = {"activity_ids": ["hand"], "metrics": ["enrolledCount"]}
    assert (await ask_one(session(filled), ask)).rows == [[4]]
    assert (await ask_one(session(filled), ask, AggregationMode.BATCH)).rows == [[4]]


async def test_figures_of_nobody_are_a_row_of_nothing(filled: Instance) -> None:
    ask = {
        "activity_ids": ["hand"],
        "context_ids": ["algebra"],
        "metrics": [metric.value for metric in Metric],
    }
    bands = {"0": 0, "1-24": 0, "25-49": 0, "50-74": 0, "75-99": 0, "100": 0}
    scores = [None, None, BANDS_OF_TEN, None, None, None]
    measures = [0, 0, 0, None, None, None, None]
    assert (await ask_one(session(filled), ask)).rows == [[0, 0, 0, None, bands, 0, None, *scores, *measures]]
    assert (await ask_one(session(filled), {**ask, "dimensions": ["gender"]})).rows == []


@pytest.mark.parametrize(
    ("ask", "error", "field", "told"),
    [
        (
            {"activity_ids": ["algebra", "no", "none"]},
            NotFound,
            "activityIds",
            "no collection or unit no, none",
        ),
        ({"context_ids": ["spring", "never"]}, NotFound, "contextIds", "no context never"),
        ({"context_ids": ["lines"]}, NotFound, "contextIds", "no context lines"),
        (
            {"activity_ids": ["algebra-leaf"]},
            InvalidInput,
            "activityIds",
            "algebra-leaf: figures are of coll",
        ),
    ],
)
async def test_an_id_that_there_is_not_is_no_row_of_zeros(
    filled: Instance, ask: Ask, error: type[CohortError], field: str, told: str
) -> None:
    with pytest.raises(error, match=told) as refused:
        await ask_one(session(filled), {**ask, "metrics": ["enrolledCount"]})
    assert refused.value.field == field


# --- what it costs

ENROLLED: Ask = {"activity_ids": ["algebra"], "metrics": ["enrolledCount"]}
BY_GENDER: Ask = {**ENROLLED, "metrics": ["averageProgress"], "dimensions": ["gender"], "limit": 2}
BY_DISTRICT: Ask = {**ENROLLED, "dimensions": ["district"]}
COURSES: Ask = {"metrics": ["enrolledCount"], "dimensions": ["collection"]}


async def test_tables_that_share_source_and_filter_cost_one_query(filled: Instance) -> None:
    asked = [ENROLLED, BY_GENDER, BY_DISTRICT, COURSES]
    with filled.stores.groups.meter.measure() as queries:
        await ask_all(slow(filled), asked)
    assert (queries["activity-state"], queries["activity-totals"]) == (1, 1)


async def test_periods_of_one_zone_cost_one_query_and_those_of_another_one_more(filled: Instance) -> None:
    """A zone is nothing to a table without time, and labels are no other question."""
    days = {**ENROLLED, "dimensions": ["enrolled_day"], "zone": "Asia/Kolkata"}
    months = {**ENROLLED, "dimensions": ["completed_month"], "zone": "Asia/Kolkata", "fill_gaps": True}
    other = {**BY_GENDER, "zone": "Europe/Berlin"}
    named = {**ENROLLED, "dimensions": ["context"], "labels": True}
    with filled.stores.groups.meter.measure() as queries:
        await ask_all(session(filled), [days, months])
    assert queries["activity-state"] == 1
    with filled.stores.groups.meter.measure() as queries:
        await ask_all(session(filled), [ENROLLED, other, named])
    assert queries["activity-state"] == 1
    with filled.stores.groups.meter.measure() as queries:
        await ask_all(session(filled), [days, {**days, "zone": None}])
    assert queries["activity-state"] == 2


async def test_another_filter_is_another_query(filled: Instance) -> None:
    other = {**BY_GENDER, "filter": {"dimension": {"dimension": "district", "in": ["Pune"]}}}
    with filled.stores.groups.meter.measure() as queries:
        found = await ask_all(session(filled), [BY_GENDER, other])
    assert queries["activity-state"] == 2
    assert [one.table.rows for one in found] == [expected(BY_GENDER)[0], expected(other)[0]]


async def test_tables_that_make_too_many_groups_together_are_asked_for_one_by_one(
    filled: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four genders (none, an empty one, F, M) and three districts are 12 groups together."""
    monkeypatch.setattr(asking, "MOST_GROUPS", 4)
    with filled.stores.groups.meter.measure() as queries:
        found = await ask_all(session(filled), [BY_GENDER, BY_DISTRICT])
    assert [one.table.rows for one in found] == [expected(BY_GENDER)[0], expected(BY_DISTRICT)[0]]
    assert queries["activity-state"] == 3


async def test_too_many_groups_are_refused_with_what_to_do(
    filled: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MOST_GROUPS", 3)
    with pytest.raises(
        TooManyGroups, match="more than 3 groups: filter, or leave a dimension out"
    ) as refused:
        await ask_one(session(filled), {**BY_GENDER, "totals": True})
    assert (refused.value.code, refused.value.field) == (InvalidInput.code, "dimensions")
    several = [query({**BY_GENDER, "totals": True}), query(BY_DISTRICT)]
    shared = session(filled).shared
    tables = Tables(filled.stores, shared.library, shared.answers, shared.costs, shared.now)
    gender, district = await tables.tables([Tile(one, AggregationMode.QUERY) for one in several])
    assert isinstance(gender, TooManyGroups)
    assert isinstance(district, Answered), "the error of a table is its own"


class Recorded:
    """A groups store that keeps what it was asked, or is away."""

    def __init__(self, instance: Instance) -> None:
        self.inner = instance.stores.groups
        self.asked: list[Query] = []
        self.away = False
        self.pace = instance.stores.groups.pace_of(ACTIVITY_STATE)

    def pace_of(self, source: DataSource) -> int:
        return self.pace

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def query(self, query: Query, lane: Lane) -> Answer:
        if self.away:
            raise StoreUnavailable("the groups store is away")
        assert lane is Lane.TABLES
        self.asked.append(query)
        return await self.inner.query(query, lane)


def slow(instance: Instance) -> Session:
    """Of a groups store that counts so slowly that all courses together are too many, and one is not."""
    store = Recorded(instance)
    one = sum(state.activity_type == "Course" and state.activity_id == "algebra" for state in POPULATION)
    store.pace = int(2 * one / TARGET)
    shared = Shared.of(replace(instance.stores, groups=store), instance.shared.now, answers_ttl=0)
    return Session(Viewer("rita", frozenset({Role.REPORTER})), shared)


def recorded(instance: Instance, ttl: float = 0) -> tuple[Session, Recorded]:
    store = Recorded(instance)
    shared = Shared.of(replace(instance.stores, groups=store), instance.shared.now, answers_ttl=ttl)
    return Session(Viewer("rita", frozenset({Role.REPORTER})), shared), store


@pytest.mark.parametrize("order", ["gender", "enrolledCount", "averageProgress"])
async def test_a_table_alone_is_bounded_before_its_limit_however_it_is_ordered(
    filled: Instance, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Four genders (none, an empty one, F, M) are more than three, although one row is all that is shown."""
    asker, store = recorded(filled)
    ask = {**BY_GENDER, "metrics": ["enrolledCount", "averageProgress"], "order": [(order, True)], "limit": 1}
    monkeypatch.setattr(asking, "MOST_GROUPS", 4)
    assert (await ask_one(asker, ask)).rows == expected(ask)[0]
    monkeypatch.setattr(asking, "MOST_GROUPS", 3)
    with pytest.raises(TooManyGroups, match="more than 3 groups") as refused:
        await ask_one(Session(asker.viewer, asker.shared), ask)
    assert refused.value.field == "dimensions"
    assert [(asked.limit, cast("Figures", asked).order) for asked in store.asked] == [(5, ()), (4, ())]


async def test_a_question_in_other_words_is_answered_from_what_is_kept(filled: Instance) -> None:
    asker, store = recorded(filled, ttl=60)
    parts = [
        {"dimension": {"dimension": "district", "in": ["Pune", "Idukki"]}},
        {"not": {"measure": {"measure": "time_spent", "range": {"lt": 10}}}},
    ]
    asked: Ask = {**BY_GENDER, "filter": {"and": parts}}
    other: Ask = {
        **BY_GENDER,
        "activity_ids": ["algebra", " algebra "],
        "filter": {
            "and": [
                {
                    "and": [
                        parts[1],
                        {"dimension": {"dimension": "district", "in": ["Idukki", "Pune", "Pune"]}},
                    ]
                },
                {"not": {"not": parts[1]}},
            ]
        },
    }
    (first,) = await ask_all(asker, [asked])
    asker.refresh()
    (second,) = await ask_all(asker, [other])
    assert first.table == second.table
    assert (first.origin, second.origin) == (AnswerOrigin.COMPUTED, AnswerOrigin.CACHED)
    assert len(store.asked) == 1


async def test_all_of_some_conditions_is_not_kept_as_any_of_them(filled: Instance) -> None:
    asker, _ = recorded(filled, ttl=60)
    parts = [
        {"dimension": {"dimension": "district", "in": ["Pune"]}},
        {"dimension": {"dimension": "gender", "in": ["F"]}},
    ]
    for ask in ({**ENROLLED, "filter": {"and": parts}}, {**ENROLLED, "filter": {"or": parts}}):
        assert (await ask_one(asker, ask)).rows == expected(ask)[0]


async def test_while_the_store_is_away_an_older_answer_says_so(filled: Instance) -> None:
    asker, store = recorded(filled)
    asked = {**ENROLLED, "filter": {"dimension": {"dimension": "gender", "in": ["F"]}}}
    (fresh,) = await ask_all(asker, [asked])
    store.away = True
    asker.refresh()
    (stale,) = await ask_all(asker, [asked])
    assert (fresh.origin, fresh.complete) == (AnswerOrigin.COMPUTED, True)
    assert (stale.origin, stale.complete) == (AnswerOrigin.STALE, False)
    assert (stale.table, stale.as_of) == (fresh.table, fresh.as_of)
    with pytest.raises(StoreUnavailable, match="the groups store is away"):
        await ask_one(asker, {**ENROLLED, "filter": {"dimension": {"dimension": "gender", "in": ["M"]}}})


# --- where it is from


async def test_the_answer_says_until_when_it_knows(filled: Instance) -> None:
    states, totals = await ask_all(slow(filled), [ENROLLED, COURSES])
    assert (states.as_of, totals.as_of) == (NOW, AGGREGATED_ON)
    assert (states.complete, totals.complete) == (True, True)


async def test_what_a_request_was_answered_from_is_told(filled: Instance) -> None:
    asker = slow(filled)
    found = await ask_all(asker, [ENROLLED, COURSES])
    told = [(one.taken.plan.source, one.taken.origin) for one in found]
    assert told == [(Source.STATES, "computed"), (Source.TOTALS, "computed")]


async def test_batch_mode_has_the_same_figures_as_of_the_last_aggregation(filled: Instance) -> None:
    (batch,) = await ask_all(session(filled), [BY_GENDER], AggregationMode.BATCH)
    assert (batch.table.rows, batch.as_of) == (expected(BY_GENDER)[0], AGGREGATED_ON)
