"""Orders of lists of contexts."""

from collections.abc import Callable
from enum import Enum
from operator import attrgetter

from resolvers.ordering import Ordering, Value, by_id
from rules.contexts import Context


class ContextOrder(Enum):
    CONTEXT_ID = "contextId"
    NAME = "name"
    START_DATE = "startDate"
    END_DATE = "endDate"
    JOINABLE_UNTIL = "joinableUntil"


_VALUES: dict[ContextOrder, Callable[[Context], Value]] = {
    ContextOrder.CONTEXT_ID: by_id,
    ContextOrder.NAME: attrgetter("name"),
    ContextOrder.START_DATE: attrgetter("start_date"),
    ContextOrder.END_DATE: attrgetter("end_date"),
    ContextOrder.JOINABLE_UNTIL: attrgetter("joinable_until"),
}


def ordering_of(by: ContextOrder, *, descending: bool) -> Ordering[Context]:
    return Ordering(by.name, _VALUES[by], attrgetter("context_id"), descending)
