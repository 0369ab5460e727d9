"""Signatures of what is given out and comes back."""

import hmac
from hashlib import sha256


class Signer:
    """Signs texts. Its key is derived from ``key`` for one ``purpose`` alone, so that a signature of one kind, a token's
    included, is never valid for another."""

    def __init__(self, key: str, purpose: str) -> None:
        self._key = hmac.digest(key.encode(), purpose.encode(), sha256)

    def signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), sha256).hexdigest()

    def has_signed(self, text: str, signature: str) -> bool:
        # Compared as bytes: a text that is not ASCII is refused, not an error.
        return hmac.compare_digest(self.signature(text).encode(), signature.encode(errors="replace"))
