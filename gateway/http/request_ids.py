"""A name for each request, which its answer, its log lines and its client's report share."""

import re
import secrets
from contextvars import ContextVar

from starlette.types import Message, Receive, Scope, Send

from gateway.http.heads import text_in
from gateway.http.layers import Layer, at_start

HEADER = "X-Request-Id"
_NAME = HEADER.lower().encode()
_SOUND = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIds(Layer):
    """Takes the request's id from its client or proxy, makes one where there is none that is sound, and tells it in the
    answer."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = text_in(scope, _NAME) or ""
        given_or_made = given if _SOUND.fullmatch(given) else secrets.token_hex(16)

        def tell(message: Message) -> None:
            # A new list: an answer that is always the same keeps its own.
            message["headers"] = [*message.get("headers", ()), (_NAME, given_or_made.encode())]

        token = _request_id.set(given_or_made)
        try:
            await self.app(scope, receive, at_start(send, tell))
        finally:
            _request_id.reset(token)


def request_id() -> str | None:
    """The id of the current request; None outside of one."""
    return _request_id.get()
