"""Shares, comparisons and risk as clients write them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from loaders.session import Session
from rules.progress import Status
from rules.states import State
from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import code, data
from tests.loaders.figures import fill

FIELDS = "rows totals columns { name kind } atRiskBefore"


def state(user: str, day: int, month: int = 2) -> State:
    on = datetime(2026, month, day, tzinfo=UTC)
    return State(
        "course",
        "course",
        "cb:batch",
        user,
        1,
        status=Status(1),
        completion_percentage=40,
        active=True,
        enrolled_on=on,
    )


@pytest.fixture
async def filled(published: Instance) -> Instance:
    """Three enrolled in February, on the 1st, the 2nd and the 20th, and one in January. Nobody was seen since."""
    await fill(published, [state("ann", 1), state("bob", 2), state("cleo", 20), state("dan", 25, 1)])
    return published


def reporter(instance: Instance) -> Session:
    return instance.session("rita", Role.REPORTER)


async def table(instance: Instance, query: str) -> Any:
    return (await data(reporter(instance), f"{{ activityMetrics(query: {query}) {{ {FIELDS} }} }}"))[
        "activityMetrics"
    ]


async def test_a_tile_with_the_figures_of_before_beside_it(filled: Instance) -> None:
    """It is 1 March at noon: who was not seen for 20 days is at risk since 9 February. Of the two of February and the one of
    January none was."""
    found = await table(
        filled,
        """{ metrics: [ENROLLED_COUNT, AT_RISK_COUNT, LEARNERS_COUNT], atRiskDays: 20, shares: [AT_RISK_COUNT],
        compare: { previousPeriod: { of: ENROLLED, from: "2026-02-01T00:00:00Z", to: "2026-03-01T00:00:00Z" } } }""",
    )
    assert {
        column["name"]: value for column, value in zip(found["columns"], found["rows"][0], strict=True)
    } == {
        "enrolledCount": 3,
        "atRiskCount": 2,
        "learnersCount": 3,
        "atRiskCountShare": 100.0,
        "previousEnrolledCount": 1,
        "enrolledCountDifference": 2,
        "previousAtRiskCount": 1,
        "atRiskCountDifference": 1,
        "previousLearnersCount": 1,
        "learnersCountDifference": 2,
    }
    assert found["atRiskBefore"] == "2026-02-09T12:00:00.000Z"


async def test_percentiles_and_days_have_kinds_of_their_own(filled: Instance) -> None:
    found = await table(filled, "{ metrics: [PROGRESS_PERCENTILES, AVERAGE_DAYS_TO_COMPLETE, LEFT_COUNT] }")
    assert found["rows"] == [[dict.fromkeys(("10", "25", "50", "75", "90"), 40.0), None, 0]]
    assert [column["kind"] for column in found["columns"]] == ["DISTRIBUTION", "DAYS", "NUMBER"]
    assert found["atRiskBefore"] is None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("shares: [MEDIAN_PROGRESS]", ("INVALID_INPUT", "shares")),
        ("atRiskDays: 0", ("INVALID_INPUT", "atRiskDays")),
        ("compare: {}", ("BAD_REQUEST", "compare")),
        ('compare: { contextIds: ["never"] }', ("NOT_FOUND", "contextIds")),
        ('orderBy: [{ column: "progressPercentiles" }]', ("INVALID_INPUT", "orderBy[0]")),
        ("mode: BATCH", ("INVALID_INPUT", "mode")),
    ],
)
async def test_what_can_never_be_right_names_the_field(
    filled: Instance, asked: str, expected: tuple[str, str | None]
) -> None:
    query = f"{{ activityMetrics(query: {{ metrics: [PROGRESS_PERCENTILES], {asked} }}) {{ rows }} }}"
    assert await code(reporter(filled), query) == expected
