"""Limits of a request: the bytes of its body, and the seconds that it waits for stores."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.errors import error_response
from stores.deadline import deadline

TOO_LARGE = 413


class LargestBody:
    """Refuses a body of more than ``most`` bytes before anything parses it.

    It goes by the announced length. If none is announced, it counts the bytes that come.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
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
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._most:
                raise HTTPException(TOO_LARGE, self._refusal, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)


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
