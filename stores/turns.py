"""Turns of the event loop. Work on much data gives the loop to others again and again, so that none waits for all of it.

A turn is one round of the loop: all that was ready runs once. It may take AT_ONCE seconds of CPU for work that asks
``over``. What is not done by then waits for a later turn: the requests that wait take turns with each other, however much
each of them has left. Each wait looks at the deadline (stores/deadline.py), so no work goes on long after it.
"""

import asyncio
import types
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Sequence
from contextvars import Context
from math import inf
from time import perf_counter, thread_time
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from stores.deadline import remaining, until

_MOST_WOKEN = 256
"""How many are woken in a turn: all of them look at the clock, if only to wait again."""

T = TypeVar("T")
U = TypeVar("U")

AT_ONCE = 0.015
"""Seconds of CPU that the work of one turn may take."""
NEARLY = 0.001
"""Seconds for which a look at the CPU clock holds: a turn may be over so much earlier. Each look is a call of the system, and a
request has some thirty turns."""
FAR = 3
"""How many times AT_ONCE a turn takes at most where what was begun would be lost."""
PORTION = 256
"""Members of a list that are worked on between two looks at the clock."""


class _Turns:
    """The turns of one loop, and who waits for a later one: by their deadlines, which tell requests apart.

    Each turn wakes some of them, request by request: twice as many as the last one, or one where the last one was too short for
    all that were woken.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: OrderedDict[float | None, deque[asyncio.Future[None]]] = OrderedDict()
        self._ends: float | None = None
        self._cpu_ends = 0.0
        self._cpu = 0.0
        """What the thread had at ``_cpu_at``."""
        self._cpu_at = -inf
        self._scheduled = False
        self._woken = 1
        self._too_many = False
        self._context = Context()

    def over(self) -> bool:
        if self._ends is None:
            now = perf_counter()
            if now - self._cpu_at > NEARLY:
                self._cpu, self._cpu_at = thread_time(), now
            self._ends, self._cpu_ends = now + AT_ONCE, self._cpu + AT_ONCE
            self._schedule()
            return False
        # A thread never has more CPU than time has passed, and the clock of the latter costs a tenth.
        return perf_counter() >= self._ends and thread_time() >= self._cpu_ends

    def far_over(self) -> bool:
        if not self.over():
            return False
        more = (FAR - 1) * AT_ONCE
        assert self._ends is not None  # noqa: S101 - the turn has begun
        return perf_counter() >= self._ends + more and thread_time() >= self._cpu_ends + more

    def wait(self, *, first: bool) -> asyncio.Future[None]:
        """Done in a later turn. ``first``: before all others, as one who was woken in a turn that was over again."""
        future: asyncio.Future[None] = self._loop.create_future()
        request = until()
        futures = self._waiting.setdefault(request, deque())
        if first:
            self._too_many = True
            futures.appendleft(future)
            self._waiting.move_to_end(request, last=False)
        else:
            futures.append(future)
        self._schedule()
        return future

    def _schedule(self) -> None:
        """What is scheduled now runs in the next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next, context=self._context)

    def _next(self) -> None:
        self._scheduled, self._ends = False, None
        self._woken = 1 if self._too_many else min(2 * self._woken, _MOST_WOKEN)
        self._too_many, woken = False, 0
        while self._waiting and woken < self._woken:
            request, futures = self._waiting.popitem(last=False)
            future = futures.popleft()
            if futures:
                self._waiting[request] = futures  # behind all other requests
            if not future.done():
                future.set_result(None)
                woken += 1
        if self._waiting:
            self._schedule()


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()
_last: tuple[asyncio.AbstractEventLoop | None, _Turns | None] = (None, None)
"""The turns that were asked for last: a process has one loop, and this is asked for every member of a list."""


def _turns() -> _Turns:
    global _last
    loop = asyncio.get_running_loop()
    last, turns = _last
    if last is loop and turns is not None:
        return turns
    turns = _of_loops.get(loop)
    if turns is None:
        turns = _of_loops[loop] = _Turns(loop)
    _last = loop, turns
    return turns


def over() -> bool:
    """Whether the work of this turn has taken all of its time: whoever goes on must ``breathe`` first."""
    return _turns().over()


def far_over() -> bool:
    """Whether the turn has taken FAR times its time: the work of one who can't stop without losing what is done ends there."""
    return _turns().far_over()


async def breathe() -> None:
    """Waits for a later turn if this one is over. DeadlineExceeded if the request's time is over by then."""
    if over():
        await _later_turn()


@types.coroutine
def _later_turn() -> Generator[Any, Any, None]:
    turns = _turns()
    woken = False
    while turns.over():
        yield from turns.wait(first=woken)
        woken = True
        remaining(0)


@types.coroutine
def stepwise(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Awaits ``work``. Each time that it would go on in a turn that is over, it waits for a later one: hundreds that wait for
    the same answer do not all go on in one turn. DeadlineExceeded is raised where ``work`` waits."""
    failure: BaseException | None = None
    awaited: Any = None
    try:
        while True:
            if over():
                try:
                    yield from _later_turn()
                except BaseException as error:  # noqa: BLE001 - it is raised in the work
                    failure = error
            try:
                awaited = work.send(None) if failure is None else work.throw(failure)
            except StopIteration as end:
                return cast("T", end.value)
            failure = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - the same
                failure = error
    finally:
        del failure, awaited  # an error has this frame in its trace: they would hold each other


async def portions(items: Sequence[T], size: int = PORTION) -> AsyncIterator[Sequence[T]]:
    """Gives the items in portions of ``size``, and breathes between two of them."""
    for start in range(0, len(items), size):
        if start:
            await breathe()
        yield items[start : start + size]


async def in_turns(function: Callable[[T], U], items: Iterable[T]) -> list[U]:
    """What ``function`` makes of each item, in order. Breathes wherever the turn is over."""
    done: list[U] = []
    is_over = _turns().over
    for item in items:
        if is_over():
            await breathe()
        done.append(function(item))
    return done
