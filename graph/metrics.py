"""Figures of activities as rows and columns: what dashboards are made of.

Dimensions and measures are the columns of druid_specs: a column that is added there is one here.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum, EnumMeta
from typing import Annotated, Any, Self

import orjson
import strawberry
from strawberry import UNSET
from strawberry.scalars import JSON

from druid_specs import ACTIVITY_STATE, OWN_COLUMNS
from graph import enums
from graph.fields import field
from graph.info import Info
from graph.planned import Planned
from graph.scalars import serialised_json
from resolvers import nouns
from resolvers.metrics import Answered, MetricQuery, activity_metrics, metric_query, names_in

_ENROLMENT = {
    "collection": "The collection: its identifier.",
    "unit": "The unit: its identifier. Figures are those of units then, not of collections.",
    "context": "The context: its id; null where a collection was taken by itself.",
}


_HAPPENED = {
    "enrolled_on": "enrolled",
    "completed_on": "completed",
    "last_accessed_on": "was last active",
}
_SUCH_AS = {"day": "2026-03-01", "week": "2026-W09", "month": "2026-03", "quarter": "2026-Q1", "year": "2026"}
_SCORES = {
    "score": "Points: the best scores of all assessments that the learner attempted, added up.",
    "max_score": "The maxima of these best attempts, added up.",
    "score_percentage": "score of maxScore, rounded down, from 0 to 100; null where nothing was scored.",
    "attempts_count": "The learner's attempts at all assessments.",
    "assessed_count": "Assessments that the learner attempted.",
    "right_first_count": "Those of them that were right at the first attempt.",
    "passable_count": "Those of them that have a pass mark.",
    "passed_count": "Those of them that the best attempt passed.",
}


def _dimensions() -> Iterator[tuple[str, str]]:
    """The dimensions with their descriptions."""
    yield from _ENROLMENT.items()
    yield "status", "How far the learner is: a value of `ProgressStatus`."
    for column, (moment, period) in ACTIVITY_STATE.periods.items():
        yield (
            column,
            f"The {period} in which the learner {_HAPPENED[moment]}, in `zone`, such as `{_SUCH_AS[period]}`; null for none.",
        )
    for column, kind in ACTIVITY_STATE.latest.items():
        if kind == "string" and column not in OWN_COLUMNS:
            yield column, f"The learner's {_words(column)}; null where it is not known."


def _measures() -> Iterator[tuple[str, str]]:
    for column, kind in ACTIVITY_STATE.latest.items():
        if kind != "string" and column not in (*OWN_COLUMNS, *ACTIVITY_STATE.moments, "status"):
            yield column, _SCORES.get(column) or f"The enrolment's {_words(column)}."


def _moments() -> Iterator[tuple[str, str]]:
    for moment in ACTIVITY_STATE.moments:
        yield moment, f"When the learner {_HAPPENED[moment]}; null for never."


def _words(column: str) -> str:
    return column.replace("_", " ")


def _enum(name: str, description: str, columns: Iterator[tuple[str, str]]) -> Any:
    meanings = dict(columns)
    made = EnumMeta.__call__(Enum, name, {column.upper(): column for column in meanings})
    return enums.described(made, name, description, {value: meanings[value.value] for value in made})


ActivityDimension: Any = _enum(
    "ActivityDimension", "What figures may be grouped and filtered by.", _dimensions()
)
ActivityMeasure: Any = _enum("ActivityMeasure", "Numbers that enrolments may be filtered by.", _measures())
ActivityMoment: Any = _enum("ActivityMoment", "Moments that enrolments may be filtered by.", _moments())


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


@strawberry.input(
    description="From where to where: one or both ends, each with the bound (`gte`, `lte`) or without (`gt`, `lt`)."
)
class NumberRangeInput:
    gte: float | None = strawberry.field(default=None, description="At least.")
    gt: float | None = strawberry.field(default=None, description="More than.")
    lte: float | None = strawberry.field(default=None, description="At most.")
    lt: float | None = strawberry.field(default=None, description="Less than.")


@strawberry.input(
    description="From when to when: one or both ends, each with the bound (`gte`, `lte`) or without (`gt`, `lt`)."
)
class MomentRangeInput:
    gte: datetime | None = strawberry.field(default=None, description="Then or later.")
    gt: datetime | None = strawberry.field(default=None, description="Later than.")
    lte: datetime | None = strawberry.field(default=None, description="Then or earlier.")
    lt: datetime | None = strawberry.field(default=None, description="Earlier than.")


@strawberry.input(description="A dimension, with `in` or `isNull`.")
class DimensionFilterInput:
    dimension: Any = strawberry.field(graphql_type=ActivityDimension, description="The dimension to look at.")
    among: list[str] | None = strawberry.field(
        name="in",
        default=None,
        description="It has one of these values. A status goes by its name, a time as in the dimension's description.",
    )
    is_null: bool | None = strawberry.field(default=None, description="Whether it has no value.")

    def said(self) -> dict[str, Any]:
        return {"dimension": self.dimension.value, "in": self.among, "isNull": self.is_null}


@strawberry.input(description="A number, with `range` or `isNull`.")
class MeasureFilterInput:
    measure: Any = strawberry.field(graphql_type=ActivityMeasure, description="The number to look at.")
    range: NumberRangeInput | None = strawberry.field(default=None, description="It is in this range.")
    is_null: bool | None = strawberry.field(default=None, description="Whether it has no value.")

    def said(self) -> dict[str, Any]:
        bounds = self.range and vars(self.range)
        return {"measure": self.measure.value, "range": bounds, "isNull": self.is_null}


@strawberry.input(description="A moment, with `range` or `isNull`.")
class MomentFilterInput:
    moment: Any = strawberry.field(graphql_type=ActivityMoment, description="The moment to look at.")
    range: MomentRangeInput | None = strawberry.field(default=None, description="It is in this range.")
    is_null: bool | None = strawberry.field(default=None, description="Whether there is none.")

    def said(self) -> dict[str, Any]:
        bounds = self.range and vars(self.range)
        return {"moment": self.moment.value, "range": bounds, "isNull": self.is_null}


@strawberry.input(
    one_of=True,
    description="Which enrolments count. At most 8 deep, with at most 100 conditions and 1000 values.",
)
class MetricFilterInput:
    every: list["MetricFilterInput"] | None = strawberry.field(
        name="and", default=UNSET, description="All of these hold."
    )
    some: list["MetricFilterInput"] | None = strawberry.field(
        name="or", default=UNSET, description="At least one of these holds."
    )
    opposite: "MetricFilterInput | None" = strawberry.field(
        name="not", default=UNSET, description="This does not hold."
    )
    dimension: DimensionFilterInput | None = strawberry.field(default=UNSET, description="By a dimension.")
    measure: MeasureFilterInput | None = strawberry.field(default=UNSET, description="By a number.")
    moment: MomentFilterInput | None = strawberry.field(default=UNSET, description="By a moment.")
    status: list[enums.Status] | None = strawberry.field(
        default=UNSET, description="The learner is so far: one of these."
    )

    def said(self) -> dict[str, Any]:
        """The filter by the names that clients use."""
        names = {"every": "and", "some": "or", "opposite": "not"}
        return {
            names.get(name, name): _said(value) for name, value in vars(self).items() if value is not UNSET
        }


def _said(value: Any) -> Any:
    if isinstance(value, list):
        return [each.name if isinstance(each, enums.Status) else each.said() for each in value]
    return value.said()


@strawberry.enum(description="By which of its moments an enrolment is in a period.")
class PeriodMoment(Enum):
    ENROLLED = strawberry.enum_value("enrolled_on", description="When the learner enrolled.")
    COMPLETED = strawberry.enum_value("completed_on", description="When the learner completed it first.")
    LAST_ACCESSED = strawberry.enum_value("last_accessed_on", description="The learner's last view.")


@strawberry.input(description="A period: from one moment to before another, 3660 days at most.")
class MetricPeriodInput:
    of: PeriodMoment = strawberry.field(description="By which moment an enrolment is in it.")
    from_: datetime = strawberry.field(name="from", description="The first moment.")
    to: datetime = strawberry.field(description="The moment right after the last.")

    def said(self) -> dict[str, Any]:
        return {"of": self.of.value, "from": self.from_, "to": self.to}


@strawberry.input(one_of=True, description="What a table is compared with.")
class MetricComparisonInput:
    previous_period: strawberry.Maybe[MetricPeriodInput] = strawberry.field(
        description="The table is of this period, and is compared with the period of the same length right before. With a "
        "dimension of time by the same moment, the first day, week or so stands beside the first of the previous period; one "
        "without a counterpart is in the totals alone."
    )
    context_ids: strawberry.Maybe[list[str]] = strawberry.field(
        description="Ids of contexts, at most 200. The dimension CONTEXT is not possible then."
    )

    def said(self) -> dict[str, Any]:
        if self.previous_period is not None:
            return {"previousPeriod": self.previous_period.value.said()}
        return {"contextIds": self.context_ids.value if self.context_ids is not None else []}


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


@strawberry.type(description="A column of a table.")
class MetricColumn:
    name: str = strawberry.field(
        description="The dimension or metric, such as `ageBand` or `enrolledCount`; no two are alike."
    )
    kind: enums.ColumnKind = strawberry.field(description="What its values are.")


@strawberry.type(description="Figures of activities in rows and columns.")
class MetricTable:
    columns: list[MetricColumn] = strawberry.field(
        description="The dimensions, the labels, the metrics, the shares, and what is compared, as asked for."
    )
    rows: JSON = strawberry.field(description="A list of rows, each a list of values in the columns' order.")
    totals: JSON | None = strawberry.field(
        description="One row over everything that the filter lets through, also what the limit cut off; its "
        "dimensions are null. Null unless asked for."
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
    answered: strawberry.Private[Answered]

    @field(description="The rows as objects: each a value by the column's name.")
    async def records(self) -> JSON:
        names = [column.name for column in self.columns]
        return serialised_json(
            orjson.dumps([dict(zip(names, row, strict=True)) for row in self.answered.table.rows])
        )

    @field(
        description="The names of the collections, units and contexts in the rows, by their ids. What is gone has none."
    )
    async def names(self, info: Info) -> JSON | None:
        return JSON(await names_in(info.context, self.answered.table))

    @classmethod
    def of(cls, answered: Answered) -> Self:
        plan, table = answered.plan, answered.table
        return cls(
            columns=[MetricColumn(name=column.name, kind=column.kind) for column in table.columns],
            rows=serialised_json(orjson.dumps(table.rows)),
            totals=None if table.totals is None else serialised_json(orjson.dumps(table.totals)),
            source=plan.source,
            as_of=answered.as_of,
            complete=answered.complete,
            mode=plan.mode,
            at_risk_before=answered.seen_before,
            answered=answered,
        )


@strawberry.type
class MetricQueries:
    @field(
        description="Figures over the active enrolments of activities. Needs the role mentor, reporter, admin or "
        "service; a creator sees them too, but not by attributes of learners. Tables of one document that share source and filter cost one query together.",
        graphql_type=MetricTable | None,
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
