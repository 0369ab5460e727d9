"""Moments as numbers, as data sources, the cache and REST have them: milliseconds since 1970, in integers throughout."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    """Of an aware moment; what is finer than a millisecond is cut off."""
    return (at - _EPOCH) // _MILLISECOND


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two, or the one that is known."""
    return min((at for at in (one, other) if at is not None), default=None)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two, or the one that is known."""
    return max((at for at in (one, other) if at is not None), default=None)


def counted_on(told: datetime | None, at: datetime, since: datetime | None) -> datetime:
    """When something counts that a device says was ``told``: not after ``at``, the call's own time, and not before
    ``since``, the learner's beginning there. Where no beginning is known, a time of before EARLIEST is of a clock that
    was never set, and as good as none."""
    if told is None or (since is None and told < EARLIEST):
        return at if since is None else max(at, since)
    return min(told, at) if since is None else max(min(told, at), since)


def moment(milliseconds: int) -> datetime:
    """In UTC. OverflowError for what no datetime can hold."""
    return _EPOCH + milliseconds * _MILLISECOND


def written(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, ``2026-01-31T12:00:00.000Z``; years before 1000 have four digits too."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def month_of(at: datetime) -> str:
    """``2026-01``."""
    return at.astimezone(UTC).isoformat()[:7]
