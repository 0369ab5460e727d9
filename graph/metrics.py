"""Figures of activities as rows and columns: what dashboards are made of."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.execution.planned import Planned
from graph.fields import field
from graph.info import Info
from graph.metric_columns import ActivityDimension
from graph.metric_comparisons import MetricComparisonInput
from graph.metric_filters import MetricFilterInput
from graph.tables import MetricColumn, columns_of, records_of, rows_of
from resolvers import nouns
from resolvers.metrics import Answered, MetricQuery, activity_metrics, metric_query, names_in


@strawberry.enum(description="From where to where.")
class OrderDirection(Enum):
    ASC = strawberry.enum_value("asc", description="The smallest first; null is the smallest.")
    DESC = strawberry.enum_value("desc", description="The largest first; null is the last.")


@strawberry.input(description="A column of the table: exactly one of `column`, `metric`, `dimension`.")
class MetricOrderInput:
    column: str | None = strawberry.field(
        default=None, description="By the column of this name, such as `averageProgress` or `collectionName`."
    )
    metric: enums.Metric | None = strawberry.field(default=None, description="By this metric.")
    dimension: Any = strawberry.field(
        default=None, graphql_type=ActivityDimension | None, description="By this dimension."
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )

    def order(self, place: int) -> nouns.OrderBy:
        columns = [
            *([] if self.column is None else [self.column]),
            *([] if self.metric is None else [self.metric.value]),
            *([] if self.dimension is None else [nouns.camel(self.dimension.value)]),
        ]
        if len(columns) != 1:
            raise nouns.InvalidInput(
                "exactly one of column, metric, dimension is needed here", field=f"orderBy[{place}]"
            )
        return nouns.OrderBy(columns[0], self.direction is OrderDirection.DESC)


@strawberry.input(description="What to count, and by what.")
class ActivityMetricsInput:
    metrics: list[enums.Metric] = strawberry.field(
        description="The columns after the dimensions; one at least."
    )
    activity_ids: list[str] | None = strawberry.field(
        default=None,
        description="Identifiers of collections or units, at most 200; all collections without it. With the dimension "
        "UNIT: collections whose units are meant, or units, which a collection within others is too; all units without "
        "it. NOT_FOUND where nothing is published under one.",
    )
    context_ids: list[str] | None = strawberry.field(
        default=None,
        description="Ids of contexts, at most 200; all without it. A collection's identifier for those who took it by "
        "itself. NOT_FOUND where there is no such context.",
    )
    dimensions: list[Any] | None = strawberry.field(
        default=None,
        graphql_type=list[ActivityDimension] | None,
        description="A row for each of their values that there is; one row without them.",
    )
    filter: MetricFilterInput | None = strawberry.field(default=None, description="Which enrolments count.")
    order_by: list[MetricOrderInput] | None = strawberry.field(
        default=None, description="The order of the rows. What it leaves open is ordered by the dimensions."
    )
    limit: int = strawberry.field(default=100, description="Rows, from 1 to 1000.")
    totals: bool = strawberry.field(
        default=False, description="Whether a row over everything is wanted, with what the limit cuts off."
    )
    mode: enums.AggregationMode | None = strawberry.field(
        default=None, description="How up to date; as the instance is set without it."
    )
    zone: str | None = strawberry.field(
        default=None,
        description="The time zone of the dimensions of time, by its name in the IANA database, such as `Asia/Kolkata`; UTC "
        "without it.",
    )
    fill_gaps: bool = strawberry.field(
        default=False,
        description="Whether every period from the first to the last has a row, also of no enrolment. Needs exactly one "
        "dimension of time. A filter by its moment says which are the first and the last.",
    )
    labels: bool = strawberry.field(
        default=False,
        description="Whether COLLECTION, UNIT and CONTEXT have a column with the names beside the ids: `collectionName`, "
        "`unitName`, `contextName`. They come after the dimensions.",
    )

    at_risk_days: int = strawberry.field(
        default=14,
        description="Days without a view after which AT_RISK_COUNT counts a learner who has not completed, from 1 to 3650.",
    )
    shares: list[enums.Metric] | None = strawberry.field(
        default=None,
        description="Metrics that get a column with their share of the totals, in percent with two decimals, such as "
        "`enrolledCountShare`: ENROLLED_COUNT, COMPLETED_COUNT, LEFT_COUNT, AT_RISK_COUNT, TIME_SPENT. The totals are over "
        "everything that the filter lets through, also what the limit cuts off.",
    )
    compare: MetricComparisonInput | None = strawberry.field(
        default=None,
        description="What the table is compared with. Each metric gets a column with the value there, such as "
        "`previousEnrolledCount` or `comparedEnrolledCount`, and, if it is a number, one with the difference, such as "
        "`enrolledCountDifference`.",
    )

    def query(self) -> MetricQuery:
        return metric_query(
            metrics=self.metrics,
            dimensions=[dimension.value for dimension in self.dimensions or ()],
            activity_ids=self.activity_ids,
            context_ids=self.context_ids,
            filter=None if self.filter is None else self.filter.said(),
            order=[order.order(place) for place, order in enumerate(self.order_by or ())],
            limit=self.limit,
            totals=self.totals,
            zone=self.zone,
            fill_gaps=self.fill_gaps,
            labels=self.labels,
            at_risk_days=self.at_risk_days,
            shares=self.shares or (),
            compare=None if self.compare is None else self.compare.said(),
        )


@strawberry.type(
    description="The rule by which figures of small cohorts are withheld.",
    directives=[to(Access.WITH_OBJECT)],
)
class MetricPrivacy:
    profile: str = strawberry.field(description="Its name in the settings, such as `threshold`.")
    least_cohort: int = strawberry.field(
        description="Learners that a figure by an attribute is of, at least."
    )
    source: str = strawberry.field(description="The publication that it follows.")


@strawberry.type(
    description="Figures of activities in rows and columns.", directives=[to(Access.WITH_OBJECT)]
)
class MetricTable:
    columns: list[MetricColumn] = strawberry.field(
        description="The dimensions, the labels, the metrics, the shares, and what is compared, as asked for."
    )
    rows: JSON = strawberry.field(description="A list of rows, each a list of values in the columns' order.")
    totals: JSON | None = strawberry.field(
        description="One row over everything that the filter lets through, also what the limit cut off; its "
        "dimensions are null. Null unless asked for."
    )
    rows_count: int = strawberry.field(
        description="Rows that there are. Where it is more than `rows` has, the limit cut off the last ones: raise it, or "
        "order the other way."
    )
    source: enums.Source = strawberry.field(description="What the figures were read from.")
    as_of: datetime | None = strawberry.field(
        description="What was known by then is in the figures; null where no aggregation has run yet."
    )
    complete: bool = strawberry.field(
        description="False where a part of the data was away or not computed yet, and where the figures are older than "
        "they should be for lack of new ones."
    )
    mode: enums.AggregationMode = strawberry.field(description="How up to date the figures are.")
    at_risk_before: datetime | None = strawberry.field(
        description="Who was last seen before this moment is at risk: `atRiskDays` before the full hour. Null where "
        "AT_RISK_COUNT was not asked for."
    )
    privacy: MetricPrivacy | None = strawberry.field(
        description="The rule by which small cohorts are withheld: the learners of all values that are not told are in the "
        "rows whose column `withheld` is true, where the attribute is null. Null where figures are told as they are counted."
    )
    answered: strawberry.Private[Answered]

    @field(description="The rows as objects: each a value by the column's name.")
    async def records(self) -> JSON:
        table = self.answered.table
        return records_of(table.columns, table.rows)

    @field(
        description="The names of the collections, units and contexts in the rows, by their ids. What is gone has none."
    )
    async def names(self, info: Info) -> JSON | None:
        return JSON(await names_in(info.context, self.answered.table))

    @classmethod
    def of(cls, answered: Answered) -> Self:
        plan, table, rule = answered.plan, answered.table, answered.rule
        return cls(
            columns=columns_of(table.columns),
            rows=rows_of(table.rows),
            totals=None if table.totals is None else rows_of(table.totals),
            rows_count=table.rows_count,
            source=plan.source,
            as_of=answered.as_of,
            complete=answered.complete,
            mode=plan.mode,
            at_risk_before=answered.seen_before,
            privacy=None
            if rule is None
            else MetricPrivacy(
                profile=rule.profile.name, least_cohort=rule.least, source=rule.profile.source
            ),
            answered=answered,
        )


@strawberry.type
class MetricQueries:
    @field(
        description="Figures over the active enrolments of activities. Needs the role mentor, reporter, admin or "
        "service; a creator sees them too, by an attribute of learners only of cohorts that are large enough (`privacy`). Tables of one document that share source and filter cost one query together.",
        graphql_type=MetricTable | None,
        access=Access.FIGURES,
    )
    async def activity_metrics(
        self,
        info: Info,
        query: Annotated[
            ActivityMetricsInput, strawberry.argument(description="What to count, and by what.")
        ],
    ) -> Planned[MetricTable]:
        answered = await activity_metrics(info.context, query.query(), mode=query.mode)
        return Planned(MetricTable.of(answered), answered.taken)
