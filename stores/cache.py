"""The cache port: values and hashes with a time to live. Engines: a Valkey of our own and Redis.

Any value may be gone the next moment, and none is the only copy. The cache fails open: while the server is away, reads
find nothing and writes do nothing, both within ``timeout``. ``failures`` counts up; no error reaches a caller. For a
moment after a failure calls are not even tried, so that a dead cache costs nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from stores.meter import Meter


class Spending(NamedTuple):
    """Points that were taken out of the bucket at ``key``, which holds ``most`` and fills up by ``per_second`` a second. Below 0:
    given back."""

    key: str
    points: int
    per_second: float
    most: int


class Cache(Protocol):
    """One key space. The engine puts the instance's prefix before each key. Times to live are in seconds."""

    meter: Meter
    failures: int

    async def get(self, key: str) -> bytes | None: ...

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The value of each key, in one round trip."""
        ...

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores the value. ``ttl`` is shortened by up to a tenth, so that keys of one moment do not expire in one moment."""
        ...

    async def hashes(self, keys: Sequence[str]) -> list[dict[str, bytes]]:
        """The hash at each key, in one round trip; an empty one where there is none."""
        ...

    async def raise_fields(
        self, key: str, fields: Mapping[str, bytes], ttl: float, *, drop: Sequence[str] = ()
    ) -> None:
        """Sets each field of the hash unless it has a larger value already (compared as bytes). Removes the fields in
        ``drop`` and renews the TTL. All of it is atomic.

        So concurrent writers of values that only grow leave the largest, whatever their order.
        """
        ...

    def raise_soon(
        self, key: str, fields: Mapping[str, bytes], ttl: float, *, drop: Sequence[str] = ()
    ) -> "asyncio.Future[None]":
        """Does the same within some milliseconds, together with other changes, and returns what is done then. Nobody need wait for it,
        and whoever does not takes nothing back: it keeps to no deadline."""
        ...

    async def drop_field(self, field: str, keys: Sequence[str]) -> None:
        """Removes this field from each hash, in one round trip. TTLs stay."""
        ...

    async def delete(self, *keys: str) -> None: ...

    async def claim(self, key: str, token: str, ttl: float) -> bool:
        """Claims the key for this token, for exactly ``ttl`` seconds. False where another token has it. Who has it and
        claims again renews the claim.

        A claim spares others the same work, but promises nothing: with the server away everybody gets it.
        """
        ...

    async def release(self, key: str, token: str) -> None:
        """Ends this token's claim. Where the key is another token's by now, nothing changes."""
        ...

    async def spend(self, spendings: Sequence[Spending]) -> list[int] | None:
        """Takes points out of buckets and tells what is left in each, in one round trip; each is atomic. None while the server is
        away.

        A bucket that is not there is full. More may be taken than there is: then less than 0 is left. The server's clock counts,
        so that all processes share one.
        """
        ...

    async def ping(self) -> None:
        """StoreUnavailable unless the server answers now. The only call that does not fail open."""
        ...

    async def close(self) -> None: ...
