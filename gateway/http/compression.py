"""Answers that are compressed on their way: large ones, for clients that take gzip."""

from collections.abc import Awaitable, Iterable

from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.heads import announced_in, heads_of
from gateway.http.layers import Layer

PACKED = ("application/vnd.apache.parquet", "application/octet-stream")
"""Types of files that are compressed in themselves, beside those that Starlette knows."""
LEVEL = 5
"""Of zlib: what a higher one saves is not worth its time."""


class Compressed(Layer):
    """Compresses answers of ``least`` bytes or more, as Starlette does it, in a thread where they are large.

    An answer that announces fewer goes as it is: most do, and what compresses takes as long to make as a small request. So does one
    that says itself that it goes by ``Accept-Encoding`` (gateway/http/fixed.py): it has chosen already, and names that once.
    """

    def __init__(self, app: ASGIApp, least: int) -> None:
        super().__init__(app)
        self._least = least
        self._packed = (*DEFAULT_EXCLUDED_CONTENT_TYPES, *PACKED)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        through: Send | None = None

        def sent(message: Message) -> Awaitable[None]:
            nonlocal through
            if through is None:
                through = send if self._is_done(message.get("headers", ())) else self._responder(scope, send)
            return through(message)

        await self.app(scope, receive, sent)

    def _is_done(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        announced = announced_in(headers)
        if announced is not None and announced < self._least:
            return True
        return any(name == b"vary" and b"accept-encoding" in value.lower() for name, value in headers)

    def _responder(self, scope: Scope, send: Send) -> Send:
        takes_gzip = b"gzip" in heads_of(scope).get(b"accept-encoding", b"")
        responder = (
            GZipResponder(self.app, self._least, LEVEL, exclude_content_types=self._packed)
            if takes_gzip
            else IdentityResponder(self.app, self._least, exclude_content_types=self._packed)
        )
        responder.send = send
        return responder.send_with_compression
