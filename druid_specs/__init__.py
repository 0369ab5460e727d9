"""Druid's own JSON, which can be posted as it is, and what Cohort derives from it.

A data source is two files: the supervisor that reads its topic, and the compaction beside it. The tables of the embedded
engine, the compilers of group queries and the dimensions of the GraphQL schema are derived from these. They are listed
nowhere else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
PERIODS = ("day", "week", "month", "quarter", "year")
"""What moments are grouped by, by the names that computed columns end with (rules/periods.py)."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time from one moment to another in whole units of so many milliseconds, rounded down. It is 0 where the end is
    before the start, and null where one of the two is."""

    start: str
    end: str
    unit: int


_TO_COMPLETE = ("enrolled_on", "completed_on")
_SPANS = {
    "seconds_to_complete": Span(*_TO_COMPLETE, 1_000),
    "days_to_complete": Span(*_TO_COMPLETE, 86_400_000),
}


@dataclass(frozen=True)
class DataSource:
    """One row for each key; its other columns have the values of the key's latest version.

    ``name`` is that of the files. Times are epoch milliseconds (columns ``…_on``, ``as_of``).
    """

    name: str
    supervisor: Mapping[str, Any]
    compaction: Mapping[str, Any]

    @classmethod
    def read(cls, name: str) -> "DataSource":
        supervisor, compaction = (
            json.loads((_HERE / f"{name}{suffix}.json").read_text(encoding="utf-8"))
            for suffix in ("", ".compaction")
        )
        return cls(name, supervisor, compaction)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def stored_as(self) -> str:
        """The name in the engines, without an instance's prefix. A spec with another key is another data source, with a
        topic of its own, and is filled anew."""
        stored_as: str = self._schema["dataSource"]
        return stored_as

    @property
    def topic(self) -> str:
        """The name of the topic, without an instance's prefix."""
        topic: str = self.supervisor["spec"]["ioConfig"]["topic"]
        return topic

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of the key, all of them texts, in the order of the spec."""
        return tuple(column["name"] for column in self._schema["dimensionsSpec"]["dimensions"])

    @cached_property
    def placed_by(self) -> str:
        """The column of the key that the time of a row follows from: all rows of one value are in one day (rules/states.py)."""
        return "activity_id" if "activity_id" in self.key else "collection_id"

    @cached_property
    def latest(self) -> dict[str, str]:
        """The columns with the latest version's values, and their types: ``long``, ``double`` or ``string``."""
        return {
            metric["name"]: metric["type"].removesuffix("Last")
            for metric in self._schema["metricsSpec"]
            if metric["type"].endswith("Last")
        }

    @cached_property
    def longest(self) -> dict[str, int]:
        """The most bytes that Druid keeps of a text, of the columns whose spec says so (``maxStringBytes``)."""
        metrics = self._schema["metricsSpec"]
        return {metric["name"]: metric["maxStringBytes"] for metric in metrics if "maxStringBytes" in metric}

    @cached_property
    def moments(self) -> tuple[str, ...]:
        """The columns that hold moments."""
        return tuple(name for name in self.latest if name.endswith("_on"))

    @cached_property
    def periods(self) -> dict[str, tuple[str, str]]:
        """Computed columns, each with the column of its moment and one of PERIODS. ``enrolled_month`` is the month of
        ``enrolled_on``, in the zone that a query names, such as ``2026-03``."""
        return {
            f"{moment.removesuffix('_on')}_{period}": (moment, period)
            for moment in self.moments
            for period in PERIODS
        }

    @cached_property
    def spans(self) -> dict[str, Span]:
        """Computed columns of whole numbers: how long something took."""
        return {name: span for name, span in _SPANS.items() if {span.start, span.end} <= self.latest.keys()}

    @cached_property
    def types(self) -> dict[str, str]:
        """Every column that a query may name, and its type: the key, the latest values, the periods and the spans."""
        texts = dict.fromkeys(self.key, "string") | self.latest | dict.fromkeys(self.periods, "string")
        return texts | dict.fromkeys(self.spans, "long")

    @property
    def _schema(self) -> Mapping[str, Any]:
        schema: Mapping[str, Any] = self.supervisor["spec"]["dataSchema"]
        return schema


ACTIVITY_STATE = DataSource.read("activity-state")
"""The state of each learner in each activity and context (rules/states.py)."""
OWN_COLUMNS = frozenset({"active", "tree_version", "scores"})
"""Columns of ACTIVITY_STATE that are Cohort's own: nobody groups or filters by them."""
ACTIVITY_TOTALS = DataSource.read("activity-totals")
"""The figures of each activity and context by one dimension at a time (rules/totals.py)."""
ACTIVITY_DAY = DataSource.read("activity-day")
"""The days on which each learner was active in each collection and context (rules/active_days.py)."""
DATA_SOURCES = (ACTIVITY_STATE, ACTIVITY_TOTALS, ACTIVITY_DAY)
FORMER_DATA_SOURCES = ("activity-state", "activity-totals")
"""Names of data sources that had other keys; engines remove them. Nothing is lost: the events are sent again from rows."""

VERSION = "version"
"""The column that says which of two rows of a key is the later one."""
