"""What a process keeps in memory, bounded in bytes: what was used longest ago makes room."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from math import inf
from sys import getsizeof
from time import monotonic
from typing import Generic, TypeVar, cast, overload

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

ENTRY = 500
"""Bytes that an entry takes beside its texts: its places in the mappings, and an object with some fields."""
MEGABYTE = 1024 * 1024


class _Missing:
    """What no key has."""


_MISSING = _Missing()


def texts(*of: str | None) -> int:
    """Bytes that these texts take in memory. A text of an object that is kept anyway counts too."""
    return sum(getsizeof(text) for text in of if text is not None)


class Kept(MutableMapping[K, V], Generic[K, V]):
    """A mapping whose entries take at most ``most`` bytes together by ``size``, each for ``ttl`` seconds (None: for good).

    What is larger than all together may be is not kept. An entry that is set again is measured again, and kept for as long
    anew. A page of a list looks here hundreds of times, which is why this is a plain mapping and not one of cachetools
    (docs/decisions.md).
    """

    def __init__(self, most: int, size: Callable[[K, V], int], *, ttl: float | None = None) -> None:
        self._most = most
        self._size = size
        self._ttl = inf if ttl is None else ttl
        self._entries: OrderedDict[K, tuple[V, int, float]] = OrderedDict()
        """Value, bytes and when it ends, by the monotonic clock; what was used last stands last."""
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the entries take, those that have ended and were not looked for since among them."""
        return self._bytes

    @overload
    def get(self, key: K, default: None = None, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T, /) -> V | T: ...
    def get(self, key: K, default: object = None, /) -> object:
        entry = self._entries.get(key)
        if entry is None:
            return default
        if entry[2] <= monotonic():
            self._drop(key)
            return default
        self._entries.move_to_end(key)
        return entry[0]

    def of(self, keys: Iterable[K]) -> dict[K, V]:
        """What there is of these keys, with one look at the clock."""
        now, get = monotonic(), self._entries.get
        found = {key: entry[0] for key in keys if (entry := get(key)) is not None and entry[2] > now}
        deque(map(self._entries.move_to_end, found), maxlen=0)  # none of the results is kept
        return found

    def __getitem__(self, key: K) -> V:
        found = self.get(key, _MISSING)
        if isinstance(found, _Missing):
            raise KeyError(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        size = self._size(key, value)
        self._drop(key)
        if size > self._most:
            return
        self._entries[key] = value, size, monotonic() + self._ttl
        self._bytes += size
        while self._bytes > self._most:
            self._drop(next(iter(self._entries)))

    def __delitem__(self, key: K) -> None:
        if key not in self._entries:
            raise KeyError(key)
        self._drop(key)

    def __contains__(self, key: object) -> bool:
        entry = self._entries.get(cast("K", key))
        return entry is not None and entry[2] > monotonic()

    def __iter__(self) -> Iterator[K]:
        now = monotonic()
        return (key for key, (_, _, ends) in list(self._entries.items()) if ends > now)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry[1]
