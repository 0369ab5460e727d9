"""How long the current request may still take, carried to every driver beneath it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rules.errors import DeadlineExceeded

_until: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Sets a deadline: inside, no store call waits longer than ``seconds`` from now, nor beyond an outer deadline."""
    outer = _until.get()
    ends = time.monotonic() + seconds
    token = _until.set(ends if outer is None else min(outer, ends))
    try:
        yield
    finally:
        _until.reset(token)


@contextmanager
def deadline_at(ends: float | None) -> Iterator[None]:
    """Replaces the deadline, inside, by one that ``until`` gave."""
    token = _until.set(ends)
    try:
        yield
    finally:
        _until.reset(token)


def until() -> float | None:
    """Returns when the current request's time is over, by time.monotonic(), and None where it has no end."""
    return _until.get()


def remaining(most: float) -> float:
    """Returns the seconds that a store call may take: ``most``, or less near the deadline. DeadlineExceeded says that
    it has passed."""
    ends = _until.get()
    if ends is None:
        return most
    left = ends - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the request ran out of time before every store had answered")
    return min(most, left)
