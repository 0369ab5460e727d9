"""The days on which a learner did something in a place: a collection under a context (R-ACTIVE-1).

A day is a number, counted from 1 January 1970 by the clocks of one zone for the whole instance. Rows have the days of a place
as bytes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import orjson

from rules.aggregates import AggregateKey
from rules.errors import InvalidInput
from rules.moments import moment
from rules.states import written_time

MOST_DAYS = 3_653
"""Days before the last active one that are remembered: ten years, which are 459 bytes at most."""
NO_DAYS: frozenset[int] = frozenset()

_EPOCH = date(1970, 1, 1).toordinal()
_EARLIEST, _LATEST = date(1970, 2, 1), date(2149, 1, 1)
_HOUR = 3_600_000
_HIGHEST = 0xFFFF
"""Two bytes hold the last day, which may be as late as in 2149."""


@dataclass(frozen=True)
class DayZone:
    """The zone whose clocks say which day a moment is in: a name of the IANA database."""

    name: str = "UTC"

    @cached_property
    def _zone(self) -> tzinfo:
        return UTC if self.name == "UTC" else ZoneInfo(self.name)

    def day_of(self, at: datetime) -> int:
        return at.astimezone(self._zone).toordinal() - _EPOCH

    def days_of(self, moments: Iterable[datetime | None]) -> frozenset[int]:
        """Returns the days of those that are known."""
        return frozenset(self.day_of(at) for at in set(moments) if at is not None)

    def days_of_milliseconds(self, moments: Iterable[int]) -> frozenset[int]:
        """As ``days_of``, of epoch milliseconds."""
        by_hour: defaultdict[int, list[int]] = defaultdict(list)
        for at in set(moments):
            by_hour[at // _HOUR].append(at)
        days: set[int] = set()
        for hour, those in by_hour.items():
            day = _day_of_hour(self, hour)
            days.update([day] if day is not None else [self.day_of(moment(at)) for at in those])
        return frozenset(days)

    def one_a_day(self, moments: Collection[datetime]) -> list[datetime]:
        """Returns the last moment of each day, in order."""
        last = {self.day_of(at): at for at in sorted(moments)} if len(moments) > 1 else {}
        return list(last.values()) or list(moments)


@lru_cache(maxsize=100_000)
def _day_of_hour(zone: DayZone, hour: int) -> int | None:
    """The day that the hour is in, counted in UTC. None where the day ends within it."""
    first, last = (zone.day_of(moment(at)) for at in (hour * _HOUR, (hour + 1) * _HOUR - 1))
    return first if first == last else None


def day_number(day: date) -> int:
    return day.toordinal() - _EPOCH


def check_days(first: date, last: date) -> None:
    """InvalidInput (fields from and to) unless these are the first and the last of days that may be asked for."""
    for day, field in ((first, "from"), (last, "to")):
        if not _EARLIEST <= day <= _LATEST:
            raise InvalidInput(f"{field} must be from {_EARLIEST} to {_LATEST}", field=field)
    if last < first:
        raise InvalidInput(f"to must not be before from, which is {first}", field="to")


def date_of(day: int) -> date:
    return date.fromordinal(day + _EPOCH)


def remembered(days: Iterable[int]) -> frozenset[int]:
    """Returns the days that rows can hold: from 1970 on, and at most MOST_DAYS before the last one."""
    known = frozenset(day for day in days if 0 <= day <= _HIGHEST)
    if not known:
        return NO_DAYS
    first = max(known) - MOST_DAYS
    return known if min(known) > first else frozenset(day for day in known if day > first)


def encode_days(days: Set[int]) -> bytes | None:
    """Returns ``remembered`` days as bytes: the last day in two, then a bit for it and for each day before it, backwards.
    None for none.

    More days are greater bytes. So where two writes of one version meet, and the store keeps the greater value, the one that
    knew more days wins.
    """
    if not days:
        return None
    last = max(days)
    size = (last - min(days)) // 8 + 1
    bits = 0
    for day in days:
        bits |= 1 << (8 * size - 1 - (last - day))
    return last.to_bytes(2) + bits.to_bytes(size)


def decode_days(stored: bytes | None) -> frozenset[int]:
    """Returns the days of these bytes."""
    if not stored:
        return NO_DAYS
    last, bits = int.from_bytes(stored[:2]), int.from_bytes(stored[2:])
    written = f"{bits:0{8 * (len(stored) - 2)}b}"
    return frozenset(last - back for back, bit in enumerate(written) if bit == "1")


@dataclass(frozen=True, slots=True)
class ActiveDay:
    """What group queries are told of a learner's day in a place. ``key`` is that of the collection's own figures.

    ``is_active`` is False for a day that is taken back: the place was erased, or left for another. Of two of the same day
    the higher version counts.
    """

    key: AggregateKey
    day: int
    version: int
    is_active: bool = True

    @property
    def record_key(self) -> str:
        """The key of the record: all days of a learner's place go to one partition, in order."""
        return f"{self.key.collection_id}|{self.key.context_id}|{self.key.user_id}"

    def encode(self) -> bytes:
        """Returns the event as it goes onto the topic."""
        key = self.key
        return orjson.dumps(
            {
                "time": written_time(key.collection_id),
                "collection_id": key.collection_id,
                "context_id": key.context_id,
                "user_id": key.user_id,
                "day": date_of(self.day).isoformat(),
                "version": self.version,
                "active": int(self.is_active),
            }
        )
