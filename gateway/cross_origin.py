"""Pages of other origins: which may call the gateway from a browser, with which headers, and what they may read (R-HTTP-1).

No cookie is ever looked at, so a page can do nothing in the name of whoever looks at it: it needs a token of its own. And
what changes something is never a "simple" request, which browsers send without asking: it needs a JSON body.
"""

import re
from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from gateway.http.costs import HEADER as COST
from gateway.http.on_behalf import FOR_HEADER
from gateway.http.rates import HEADER as RATE
from gateway.http.rates import POLICY as RATE_POLICY
from gateway.http.request_ids import HEADER as REQUEST_ID
from gateway.rest.framework.endpoints import USER_HEADER
from gateway.rest.tables.answers import HEADERS as FIGURES

THIS_MACHINE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
"""Pages that a developer's own machine serves."""

SENT = (
    "Authorization",
    "Content-Type",
    "If-None-Match",
    REQUEST_ID,
    COST,
    "X-MsgId",
    USER_HEADER,
    FOR_HEADER,
    "Mcp-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
)
"""Headers that a page may send."""
READ = (
    "ETag",
    "Retry-After",
    REQUEST_ID,
    COST,
    RATE,
    RATE_POLICY,
    "WWW-Authenticate",
    "Content-Disposition",
    *FIGURES,
)
"""Headers of an answer that a page may read, beside those that it always may."""
MAX_AGE = 7200
"""Seconds that a browser may keep what a preflight said: browsers take no more."""


def cross_origin(origins: Sequence[str], *, this_machine: bool) -> list[Middleware]:
    """What answers preflights and marks answers for these origins, and, if ``this_machine``, for pages that this machine
    serves; nothing if there are none."""
    if not origins and not this_machine:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_origin_regex=THIS_MACHINE if this_machine else None,
            allow_methods=("GET", "POST", "PATCH", "DELETE"),
            allow_headers=SENT,
            expose_headers=READ,
            max_age=MAX_AGE,
        )
    ]


def is_allowed(origin: str, origins: Sequence[str], *, this_machine: bool) -> bool:
    """Whether a page of this origin may call, where that is asked before its call is answered."""
    if "*" in origins or origin in origins:
        return True
    return this_machine and re.fullmatch(THIS_MACHINE, origin) is not None
