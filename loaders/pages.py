"""Pages as they were written down for a client, kept by this process: to write thousands of members down takes far
longer than to look up what the page is made of."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cachetools import LRUCache

from loaders.answers import SPREAD
from rules.plans import Taken

MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """``text``: JSON; ``taken``: how its figures came about, ``as_of``: when."""

    text: bytes
    taken: Taken
    as_of: datetime


class Pages:
    """Whatever a page depends on is in its key, but for names and titles: these may be as old as its figures."""

    def __init__(self, ttl: float) -> None:
        # An answer of the cache may go earlier by as much (loaders/answers.py); a page is never older than one.
        self._ttl = timedelta(seconds=ttl * (1 - SPREAD))
        self._kept: LRUCache[Hashable, Page] = LRUCache(MOST_BYTES, getsizeof=lambda page: len(page.text))

    def get(self, key: Hashable, now: datetime) -> Page | None:
        """Its ``taken`` says that it is kept, and its age now."""
        page = self._kept.get(key)
        if page is None:
            return None
        age = now - page.as_of
        if abs(age) >= self._ttl:
            del self._kept[key]
            return None
        taken = replace(page.taken, origin="cached", age=max(0.0, age / timedelta(seconds=1)))
        return replace(page, taken=taken)

    def keep(self, key: Hashable, page: Page) -> None:
        """Nothing that is larger than all of them may be."""
        if self._ttl and len(page.text) <= MOST_BYTES:
            self._kept[key] = page
