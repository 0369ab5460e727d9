"""Active learners over time."""

from datetime import date, datetime
from enum import Enum
from typing import Annotated, Self

import strawberry
from strawberry.scalars import JSON

from graph.access import Access, to
from graph.fields import field
from graph.info import Info
from graph.tables import MetricColumn, columns_of, records_of, rows_of
from resolvers.active_learners import (
    ActiveLearnersQuery,
    PeriodUnit,
    Timeline,
    active_learners_query,
    timeline,
)


@strawberry.enum(description="How far apart dates are.")
class ActivityInterval(Enum):
    DAY = strawberry.enum_value("day", description="Each day.")
    WEEK = strawberry.enum_value("week", description="Each week; it begins on Monday.")
    MONTH = strawberry.enum_value("month", description="Each month.")


@strawberry.enum(description="What active learners may be counted by.")
class ActivityGrouping(Enum):
    COLLECTION = strawberry.enum_value("collection", description="The collection: its identifier.")
    CONTEXT = strawberry.enum_value(
        "context", description="The context: its id; null where a collection was taken by itself."
    )


@strawberry.input(description="Whose activity is counted, and when.")
class ActiveLearnersInput:
    first: date = strawberry.field(name="from", description="The first day.")
    last: date = strawberry.field(
        name="to", description="The last day. There may be 400 dates from the first on."
    )
    every: ActivityInterval = strawberry.field(
        default=ActivityInterval.DAY,
        description="A row for each day, week or month. Weeks and months count whole, also those that the dates begin or "
        "end in.",
    )
    window: int | None = strawberry.field(
        default=None,
        description="Learners of so many days up to each date, from 1 to 28, instead of those of the day, week or month. The "
        "date is then the last of these days. INVALID_INPUT where there is too much to read for each of them.",
    )
    activity_ids: list[str] | None = strawberry.field(
        default=None,
        description="Identifiers of collections, at most 200; all without it. NOT_FOUND where nothing is published under one.",
    )
    context_ids: list[str] | None = strawberry.field(
        default=None,
        description="Ids of contexts, at most 200; all without it. A collection's identifier for those who took it by "
        "itself. NOT_FOUND where there is no such context.",
    )
    by: ActivityGrouping | None = strawberry.field(
        default=None,
        description="Rows for each collection or context that had a learner at any of the dates.",
    )

    def query(self) -> ActiveLearnersQuery:
        return active_learners_query(
            first=self.first,
            last=self.last,
            every=PeriodUnit(self.every.value),
            window=self.window,
            activity_ids=self.activity_ids,
            context_ids=self.context_ids,
            by=None if self.by is None else str(self.by.value),
        )


@strawberry.type(
    description="How many different learners were active at each date.", directives=[to(Access.WITH_OBJECT)]
)
class ActiveLearnersTable:
    columns: list[MetricColumn] = strawberry.field(
        description="`date`, then `collection` or `context` if asked for, then `activeLearners`."
    )
    rows: JSON = strawberry.field(
        description="A list of rows, each a list of values in the columns' order, by date. A date is `2026-01-31`; of a week "
        "or a month it is the first day. A date with nobody has a row too."
    )
    day_zone: str = strawberry.field(description="The time zone whose clocks say which day a moment is in.")
    as_of: datetime = strawberry.field(description="What the workers had counted by then is in the figures.")
    complete: bool = strawberry.field(
        description="False where a part of the data was away, and where the figures are older than they should be."
    )
    shown: strawberry.Private[Timeline]

    @field(description="The rows as objects: each a value by the column's name.")
    async def records(self) -> JSON:
        return records_of(self.shown.columns, self.shown.rows)

    @classmethod
    def of(cls, shown: Timeline) -> Self:
        return cls(
            columns=columns_of(shown.columns),
            rows=rows_of(shown.rows),
            day_zone=shown.day_zone,
            as_of=shown.found.as_of,
            complete=shown.found.complete,
            shown=shown,
        )


@strawberry.type
class ActiveLearnersQueries:
    @field(
        description="How many different learners did something at each date: opened, went on with or completed a content, or "
        "submitted an assessment. Each counts once for a date, in however many collections and contexts. Needs the role "
        "mentor, reporter, admin, service or creator.",
        access=Access.FIGURES,
    )
    async def active_learners(
        self,
        info: Info,
        query: Annotated[
            ActiveLearnersInput, strawberry.argument(description="Whose activity is counted, and when.")
        ],
    ) -> ActiveLearnersTable | None:
        return ActiveLearnersTable.of(await timeline(info.context, query.query()))
