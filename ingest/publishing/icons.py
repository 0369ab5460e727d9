"""App icons of a collection and its units. (A stand-in: the slice of packages has the real one.)"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loaders.session import Shared


@dataclass(frozen=True, slots=True)
class IconReport:
    """``stored``: the blob of each URL. ``failed``: why a URL was not fetched."""

    stored: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


async def fetch_icons(shared: Shared, urls: Sequence[str], identifier: str, version: int) -> IconReport:
    """Stores nothing."""
    return IconReport(failed=dict.fromkeys(urls, "not fetched"))
