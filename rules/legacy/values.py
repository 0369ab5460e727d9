"""Values of the existing platform's rows as ours: ids, times, statuses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Generic, TypeVar

from rules.errors import InvalidInput
from rules.identifiers import checked_id
from rules.legacy.tables import LegacyRow
from rules.origins import Origin, OriginKind
from rules.progress import Status

T = TypeVar("T")


class Unreadable(Exception):
    """A row, or a value in it, that has no counterpart. ``reason`` is one of few, so that they can be counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_MILLISECONDS = re.compile(r"(:\d\d):(\d{3})(?!\d)")
"""The platform's texts are yyyy-MM-dd HH:mm:ss:SSSZ: ISO 8601 but for one colon."""


_END_OF_DAY = time(23, 59, 59, 999000)


def moment_of(value: object, *, end_of_day: bool = False) -> datetime | None:
    """The moment in a timestamp or in a text of one of the platform's forms, in UTC and whole milliseconds; None for
    nothing.

    A date alone begins at midnight UTC, or is its last moment with ``end_of_day``. Unreadable for any other text.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return _whole(value)
    text = str(value).strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(_MILLISECONDS.sub(r"\1.\2", text))
        if end_of_day and len(text) == len("2026-01-31"):
            found = datetime.combine(found.date(), _END_OF_DAY)
        return _whole(found)
    except (ValueError, OverflowError):
        raise Unreadable("a time in an unknown form") from None


def _whole(at: datetime) -> datetime:
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def first_moment(
    row: LegacyRow, *columns: str, notes: list[str], end_of_day: bool = False
) -> datetime | None:
    """The moment in the first of these columns that has one. A text that cannot be read is passed over and noted."""
    for column in columns:
        try:
            at = moment_of(row.get(column), end_of_day=end_of_day)
        except Unreadable:
            notes.append(f"{column}: a time in an unknown form")
            continue
        if at is not None:
            return at
    return None


def ids_in(row: LegacyRow, *parts: str) -> list[str]:
    """The ids in these columns. Unreadable where one of them is no id."""
    try:
        return [checked_id(row.get(part), part) for part in parts]
    except InvalidInput:
        raise Unreadable("an id that is blank, too long or holds control characters") from None


def status_in(value: int | None) -> Status:
    """None is not started. Unreadable for a number that is no status."""
    try:
        return Status(value or 0)
    except ValueError:
        raise Unreadable("a status other than 0, 1, 2") from None


@dataclass(frozen=True, slots=True)
class Mapped(Generic[T]):
    """A value from a row. ``notes``: what was left behind or had to be guessed, in few words, so that they can be
    counted."""

    value: T
    notes: Sequence[str] = ()


def migrated_from(table: str, at: datetime) -> Origin:
    """The origin of a view that was brought over from this table. ``at``: when it was."""
    return Origin(OriginKind.MIGRATED, reason=table, at=at)
