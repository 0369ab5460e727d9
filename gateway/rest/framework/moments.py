"""Moments as the platform writes and reads them."""

from datetime import UTC, datetime

MOMENT_FORMAT = "yyyy-MM-dd HH:mm:ss:SSSZ"


def moment(value: datetime | None) -> str | None:
    """The moment in UTC, such as ``2026-01-31 12:00:00:000+0000``."""
    if value is None:
        return None
    utc = value.astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(' ', 'seconds')}:{utc.microsecond // 1000:03}+0000"


def iso_moment(value: datetime) -> str:
    """The moment in UTC, such as ``2026-01-31T12:00:00Z``, as the platform's envelopes of contents have it."""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def iso_milliseconds(value: datetime) -> str:
    """The moment in UTC, such as ``2021-07-08T11:42:18.677Z``, as the platform's documents of the viewer have it."""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def parse_moment(text: str) -> datetime:
    """The inverse of ``moment``, for any offset, in UTC. ValueError for a text of another form."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S:%f%z").astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None
