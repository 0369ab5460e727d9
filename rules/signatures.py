"""Signatures of what is given out and comes back."""

import hmac
from collections.abc import Sequence
from hashlib import sha256


class Signer:
    """Signs texts with the first of ``keys``; the others are those of before, whose signatures still hold. The keys are
    derived for one ``purpose`` alone, so that a signature of one kind, a token's included, is never valid for another."""

    def __init__(self, keys: Sequence[str], purpose: str) -> None:
        self._keys = [hmac.digest(key.encode(), purpose.encode(), sha256) for key in keys]

    def signature(self, text: str) -> str:
        return _signature(self._keys[0], text)

    def has_signed(self, text: str, signature: str) -> bool:
        # Compared as bytes: a text that is not ASCII is refused, not an error.
        given = signature.encode(errors="replace")
        return any(hmac.compare_digest(_signature(key, text).encode(), given) for key in self._keys)


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(errors="replace"), sha256).hexdigest()
