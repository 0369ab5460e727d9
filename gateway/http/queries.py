"""How many parameters the query of a URL may have: each takes its time to read, and no call has a use for so many."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from gateway.http.errors import early_refusal
from gateway.http.layers import Layer

MOST = 1_000
"""A list of 200 ids may be repeated in some of them."""


class FewParameters(Layer):
    """Refuses a request with more than MOST parameters before anything reads them."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"].count(b"&") < MOST:
            await self.app(scope, receive, send)
            return
        refused = HTTPException(HTTPStatus.BAD_REQUEST, f"a query may have {MOST:,} parameters")
        await early_refusal(scope, refused)(scope, receive, send)
