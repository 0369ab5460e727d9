"""What is told in the head of each answer once it is known: its cost, and what is left of its caller's rate."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.heads import Headers
from gateway.http.layers import Layer, at_start

Told = Callable[[dict[str, Any], Headers], None]
"""Is given the state of the request and the headers of its answer, and adds what it has to tell."""


class AnswerHeads(Layer):
    """Lets each of ``told`` add to the head of an answer as it begins, in their order. It stands where bodies are not compressed
    yet, so that they have the length that is counted, and around what refuses a request before its endpoint has it, and the deadline,
    whose answers have a cost, too."""

    def __init__(self, app: ASGIApp, told: Sequence[Told]) -> None:
        super().__init__(app)
        self._told = told

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})

        def tell(message: Message) -> None:
            headers = message["headers"] = [*message.get("headers", ())]
            for one in self._told:
                one(state, headers)

        await self.app(scope, receive, at_start(send, tell))
