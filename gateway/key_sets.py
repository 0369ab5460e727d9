"""The public keys of an identity server, as a JSON Web Key Set (RFC 7517), and which of them a token was signed with.

The operator names where the set is; what a token says of it (``jku``, ``x5u``, ``jwk``) is never followed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson

from rules.errors import StoreUnavailable, Unauthenticated
from rules.web_addresses import FetchRules
from stores.web_fetch import NotFetched, WebFetch

log = logging.getLogger(__name__)

KEPT = 300.0
"""Seconds after which the set is read again. So long a key that was taken out of it still holds, at most."""
USABLE = 86_400.0
"""Seconds for which a set is used while no newer one can be had."""
SOONEST = 10.0
"""Seconds between two readings, at least: tokens with made-up key ids don't make Cohort ask again and again."""
LARGEST = 256 * 1024
"""Bytes of a set."""
WITHIN = 5.0
"""Seconds in which a set must have come."""
LEAST_RSA_BITS = 2048
_FAMILIES = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""The algorithms that go with a type of keys. One of shared secrets (``oct``) is none that a set may have."""
ASYMMETRIC = frozenset(algorithm for family in _FAMILIES.values() for algorithm in family)

Read = Callable[[], Awaitable[bytes]]
"""Reads the set as it is now. NotFetched or OSError says why there is none."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of the set: what verifies with it, and the algorithms that it is for."""

    key: Any
    algorithms: frozenset[str]


@dataclass(slots=True)
class KeySet:
    """The keys by their ids, read anew from time to time, and when a token names one that is not among them."""

    read: Read
    clock: Callable[[], float] = time.monotonic
    _keys: Mapping[str | None, PublicKey] = field(default_factory=dict)
    _read_at: float | None = None
    """When the keys were read."""
    _asked_at: float | None = None
    """When they were asked for."""
    _reading: "asyncio.Task[None] | None" = None

    @classmethod
    def at(cls, url: str) -> "KeySet":
        parts = urlsplit(url)
        return cls(_of_file(Path(parts.path)) if parts.scheme == "file" else _of_web(url, parts.netloc))

    async def key(self, key_id: str | None, algorithm: str) -> PublicKey:
        """The key that a token names. Unauthenticated if there is none for this algorithm, StoreUnavailable if the set
        can't be had."""
        if self._age() > KEPT:
            await self._renewed(wait=self._age() > USABLE)
        found = self._keys.get(key_id)
        if found is None:
            await self._renewed(wait=True)
            found = self._keys.get(key_id)
        if self._age() > USABLE:
            raise StoreUnavailable("the keys that tokens are checked with can't be had")
        if found is None or algorithm not in found.algorithms:
            raise Unauthenticated("the token does not hold: it was signed with no key that is known here")
        return found

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self.clock() - self._read_at

    async def _renewed(self, *, wait: bool) -> None:
        """Reads the set, once for all that ask, and not again at once. Without ``wait`` it is read meanwhile."""
        if self._reading is None:
            now = self.clock()
            if self._asked_at is not None and now - self._asked_at < SOONEST:
                return
            self._asked_at = now
            # In a context of its own: the deadline of who asks first is not that of the others.
            self._reading = asyncio.create_task(self._replace(), context=Context())
        if wait:
            await asyncio.shield(self._reading)

    async def _replace(self) -> None:
        try:
            self._keys = keys_in(await self.read())
            self._read_at = self.clock()
        except (NotFetched, OSError, ValueError) as error:
            log.warning("the set of keys can't be read: %s", error)
        finally:
            self._reading = None


def keys_in(document: bytes) -> Mapping[str | None, PublicKey]:
    """The public keys of a set by their ids. One that no token can be checked with is left out. ValueError if it is no
    set."""
    told = orjson.loads(document)
    members = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(members, list):
        raise ValueError("it is no JSON Web Key Set: there is no list of keys")
    found = {}
    for member in members:
        key = _public_key(member) if isinstance(member, dict) else None
        if key is not None:
            found[member.get("kid")] = key
    return found


def _public_key(member: Mapping[str, Any]) -> PublicKey | None:
    family = _FAMILIES.get(str(member.get("kty")), ())
    named = member.get("alg", family and family[0])
    # A set that holds a private key tells everybody how to make tokens: none of it is believed.
    if (
        named not in family
        or member.get("use", "sig") != "sig"
        or "d" in member
        or not _is_id(member.get("kid"))
    ):
        return None
    try:
        read = jwt.PyJWK(dict(member))
    except jwt.PyJWTError:
        return None
    if member["kty"] == "RSA" and read.key.key_size < LEAST_RSA_BITS:
        return None
    by_curve = member["kty"] == "EC" or "alg" in member
    algorithms = frozenset({read.algorithm_name} & {*family} if by_curve else family)
    return PublicKey(read.key, algorithms) if algorithms else None


def _is_id(key_id: object) -> bool:
    return key_id is None or isinstance(key_id, str)


def _of_file(path: Path) -> Read:
    async def read() -> bytes:
        return await asyncio.to_thread(path.read_bytes)

    return read


def _of_web(url: str, host: str) -> Read:
    """Identity servers are often in the private network, so its addresses are allowed; of this one host alone."""
    rules = FetchRules((host.lower(),), largest=LARGEST, within=WITHIN, private_addresses=True)

    async def read() -> bytes:
        async with WebFetch.open(rules, accept="application/jwk-set+json, application/json") as web:
            return (await web.get(url)).content

    return read
