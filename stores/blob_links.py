"""Links to blobs in a directory, which the gateway serves. They are signed, so that only who was given one can use
it."""

import hmac
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from urllib.parse import quote, urlencode

from rules.errors import Forbidden
from stores.blobs import checked_life, checked_name

PATH = "/blobs"
"""The path where the gateway serves blobs."""


class BlobLinks:
    """Makes and checks links. ``base`` is where clients reach the gateway; without it links are paths.

    Links are signed with a key that is derived from the given one. So a signature of a token never holds for a link,
    nor the other way round.
    """

    def __init__(self, key: str, base: str = "", now: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(key.encode(), b"cohort blob links", sha256)
        self._base = base.rstrip("/")
        self._now = now

    def url(self, name: str, expires: timedelta) -> str:
        until = str(int(self._now() + checked_life(expires).total_seconds()))
        query = urlencode({"expires": until, "signature": self._signature(checked_name(name), until)})
        return f"{self._base}{PATH}/{quote(name)}?{query}"

    def check(self, name: str, expires: str, signature: str) -> None:
        """Raises Forbidden where the link was not made here, or has expired."""
        # Compared as bytes: a text that is not ASCII is refused, not an error.
        if not hmac.compare_digest(self._signature(name, expires).encode(), signature.encode()):
            raise Forbidden("this link was not given out so; ask for a new one", field="signature")
        if int(expires) < self._now():
            raise Forbidden("this link has expired; ask for a new one", field="expires")

    def _signature(self, name: str, expires: str) -> str:
        return hmac.new(self._key, f"{expires}\n{name}".encode(), sha256).hexdigest()
