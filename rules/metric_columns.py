"""Columns of a table of figures: their names and the kinds of their values.

A dimension goes by the name that data sources have for it: ``collection``, ``unit`` and ``context`` are of the enrolment,
every other one (a status, a period, an attribute) is of the learner.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from rules.learners import ATTRIBUTES
from rules.metrics import Metric
from rules.periods import PeriodUnit

COLLECTION, UNIT, CONTEXT = "collection", "unit", "context"
OF_ENROLMENT = (COLLECTION, UNIT, CONTEXT)
"""Dimensions whose values are ids, which have names."""
STATUS = "status"
WITHHELD = "withheld"
"""Whether a row is of all learners whose value is not told (rules/cohorts.py). No data source has it."""
_UNITS = {unit.value: unit for unit in PeriodUnit}


class ColumnKind(Enum):
    """The kind of a column's values."""

    DIMENSION = "dimension"
    LABEL = "label"
    NUMBER = "number"
    PERCENTAGE = "percentage"
    SECONDS = "seconds"
    DAYS = "days"
    DATETIME = "datetime"
    DISTRIBUTION = "distribution"
    FLAG = "flag"


_KINDS = {
    Metric.ENROLLED_COUNT: ColumnKind.NUMBER,
    Metric.COMPLETED_COUNT: ColumnKind.NUMBER,
    Metric.COMPLETION_PERCENTAGE: ColumnKind.PERCENTAGE,
    Metric.AVERAGE_PROGRESS: ColumnKind.PERCENTAGE,
    Metric.PROGRESS_DISTRIBUTION: ColumnKind.DISTRIBUTION,
    Metric.TIME_SPENT: ColumnKind.SECONDS,
    Metric.LAST_ACTIVITY: ColumnKind.DATETIME,
    Metric.AVERAGE_SCORE: ColumnKind.PERCENTAGE,
    Metric.MEDIAN_SCORE: ColumnKind.PERCENTAGE,
    Metric.SCORE_DISTRIBUTION: ColumnKind.DISTRIBUTION,
    Metric.PASS_RATE: ColumnKind.PERCENTAGE,
    Metric.ATTEMPTS_PER_LEARNER: ColumnKind.NUMBER,
    Metric.FIRST_ATTEMPT_RIGHT: ColumnKind.PERCENTAGE,
    Metric.LEARNERS_COUNT: ColumnKind.NUMBER,
    Metric.LEFT_COUNT: ColumnKind.NUMBER,
    Metric.AT_RISK_COUNT: ColumnKind.NUMBER,
    Metric.MEDIAN_PROGRESS: ColumnKind.PERCENTAGE,
    Metric.PROGRESS_PERCENTILES: ColumnKind.DISTRIBUTION,
    Metric.AVERAGE_DAYS_TO_COMPLETE: ColumnKind.DAYS,
    Metric.MEDIAN_DAYS_TO_COMPLETE: ColumnKind.DAYS,
}


class Side(Enum):
    """What a column shows of a metric."""

    VALUE = "value"
    SHARE = "share"
    """How many of 100 of the totals."""
    COMPARED = "compared"
    """The value on the other side of a comparison."""
    DIFFERENCE = "difference"
    """The value less that of the other side."""


@dataclass(frozen=True, slots=True)
class Column:
    """``of``: the dimension or the metric that it shows; of a label the dimension that it names."""

    name: str
    kind: ColumnKind
    of: Metric | str
    side: Side = Side.VALUE


@dataclass(frozen=True, slots=True)
class TimeDimension:
    """The periods of one ``unit`` that a moment is in, as ``enrolled_week`` is of ``enrolled_on``."""

    name: str
    moment: str
    unit: PeriodUnit


def dimension_column(dimension: str) -> Column:
    kind = ColumnKind.FLAG if dimension == WITHHELD else ColumnKind.DIMENSION
    return Column(camel(dimension), kind, dimension)


def label_column(dimension: str) -> Column:
    return Column(f"{camel(dimension)}Name", ColumnKind.LABEL, dimension)


def metric_column(metric: Metric) -> Column:
    return Column(metric.value, _KINDS[metric], metric)


def share_column(metric: Metric) -> Column:
    return Column(f"{metric.value}Share", ColumnKind.PERCENTAGE, metric, Side.SHARE)


def compared_columns(metric: Metric, prefix: str) -> Iterator[Column]:
    """Yields the column of the other side, and that of the difference where the metric is a number."""
    kind, name = _KINDS[metric], metric.value
    yield Column(f"{prefix}{name[0].upper()}{name[1:]}", kind, metric, Side.COMPARED)
    if kind not in (ColumnKind.DATETIME, ColumnKind.DISTRIBUTION):
        yield Column(f"{name}Difference", kind, metric, Side.DIFFERENCE)


def camel(column: str) -> str:
    """``age_band`` as clients have it: ``ageBand``."""
    first, *others = column.split("_")
    return first + "".join(word.capitalize() for word in others)


def time_dimension(dimension: str) -> TimeDimension | None:
    """Returns the dimension of time that has this name; None for another dimension."""
    moment, _, unit = dimension.rpartition("_")
    if unit not in _UNITS or dimension in ATTRIBUTES:
        return None
    return TimeDimension(dimension, f"{moment}_on", _UNITS[unit])
