"""What is told in the head of each answer once it is known: its cost, and what is left of its caller's rate."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Told = Callable[[dict[str, Any], MutableHeaders], None]
"""Is given the state of the request and the headers of its answer, and adds what it has to tell."""


class AnswerHeads:
    """Lets each of ``told`` add to the head of an answer as it begins, in their order. It stands where bodies are not compressed
    yet, so that they have the length that is counted."""

    def __init__(self, app: ASGIApp, told: Sequence[Told]) -> None:
        self._app = app
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for tell in self._told:
                    tell(state, headers)
            await send(message)

        await self._app(scope, receive, send_told)
