"""How many points a caller may spend in a time (R-RATE-1)."""

from dataclasses import dataclass
from math import ceil

WINDOW = 60
"""Seconds that a rate's points are for."""

TOLERANCE = 1e-3
"""Points that floating-point numbers may be wrong by."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``points`` a minute. Who has spent nothing for a minute may spend as many at once. ``setting``: the name of the setting
    that says so; ``who``: for whom it is."""

    who: str
    setting: str
    points: int

    @property
    def per_second(self) -> float:
        return self.points / WINDOW


class Bucket:
    """The points that one caller has left. It fills up evenly and holds those of one WINDOW.

    All that is kept is the moment when it is full again (the generic cell rate algorithm). Times are in seconds of one
    clock.
    """

    __slots__ = ("_full_at", "_most", "_per_second")

    def __init__(self, rate: Rate) -> None:
        self._most, self._per_second = rate.points, rate.per_second
        self._full_at = float("-inf")

    def left(self, now: float) -> float:
        """The points that are left; below 0 where something has cost more than it was thought to."""
        return self._most - max(0.0, self._full_at - now) * self._per_second

    def wait(self, points: int, now: float, *, taken: int = 0) -> float:
        """Seconds until something may be done that needs so many points, of which some were ``taken`` before; 0 if it may be
        now. A full bucket is enough for any number, or who needs more would wait for ever."""
        lacking = min(points, self._most) - taken - self.left(now)
        return lacking / self._per_second if lacking > TOLERANCE else 0.0

    def take(self, points: int, now: float) -> None:
        """Takes points, whether or not they are there; gives some back for a number below 0."""
        self._full_at = max(self._full_at, now) + points / self._per_second

    def set_left(self, points: float, now: float) -> None:
        """Corrects what is left, to what others say."""
        self._full_at = now + (self._most - points) / self._per_second

    def is_full(self, now: float) -> bool:
        return self._full_at <= now


def whole_seconds(wait: float) -> int:
    """The seconds to tell somebody who has to wait: rounded up, so that nobody comes too early, and at least 1."""
    # A millionth is no wait: it is what a floating-point number is wrong by.
    return max(1, ceil(wait - 1e-6))
