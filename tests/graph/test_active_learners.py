"""Active learners over time, as dashboards ask for them."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from druid_specs import ACTIVITY_DAY
from ingest.calls.placing import ViewCall
from ingest.commands.views import start_view
from rules.viewers import Role
from stores.groups import Answer
from tests.conftest import NOW, Instance, filled_once
from tests.graph.conftest import ask, code, data

DOCUMENT = """
query ($asked: ActiveLearnersInput!) {
  activeLearners(query: $asked) { columns { name kind } rows records dayZone asOf complete }
}
"""


async def fill(instance: Instance) -> None:
    """NOW is on Sunday 1 March 2026. Ada is active in two batches on the 1st, and on the 3rd; Ben on the 2nd and the 9th, there
    in another batch; Cyd alone in the course by itself on the 9th."""
    await instance.publish_course()
    await instance.batch("other")
    await instance.stores.groups.init([ACTIVITY_DAY])
    for user, day, context in (
        ("ada", 1, "batch"),
        ("ada", 1, "other"),
        ("ada", 3, "batch"),
        ("ben", 2, "batch"),
        ("ben", 9, "other"),
        ("cyd", 9, None),
    ):
        instance.sets_clock(NOW + timedelta(days=day - 1))
        await start_view(instance.session(user), ViewCall("a", "course", context))
    await instance.drain()
    await instance.arrived(ACTIVITY_DAY)


@pytest.fixture
async def active(tmp_path: Path) -> AsyncIterator[Instance]:
    async with filled_once(fill, tmp_path) as instance:
        yield instance


async def asked(cohort: Instance, *roles: Role, **query: Any) -> Any:
    session = cohort.session("rita", *(roles or (Role.REPORTER,)))
    return (await data(session, DOCUMENT, asked=query))["activeLearners"]


async def rows(cohort: Instance, **query: Any) -> Any:
    return (await asked(cohort, **query))["rows"]


MARCH = {"from": "2026-03-01", "to": "2026-03-04"}


async def test_each_day_has_its_learners_each_once_and_days_of_nobody_have_0(active: Instance) -> None:
    answer = await asked(active, **MARCH)
    assert answer["columns"] == [
        {"name": "date", "kind": "DIMENSION"},
        {"name": "activeLearners", "kind": "NUMBER"},
    ]
    assert answer["rows"] == [["2026-03-01", 1], ["2026-03-02", 1], ["2026-03-03", 1], ["2026-03-04", 0]]
    assert answer["records"][0] == {"date": "2026-03-01", "activeLearners": 1}
    assert answer["dayZone"] == "UTC"
    assert answer["complete"] is True
    assert datetime.fromisoformat(answer["asOf"]) == NOW


async def test_weeks_and_months_count_a_learner_once(active: Instance) -> None:
    # 1 March is the Sunday of the week from 23 February: Ada. Then Ada and Ben; then Ben and Cyd.
    assert await rows(active, **{"from": "2026-03-01", "to": "2026-03-10", "every": "WEEK"}) == [
        ["2026-02-23", 1],
        ["2026-03-02", 2],
        ["2026-03-09", 2],
    ]
    assert await rows(active, **MARCH, every="MONTH") == [["2026-03-01", 3]]


async def test_rolling_windows_count_a_learner_once(active: Instance) -> None:
    # The seven days up to the 8th begin on the 2nd: Ada (3rd) and Ben (2nd). Up to the 9th: Ada, Ben (9th), Cyd. Up to
    # the 10th: Ben and Cyd.
    query = {"from": "2026-03-08", "to": "2026-03-10", "window": 7}
    assert await rows(active, **query) == [["2026-03-08", 2], ["2026-03-09", 3], ["2026-03-10", 2]]
    assert await rows(active, **{**query, "window": 28}) == [
        ["2026-03-08", 2],
        ["2026-03-09", 3],
        ["2026-03-10", 3],
    ]
    assert await rows(active, **{**query, "every": "WEEK"}) == [["2026-03-08", 2], ["2026-03-10", 2]]


async def test_contexts_and_collections_are_counted_apart_on_request(active: Instance) -> None:
    query = {"from": "2026-03-01", "to": "2026-03-31", "every": "MONTH"}
    assert await rows(active, **query, by="CONTEXT") == [
        ["2026-03-01", None, 1],
        ["2026-03-01", "batch", 2],
        ["2026-03-01", "other", 2],
    ]
    assert await rows(active, **query, by="COLLECTION", contextIds=["other"]) == [["2026-03-01", "course", 2]]
    assert await rows(active, **query, activityIds=["course"], contextIds=["course"]) == [["2026-03-01", 1]]


async def test_an_answer_is_kept_as_those_of_tables_are(active: Instance) -> None:
    await asked(active, **MARCH)
    with active.stores.groups.meter.measure() as counts:
        await asked(active, **MARCH)
    assert not counts


async def test_a_window_costs_a_query_for_each_tiling(active: Instance) -> None:
    with active.stores.groups.meter.measure() as counts:
        await asked(active, **MARCH, every="WEEK")
    assert counts["activity-day"] == 1
    with active.stores.groups.meter.measure() as counts:
        await asked(active, **{**MARCH, "to": "2026-03-31"}, window=7)
    assert counts["activity-day"] == 7


async def test_too_much_to_read_for_each_window_is_refused(
    active: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six days of learners, read four times, of 0.3 × 60 = 18."""
    monkeypatch.setattr(active.stores.groups, "pace", 0.3)
    session, query = active.session("rita", Role.REPORTER), {**MARCH, "window": 7}
    assert await code(session, DOCUMENT, asked=query) == ("INVALID_INPUT", "window")
    assert await rows(active, **MARCH, every="WEEK") != []


@pytest.mark.parametrize("wrong", ["2026-02-30", "20260301", "2026-W09-1", "soon", ""])
async def test_what_is_no_day_is_told_with_its_place(active: Instance, wrong: str) -> None:
    session = active.session("rita", Role.REPORTER)
    inline = f'{{ activeLearners(query: {{from: "{wrong}", to: "2026-03-31"}}) {{ rows }} }}'
    (error,) = (await ask(session, inline))["errors"]
    assert error["message"] == f"from: '{wrong}' is no day, as in 2026-01-31"
    assert error["extensions"] == {"code": "BAD_REQUEST", "field": "from"}
    assert error["locations"] == [{"line": 1, "column": 32}]
    (error,) = (await ask(session, DOCUMENT, asked={**MARCH, "from": wrong}))["errors"]
    assert error["message"].endswith(f"at .from: '{wrong}' is no day, as in 2026-01-31")


async def test_a_part_that_was_away_is_told(active: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    async def partly(*_: object) -> Answer:
        return Answer(("day", "learners"), [("2026-03-01", 1)], complete=False)

    monkeypatch.setattr(active.stores.groups, "query", partly)
    assert (await asked(active, **MARCH))["complete"] is False


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"activityIds": ["nothing"]}, ("NOT_FOUND", "activityIds")),
        ({"activityIds": ["a"]}, ("INVALID_INPUT", "activityIds")),
        ({"activityIds": ["unit-1"]}, ("INVALID_INPUT", "activityIds")),
        ({"contextIds": ["nothing"]}, ("NOT_FOUND", "contextIds")),
        ({"to": "2025-01-01"}, ("INVALID_INPUT", "to")),
        ({"window": 40}, ("INVALID_INPUT", "window")),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(
    active: Instance, wrong: dict[str, Any], told: tuple[str, str]
) -> None:
    assert await code(active.session("rita", Role.REPORTER), DOCUMENT, asked={**MARCH, **wrong}) == told


async def test_learners_see_no_figures_of_others(active: Instance) -> None:
    assert (await code(active.session("ada"), DOCUMENT, asked=MARCH))[0] == "FORBIDDEN"
    assert (await asked(active, Role.CREATOR, **MARCH))["rows"] != []


async def test_a_date_is_a_date(active: Instance) -> None:
    answer = await ask(active.session("rita", Role.REPORTER), DOCUMENT, asked={**MARCH, "to": "tomorrow"})
    assert "tomorrow" in answer["errors"][0]["message"]
