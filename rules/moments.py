"""Moments as numbers, as data sources, the cache and REST have them: milliseconds since 1970, in integers throughout."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(at: datetime) -> int:
    """Of an aware moment; what is finer than a millisecond is cut off."""
    return (at - _EPOCH) // _MILLISECOND


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two, or the one that is known."""
    return min((at for at in (one, other) if at is not None), default=None)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two, or the one that is known."""
    return max((at for at in (one, other) if at is not None), default=None)


def moment(milliseconds: int) -> datetime:
    """In UTC. OverflowError for what no datetime can hold."""
    return _EPOCH + milliseconds * _MILLISECOND
