"""Faults of Cohort's own, outside of what endpoints answer by themselves: nobody foresaw them."""

import logging

from starlette.types import Message, Receive, Scope, Send

from gateway.http.errors import internal_error
from gateway.http.layers import Layer, at_start

log = logging.getLogger(__name__)


class Faults(Layer):
    """Answers with INTERNAL_ERROR where whatever is within it fails, and logs why.

    It stands within the layers that number requests, count them and let pages of other origins read answers: Starlette's own answer
    stands outside of them. The answer and the line in the log have the request's id. An answer that has begun is cut off.
    """

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        def note(_: Message) -> None:
            nonlocal has_begun
            has_begun = True

        try:
            await self.app(scope, receive, at_start(send, note))
        except Exception:
            if has_begun:
                raise
            log.exception("internal error")
            await internal_error()(scope, receive, send)
