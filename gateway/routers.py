"""Which requests a router of a supergraph makes: it writes documents of its own, for callers whose tokens it passes on."""

from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

from starlette.requests import HTTPConnection

from gateway.http.heads import text_in
from gateway.settings import Settings
from rules.errors import Unauthenticated

HEADER = "X-Router-Key"
_NAME = HEADER.lower().encode()


class Routers(NamedTuple):
    """``keys``: any of them makes a request one of a router's. It gives no access: that is the caller's."""

    keys: Sequence[bytes] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Routers":
        """Those of the settings; without keys where the schema is no subgraph."""
        given = settings.router_keys if settings.federation else ()
        return cls([key.get_secret_value().encode() for key in given])

    def sent(self, request: HTTPConnection) -> bool:
        """Whether a router sent the request. Unauthenticated for a key that is none of these; where there are none, the header
        is passed over."""
        if not self.keys:
            return False
        given = text_in(request.scope, _NAME)
        if given is None:
            return False
        # All are compared, as bytes: how long it takes says nothing of them.
        if not sum(compare_digest(key, given.encode()) for key in self.keys):
            raise Unauthenticated(f"{HEADER} must be one of router_keys", field=HEADER)
        return True
