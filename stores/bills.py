"""What the current request really costs, counted where it happens: partitions and rows at the ports of the stores, bytes
where an answer is put together."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field

from rules.errors import TooExpensive
from rules.prices import FREE, OVERRUN, Budget, Price
from stores.columns import Table
from stores.rows import Key, Write

log = logging.getLogger(__name__)

_bill: ContextVar["Bill | None"] = ContextVar("bill", default=None)
_stops: ContextVar[bool] = ContextVar("stops", default=False)
"""Whether what runs here may be ended for what it costs: not what others wait for too, and no command that has begun."""


@dataclass(slots=True)
class Bill:
    """The bill of one request.

    ``estimate``: what it would cost at most, known before it begins (GraphQL: once its document is valid; REST: once its
    request is checked). ``actual``: what it has cost by now; whole once the answer is.
    """

    budget: Budget = field(default_factory=Budget)
    estimate: Price = FREE
    partitions: int = 0
    druid_rows: int = 0
    bytes: int = 0
    stops: bool = True
    """Whether the request is ended once it is over: one that changes something is finished."""
    take: Callable[[int], None] | None = None
    """Takes the points of the estimate from those that the caller has left; raises RateLimited if they are too few."""
    over: TooExpensive | None = None
    """Why it is over the budget, by its estimate or by what it has cost, whether or not it is refused for that."""

    @property
    def actual(self) -> Price:
        return Price(self.partitions, self.druid_rows, self.bytes)

    def expect(self, estimate: Price, *, stops: bool = True) -> None:
        """Notes what the request would cost. TooExpensive if that is more than one may cost, RateLimited if it is more than the
        caller has left: then nothing must be read."""
        self.estimate, self.stops = estimate.bounded, stops
        self._refuse(self.budget.excess(self.estimate))
        if self.take is not None:
            self.take(self.estimate.points)

    def check(self) -> None:
        """TooExpensive once the request has really cost more than OVERRUN times the budget."""
        most = self.budget.most
        if not self.stops or (
            self.partitions <= OVERRUN * most.partitions
            and self.druid_rows <= OVERRUN * most.druid_rows
            and self.bytes <= OVERRUN * most.bytes
        ):
            return
        if self.over is None:
            self._refuse(self.budget.excess(self.actual, OVERRUN))
        elif self.budget.enforced:
            # Whatever of the request is still under way ends by the same error.
            raise self.over.with_traceback(None)

    def built(self, size: int) -> None:
        """Counts bytes of the answer and checks them."""
        self.bytes += size
        if self.bytes > OVERRUN * self.budget.most.bytes:
            self.check()

    def _refuse(self, excess: TooExpensive | None) -> None:
        if excess is None:
            return
        if self.budget.enforced:
            self.over = excess
            raise excess
        if self.over is None:
            self.over = excess
            log.warning("over the budget and let through, as warn_only says: %s", excess.message)


@contextmanager
def billed_to(bill: Bill) -> Iterator[None]:
    """Within, and in the tasks that begin there, what stores do is on this bill, and reads are ended once it is over."""
    token, stopping = _bill.set(bill), _stops.set(True)
    try:
        yield
    finally:
        _stops.reset(stopping)
        _bill.reset(token)


def billed_context(context: Context) -> Context:
    """The new context, with the bill of the current one: for work that others wait for too. Whoever comes first pays for it."""
    bill = _bill.get()
    if bill is not None:
        context.run(_bill.set, bill)
    return context


def unstopped_context() -> Context:
    """A copy of the current context in which nothing is ended for what it costs: a command that has begun is finished."""
    context = copy_context()
    context.run(_stops.set, False)
    return context


def partitions_of(table: Table, keys: Sequence[Key]) -> int:
    """How many partitions these distinct keys are in, each a partition's or a whole one."""
    width = len(table.partition)
    return len(keys) if not keys or len(keys[0]) == width else len({key[:width] for key in keys})


def partitions_written(writes: Iterable[Write]) -> int:
    return len({(write.table.name, *write.key[: len(write.table.partition)]) for write in writes})


def charge(*, partitions: int = 0, druid_rows: int = 0) -> None:
    """Puts work on the bill of the current request, if there is one. Never raises: others may wait for the same work."""
    bill = _bill.get()
    if bill is not None:
        bill.partitions += partitions
        bill.druid_rows += druid_rows


def check_bill() -> None:
    """TooExpensive as ``Bill.check`` has it. Reads of one request call it before they begin."""
    bill = _bill.get()
    if bill is not None and _stops.get():
        bill.check()
