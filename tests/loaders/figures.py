"""Enrolments, and the tables that follow from them by plain Python: what ``activityMetrics`` says, worked out without
the groups port, its engines or any of the rules of metrics."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cmp_to_key
from itertools import groupby
from statistics import median, quantiles
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS, DataSource
from rules.learners import ATTRIBUTES
from rules.states import State, encode_state
from rules.totals import MONTHS, Dimensions, Tally, Total, cell_key, cell_state
from stores.events import Message
from stores.groups import Figures, Kind, Lane, Measure
from stores.tables import AGGREGATIONS
from tests.conftest import Instance

VISIBLE_WITHIN = 100.0
"""Seconds; Druid's first task needs most of them."""
MOMENTS = ("enrolled_on", "completed_on", "last_accessed_on")
SEEN_BEFORE = datetime(2026, 2, 15, 12, tzinfo=UTC)
"""Fourteen days before the moment of the tests, 1 March 2026 at noon."""
UNITS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "quarter": "", "year": "%Y"}
STATUSES = ("NOT_STARTED", "IN_PROGRESS", "COMPLETED")
BANDS = ((0, 0), (1, 24), (25, 49), (50, 74), (75, 99), (100, 100))

Ask = dict[str, Any]
"""Of a table: the arguments of ``metric_query``, orders as pairs of a name and whether it is descending."""


async def fill(instance: Instance, states: Sequence[State], aggregated_on: datetime | None = None) -> None:
    """Both data sources of a new instance: the states, and, where an aggregation ran, what it adds up. Returns once
    all of it is visible."""
    events = instance.stores.events
    await events.send(ACTIVITY_STATE.topic, *(Message(state.key, encode_state(state)) for state in states))
    await visible(instance, ACTIVITY_STATE, len({state.key for state in states}))
    if aggregated_on is None:
        return
    cells = list(aggregated(states, aggregated_on))
    await events.send(ACTIVITY_TOTALS.topic, *cells)
    await visible(instance, ACTIVITY_TOTALS, len(cells))
    rows = instance.stores.rows
    await rows.insert_if_absent(AGGREGATIONS, {"name": "activities", "as_of": aggregated_on})


def aggregated(states: Iterable[State], on: datetime) -> Iterable[Message]:
    """What the batch aggregation sends."""
    dimensions = Dimensions(ATTRIBUTES, MONTHS)

    def place(state: State) -> tuple[str, str, str]:
        return state.activity_id, state.collection_id, state.context_id

    for key, those in groupby(sorted(states, key=place), place):
        total = Total(*key, 1, on)
        for cell, counts in Tally(dimensions).count(those).cells().items():
            yield Message(cell_key(total, cell), orjson.dumps(cell_state(total, cell, counts)))


async def visible(instance: Instance, source: DataSource, keys: int) -> None:
    count = Figures(source, (), (Measure("n", Kind.COUNT),))
    async with asyncio.timeout(VISIBLE_WITHIN):
        while (await instance.stores.groups.query(count, Lane.TABLES)).rows[0][0] != keys:
            await asyncio.sleep(0.1)


# --- the oracle


def table(ask: Ask, states: Iterable[State], units: Mapping[str, Sequence[str]]) -> tuple[list[Any], Any]:
    """Rows and totals. ``units``: of each collection."""
    dimensions, metrics = ask.get("dimensions", ()), ask["metrics"]
    zone = ask.get("zone") or "UTC"
    # Who left has a row where that is asked for.
    meant = ("active", "has_left") if "leftCount" in metrics else ("active",)
    everybody = [row_of(state, zone) for state in states]
    enrolled = [row for row in everybody if any(row[how] for how in meant) and counts(ask, row, units)]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {} if dimensions else {(): []}
    for row in enrolled:
        groups.setdefault(tuple(row[dimension] for dimension in dimensions), []).append(row)
    rows = [[*key, *(value(metric, those) for metric in metrics)] for key, those in groups.items()]
    names = [*dimensions, *metrics]
    orders = [*ask.get("order", ()), *((dimension, False) for dimension in dimensions)]

    def compared(one: list[Any], other: list[Any]) -> int:
        for name, descending in orders:
            a, b = one[names.index(name)], other[names.index(name)]
            if a != b:
                less = a is None or (b is not None and a < b)
                return 1 if less == descending else -1
        return 0

    rows.sort(key=cmp_to_key(compared))
    if "status" in dimensions:
        place = dimensions.index("status")
        for shown in rows:
            shown[place] = STATUSES[shown[place]]
    totals = [None] * len(dimensions) + [value(metric, enrolled) for metric in metrics]
    return rows[: ask.get("limit", 100)], totals if ask.get("totals") else None


def period(at: datetime | None, unit: str, zone: str) -> str | None:
    if at is None:
        return None
    there = at.astimezone(ZoneInfo(zone))
    if unit == "quarter":
        return f"{there.year}-Q{1 + (there.month - 1) // 3}"
    return there.strftime(UNITS[unit])


def row_of(state: State, zone: str) -> dict[str, Any]:
    kind, _, context = state.context_id.partition(":")
    periods = {
        f"{name.removesuffix('_on')}_{unit}": period(getattr(state, name), unit, zone)
        for name in MOMENTS
        for unit in UNITS
    }
    return {
        **dict.fromkeys(ATTRIBUTES),
        **state.attributes,
        **periods,
        **{name: getattr(state, name) for name in MOMENTS},
        "activity": state.activity_id,
        "collection": state.collection_id,
        "unit": state.activity_id,
        "is_unit": state.activity_id != state.collection_id,
        "context": None if kind == "co" else context,
        "context_id": context,
        "user_id": state.user_id,
        "active": state.active,
        "has_left": not state.active and state.enrolled_on is not None,
        "status": int(state.status),
        "completion_percentage": state.completion_percentage,
        "time_spent": state.time_spent,
        **scores_of(state),
    }


def scores_of(state: State) -> dict[str, Any]:
    told = state.score
    bests = told.assessments.values()
    most = sum((Fraction(best.max_score) for best in bests), Fraction())
    points = sum((Fraction(best.score) for best in bests), Fraction())
    return {
        "score_percentage": int(100 * points / most) if most else None,
        "attempts_count": sum(best.attempts for best in bests),
        "assessed_count": len(bests),
        "right_first_count": told.right_first,
        "passable_count": told.passable,
        "passed_count": told.passed,
    }


def counts(ask: Ask, row: dict[str, Any], units: Mapping[str, Sequence[str]]) -> bool:
    named, contexts, filter_ = ask.get("activity_ids"), ask.get("context_ids"), ask.get("filter")
    if "unit" in ask.get("dimensions", ()) or "'unit'" in repr(filter_):
        of_unit = any(
            row["activity"] == name or (name in units and row["collection"] == name) for name in named or ()
        )
        there = row["is_unit"] and (named is None or of_unit)
    else:
        # A collection is meant as itself, also where it is a unit of another one.
        meant = named is None or row["is_unit"] == (row["activity"] not in units)
        there = meant and (row["activity"] in named if named else not row["is_unit"])
    return (
        there
        and (contexts is None or row["context_id"] in contexts)
        and (filter_ is None or holds(filter_, row))
    )


def holds(said: dict[str, Any], row: dict[str, Any]) -> bool:
    match said:
        case {"and": parts}:
            return all(holds(part, row) for part in parts)
        case {"or": parts}:
            return any(holds(part, row) for part in parts)
        case {"not": part}:
            return not holds(part, row)
        case {"status": names}:
            return STATUSES[row["status"]] in names
        case (
            {"dimension": {"isNull": wanted} as by}
            | {"measure": {"isNull": wanted} as by}
            | {"moment": {"isNull": wanted} as by}
        ):
            (name,) = by.keys() - {"isNull"}
            return (row[by[name]] is None) is wanted
        case {"dimension": {"dimension": "status", "in": values}}:
            return STATUSES[row["status"]] in values
        case {"dimension": {"dimension": dimension, "in": values}}:
            return row[dimension] in values
        case {"measure": {"measure": measure, "range": bounds}} | {
            "moment": {"moment": measure, "range": bounds}
        }:
            found = row[measure]
            ends = {
                name: datetime.fromisoformat(end) if measure in MOMENTS else end
                for name, end in bounds.items()
            }
            return found is not None and not (
                ("gte" in ends and found < ends["gte"])
                or ("gt" in ends and found <= ends["gt"])
                or ("lte" in ends and found > ends["lte"])
                or ("lt" in ends and found >= ends["lt"])
            )
    raise AssertionError(said)


def value(metric: str, rows: Sequence[dict[str, Any]]) -> Any:
    gone = [row for row in rows if not row["active"]]
    rows = [row for row in rows if row["active"]]
    percentages = [row["completion_percentage"] for row in rows]
    completed = sum(row["status"] == 2 for row in rows)
    match metric:
        case "leftCount":
            return len(gone)
        case "enrolledCount":
            return len(rows)
        case "completedCount":
            return completed
        case "completionPercentage":
            return 100 * completed // len(rows) if rows else 0
        case "averageProgress":
            return round(sum(percentages) / len(rows), 2) if rows else None
        case "progressDistribution":
            return {
                str(least) if least == most else f"{least}-{most}": sum(
                    least <= percentage <= most for percentage in percentages
                )
                for least, most in BANDS
            }
        case "timeSpent":
            return sum(row["time_spent"] for row in rows)
        case "lastActivity":
            moments = [row["last_accessed_on"] for row in rows if row["last_accessed_on"]]
            last = max(moments).astimezone(UTC) if moments else None
            return last and f"{last:%Y-%m-%dT%H:%M:%S}.{last.microsecond // 1000:03}Z"
    return score_value(metric, rows)


def score_value(metric: str, rows: Sequence[dict[str, Any]]) -> Any:
    percentages = [row["score_percentage"] for row in rows if row["score_percentage"] is not None]

    def total(name: str) -> int:
        return sum(row[f"{name}_count"] for row in rows)

    match metric:
        case "averageScore":
            return round(sum(percentages) / len(percentages), 2) if percentages else None
        case "medianScore":
            return float(median(percentages)) if percentages else None
        case "scoreDistribution":
            lows = [min(percentage // 10, 10) for percentage in percentages]
            return {f"{10 * low}-{10 * low + 9}": lows.count(low) for low in range(10)} | {
                "100": lows.count(10)
            }
        case "passRate":
            return 100 * total("passed") // total("passable") if total("passable") else None
        case "attemptsPerLearner":
            attempted = sum(row["attempts_count"] > 0 for row in rows)
            return round(total("attempts") / attempted, 2) if attempted else None
        case "firstAttemptRight":
            return 100 * total("right_first") // total("assessed") if total("assessed") else None
    return measure_value(metric, rows)


def measure_value(metric: str, rows: Sequence[dict[str, Any]]) -> Any:
    percentages = sorted(row["completion_percentage"] for row in rows)
    took = [
        max(row["completed_on"] - row["enrolled_on"], timedelta())
        for row in rows
        if row["completed_on"] and row["enrolled_on"]
    ]
    match metric:
        case "learnersCount":
            return len({row["user_id"] for row in rows})
        case "atRiskCount":
            seen = [(row["last_accessed_on"] or row["enrolled_on"], row["status"]) for row in rows]
            return sum(last is not None and last < SEEN_BEFORE and status != 2 for last, status in seen)
        case "medianProgress":
            return float(median(percentages)) if percentages else None
        case "progressPercentiles":
            if not percentages:
                return None
            # Python's needs two numbers; one is at every percent.
            cuts = quantiles(percentages * (2 if len(percentages) == 1 else 1), n=100, method="inclusive")
            return {str(percent): pytest.approx(cuts[percent - 1]) for percent in (10, 25, 50, 75, 90)}
        case "averageDaysToComplete":
            seconds = sum(int(each.total_seconds()) for each in took)
            return round(seconds / len(took) / 86_400, 2) if took else None
        case "medianDaysToComplete":
            return float(median(each.days for each in took)) if took else None
    raise AssertionError(metric)


def left(state: State) -> State:
    """After the learner unenrolled."""
    return replace(state, active=False, version=state.version + 1)
