"""Which enrolments figures of activities are of, as a client writes it."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry import UNSET

from graph import enums
from graph.metric_columns import ActivityDimension, ActivityMeasure, ActivityMoment


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
