"""Limits of a request: the bytes of its body, and the seconds that it may take."""

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.costs import CAME
from gateway.http.errors import early_refusal
from gateway.http.heads import heads_of
from gateway.http.layers import Layer, at_start
from rules.errors import DeadlineExceeded, Overloaded
from stores.cutoffs import Cutoff
from stores.deadline import deadline, until

TOO_LARGE = 413
SMALL = 64 * 1024
"""Bytes that every body may have, however many there are: as many as the server takes before anybody asks for them."""
MOST_LARGE = 64
"""Bodies of the largest size that a process holds at once."""
GRACE = 0.5
"""Seconds that a request has after its deadline, to answer with what is there."""
OUT_OF_TIME = "the request ran out of time"
_LATE = DeadlineExceeded(OUT_OF_TIME)


class LargestBody(Layer):
    """Refuses a body of more than ``most`` bytes before anything parses it.

    It goes by the announced length. If none is announced, it counts the bytes that come.

    All bodies that are here at once have MOST_LARGE such bodies' bytes at most, beside SMALL bytes of each. Overloaded for
    one that comes on top of them.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        super().__init__(app)
        self._most = most
        self._held = 0

    def _too_large(self) -> HTTPException:
        return HTTPException(TOO_LARGE, f"a request may have {self._most} bytes", {"Connection": "close"})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = heads_of(scope).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._most:
            await early_refusal(scope, self._too_large())(scope, receive, send)
            return
        came = held = 0
        state = scope.setdefault("state", {})

        async def counted() -> Message:
            nonlocal came, held
            message = await receive()
            came += len(message.get("body", b""))
            state[CAME] = came
            if came > self._most:
                raise self._too_large()
            if came > SMALL:
                self._held += came - SMALL - held
                held = came - SMALL
                if self._held > MOST_LARGE * self._most:
                    raise Overloaded("too many large requests are under way here: send it again in a second")
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self._held -= held


class InTime:
    """Cancels its body GRACE seconds after the deadline, and raises DeadlineExceeded then."""

    __slots__ = ("_cutoff",)

    def __enter__(self) -> None:
        ends = until()
        self._cutoff = None if ends is None else Cutoff(max(0.0, ends - time.monotonic()) + GRACE)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._cutoff is None:
            return
        was_cut, self._cutoff = self._cutoff.ended(), None
        if was_cut and isinstance(error, asyncio.CancelledError | TimeoutError):
            raise DeadlineExceeded(OUT_OF_TIME) from None


class Deadline(Layer):
    """Ends a request ``seconds`` after it began.

    Each call of a store ends by then (stores/deadline.py), and so does work that breathes (stores/turns.py): the answer has
    the parts that were there. A request that waits for something else is cancelled soon after, and answered with
    DEADLINE_EXCEEDED. Whoever takes an answer may take as long as the server allows.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        super().__init__(app)
        self._seconds = seconds

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with deadline(self._seconds):
            cutoff, has_begun = Cutoff(self._seconds + 2 * GRACE), False

            def note(_: Message) -> None:
                nonlocal has_begun
                has_begun = True
                cutoff.stop()

            try:
                await self.app(scope, receive, at_start(send, note))
                return
            except (asyncio.CancelledError, TimeoutError):
                if not cutoff.ended() or has_begun:
                    raise
            finally:
                cutoff.ended()
        await early_refusal(scope, _LATE)(scope, receive, send)
