"""``X-Cost``: what a request would have cost at most, and what it has cost, in points (R-BUDGET-3)."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from gateway.http.heads import Headers, announced_in, text_in
from resolvers.nouns import Bill
from telemetry.requests import note_cost

HEADER = "X-Cost"
_NAME = HEADER.lower().encode()
FULL = "full"
"""What a client sends in the header to be told more, in ``extensions.cost``."""
_BILL = "bill"
CHARGE = "charge"
"""What notes the charge of a request (gateway/http/rates.py), whatever it is of."""
CAME = "bytes_came"
"""What notes how many bytes of its body have come (gateway/http/limits.py)."""


def tell_cost(state: Mapping[str, Any], headers: Headers) -> None:
    """Puts the cost into the head of an answer to a request that has a bill (gateway/http/answer_heads.py)."""
    bill = bill_in(state)
    if bill is None:
        return
    announced = announced_in(headers)
    if announced is not None:
        bill.bytes = announced
    estimate, actual = bill.estimate.points, bill.actual.points
    headers.append((_NAME, b"estimate=%d; actual=%d" % (estimate, actual)))
    note_cost(estimate, actual)


def bill_of_request(request: HTTPConnection, bill: Bill) -> None:
    """Notes the bill of this request, which the answer's header tells. Its estimate is taken from what the caller has left."""
    state = request.scope.setdefault("state", {})
    state[_BILL] = bill
    charge = state.get(CHARGE)
    if charge is not None:
        bill.take = charge.expect


def bill_noted(request: HTTPConnection) -> Bill | None:
    """The bill of this request; None where it has none yet."""
    return bill_in(request.scope.get("state", {}))


def bill_in(state: Mapping[str, Any]) -> Bill | None:
    """The same, by the state in the scope of the request."""
    return state.get(_BILL)


def wants_full(request: HTTPConnection) -> bool:
    """Whether the client asks for all of the cost."""
    return (text_in(request.scope, _NAME) or "").strip().lower() == FULL
