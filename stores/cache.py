"""The cache port: values and hashes with a time to live. Engines: a Valkey of our own and Redis.

Whatever is here may be gone the next moment, and nothing here is the only copy. It fails open: with the server
away, reads find nothing, writes do nothing, both within ``timeout``, and ``failures`` counts up; no error reaches
a caller. After a failure the next calls are not even tried for a moment, so that a dead cache costs nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from stores.meter import Meter


class Cache(Protocol):
    """One key space; keys get the instance's prefix from the engine."""

    meter: Meter
    failures: int

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Sets a value for ``ttl`` seconds, less up to a tenth, so that keys of one moment do not expire in one
        moment."""
        ...

    async def hashes(self, keys: Sequence[str]) -> list[dict[str, bytes]]:
        """Returns the hash at each key, in one round trip. It is empty where there is none."""
        ...

    async def raise_fields(
        self, key: str, fields: Mapping[str, bytes], ttl: float, *, drop: Sequence[str] = ()
    ) -> None:
        """Sets each field of the hash unless it already has a larger value (by bytes), removes those to ``drop``, and
        renews the TTL, all atomically.

        So concurrent writers of values that only grow leave the largest, whatever their order.
        """
        ...

    async def drop_field(self, field: str, keys: Sequence[str]) -> None:
        """Removes this field of each hash, in one round trip; their TTL stays."""
        ...

    async def delete(self, *keys: str) -> None: ...

    async def claim(self, key: str, token: str, ttl: float) -> bool:
        """Claims the key for this token, for exactly ``ttl`` seconds. Returns False where another token has it. Whoever
        has it and claims again renews the claim.

        A claim saves others the same work and promises nothing: with the server away everybody gets it.
        """
        ...

    async def release(self, key: str, token: str) -> None:
        """Ends this token's claim. A claim that has expired and is another token's by now stays."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the server answers now. This is the one call that does not fail open."""
        ...

    async def close(self) -> None: ...
