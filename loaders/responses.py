"""Parts of responses as they were written, kept by this process: to write thousands of members as JSON takes far longer
than to look up what they depend on."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson

from loaders.answers import SPREAD
from loaders.kept import ENTRY, MEGABYTE, Kept
from rules.plans import Taken

MOST_BYTES = 64 * MEGABYTE


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """``text``: JSON; ``taken``: how its figures came about, ``as_of``: when; ``live``: the versions of collections that
    they are of."""

    text: bytes
    taken: Taken
    as_of: datetime
    live: Mapping[str, int] = field(default_factory=dict)

    @property
    def fragment(self) -> orjson.Fragment:
        """The text for an encoder of JSON, which copies it."""
        return orjson.Fragment(self.text)


class ResponseCache:
    """A key has whatever a response depends on, but for names and titles: these may be as old as its figures. It is short:
    what a client sends is in it as a digest."""

    def __init__(self, ttl: float) -> None:
        # An answer of the cache may go earlier by as much (loaders/answers.py); a response is never older than one.
        self.hits = 0
        self.misses = 0
        self._ttl = timedelta(seconds=ttl * (1 - SPREAD))
        self._kept: Kept[Hashable, KeptResponse] = Kept(
            MOST_BYTES, lambda _, response: 2 * ENTRY + len(response.text)
        )

    def get(self, key: Hashable, now: datetime) -> KeptResponse | None:
        """Its ``taken`` says that it is kept, and its age now."""
        response = self._kept.get(key)
        if response is None:
            self.misses += 1
            return None
        age = now - response.as_of
        if abs(age) >= self._ttl:
            del self._kept[key]
            self.misses += 1
            return None
        self.hits += 1
        taken = replace(response.taken, origin="cached", age=max(0.0, age / timedelta(seconds=1)))
        return replace(response, taken=taken)

    def counts(self) -> dict[str, int]:
        return {"hit": self.hits, "miss": self.misses}

    def keep(self, key: Hashable, response: KeptResponse) -> None:
        """Does not keep a response that is larger than all of them together may be."""
        if self._ttl:
            self._kept[key] = response
