"""What a table of figures is compared with, as clients write it."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry


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
