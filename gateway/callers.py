"""What logs call a caller: the same name for the same one, from which nobody without the key learns who it is."""

from functools import lru_cache
from hashlib import blake2b
from secrets import token_bytes

from gateway.settings import Settings

_SIZE = 6
"""Bytes of a name: enough to tell callers apart in a log."""

_KNOWN, _LONGEST = 4_096, 256
"""Names that are kept, and the characters of who has one: a proxy may pass on any text as an address."""


class CallerNames:
    """The names by one key."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key, digest_size=32, person=b"cohort-callers").digest()
        self._known = lru_cache(_KNOWN)(self._name)

    @classmethod
    def of(cls, settings: Settings) -> "CallerNames":
        """By the key that signs tokens, so that all processes name a caller alike; without one each process has its own."""
        key = settings.jwt_key
        return cls(token_bytes(32) if key is None else key.get_secret_value().encode())

    def name(self, user_id: str | None, address: str | None) -> str:
        """The name of a user, or of an address that sends no token."""
        is_short = len(user_id or address or "") <= _LONGEST
        return self._known(user_id, address) if is_short else self._name(user_id, address)

    def _name(self, user_id: str | None, address: str | None) -> str:
        kind, told = ("anonymous", address) if user_id is None else ("user", user_id)
        return blake2b(f"{kind}:{told}".encode(), key=self._key, digest_size=_SIZE).hexdigest()
