"""The figures of one activity under one context, by one dimension at a time: what the batch aggregation computes.

A cell is a dimension and one of its values, such as ``("district", "Pune")``; no value (None) is a value of its own.
The cell ALL has everybody. A table over many activities adds cells up, so they hold counts, not metrics.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from rules.aggregates import activity_type
from rules.metrics import LATEST, SCORE_BANDS, SUMS, Counts, Metric, band_of, metric_value
from rules.moments import known_milliseconds, milliseconds, month_of
from rules.progress import Status
from rules.states import State, synthetic_time

Cell = tuple[str, str | None]
ALL: Cell = ("all", None)
MONTHS = {"enrolled_month": "enrolled_on", "completed_month": "completed_on"}
"""The months that cells are of, in UTC, each with the moment of a state that it is the month of."""


def ordered_cells(cells: Iterable[Cell]) -> list[Cell]:
    """Returns the cells by dimension and value, no value first, so that equal cells are written down alike."""
    return sorted(cells, key=lambda cell: (cell[0], cell[1] is not None, cell[1] or ""))


FIGURES = (
    Metric.ENROLLED_COUNT,
    Metric.COMPLETED_COUNT,
    Metric.COMPLETION_PERCENTAGE,
    Metric.AVERAGE_PROGRESS,
    Metric.TIME_SPENT,
    Metric.AVERAGE_SCORE,
    Metric.PASS_RATE,
    Metric.ATTEMPTS_PER_LEARNER,
    Metric.FIRST_ATTEMPT_RIGHT,
)
"""The metrics that ``activity_agg`` keeps as numbers (R-AGG-5)."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The dimensions that cells are made by, beside ALL: ``attributes`` of learners, and ``months``, each with the
    field of a state that it is the month of, as MONTHS has them."""

    attributes: tuple[str, ...]
    months: Mapping[str, str]

    def cells_with(self, state: State) -> Iterator[Cell]:
        """Yields every cell that counts the state: one of each dimension."""
        yield ALL
        for name in self.attributes:
            yield name, state.attributes.get(name)
        for name, moment in self.months.items():
            yield name, _month(getattr(state, moment))


class Tally:
    """Counts states, portion by portion. Only the cells are kept."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._sums: dict[Cell, dict[str, int]] = {ALL: dict.fromkeys(SUMS, 0)}
        self._latest: dict[Cell, int] = {}

    def count(self, states: Iterable[State]) -> Self:
        """Counts the states of active enrolments. Each state is given once."""
        for state in states:
            if not state.active:
                continue
            counted = _counted(state)
            at = known_milliseconds(state.last_accessed_on)
            for cell in self._dimensions.cells_with(state):
                sums = self._sums.get(cell)
                if sums is None:
                    sums = self._sums[cell] = dict.fromkeys(SUMS, 0)
                for name, number in counted.items():
                    sums[name] += number
                if at is not None:
                    self._latest[cell] = max(at, self._latest.get(cell, at))
        return self

    def cells(self) -> dict[Cell, Counts]:
        """Returns the counts by cell. ALL is always there, also where nobody is enrolled."""
        return {cell: {**sums, LATEST: self._latest.get(cell)} for cell, sums in self._sums.items()}


def _counted(state: State) -> dict[str, int]:
    """Returns what the state adds to each cell that counts it."""
    counted = {
        "enrolled": 1,
        "completed": int(state.status is Status.COMPLETED),
        "progress_sum": state.completion_percentage,
        band_of(state.completion_percentage): 1,
        "time_spent": state.time_spent,
    }
    score = state.score
    if not score.assessed:
        return counted
    counted |= {
        "attempted": 1,
        "attempts": score.attempts,
        "assessed": score.assessed,
        "right_first": score.right_first,
        "passable": score.passable,
        "passed": score.passed,
    }
    if score.percentage is not None:
        counted |= {"scored": 1, "score_sum": score.percentage, band_of(score.percentage, SCORE_BANDS): 1}
    return counted


def vanished(before: Iterable[Cell], now: Iterable[Cell]) -> dict[Cell, Counts]:
    """Returns the cells that were there and are gone, with zeros: an append-only store can't forget a key."""
    gone = set(before).difference(now)
    return {cell: {**dict.fromkeys(SUMS, 0), LATEST: None} for cell in gone}


def figures_of(cells: Mapping[Cell, Counts]) -> dict[str, float]:
    """Returns FIGURES of everybody, by name. A figure that is not known is left out."""
    values = {metric.value: metric_value(metric, cells[ALL]) for metric in FIGURES}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


@dataclass(frozen=True, slots=True)
class Total:
    """The activity, collection and context that cells are of. ``context_id`` is as aggregate rows write it. ``version``
    grows with each computation of the cells, and no two share one. ``as_of`` is when the computation began: nothing
    from before is missing."""

    activity_id: str
    collection_id: str
    context_id: str
    version: int
    as_of: datetime

    @property
    def activity_type(self) -> str:
        return activity_type(self.activity_id, self.collection_id)


def cell_key(total: Total, cell: Cell) -> str:
    """Returns the key of the record: all states of a cell go to one partition, in order."""
    dimension, value = cell
    return f"{total.activity_id}|{total.collection_id}|{total.context_id}|{dimension}|{value or ''}"


def cell_state(total: Total, cell: Cell, counts: Counts) -> dict[str, object]:
    """Returns the whole state of a cell, as druid_specs/activity-totals.json reads it. Moments are in epoch
    milliseconds."""
    dimension, value = cell
    return {
        "time": synthetic_time(total.activity_id).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "activity_type": total.activity_type,
        "activity_id": total.activity_id,
        "collection_id": total.collection_id,
        "context_id": total.context_id,
        "dimension": dimension,
        "value": value,
        "version": total.version,
        **counts,
        "as_of": milliseconds(total.as_of),
    }


def _month(at: datetime | None) -> str | None:
    return None if at is None else month_of(at)
