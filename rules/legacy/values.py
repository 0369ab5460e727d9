"""Values of the existing platform's rows as ours: ids, times, numbers, statuses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, Generic, TypeVar

from rules.errors import InvalidInput
from rules.identifiers import LONGEST_ID, checked_id
from rules.legacy.tables import LegacyRow
from rules.origins import Origin, OriginKind
from rules.progress import Status

T = TypeVar("T")

NO_ID = "an id that is blank, too long or holds control characters"
NO_STATUS = "a status other than 0, 1, 2"
NO_FORM = "a time in an unknown form"
NO_YEAR = "a time outside the years 1 to 9999"
NOT_FINITE = "a number that is not finite"
NOT_WHOLE = "a number that is not whole"
OTHER_TYPE = "a value of another type"


class Unreadable(Exception):
    """A row, or a value in it, that has no counterpart.

    ``reason`` is one of few, so that they can be counted. ``column`` and ``value`` name what can't be read, where it is
    one value.
    """

    def __init__(self, reason: str, column: str | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column
        self.value = value


_MILLISECONDS = re.compile(r"(:\d\d):(\d{3})(?!\d)")
"""The platform's texts are yyyy-MM-dd HH:mm:ss:SSSZ: ISO 8601 but for one colon."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_DAY = time(23, 59, 59, 999000)


def moment_of(value: object, zone: tzinfo = UTC, *, end_of_day: bool = False) -> datetime | None:
    """Returns the moment in UTC and whole milliseconds; None for nothing.

    - ``value``: milliseconds since the epoch as the source gives a timestamp, a text of one of the platform's forms, or
      a datetime.
    - ``zone``: of texts that name no offset. A date alone begins at midnight there.
    - ``end_of_day``: the last millisecond of the moment's day in the zone. The platform looks at the day of an end
      alone (P-2.4).

    Raises Unreadable for any other text or type, and outside the years 1 to 9999.
    """
    try:
        if type(value) is int:
            at = _EPOCH + timedelta(milliseconds=value)
            if not end_of_day:
                return at
        elif value is None or (isinstance(value, str) and not value.strip()):
            return None
        elif isinstance(value, datetime):
            at = value
        elif isinstance(value, str):
            at = datetime.fromisoformat(_MILLISECONDS.sub(r"\1.\2", value.strip()))
        else:
            raise Unreadable(OTHER_TYPE, value=value)
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
        if end_of_day:
            at = datetime.combine(at.astimezone(zone).date(), _END_OF_DAY, zone)
        at = at.astimezone(UTC)
    except OverflowError:
        raise Unreadable(NO_YEAR, value=value) from None
    except ValueError:
        raise Unreadable(NO_FORM, value=value) from None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def first_moment(
    row: LegacyRow, *columns: str, notes: list[str], zone: tzinfo = UTC, end_of_day: bool = False
) -> datetime | None:
    """Returns the moment in the first of these columns that has one, as ``moment_of``.

    A text that can't be read is passed over and noted. Raises Unreadable, which names the column, for a timestamp that
    can't be read.
    """
    for column in columns:
        value = row.get(column)
        if value is None:
            continue
        try:
            at = moment_of(value, zone, end_of_day=end_of_day)
        except Unreadable as error:
            if not isinstance(value, str):
                raise Unreadable(error.reason, column, value) from None
            notes.append(f"{column}: {error.reason}")
            continue
        if at is not None:
            return at
    return None


def ids_in(row: LegacyRow, *parts: str) -> list[str]:
    """Returns the ids in these columns. Raises Unreadable where one of them is no id."""
    return [_id(row.get(part), part) for part in parts]


def _id(value: Any, part: str) -> str:
    try:
        # What is an id as it is, as nearly all are, needs no more than a look. No other space is printable.
        is_text = type(value) is str and 0 < len(value) <= LONGEST_ID
        if is_text and value.isprintable() and value[0] != " " != value[-1]:
            return str(value)
        return checked_id(value_in({part: value}, part, str), part)
    except InvalidInput:
        raise Unreadable(NO_ID, part, value) from None


def value_in(row: LegacyRow, column: str, kind: type[T]) -> T | None:
    """Returns the value if there is one. Raises Unreadable if it is of another type. A boolean is no int."""
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise Unreadable(OTHER_TYPE, column, value)


def number_in(row: LegacyRow, column: str) -> float | None:
    """Returns the number if there is one. Raises Unreadable for NaN, for Infinity and for what is no number.

    A whole number is an int, another one a float.
    """
    value = row.get(column)
    if value is None or type(value) is int:
        return value
    if isinstance(value, Decimal):
        value = float(value)
    if type(value) is not float:
        raise Unreadable(OTHER_TYPE, column, value)
    if not isfinite(value):
        raise Unreadable(NOT_FINITE, column, value)
    return value


def whole_in(row: LegacyRow, column: str) -> int | None:
    """Returns the number if there is one, as ``number_in``. Raises Unreadable also if it has a fraction."""
    value = number_in(row, column)
    if value is None or type(value) is int:
        return value
    if value != int(value):
        raise Unreadable(NOT_WHOLE, column, value)
    return int(value)


def status_in(value: object, column: str = "status") -> Status:
    """Returns the status; None is not started. Raises Unreadable for what is no status."""
    if value is None:
        return Status.NOT_STARTED
    if type(value) is not int:
        raise Unreadable(OTHER_TYPE, column, value)
    try:
        return Status(value)
    except ValueError:
        raise Unreadable(NO_STATUS, column, value) from None


@dataclass(frozen=True, slots=True)
class Mapped(Generic[T]):
    """A value from a row. ``notes``: what was left behind or had to be guessed, in few words, so that they can be
    counted."""

    value: T
    notes: Sequence[str] = ()


@lru_cache(maxsize=64)
def migrated_from(table: str, at: datetime) -> Origin:
    """The origin of a view that was brought over from this table. ``at``: when it was."""
    return Origin(OriginKind.MIGRATED, reason=table, at=at)
