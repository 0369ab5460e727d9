"""Moments as data sources, the cache and REST write them: milliseconds since 1970, as whole numbers."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    """Returns the milliseconds of an aware moment. What is finer is cut off."""
    return (at - _EPOCH) // _MILLISECOND


def microseconds(at: datetime) -> int:
    """Microseconds since the epoch, as write times are, of the millisecond that it is in."""
    return milliseconds(at) * 1000


def known_milliseconds(at: datetime | None) -> int | None:
    """Returns the same of a moment that may not be known."""
    return None if at is None else milliseconds(at)


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Returns the earlier of two moments, or the one that is known."""
    return min((at for at in (one, other) if at is not None), default=None)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Returns the later of two moments, or the one that is known."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def counted_on(told: datetime | None, at: datetime, since: datetime | None) -> datetime:
    """Returns the moment that counts for one that a device ``told``. It is not after the call (``at``), and not before
    the learner's beginning there (``since``). Where no beginning is known, a moment before EARLIEST comes from a clock
    that was never set, and is as good as none."""
    if told is None or (since is None and told < EARLIEST):
        return at if since is None else max(at, since)
    return min(told, at) if since is None else max(min(told, at), since)


def moment(milliseconds: int) -> datetime:
    """Returns the moment of these milliseconds, in UTC. OverflowError says that no datetime can hold it."""
    return _EPOCH + milliseconds * _MILLISECOND


def known_moment(milliseconds: int | None) -> datetime | None:
    """Returns the same of milliseconds that may not be known."""
    return None if milliseconds is None else moment(milliseconds)


def written(at: datetime) -> str:
    """Returns the moment in RFC 3339, in UTC with milliseconds: ``2026-01-31T12:00:00.000Z``. Every year has four
    digits."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def written_milliseconds(milliseconds: int) -> str:
    """Returns the same of these milliseconds, without making a moment of each. OverflowError as of ``moment``."""
    minute, rest = divmod(milliseconds, 60_000)
    return f"{_minute(minute)}{rest // 1000:02}.{rest % 1000:03}Z"


@lru_cache(maxsize=16_384)
def _minute(number: int) -> str:
    """The beginning of the texts of all moments in this minute since 1970."""
    return moment(number * 60_000).replace(tzinfo=None).isoformat(timespec="minutes") + ":"


def month_of(at: datetime) -> str:
    """Returns the month of a moment in UTC, such as ``2026-01``."""
    return at.astimezone(UTC).isoformat()[:7]
