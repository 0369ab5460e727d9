"""What the figures of an activity were, as dashboards ask for it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.commands.contexts import NewContext, create_context
from rules.identifiers import ContextType
from rules.viewers import Role
from tests.conftest import NOW, Instance
from tests.graph.conftest import ask, code, data
from tests.ingest.test_aggregation import finish, join

DOCUMENT = """
query ($asked: ActivityHistoryInput!) {
  activityHistory(query: $asked) { columns { name kind } rows records dayZone asOf complete }
}
"""
DAY = timedelta(days=1)


@pytest.fixture
async def lived(embedded: Instance) -> Instance:
    """NOW is on 1 March 2026. That day ada joins the batch. On the 3rd ben does, and cyd a program; ada ends unit-1.
    On the 4th dan joins the program. The aggregation runs on each of these days, and on the 5th."""
    await embedded.publish_course()
    program = NewContext(ContextType.PROGRAM, "Program", ("course",), "program")
    await create_context(embedded.session(), program)
    await join(embedded, "ada")
    await run_of(embedded, 1)
    await join(embedded, "ben")
    await join(embedded, "cyd", "program")
    await finish(embedded, "ada", "a", "b")
    await run_of(embedded, 3)
    await join(embedded, "dan", "program")
    await run_of(embedded, 4)
    await run_of(embedded, 5)
    return embedded


async def run_of(cohort: Instance, day: int) -> None:
    await cohort.drain()
    cohort.sets_clock(NOW + (day - 1) * DAY)
    await aggregate(cohort.shared)


async def asked(cohort: Instance, *roles: Role, **query: Any) -> Any:
    session = cohort.session("rita", *(roles or (Role.REPORTER,)))
    return (await data(session, DOCUMENT, asked=query))["activityHistory"]


MARCH = {"from": "2026-02-28", "to": "2026-03-05"}
IN_BATCH = {
    "activityId": "course",
    "contextId": "batch",
    **MARCH,
    "metrics": ["ENROLLED_COUNT", "AVERAGE_PROGRESS"],
}


async def test_each_day_has_the_figures_of_its_end(lived: Instance) -> None:
    """Ada has 2 of 3 on the 3rd: 66 %. With ben, who has begun nothing, that is 33 % on average."""
    answer = await asked(lived, **IN_BATCH)
    assert answer["columns"] == [
        {"name": "date", "kind": "DIMENSION"},
        {"name": "enrolledCount", "kind": "NUMBER"},
        {"name": "averageProgress", "kind": "PERCENTAGE"},
        {"name": "recorded", "kind": "FLAG"},
    ]
    assert answer["rows"] == [
        ["2026-02-28", None, None, False],
        ["2026-03-01", 1, 0.0, True],
        ["2026-03-02", 1, 0.0, False],
        ["2026-03-03", 2, 33.0, True],
        ["2026-03-04", 2, 33.0, False],
        ["2026-03-05", 2, 33.0, False],
    ]
    assert answer["records"][1] == {
        "date": "2026-03-01",
        "enrolledCount": 1,
        "averageProgress": 0.0,
        "recorded": True,
    }
    assert answer["dayZone"] == "UTC"
    assert answer["complete"] is True
    assert datetime.fromisoformat(answer["asOf"]) == NOW + 4 * DAY


async def test_a_history_may_begin_and_end_between_two_recorded_days(lived: Instance) -> None:
    between = {**IN_BATCH, "from": "2026-03-02", "to": "2026-03-02"}
    assert (await asked(lived, **between))["rows"] == [["2026-03-02", 1, 0.0, False]]


async def test_without_a_context_all_of_the_collection_are_summed(lived: Instance) -> None:
    """3 March: ada, ben, cyd, of whom ada has 66 %: 22 % on average. 4 March: dan too, 16.5 %."""
    everywhere = {name: value for name, value in IN_BATCH.items() if name != "contextId"}
    assert (await asked(lived, **everywhere))["rows"][1:] == [
        ["2026-03-01", 1, 0.0, True],
        ["2026-03-02", 1, 0.0, False],
        ["2026-03-03", 3, 22.0, True],
        ["2026-03-04", 4, 16.5, True],
        ["2026-03-05", 4, 16.5, False],
    ]


async def test_a_context_may_be_of_any_type_and_the_collection_itself(lived: Instance) -> None:
    """Nobody has an enrolment in the course by itself."""
    one_day = {**IN_BATCH, "from": "2026-03-05", "metrics": ["ENROLLED_COUNT"]}
    for context, enrolled in (("program", 2), ("course", None)):
        rows = (await asked(lived, **{**one_day, "contextId": context}))["rows"]
        assert rows == [["2026-03-05", enrolled, False]]


async def test_a_unit_has_a_history_in_its_collection(lived: Instance) -> None:
    unit = {**IN_BATCH, "activityId": "unit-1", "metrics": ["COMPLETED_COUNT"], "from": "2026-03-02"}
    assert (await asked(lived, **unit, collectionId="course"))["rows"][:2] == [
        ["2026-03-02", None, False],
        ["2026-03-03", 1, True],
    ]
    refused = lived.session("rita", Role.REPORTER)
    assert await code(refused, DOCUMENT, asked=unit) == ("INVALID_INPUT", "collectionId")


async def test_without_an_aggregation_there_is_nothing_and_the_answer_says_so(published: Instance) -> None:
    answer = await asked(published, activityId="course", **MARCH)
    assert [row[1:] for row in answer["rows"]] == [[None] * 4 + [False]] * 6
    assert (answer["asOf"], answer["complete"]) == (None, False)
    assert [column["name"] for column in answer["columns"]][1:-1] == [
        "enrolledCount",
        "completedCount",
        "completionPercentage",
        "averageProgress",
    ]


async def test_a_day_that_no_aggregation_has_come_to_is_not_complete(lived: Instance) -> None:
    """It is the 7th. The last run was on the 5th."""
    lived.sets_clock(NOW + 6 * DAY)
    answer = await asked(lived, **{**IN_BATCH, "to": "2026-03-08"})
    assert answer["complete"] is False
    assert answer["rows"][-3:] == [
        ["2026-03-06", 2, 33.0, False],
        ["2026-03-07", 2, 33.0, False],
        ["2026-03-08", None, None, False],
    ]
    assert (await asked(lived, **IN_BATCH))["complete"] is True


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"activityId": "nothing"}, ("NOT_FOUND", "activityId")),
        ({"contextId": "nothing"}, ("NOT_FOUND", "contextId")),
        ({"collectionId": "nothing"}, ("NOT_FOUND", "collectionId")),
        ({"activityId": "a", "collectionId": "course"}, ("NOT_FOUND", "activityId")),
        ({"activityId": "a"}, ("INVALID_INPUT", "collectionId")),
        ({"activityId": " "}, ("INVALID_INPUT", "activityId")),
        ({"metrics": ["MEDIAN_SCORE"]}, ("INVALID_INPUT", "metrics")),
        ({"to": "2026-02-27"}, ("INVALID_INPUT", "to")),
        ({"to": "2027-04-04"}, ("INVALID_INPUT", "to")),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(
    published: Instance, changed: dict[str, Any], expected: tuple[str, str]
) -> None:
    session = published.session("rita", Role.REPORTER)
    assert await code(session, DOCUMENT, asked={**IN_BATCH, **changed}) == expected


async def test_more_days_of_contexts_than_may_be_summed_are_refused(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six days: of two contexts (the batch, and the course by itself) 12, of three 18."""
    monkeypatch.setattr("rules.activity_histories.MOST_RECORDED", 12)
    monkeypatch.setattr("resolvers.activity_histories.MOST_RECORDED", 12)
    assert len((await asked(published, activityId="course", **MARCH))["rows"]) == 6
    await published.batch("other")
    session = published.session("rita", Role.REPORTER)
    query = {"activityId": "course", **MARCH}
    assert await code(session, DOCUMENT, asked=query) == ("INVALID_INPUT", "contextId")


async def test_those_who_see_figures_see_it_and_nobody_else(published: Instance) -> None:
    for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE, Role.CREATOR):
        assert await asked(published, role, **IN_BATCH)
    learner = published.session("ada")
    assert (await code(learner, DOCUMENT, asked=IN_BATCH))[0] == "FORBIDDEN"
    answer = await ask(learner, DOCUMENT, asked=IN_BATCH)
    assert answer["data"]["activityHistory"] is None


async def test_400_days_of_many_contexts_cost_what_one_day_does(published: Instance) -> None:
    async def cost(**query: Any) -> Any:
        session = type(published)(published.urls, published.data)
        session.shared = type(published.shared).of(published.stores, published.shared.now)
        with published.stores.rows.meter.measure() as statements:
            await asked(session, **query)
        return statements

    one = await cost(**{**IN_BATCH, "contextId": "course"})
    for number in range(40):
        await published.batch(f"batch-{number}")
    long = {"activityId": "course", "from": "2025-02-01", "to": "2026-03-05"}
    many = await cost(**long)
    assert one["select activity_history"] == many["select activity_history"] == 1
    assert sum(many.values()) - sum(one.values()) == 2, "the list of contexts, and the contexts"
