"""Small cohorts are withheld and marked in every form: by GraphQL, REST, files, links and static files.

36 learners of one course: 20 F, 9 M, 4 of no known gender, 3 X. The limit is 5: X and none are withheld, and M with them.
"""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.setting_sections.values import SettingsError
from gateway.settings import load_settings
from ingest.aggregation.static_files import activity_file
from loaders.session import Session
from rules.metrics import Metric
from rules.privacy import PROFILES, TOLD, CohortRule, Privacy
from rules.progress import Status
from rules.states import State
from rules.totals import MONTHS, Dimensions, Tally, Total
from rules.viewers import Role
from tests.conftest import COURSE, embedded_urls, instance_of, real_urls
from tests.gateway.test_metric_tables import Tables, rows_of_parquet
from tests.graph.conftest import ask, data
from tests.loaders.figures import fill

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

PEOPLE = [("F", 20, 50), ("M", 9, 100), (None, 4, 0), ("X", 3, 100)]
"""Gender, how many, and how far each is."""
BY_GENDER = {
    "metrics": "ENROLLED_COUNT,COMPLETED_COUNT,AVERAGE_PROGRESS",
    "dimensions": "GENDER",
    "totals": "true",
}
ROWS: list[list[Any]] = [[None, True, 16, 12, 75.0], ["F", False, 20, 0, 50.0]]
"""Withheld are 9 + 4 + 3 learners, of whom 9 + 3 completed: 1200 / 16 = 75."""
TOTALS = [None, None, 36, 12, 61.11]
"""(20 · 50 + 12 · 100) / 36 = 61.11."""


def states() -> list[State]:
    return [
        State(
            *("course", "course", "cb:batch", f"{gender}-{number}", 1),
            status=Status(2 if progress == 100 else progress > 0),
            completion_percentage=progress,
            active=True,
            enrolled_on=datetime(2026, 1, 5, tzinfo=UTC),
            attributes={
                "region": "north",
                "state": f"{gender}-state",
                **({"gender": gender} if gender else {}),
            },
        )
        for gender, many, progress in PEOPLE
        for number in range(many)
    ]


@pytest_asyncio.fixture(
    loop_scope="module", scope="module", params=["embedded", pytest.param("druid", marks=pytest.mark.stack)]
)
async def tables(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tables]:
    urls = embedded_urls()
    if request.param == "druid":
        urls |= {name: real_urls()[name] for name in ("events", "groups", "prefix")}
    async with AsyncExitStack() as stack:
        data_folder = tmp_path_factory.mktemp("cohorts") / "data"
        instance = await stack.enter_async_context(instance_of(urls, data_folder, groups=True))
        await instance.publish(COURSE)
        await instance.batch()
        await fill(instance, states())
        yield Tables(instance)


async def table(tables: Tables, role: Role = Role.CREATOR, **query: str) -> httpx.Response:
    return await tables.call("GET", "/metrics/table", role=role, params={**BY_GENDER, **query})


async def test_a_creator_sees_cohorts_that_are_large_enough(tables: Tables) -> None:
    answer = (await table(tables)).json()
    assert (answer["rows"], answer["totals"]) == (ROWS, TOTALS)
    assert answer["columns"][1] == {"name": "withheld", "kind": "FLAG"}
    assert answer["privacy"] == {
        "profile": "threshold",
        "leastCohort": 5,
        "source": PROFILES["threshold"].source,
    }


async def test_a_table_of_cohorts_costs_one_query(tables: Tables) -> None:
    with tables.instance.stores.groups.meter.measure() as queries:
        await table(tables, metrics="AVERAGE_SCORE,PASS_RATE", dimensions="AGE_BAND", shares="ENROLLED_COUNT")
    assert (queries["activity-state"], queries["activity-totals"]) == (1, 0)


async def test_who_may_see_every_learner_sees_them_all(tables: Tables) -> None:
    answer = (await table(tables, Role.REPORTER)).json()
    assert [row[:2] for row in answer["rows"]] == [[None, 4], ["F", 20], ["M", 9], ["X", 3]]
    assert answer["privacy"] is None


async def test_files_mark_what_is_withheld(tables: Tables, tmp_path: Path) -> None:
    text = await table(tables, format="csv")
    assert text.headers["cohort-privacy"] == "threshold; least=5"
    assert list(csv.reader(io.StringIO(text.text))) == [
        ["gender", "withheld", "enrolledCount", "completedCount", "averageProgress"],
        ["", "true", "16", "12", "75.0"],
        ["F", "false", "20", "0", "50.0"],
    ]
    columns, rows = rows_of_parquet((await table(tables, format="parquet")).content, tmp_path)
    assert columns[:2] == [("gender", "VARCHAR"), ("withheld", "BOOLEAN")]
    assert [list(row) for row in rows] == ROWS
    assert "cohort-privacy" not in (await table(tables, Role.REPORTER, format="csv")).headers


async def test_who_opens_a_link_is_nobody_who_may_see_every_learner(tables: Tables) -> None:
    asked = {"metrics": ["ENROLLED_COUNT"], "dimensions": ["GENDER"]}
    shown = await tables.call("GET", await tables.link(table=asked), role=None)
    assert shown.json()["rows"] == [row[:3] for row in ROWS]
    finer = {"metrics": ["ENROLLED_COUNT"], "dimensions": ["GENDER", "REGION"]}
    refused = await tables.call("POST", "/metrics/links", json={"table": finer})
    assert (refused.status_code, refused.json()["error"]["field"]) == (403, "dimensions")


async def test_order_limit_and_shares_are_of_what_is_told(tables: Tables) -> None:
    answer = (await table(tables, orderBy="enrolledCount:desc", limit="1", shares="ENROLLED_COUNT")).json()
    assert answer["rows"] == [["F", False, 20, 0, 50.0, 55.56]]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("dimensions: [GENDER, REGION]", "dimensions"),
        ("dimensions: [GENDER, STATUS]", "dimensions"),
        ("dimensions: [GENDER, ENROLLED_DAY]", "dimensions"),
        ("dimensions: [GENDER, UNIT]", "dimensions"),
        ("dimensions: [SCHOOL]", "dimensions"),
        ('activityIds: ["unit-1"], dimensions: [GENDER]', "activityIds"),
        ("dimensions: [GENDER], shares: [TIME_SPENT]", "shares"),
        ('filter: { dimension: { dimension: GENDER, in: ["X"] } }', "filter"),
        ('dimensions: [GENDER], filter: { not: { dimension: { dimension: GENDER, in: ["X"] } } }', "filter"),
        ("dimensions: [GENDER], filter: { status: [COMPLETED] }", "filter"),
        ("dimensions: [GENDER], filter: { measure: { measure: TIME_SPENT, range: { gte: 1 } } }", "filter"),
        (
            'dimensions: [GENDER], compare: { previousPeriod: { of: ENROLLED, from: "2026-01-05T00:00:00Z", '
            'to: "2026-02-01T00:00:00Z" } }',
            "compare",
        ),
    ],
)
async def test_what_would_cut_a_cohort_is_refused(tables: Tables, asked: str, field: str) -> None:
    query = f"{{ activityMetrics(query: {{ metrics: [ENROLLED_COUNT], {asked} }}) {{ rows }} }}"
    answer = await ask(tables.instance.session("cleo", Role.CREATOR), query)
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "FORBIDDEN", "field": field}
    assert error["message"].startswith(f"{field}: ")
    await data(tables.instance.session("rita", Role.REPORTER), query)


@pytest.mark.parametrize("metric", [metric for metric in Metric if metric not in TOLD])
async def test_a_metric_that_tells_of_single_learners_is_refused(tables: Tables, metric: Metric) -> None:
    answer = await table(tables, metrics=metric.name)
    assert (answer.status_code, answer.json()["error"]["field"]) == (403, "metrics")


async def test_the_limit_may_hold_for_who_sees_every_learner_too(tables: Tables) -> None:
    """At 10, M is small: nobody but F is told. A filter by attributes is refused, in a funnel as well."""
    shared = replace(tables.instance.shared, privacy=Privacy(least_all=10))
    session = Session(tables.instance.session("rita", Role.REPORTER).viewer, shared)
    query = "{ activityMetrics(query: { metrics: [ENROLLED_COUNT], dimensions: [GENDER] }) { rows privacy { leastCohort } } }"
    found = (await data(session, query))["activityMetrics"]
    # All are withheld: 16 are too few values without F, the smallest large one.
    assert found == {"rows": [[None, True, 36]], "privacy": {"leastCohort": 10}}
    funnel = """{ activityFunnel(collectionId: "course", filter: { dimension: { dimension: GENDER, in: ["X"] } }) { name } }"""
    (error,) = (await ask(session, funnel))["errors"]
    assert error["extensions"] == {"code": "FORBIDDEN", "field": "filter"}


async def test_hesas_profile_rounds_what_is_told(tables: Tables) -> None:
    """16 is told as 15, 20 as 20, 36 as 35. Percentages of fewer than 22.5 learners are null, averages of 8 and more are not."""
    shared = replace(tables.instance.shared, privacy=Privacy(PROFILES["hesa"]))
    session = Session(tables.instance.session("cleo", Role.CREATOR).viewer, shared)
    query = """{ activityMetrics(query: { metrics: [ENROLLED_COUNT, COMPLETION_PERCENTAGE, AVERAGE_PROGRESS],
      dimensions: [GENDER], totals: true }) { rows totals } }"""
    found = (await data(session, query))["activityMetrics"]
    assert found["rows"] == [[None, True, 15, None, 75.0], ["F", False, 20, None, 50.0]]
    assert found["totals"] == [None, None, 35, 33, 61.11]


async def test_static_files_tell_what_anybody_may_read() -> None:
    """Everybody is of one region, so states are told as values of it: of 20, 9, 4 and 3 that of 20 alone."""
    cells = Tally(Dimensions(("gender", "region", "state", "school"), MONTHS)).count(states()).cells()
    total = Total("course", "course", "cb:batch", 1, datetime(2026, 3, 1, tzinfo=UTC))

    def told(of: Total, rule: CohortRule | None) -> list[tuple[Any, ...]]:
        document = orjson.loads(activity_file(of, {}, {}, cells, rule))
        names = ("dimension", "value", "withheld", "enrolled", "time_spent")
        return [tuple(cell.get(name) for name in names) for cell in document["cells"]]

    shown = told(total, Privacy().public)
    assert shown == [
        ("all", None, None, 36, 0),
        ("completed_month", None, None, 36, 0),
        ("enrolled_month", "2026-01", None, 36, 0),
        ("gender", "F", None, 20, None),
        ("gender", None, True, 16, None),
        ("region", "north", None, 36, None),
        ("state", "F-state", None, 20, None),
        ("state", None, True, 16, None),
    ]
    assert told(replace(total, activity_id="unit-1"), Privacy().public) == shown[:3]
    assert len(told(total, Privacy(PROFILES["none"]).public)) == len(cells)


async def test_a_limit_of_two_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_LEAST_COHORT", "2")
    with pytest.raises(SettingsError, match=r"least_cohort .*3 or more"):
        load_settings()
    monkeypatch.setenv("COHORT_LEAST_COHORT", "12")
    monkeypatch.setenv("COHORT_PRIVACY_PROFILE", "nces")
    assert load_settings().privacy == Privacy(PROFILES["nces"], 12, 1)
    monkeypatch.delenv("COHORT_LEAST_COHORT")
    assert load_settings().privacy.least == 10
