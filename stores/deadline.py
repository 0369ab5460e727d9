"""How long the current request may still take, carried to every driver beneath it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rules.errors import DeadlineExceeded

_until: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within, no store call waits beyond ``seconds`` from now, nor beyond an outer deadline."""
    outer = _until.get()
    until = time.monotonic() + seconds
    token = _until.set(until if outer is None else min(outer, until))
    try:
        yield
    finally:
        _until.reset(token)


def remaining(most: float) -> float:
    """Seconds a store call may take: ``most``, or less near the deadline; DeadlineExceeded once it has passed."""
    until = _until.get()
    if until is None:
        return most
    left = until - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the request ran out of time before every store had answered")
    return min(most, left)
