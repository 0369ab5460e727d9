"""What a process keeps in memory, bounded in bytes: what was not used for long makes room."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
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
_SPARED = 1_000
"""Entries that are spared at most while one makes room: each takes some 0.3 µs of a turn."""


class _Missing:
    """What no key has."""


_MISSING = _Missing()


def texts(*of: str | None) -> int:
    """Bytes that these texts take in memory. A text of an object that is kept anyway counts too."""
    return sum(getsizeof(text) for text in of if text is not None)


@dataclass(slots=True, eq=False)
class _Entry(Generic[V]):
    """``ends``: by the monotonic clock. ``used``: since it last stood first to make room."""

    value: V
    size: int
    ends: float
    used: bool = False


class Kept(MutableMapping[K, V], Generic[K, V]):
    """A mapping whose entries take at most ``most`` bytes together by ``size``, each for ``ttl`` seconds (None: for good).

    What is larger than all together may be is not kept. An entry that is set again is measured again, and kept for as long
    anew. Entries make room in the order in which they were set; one whose turn it is goes behind all others instead if it was used
    since it was set or last went there. A page of a list looks here hundreds of times, which is why a look moves nothing, and why
    this is none of cachetools' mappings (docs/decisions.md).
    """

    def __init__(self, most: int, size: Callable[[K, V], int], *, ttl: float | None = None) -> None:
        self._most = most
        self._size = size
        self._ttl = inf if ttl is None else ttl
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        """What makes room next stands first."""
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
        if entry.ends <= monotonic():
            self._drop(key)
            return default
        entry.used = True
        return entry.value

    def of(self, keys: Iterable[K]) -> dict[K, V]:
        """What there is of these keys."""
        found = {}
        for key in keys:
            value = self.get(key, _MISSING)
            if not isinstance(value, _Missing):
                found[key] = value
        return found

    def all_of(self, keys: Iterable[K]) -> list[V] | None:
        """The values of these keys, in their order; None where one of them is not kept."""
        now, get, found = monotonic(), self._entries.get, list[V]()
        for key in keys:
            entry = get(key)
            if entry is None or entry.ends <= now:
                return None
            entry.used = True
            found.append(entry.value)
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
        now = monotonic()
        self._make_room(size, now)
        self._entries[key] = _Entry(value, size, now + self._ttl)
        self._bytes += size

    def _make_room(self, size: int, now: float) -> None:
        spared = 0
        while self._bytes + size > self._most:
            key, entry = self._entries.popitem(last=False)
            if entry.used and entry.ends > now and spared < _SPARED:
                entry.used = False
                self._entries[key] = entry
                spared += 1
            else:
                self._bytes -= entry.size

    def __delitem__(self, key: K) -> None:
        if key not in self._entries:
            raise KeyError(key)
        self._drop(key)

    def __contains__(self, key: object) -> bool:
        entry = self._entries.get(cast("K", key))
        return entry is not None and entry.ends > monotonic()

    def __iter__(self) -> Iterator[K]:
        now = monotonic()
        return (key for key, entry in list(self._entries.items()) if entry.ends > now)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size
