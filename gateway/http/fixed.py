"""Documents that change with the program alone: made, tagged and compressed once, as anybody may ask for them, and as often as
they like."""

import gzip
from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.conditional import conditional

MAX_AGE = 300
"""Seconds for which a client may show one again without asking."""


class FixedDocument:
    """``make`` gives the document when it is asked for first."""

    def __init__(self, make: Callable[[], bytes], media_type: str) -> None:
        self._make = make
        self._media_type = media_type

    @cached_property
    def content(self) -> bytes:
        return self._make()

    @cached_property
    def _packed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)

    @cached_property
    def _tag_of(self) -> bytes:
        return blake2b(self.content).digest()

    async def answer(self, request: Request) -> Response:
        """The document, or 304 for who has it."""
        packed = "gzip" in request.headers.get("accept-encoding", "")
        response = Response(self._packed if packed else self.content, media_type=self._media_type)
        response.headers.add_vary_header("Accept-Encoding")
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        return conditional(request, response, tag_of=self._tag_of, max_age=MAX_AGE)
