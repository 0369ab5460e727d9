"""``X-Cost``: what a request would have cost at most, and what it has cost, in points (R-BUDGET-3)."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolvers.nouns import Bill
from telemetry.requests import note_cost

HEADER = "X-Cost"
FULL = "full"
"""What a client sends in the header to be told more, in ``extensions.cost``."""
_BILL = "bill"
CHARGE = "charge"
"""What notes the charge of a request (gateway/http/rates.py), whatever it is of."""
CAME = "bytes_came"
"""What notes how many bytes of its body have come (gateway/http/limits.py)."""


class CostHeader:
    """Puts the cost on each answer to a request that has a bill. It stands where bodies are not compressed yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with_cost(message: Message) -> None:
            bill: Bill | None = state.get(_BILL)
            if bill is not None and message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                bill.bytes = int(headers.get("content-length", bill.bytes))
                estimate, actual = bill.estimate.points, bill.actual.points
                headers[HEADER] = f"estimate={estimate}; actual={actual}"
                note_cost(estimate, actual)
            await send(message)

        await self._app(scope, receive, send_with_cost)


def bill_of_request(request: HTTPConnection, bill: Bill) -> None:
    """Notes the bill of this request, which the answer's header tells. Its estimate is taken from what the caller has left."""
    setattr(request.state, _BILL, bill)
    charge = getattr(request.state, CHARGE, None)
    if charge is not None:
        bill.take = charge.expect


def bill_noted(request: HTTPConnection) -> Bill | None:
    """The bill of this request; None where it has none yet."""
    return getattr(request.state, _BILL, None)


def bill_in(state: Mapping[str, Any]) -> Bill | None:
    """The same, by the state in the scope of the request."""
    return state.get(_BILL)


def wants_full(request: HTTPConnection) -> bool:
    """Whether the client asks for all of the cost."""
    return request.headers.get(HEADER, "").strip().lower() == FULL
