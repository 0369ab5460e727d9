"""Figures of activities as dashboards ask for them."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from graphql import GraphQLEnumType

from graph.schema import schema
from ingest.aggregation import aggregate
from ingest.schedule import Schedule
from loaders.session import Session, Shared
from rules.learners import ATTRIBUTES
from rules.privacy import PROFILES, Privacy
from rules.progress import Status
from rules.states import State
from rules.viewers import Role, Viewer
from tests.conftest import COURSE, Instance
from tests.graph.conftest import BATCH, ask, code, data, document, record
from tests.loaders.figures import fill

UNITS = ("day", "week", "month", "quarter", "year")
AGGREGATED_ON = datetime(2026, 2, 28, 3, tzinfo=UTC)


def state(user: str, percentage: int, gender: str | None, collection: str = "course") -> State:
    return State(
        collection,
        collection,
        "cb:batch",
        user,
        1,
        status=Status(2 if percentage == 100 else percentage > 0),
        completion_percentage=percentage,
        time_spent=60,
        active=True,
        enrolled_on=datetime(2026, 1, 5, tzinfo=UTC),
        last_accessed_on=datetime(2026, 2, 1, 10, 30, tzinfo=UTC),
        attributes={"gender": gender} if gender else {},
    )


STATES = [
    state("ann", 100, "F"),
    state("bob", 50, "M"),
    state("cleo", 33, "F"),
    state("dan", 0, None),
    state("ann", 0, "F", "other"),
]


def reporter(instance: Instance) -> Session:
    return instance.session("rita", Role.REPORTER)


def one(query: str) -> str:
    return f"{{ activityMetrics(query: {query}) {{ rows totals columns {{ name kind }} }} }}"


async def rows(instance: Instance, query: str) -> Any:
    return (await data(reporter(instance), one(query)))["activityMetrics"]["rows"]


@pytest.fixture
async def courses(embedded: Instance) -> Instance:
    """Course and other are published."""
    for collection in ("course", "other"):
        await embedded.publish({**COURSE, "identifier": collection})
    return embedded


async def test_the_dashboard_as_clients_hold_it(courses: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 of 4 completed; progress (100 + 50 + 33 + 0) / 4 = 45.75, of F (100 + 33) / 2 = 66.5. As if to count four
    states took the target time: those of one course are counted, those of all are read as they were added up."""
    monkeypatch.setattr(courses.stores.groups, "pace", 8)
    await fill(courses, STATES, AGGREGATED_ON)
    with courses.stores.groups.meter.measure() as queries:
        answer = await ask(reporter(courses), document("dashboard"), activity="course")
    assert "errors" not in answer
    by_name = {
        name: {"name": name, "kind": kind}
        for name, kind in [
            ("enrolledCount", "NUMBER"),
            ("completedCount", "NUMBER"),
            ("completionPercentage", "PERCENTAGE"),
            ("averageProgress", "PERCENTAGE"),
            ("gender", "DIMENSION"),
            ("collection", "DIMENSION"),
        ]
    }
    states = {"source": "STATES", "asOf": "2026-03-01T12:00:00.000Z", "complete": True}
    assert answer["data"] == {
        "totals": {
            "columns": [
                by_name[name]
                for name in ("enrolledCount", "completedCount", "completionPercentage", "averageProgress")
            ],
            "rows": [[4, 1, 25, 45.75]],
            **states,
        },
        "byGender": {
            "columns": [by_name["gender"], by_name["enrolledCount"], by_name["averageProgress"]],
            "rows": [["F", 2, 66.5], [None, 1, 0.0], ["M", 1, 50.0]],
            **states,
        },
        "courses": {
            "columns": [by_name["collection"], by_name["enrolledCount"], by_name["completedCount"]],
            "rows": [["course", 4, 1], ["other", 1, 0]],
            "source": "TOTALS",
            "asOf": "2026-02-28T03:00:00.000Z",
            "complete": True,
        },
    }
    assert (queries["activity-state"], queries["activity-totals"]) == (1, 1)
    plans = {plan["path"][0]: (plan["source"], plan["origin"]) for plan in answer["extensions"]["plans"]}
    assert plans == {
        "totals": ("states", "computed"),
        "byGender": ("states", "computed"),
        "courses": ("totals", "computed"),
    }


OF_ALL = """query ($mode: AggregationMode) {
    activityMetrics(query: { metrics: [ENROLLED_COUNT], dimensions: [COLLECTION], mode: $mode }) {
        rows source asOf complete mode } }"""


async def test_before_any_aggregation_a_table_over_all_is_counted(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: an empty dashboard after a first load would be wrong. Batch mode says that it has none."""
    monkeypatch.setattr(embedded.stores.groups, "pace", 1)
    await fill(embedded, STATES)
    assert (await data(reporter(embedded), OF_ALL))["activityMetrics"] == {
        "rows": [["course", 4], ["other", 1]],
        "source": "STATES",
        "asOf": "2026-03-01T12:00:00.000Z",
        "complete": True,
        "mode": "QUERY",
    }
    assert (await data(reporter(embedded), OF_ALL, mode="BATCH"))["activityMetrics"] == {
        "rows": [],
        "source": "TOTALS",
        "asOf": None,
        "complete": False,
        "mode": "BATCH",
    }


async def test_a_first_load_shows_on_the_dashboard_by_itself(published: Instance) -> None:
    """Nobody runs an aggregation but the schedule that every worker has; here it comes every tenth of a second."""
    running = asyncio.create_task(Schedule(partial(aggregate, published.shared), 0.1, "aggregation").run())
    try:
        for user in ("ann", "bob"):
            assert (await record(published.session(user), "Enrol", **BATCH))["errors"] == []
        await published.drain()
        async with asyncio.timeout(60):
            while True:
                shared = Shared.of(published.stores, published.shared.now, answers_ttl=0)
                session = Session(reporter(published).viewer, shared)
                found = (await data(session, OF_ALL, mode="BATCH"))["activityMetrics"]
                if found["rows"] == [["course", 2]]:
                    break
                await asyncio.sleep(0.05)
        assert (found["source"], found["complete"]) == ("TOTALS", True)
    finally:
        running.cancel()


async def test_every_metric_as_a_client_gets_it(courses: Instance) -> None:
    await fill(courses, STATES)
    query = """{ activityIds: ["course"], dimensions: [ENROLLED_MONTH, CONTEXT], totals: true,
        metrics: [PROGRESS_DISTRIBUTION, TIME_SPENT, LAST_ACTIVITY] }"""
    found = (await data(reporter(courses), one(query)))["activityMetrics"]
    figures = [
        {"0": 1, "1-24": 0, "25-49": 1, "50-74": 1, "75-99": 0, "100": 1},
        240,
        "2026-02-01T10:30:00.000Z",
    ]
    assert (found["rows"], found["totals"]) == (
        [["2026-01", "batch", *figures]],
        [None, None, *figures],
    )
    assert [(column["name"], column["kind"]) for column in found["columns"]] == [
        ("enrolledMonth", "DIMENSION"),
        ("context", "DIMENSION"),
        ("progressDistribution", "DISTRIBUTION"),
        ("timeSpent", "SECONDS"),
        ("lastActivity", "DATETIME"),
    ]


async def test_filters_orders_and_limits_as_clients_write_them(courses: Instance) -> None:
    await fill(courses, STATES)
    query = """{ activityIds: ["course"], metrics: [ENROLLED_COUNT], dimensions: [GENDER], limit: 2,
        orderBy: [{ dimension: GENDER, direction: DESC }], filter: { and: [
            { or: [{ dimension: { dimension: GENDER, in: ["F"] } }, { dimension: { dimension: GENDER, isNull: true } },
                   { measure: { measure: COMPLETION_PERCENTAGE, range: { gt: 40, lte: 50 } } }] },
            { not: { moment: { moment: ENROLLED_ON, range: { lt: "2026-01-05T05:30:00+05:30" } } } },
            { moment: { moment: COMPLETED_ON, isNull: true } }] } }"""
    assert await rows(courses, query) == [["M", 1], ["F", 2]]


async def test_statuses_go_by_name_in_rows_and_filters(courses: Instance) -> None:
    """Ann completed; bob and cleo are at it; dan has not begun."""
    await fill(courses, STATES)
    table = '{ activityIds: ["course"], metrics: [ENROLLED_COUNT], dimensions: [STATUS]'
    everybody = [["NOT_STARTED", 1], ["IN_PROGRESS", 2], ["COMPLETED", 1]]
    assert await rows(courses, f"{table} }}") == everybody
    asked = [
        "status: [IN_PROGRESS, COMPLETED]",
        'dimension: { dimension: STATUS, in: ["IN_PROGRESS", "COMPLETED"] }',
        "not: { status: [NOT_STARTED] }",
    ]
    for filter_ in asked:
        assert await rows(courses, f"{table}, filter: {{ {filter_} }} }}") == everybody[1:], filter_


async def test_enrolments_by_day_in_a_zone_with_every_day_as_objects(courses: Instance) -> None:
    """All four enrolled on 2026-01-05 at 00:00Z, which is still Sunday the 4th in Chicago. The filter is from the 3rd there
    to the 6th at noon."""
    await fill(courses, STATES)
    query = """query ($zone: String, $since: DateTime!, $until: DateTime!) { activityMetrics(query: {
        activityIds: ["course"], metrics: [ENROLLED_COUNT, AVERAGE_PROGRESS], dimensions: [ENROLLED_DAY],
        zone: $zone, fillGaps: true,
        filter: { moment: { moment: ENROLLED_ON, range: { gte: $since, lt: $until } } } }) { records } }"""
    ends = {"since": "2026-01-03T00:00:00-06:00", "until": "2026-01-06T12:00:00-06:00"}

    def record_of(day: str, count: int = 0, progress: float | None = None) -> dict[str, Any]:
        return {"enrolledDay": day, "enrolledCount": count, "averageProgress": progress}

    found = await data(reporter(courses), query, zone="America/Chicago", **ends)
    assert found["activityMetrics"]["records"] == [
        record_of("2026-01-03"),
        record_of("2026-01-04", 4, 45.75),
        record_of("2026-01-05"),
        record_of("2026-01-06"),
    ]
    found = await data(reporter(courses), query, **ends)
    assert [one["enrolledCount"] for one in found["activityMetrics"]["records"]] == [0, 0, 4, 0]


@pytest.mark.parametrize(
    ("asked", "shown", "there"),
    [
        # All four enrolled on 5 January: the year has 365 days, of which the first 100 are shown.
        ("fillGaps: true", 100, 365),
        ("fillGaps: true, limit: 365", 365, 365),
        ("limit: 1", 1, 1),
    ],
)
async def test_what_the_limit_cuts_off_shows(courses: Instance, asked: str, shown: int, there: int) -> None:
    await fill(courses, STATES)
    year = '{ moment: { moment: ENROLLED_ON, range: { gte: "2026-01-01T00:00:00Z", lt: "2027-01-01T00:00:00Z" } } }'
    query = f"""{{ activityMetrics(query: {{ activityIds: ["course"], metrics: [ENROLLED_COUNT], dimensions: [ENROLLED_DAY],
        filter: {year}, {asked} }}) {{ rows rowsCount }} }}"""
    table = (await data(reporter(courses), query))["activityMetrics"]
    assert (len(table["rows"]), table["rowsCount"]) == (shown, there)


async def test_names_beside_ids_come_with_the_table_and_rows_go_by_them(courses: Instance) -> None:
    await courses.publish({**COURSE, "identifier": "other", "name": "Another"})
    await courses.batch()
    await fill(courses, STATES)
    query = """{ activityMetrics(query: { metrics: [ENROLLED_COUNT], dimensions: [COLLECTION, CONTEXT], labels: true,
        orderBy: [{ column: "collectionName" }] }) { columns { name kind } rows records } }"""
    found = (await data(reporter(courses), query))["activityMetrics"]
    assert [(column["name"], column["kind"]) for column in found["columns"]] == [
        ("collection", "DIMENSION"),
        ("context", "DIMENSION"),
        ("collectionName", "LABEL"),
        ("contextName", "LABEL"),
        ("enrolledCount", "NUMBER"),
    ]
    assert found["rows"] == [
        ["other", "batch", "Another", "Batch batch", 1],
        ["course", "batch", "Course", "Batch batch", 4],
    ]
    names = [column["name"] for column in found["columns"]]
    assert found["records"] == [dict(zip(names, row, strict=True)) for row in found["rows"]]


@pytest.mark.parametrize("order", ['column: "averageProgress"', "metric: AVERAGE_PROGRESS"])
async def test_rows_go_by_any_column_of_the_table(courses: Instance, order: str) -> None:
    await fill(courses, STATES)
    query = f"""{{ activityIds: ["course"], metrics: [AVERAGE_PROGRESS], dimensions: [GENDER],
        orderBy: [{{ {order}, direction: DESC }}] }}"""
    assert await rows(courses, query) == [["F", 66.5], ["M", 50.0], [None, 0.0]]


@pytest.mark.parametrize(
    "filter_",
    [
        "{}",
        "{ and: [{ dimension: UNIT }] }",
        "{ status: [COMPLETED], not: { status: [COMPLETED] } }",
        "{ status: [DONE] }",
        "{ measure: { measure: STATUS, range: { gte: 1 } } }",
        "{ measure: { measure: TIME_SPENT, range: { gte: true } } }",
        '{ moment: { moment: ENROLLED_ON, range: { gte: "2026-01-05T05:30:00" } } }',
    ],
)
async def test_a_filter_of_another_form_is_refused_before_anything_is_asked(
    embedded: Instance, filter_: str
) -> None:
    query = one(f"{{ metrics: [TIME_SPENT], filter: {filter_} }}")
    assert (await code(reporter(embedded), query))[0] == "BAD_REQUEST"


async def test_dimensions_and_measures_are_the_columns_of_the_specs() -> None:
    def values(name: str) -> set[str]:
        found = schema._schema.type_map[name]
        assert isinstance(found, GraphQLEnumType)
        return {value.lower() for value in found.values}

    assert values("ActivityDimension") == {
        "collection",
        "unit",
        "context",
        "status",
        *ATTRIBUTES,
        *(f"{moment}_{unit}" for moment in ("enrolled", "completed", "last_accessed") for unit in UNITS),
    }
    assert values("ActivityMoment") == {"enrolled_on", "completed_on", "last_accessed_on"}
    assert values("ActivityMeasure") == {
        *("completed_count", "required_count", "completion_percentage", "time_spent"),
        *("score", "max_score", "score_percentage", "attempts_count", "assessed_count"),
        *("right_first_count", "passable_count", "passed_count"),
    }


@pytest.mark.parametrize("in_variables", [False, True])
async def test_an_unknown_metric_or_dimension_is_told_which_there_are(
    embedded: Instance, in_variables: bool
) -> None:
    async def message(metric: str, dimension: str) -> str:
        if in_variables:
            answer = await ask(
                reporter(embedded),
                "query ($asked: ActivityMetricsInput!) { activityMetrics(query: $asked) { rows } }",
                asked={"metrics": [metric], "dimensions": [dimension]},
            )
        else:
            answer = await ask(
                reporter(embedded), one(f"{{ metrics: [{metric}], dimensions: [{dimension}] }}")
            )
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"
        return str(error["message"])

    metrics = (
        "ENROLLED_COUNT, COMPLETED_COUNT, COMPLETION_PERCENTAGE, AVERAGE_PROGRESS, PROGRESS_DISTRIBUTION, "
        "TIME_SPENT, LAST_ACTIVITY, AVERAGE_SCORE, MEDIAN_SCORE, SCORE_DISTRIBUTION, PASS_RATE, ATTEMPTS_PER_LEARNER, "
        "FIRST_ATTEMPT_RIGHT, LEARNERS_COUNT, LEFT_COUNT, AT_RISK_COUNT, MEDIAN_PROGRESS, PROGRESS_PERCENTILES, "
        "AVERAGE_DAYS_TO_COMPLETE, MEDIAN_DAYS_TO_COMPLETE"
    )
    unknown = await message("SCORE", "GENDER")
    assert unknown.endswith(f"Value 'SCORE' does not exist in 'ActivityMetric' enum. It has {metrics}.")
    unknown = await message("TIME_SPENT", "GENDR")
    told = unknown.partition("Value 'GENDR' does not exist in 'ActivityDimension' enum. It has ")[2]
    assert {"COLLECTION", "UNIT", "CONTEXT", "ENROLLED_MONTH", "GENDER"} <= set(told.rstrip(".").split(", "))


@pytest.mark.parametrize("role", [Role.MENTOR, Role.REPORTER, Role.CREATOR, Role.ADMIN, Role.SERVICE])
async def test_who_answers_for_learners_or_makes_collections_sees_figures(
    courses: Instance, role: Role
) -> None:
    query = one('{ activityIds: ["course"], metrics: [TIME_SPENT] }')
    found = await data(courses.session("x", role), query)
    assert found["activityMetrics"]["rows"] == [[0]]


@pytest.mark.parametrize(
    ("asked", "field", "told"),
    [
        ("dimensions: [COLLECTION, GENDER]", "dimensions", "gender"),
        ("dimensions: [AGE_BAND], orderBy: [{ dimension: AGE_BAND }]", "dimensions", "ageBand"),
        ('filter: { dimension: { dimension: STATE, in: ["Kerala"] } }', "filter", "state"),
        (
            "filter: { and: [{ dimension: { dimension: UNIT, isNull: false } }, "
            '{ not: { dimension: { dimension: TYPE, in: ["student"] } } }] }',
            "filter",
            "type",
        ),
        (
            "filter: { or: [{ dimension: { dimension: DISTRICT, isNull: true } }] }, mode: BATCH",
            "filter",
            "district",
        ),
    ],
)
async def test_without_a_rule_a_creator_sees_no_figures_by_attributes_of_learners(
    embedded: Instance, asked: str, field: str, told: str
) -> None:
    """As no learner does. Whoever answers for learners as well sees them."""
    embedded.shared = replace(embedded.shared, privacy=Privacy(PROFILES["none"]))
    query = one(f"{{ metrics: [ENROLLED_COUNT], {asked} }}")
    answer = await ask(embedded.session("cleo", Role.CREATOR, Role.LEARNER), query)
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "FORBIDDEN", "field": field}
    assert error["message"].startswith(f"{field}: {told} is an attribute of learners")
    for others in ((Role.MENTOR,), (Role.CREATOR, Role.REPORTER)):
        await data(embedded.session("mo", *others), query)


async def test_a_creator_sees_how_what_they_make_goes(embedded: Instance) -> None:
    for asked in (
        "dimensions: [COLLECTION, UNIT, CONTEXT, STATUS, ENROLLED_MONTH, LAST_ACCESSED_DAY]",
        'filter: { and: [{ dimension: { dimension: CONTEXT, in: ["b"] } }, '
        "{ measure: { measure: TIME_SPENT, range: { gte: 1 } } }] }",
    ):
        await data(embedded.session("cleo", Role.CREATOR), one(f"{{ metrics: [ENROLLED_COUNT], {asked} }}"))


async def test_learners_and_nobody_see_none(embedded: Instance) -> None:
    query = one("{ metrics: [ENROLLED_COUNT] }")
    assert (await code(embedded.session("ann"), query))[0] == "FORBIDDEN"
    assert (await code(Session(Viewer(), embedded.shared), query))[0] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("metrics: []", "metrics"),
        ("metrics: [TIME_SPENT], activityIds: []", "activityIds"),
        ('metrics: [TIME_SPENT], contextIds: [" "]', "contextIds"),
        ("metrics: [TIME_SPENT], limit: 1001", "limit"),
        ("metrics: [TIME_SPENT], orderBy: [{ direction: DESC }]", "orderBy[0]"),
        ("metrics: [TIME_SPENT], orderBy: [{ metric: TIME_SPENT, dimension: UNIT }]", "orderBy[0]"),
        ("metrics: [TIME_SPENT], orderBy: [{ metric: TIME_SPENT }, { dimension: UNIT }]", "orderBy[1]"),
        (
            "metrics: [TIME_SPENT], filter: { and: [{ dimension: { dimension: UNIT } }] }",
            "filter.and[0].dimension",
        ),
        (
            "metrics: [TIME_SPENT], filter: { and: [{ status: [COMPLETED] }, "
            "{ measure: { measure: TIME_SPENT, range: { gte: 1e300 } } }] }",
            "filter.and[1].measure.range.gte",
        ),
        (
            'metrics: [TIME_SPENT], filter: { dimension: { dimension: ENROLLED_WEEK, in: ["2026-03"] } }',
            "filter.dimension.in",
        ),
        ('metrics: [TIME_SPENT], orderBy: [{ column: "enrolledCount" }]', "orderBy[0]"),
        ('metrics: [TIME_SPENT], orderBy: [{ column: "timeSpent", metric: TIME_SPENT }]', "orderBy[0]"),
        ('metrics: [TIME_SPENT], dimensions: [ENROLLED_DAY], zone: "Berlin"', "zone"),
        ("metrics: [TIME_SPENT], fillGaps: true", "fillGaps"),
        ("metrics: [TIME_SPENT], mode: BATCH, dimensions: [ENROLLED_WEEK]", "mode"),
        ("metrics: [TIME_SPENT], mode: BATCH, dimensions: [GENDER, DISTRICT]", "mode"),
    ],
)
async def test_what_can_never_be_right_names_the_field(embedded: Instance, query: str, field: str) -> None:
    assert await code(reporter(embedded), one(f"{{ {query} }}")) == ("INVALID_INPUT", field)


async def test_a_table_that_is_refused_leaves_those_beside_it(courses: Instance) -> None:
    await fill(courses, STATES)
    query = """{ right: activityMetrics(query: { activityIds: ["course"], metrics: [ENROLLED_COUNT] }) { rows }
        wrong: activityMetrics(query: { metrics: [] }) { rows } }"""
    answer = await ask(reporter(courses), query)
    assert answer["data"] == {"right": {"rows": [[4]]}, "wrong": None}


async def test_ids_in_rows_have_names_beside_them(courses: Instance) -> None:
    """Collections and contexts; a context that is the collection itself is named so; months and genders have no names."""
    await courses.batch()
    alone = replace(state("eve", 0, "F"), context_id="cb:course")
    await fill(courses, [*STATES, alone], AGGREGATED_ON)
    query = """{ activityMetrics(query: { metrics: [ENROLLED_COUNT], dimensions: [COLLECTION, CONTEXT, GENDER] }) {
        rows names } }"""
    found = (await data(reporter(courses), query))["activityMetrics"]
    assert {row[0] for row in found["rows"]} == {"course", "other"}
    assert found["names"] == {"course": "Course", "other": "Course", "batch": "Batch batch"}
