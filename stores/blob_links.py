"""Signed links to blobs in a directory, which the gateway serves. Only who was given a link can use it."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from urllib.parse import quote, urlencode

from rules.errors import Forbidden
from rules.signatures import Signer
from stores.blobs import checked_life, checked_name

PATH = "/blobs"
"""The path under which the gateway serves blobs."""


class BlobLinks:
    """Makes and checks links. ``base`` is the URL at which clients reach the gateway; without it links are paths."""

    def __init__(self, keys: Sequence[str], base: str = "", now: Callable[[], float] = time.time) -> None:
        self._signer = Signer(keys, "cohort blob links")
        self._base = base.rstrip("/")
        self._now = now

    def url(self, name: str, expires: timedelta) -> str:
        """A link that is valid for ``expires``. InvalidInput for a wrong name or time."""
        until = str(int(self._now() + checked_life(expires).total_seconds()))
        query = urlencode(
            {"expires": until, "signature": self._signer.signature(_signed(checked_name(name), until))}
        )
        return f"{self._base}{PATH}/{quote(name)}?{query}"

    def check(self, name: str, expires: str, signature: str) -> None:
        """Forbidden where the signature is wrong or the link has expired. ``expires`` in epoch seconds."""
        if not self._signer.has_signed(_signed(name, expires), signature):
            raise Forbidden("this link was not given out so; ask for a new one", field="signature")
        if int(expires) < self._now():
            raise Forbidden("this link has expired; ask for a new one", field="expires")


def _signed(name: str, expires: str) -> str:
    return f"{expires}\n{name}"
