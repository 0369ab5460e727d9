"""The deadline of the current request. Every call of a store keeps to it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rules.errors import DeadlineExceeded

T = TypeVar("T")

_until: ContextVar[float | None] = ContextVar("deadline", default=None)
_LATE = "its time is over"
_EARLY = 0.001
"""Seconds that uvloop's timers may be early: what one has ended is late."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within, no call of a store waits beyond ``seconds`` from now, nor beyond an outer deadline."""
    outer = _until.get()
    ends = time.monotonic() + seconds
    token = _until.set(ends if outer is None else min(outer, ends))
    try:
        yield
    finally:
        _until.reset(token)


@contextmanager
def deadline_at(ends: float | None) -> Iterator[None]:
    """Within, this deadline replaces every other. ``ends`` is as ``until`` gave it."""
    token = _until.set(ends)
    try:
        yield
    finally:
        _until.reset(token)


def until() -> float | None:
    """When the current request's time is over, by time.monotonic(); None for a request without a deadline."""
    return _until.get()


def remaining(most: float) -> float:
    """Seconds that a call of a store may take: ``most``, or less near the deadline. DeadlineExceeded once it has passed, or is
    as good as past (_EARLY)."""
    ends = _until.get()
    if ends is None:
        return most
    left = ends - time.monotonic()
    if left <= _EARLY:
        raise out_of_time()
    return min(most, left)


async def in_time(future: "asyncio.Future[T]", least: float = 0.0) -> T:
    """Waits for a plain future, or what shields one, until the deadline, but ``least`` seconds. DeadlineExceeded then; the future is
    cancelled."""
    ends = _until.get()
    if ends is None:
        return await future
    late = asyncio.get_running_loop().call_later(max(least, ends - time.monotonic()), future.cancel, _LATE)
    try:
        return await future
    except asyncio.CancelledError as error:
        # The future alone was cancelled, and not who waits for it. Not by `remaining`: the loop's clock is coarser, so a moment
        # of the time may be left.
        if error.args == (_LATE,) and not _is_being_cancelled():
            raise out_of_time() from None
        raise
    finally:
        late.cancel()
        # It has the error, whose trace has this frame: they would hold each other.
        del late, future


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def out_of_time() -> DeadlineExceeded:
    """The error of a call that its deadline ended."""
    return DeadlineExceeded("the request ran out of time before every store had answered")
