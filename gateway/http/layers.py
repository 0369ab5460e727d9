"""Layers: what stands around every route."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Layer(ABC):
    """A layer of an ASGI application. Requests go to ``answer``; whatever else comes, as when the process starts, passes it by."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own: there are many layers, and each request goes through all of them.
        return (self.answer if scope["type"] == "http" else self.app)(scope, receive, send)

    @abstractmethod
    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, by ``app`` or by itself."""


def at_start(send: Send, tell: Callable[[Message], None]) -> Send:
    """Sends, and has ``tell`` look at an answer's head before it goes out: it may add headers."""

    def send_told(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            tell(message)
        return send(message)

    return send_told
