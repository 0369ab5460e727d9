"""What the figures of one activity were, day by day."""

from datetime import date, datetime
from typing import Annotated, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.fields import field
from graph.info import Info
from graph.tables import MetricColumn, columns_of, records_of, rows_of
from resolvers.activity_histories import (
    DEFAULT_METRICS,
    KEPT_METRICS,
    MOST_DAYS,
    MOST_RECORDED,
    ActivityHistory,
    ActivityHistoryQuery,
    activity_history,
    activity_history_query,
)


@strawberry.input(description="Whose figures, of which days.")
class ActivityHistoryInput:
    activity_id: str = strawberry.field(description="The collection or the unit: its identifier.")
    collection_id: str | None = strawberry.field(
        default=None,
        description="The collection that the unit is looked at in: needed for a unit, which has figures of its own in each.",
    )
    context_id: str | None = strawberry.field(
        default=None,
        description="The context's id; the collection's identifier for those who took it by itself. Without it the sum over "
        f"all contexts that the collection has; INVALID_INPUT if days times contexts are more than {MOST_RECORDED:,}.",
    )
    first: date = strawberry.field(name="from", description="The first day.")
    last: date = strawberry.field(name="to", description=f"The last day. There may be {MOST_DAYS} days.")
    metrics: list[enums.Metric] | None = strawberry.field(
        default=None,
        description=f"The columns after the date; {', '.join(metric.name for metric in DEFAULT_METRICS)} without it. There "
        f"are {', '.join(metric.name for metric in KEPT_METRICS)}; INVALID_INPUT for others.",
    )

    def query(self) -> ActivityHistoryQuery:
        return activity_history_query(first=self.first, last=self.last, metrics=self.metrics)


@strawberry.type(
    description="What the figures of an activity were at the end of each day.",
    directives=[to(Access.WITH_OBJECT)],
)
class ActivityHistoryTable:
    columns: list[MetricColumn] = strawberry.field(
        description="`date`, the metrics, and `recorded`: whether an aggregation of that day found a change. If not, the "
        "figures are those of the last day before that has one."
    )
    rows: JSON = strawberry.field(
        description="A list of rows, each a list of values in the columns' order: one for each day, in order. A date is "
        "`2026-01-31`. Metrics are null before the first recorded day, on days that are still to come, and where "
        "nothing is left to count."
    )
    day_zone: str = strawberry.field(description="The time zone whose clocks say which day a moment is in.")
    as_of: datetime | None = strawberry.field(
        description="When the last aggregation began that came to its end; null if there was none."
    )
    complete: bool = strawberry.field(
        description="False if no aggregation has counted on the last day yet, or, where that is to come, today. Then "
        "figures of the days after `asOf` may have changed."
    )
    shown: strawberry.Private[ActivityHistory]

    @field(description="The rows as objects: each a value by the column's name.")
    async def records(self) -> JSON:
        return records_of(self.shown.columns, self.shown.rows)

    @classmethod
    def of(cls, shown: ActivityHistory) -> Self:
        return cls(
            columns=columns_of(shown.columns),
            rows=rows_of(shown.rows),
            day_zone=shown.day_zone,
            as_of=shown.as_of,
            complete=shown.complete,
            shown=shown,
        )


@strawberry.type
class ActivityHistoryQueries:
    @field(
        description="What the figures of a collection or a unit were at the end of each day, as the aggregation kept them. "
        "Needs the role mentor, reporter, admin, service or creator.",
        access=Access.FIGURES,
    )
    async def activity_history(
        self,
        info: Info,
        query: Annotated[
            ActivityHistoryInput, strawberry.argument(description="Whose figures, of which days.")
        ],
    ) -> ActivityHistoryTable | None:
        found = await activity_history(
            info.context,
            query.query(),
            query.activity_id,
            context_id=query.context_id,
            collection_id=query.collection_id,
        )
        return ActivityHistoryTable.of(found)
