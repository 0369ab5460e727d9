"""Counts the statements sent to a store: for metrics, for slow requests, and for tests that say what a request costs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from telemetry.requests import note_statements


class Meter:
    """``counts["select user_enrolments"]``: statements since the start. ``measure()`` counts those of some code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, what: str, times: int = 1) -> None:
        self.counts[what] += times
        note_statements(what, times)

    @contextmanager
    def measure(self) -> Iterator[Counter[str]]:
        """Yields a counter that has the counts of the block once it ends."""
        before = self.counts.copy()
        measured: Counter[str] = Counter()
        try:
            yield measured
        finally:
            measured.update(self.counts - before)
