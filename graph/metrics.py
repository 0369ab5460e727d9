"""Figures of activities as rows and columns: what dashboards are made of.

Dimensions and measures are the columns of druid_specs: a column that is added there is one here.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum, EnumMeta
from typing import Annotated, Any, Self

import orjson
import strawberry
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
    for column, moment in ACTIVITY_STATE.months.items():
        done = moment.removesuffix("_on")
        yield column, f"The month in which the learner {done}, in UTC, such as `2026-03`; null for none."
    for column, kind in ACTIVITY_STATE.latest.items():
        if kind == "string" and column not in OWN_COLUMNS:
            yield column, f"The learner's {_words(column)}; null where it is not known."


def _measures() -> Iterator[tuple[str, str]]:
    for column, kind in ACTIVITY_STATE.latest.items():
        if kind != "string" and column not in OWN_COLUMNS:
            moment = "; a moment in RFC 3339" if column.endswith("_on") else ""
            yield column, _SCORES.get(column) or f"The enrolment's {_words(column)}{moment}."


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


@strawberry.enum(description="From where to where.")
class OrderDirection(Enum):
    ASC = strawberry.enum_value("asc", description="The smallest first; null is the smallest.")
    DESC = strawberry.enum_value("desc", description="The largest first; null is the last.")


@strawberry.input(description="A metric or a dimension of the same query: one of the two.")
class MetricOrderInput:
    metric: enums.Metric | None = strawberry.field(default=None, description="By this metric.")
    dimension: Any = strawberry.field(
        default=None, graphql_type=ActivityDimension | None, description="By this dimension."
    )
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="From the smallest or from the largest."
    )

    def order(self, place: int) -> nouns.OrderBy:
        by = self.metric or self.dimension
        if by is None or (self.metric and self.dimension):
            raise nouns.InvalidInput(
                "exactly one of metric, dimension is needed here", field=f"orderBy[{place}]"
            )
        by = by if isinstance(by, nouns.Metric) else by.value
        return nouns.OrderBy(by, self.direction is OrderDirection.DESC)


@strawberry.input(
    description="From where to where: numbers, or moments in RFC 3339 for the measures that are moments. "
    "One or both ends, each with the bound (`gte`, `lte`) or without (`gt`, `lt`)."
)
class RangeInput:
    gte: JSON | None = strawberry.field(default=None, description="At least.")
    gt: JSON | None = strawberry.field(default=None, description="More than.")
    lte: JSON | None = strawberry.field(default=None, description="At most.")
    lt: JSON | None = strawberry.field(default=None, description="Less than.")


@strawberry.input(
    description="Which enrolments count. Exactly one of: `and`, `or`, `not`; a `dimension` with `in` or `isNull`; "
    "a `measure` with `range` or `isNull`. At most 8 deep, with at most 100 conditions and 1000 values."
)
class MetricFilterInput:
    every: list["MetricFilterInput"] | None = strawberry.field(
        name="and", default=None, description="All of these hold."
    )
    some: list["MetricFilterInput"] | None = strawberry.field(
        name="or", default=None, description="At least one of these holds."
    )
    opposite: "MetricFilterInput | None" = strawberry.field(
        name="not", default=None, description="This does not hold."
    )
    dimension: Any = strawberry.field(
        default=None, graphql_type=ActivityDimension | None, description="The dimension to look at."
    )
    among: list[str] | None = strawberry.field(
        name="in", default=None, description="The dimension has one of these values."
    )
    is_null: bool | None = strawberry.field(
        default=None, description="Whether the dimension or measure has no value."
    )
    measure: Any = strawberry.field(
        default=None, graphql_type=ActivityMeasure | None, description="The measure to look at."
    )
    range: RangeInput | None = strawberry.field(default=None, description="The measure is in this range.")

    def said(self) -> dict[str, Any]:
        """The filter by the names that clients use."""
        return {
            "and": self.every and [part.said() for part in self.every],
            "or": self.some and [part.said() for part in self.some],
            "not": self.opposite and self.opposite.said(),
            "dimension": self.dimension and self.dimension.value,
            "in": self.among,
            "isNull": self.is_null,
            "measure": self.measure and self.measure.value,
            "range": self.range and vars(self.range),
        }


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
        )


@strawberry.type(description="A column of a table.")
class MetricColumn:
    name: str = strawberry.field(description="The dimension or metric, such as `ageBand` or `enrolledCount`.")
    kind: enums.ColumnKind = strawberry.field(description="What its values are.")


@strawberry.type(description="Figures of activities in rows and columns.")
class MetricTable:
    columns: list[MetricColumn] = strawberry.field(
        description="The dimensions, then the metrics, as asked for."
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
    answered: strawberry.Private[Answered]

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
