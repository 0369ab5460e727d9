"""Limits of a request: the bytes of its body, and the seconds that it waits for stores."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.errors import error_response
from rules.errors import Overloaded
from stores.deadline import deadline

TOO_LARGE = 413
SMALL = 64 * 1024
"""Bytes that every body may have, however many there are: as many as the server takes before anybody asks for them."""
MOST_LARGE = 64
"""Bodies of the largest size that a process holds at once."""


class LargestBody:
    """Refuses a body of more than ``most`` bytes before anything parses it.

    It goes by the announced length. If none is announced, it counts the bytes that come.

    All bodies that are here at once have MOST_LARGE such bodies' bytes at most, beside SMALL bytes of each. Overloaded for
    one that comes on top of them.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._held = 0
        self._refusal = f"a request may have {most} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._most:
            refusal = error_response(TOO_LARGE, "CONTENT_TOO_LARGE", self._refusal, {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        came = held = 0

        async def counted() -> Message:
            nonlocal came, held
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._most:
                raise HTTPException(TOO_LARGE, self._refusal, {"Connection": "close"})
            if came > SMALL:
                self._held += came - SMALL - held
                held = came - SMALL
                if self._held > MOST_LARGE * self._most:
                    raise Overloaded("too many large requests are under way here: send it again in a second")
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= held


class Deadline:
    """Ends each store call of a request ``seconds`` after the request began, at the latest (stores/deadline.py)."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with deadline(self._seconds):
            await self._app(scope, receive, send)
