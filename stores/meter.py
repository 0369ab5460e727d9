"""Counts what is sent to a store, so that tests can promise how much a request costs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Meter:
    """Counts statements: ``counts["select user_enrolments"]`` are those since the start, ``measure()`` those of a
    stretch of code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    @contextmanager
    def measure(self) -> Iterator[Counter[str]]:
        """Gives counts that are filled when the stretch ends."""
        before = self.counts.copy()
        measured: Counter[str] = Counter()
        try:
            yield measured
        finally:
            measured.update(self.counts - before)
