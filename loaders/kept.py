"""What a process keeps in memory, bounded in bytes: what was used longest ago makes room."""

from collections.abc import Callable, Hashable, Iterator, MutableMapping
from sys import getsizeof
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache, TTLCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY = 500
"""Bytes that an entry takes beside its texts: its places in the mappings, and an object with some fields."""
MEGABYTE = 1024 * 1024


def texts(*of: str | None) -> int:
    """Bytes that these texts take in memory. A text of an object that is kept anyway counts too."""
    return sum(getsizeof(text) for text in of if text is not None)


class Kept(MutableMapping[K, V], Generic[K, V]):
    """A mapping whose entries take at most ``most`` bytes together by ``size``, each for ``ttl`` seconds (None: for good).

    What is larger than all together may be is not kept. An entry that is set again is measured again.
    """

    def __init__(self, most: int, size: Callable[[K, V], int], *, ttl: float | None = None) -> None:
        def bytes_of(entry: tuple[V, int]) -> int:
            return entry[1]

        self._size = size
        self._entries: Cache[K, tuple[V, int]]
        self._entries = LRUCache(most, bytes_of) if ttl is None else TTLCache(most, ttl, getsizeof=bytes_of)

    @property
    def bytes(self) -> int:
        """What the entries take."""
        return int(self._entries.currsize)

    def __getitem__(self, key: K) -> V:
        return self._entries[key][0]

    def __setitem__(self, key: K, value: V) -> None:
        size = self._size(key, value)
        if size > self._entries.maxsize:
            self._entries.pop(key, None)
        else:
            self._entries[key] = value, size

    def __delitem__(self, key: K) -> None:
        del self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
