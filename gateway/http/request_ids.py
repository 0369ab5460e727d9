"""A name for each request, which its answer, its log lines and its client's report share."""

import re
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"
_SOUND = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIds:
    """Takes the request's id from its client or proxy, makes one where there is none that is sound, and tells it in the
    answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        given_or_made = given if _SOUND.fullmatch(given) else uuid4().hex

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = given_or_made
            await send(message)

        token = _request_id.set(given_or_made)
        try:
            await self._app(scope, receive, told)
        finally:
            _request_id.reset(token)


def request_id() -> str | None:
    """The id of the current request; None outside of one."""
    return _request_id.get()
