"""Ids of new contents and units, as the platform makes them: ``do_`` and digits that grow with time."""

from datetime import datetime
from secrets import randbelow

from rules.moments import milliseconds

_DIGITS = 9
"""Digits behind the milliseconds: a random number, and those that follow it."""


def generated_ids(count: int, now: datetime) -> list[str]:
    """Returns so many new ids, in order. Two calls in the same millisecond differ by chance: who writes under such an id
    checks that it is free."""
    first = randbelow(10**_DIGITS - count)
    return [f"do_{milliseconds(now)}{number:0{_DIGITS}}" for number in range(first, first + count)]
