"""Druid's own JSON, valid to POST as it stands, and what Cohort derives from it.

A data source is two files: the supervisor that reads its topic and the compaction beside it. The tables of the embedded
engine, the compilers of group queries and the dimensions of the GraphQL schema come from here and are listed nowhere
else (R-QUERY-7, R-QUERY-8).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_MONTHS = {"enrolled_month": "enrolled_on", "completed_month": "completed_on"}


@dataclass(frozen=True)
class DataSource:
    """One row a key; every other column has the value of the latest version of its key.

    ``name`` is that of its files. Times are epoch milliseconds (columns ``…_on``, ``as_of``).
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
        """Its name in the engines, without an instance's prefix. A key never changes: a spec with another key is another
        data source, with a topic of its own, and is filled anew."""
        stored_as: str = self._schema["dataSource"]
        return stored_as

    @property
    def topic(self) -> str:
        """Without an instance's prefix."""
        topic: str = self.supervisor["spec"]["ioConfig"]["topic"]
        return topic

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Texts, in the order of the spec."""
        return tuple(column["name"] for column in self._schema["dimensionsSpec"]["dimensions"])

    @cached_property
    def latest(self) -> dict[str, str]:
        """The columns that follow the version, with their types: ``long``, ``double`` or ``string``."""
        return {
            metric["name"]: metric["type"].removesuffix("Last")
            for metric in self._schema["metricsSpec"]
            if metric["type"].endswith("Last")
        }

    @cached_property
    def months(self) -> dict[str, str]:
        """Columns that are computed: a month such as ``2026-03``, in UTC, by the column of its moment."""
        return {month: moment for month, moment in _MONTHS.items() if moment in self.latest}

    @cached_property
    def types(self) -> dict[str, str]:
        """Every column that a query may name: the key, what is stored by version, and the months."""
        return dict.fromkeys(self.key, "string") | self.latest | dict.fromkeys(self.months, "string")

    @property
    def _schema(self) -> Mapping[str, Any]:
        schema: Mapping[str, Any] = self.supervisor["spec"]["dataSchema"]
        return schema


ACTIVITY_STATE = DataSource.read("activity-state")
"""How each learner stands in each activity and context (rules/states.py)."""
ACTIVITY_TOTALS = DataSource.read("activity-totals")
"""The figures of each activity and context by one dimension at a time (rules/totals.py)."""
DATA_SOURCES = (ACTIVITY_STATE, ACTIVITY_TOTALS)
FORMER_DATA_SOURCES = ("activity-state", "activity-totals")
"""Names in the engines of what had other keys; removed where it is still there. Nothing is lost: all of a data source is
sent again from rows."""

VERSION = "version"
"""The column that decides which of two rows of a key is the later one."""
