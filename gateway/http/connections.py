"""Limits of connections: how many there may be, and how long one may wait for its client (R-LIMIT-5).

Uvicorn itself limits only the time between two requests. A client that sends half a head, or no body, or does not read its
answer, would hold a connection for good, with all that was sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.http.head_limits import BoundedHeads

MOST_PIPELINED = 32
"""Requests that a client may send ahead on a connection, beside the one that is answered. Browsers send none."""
LEAST_RATE = 1_000
"""Bytes of an answer that a client must take in a second, on average over ``send_timeout``."""


class _TooManyAhead(Exception):
    """Stops the parser."""


class BoundedConnection(BoundedHeads):
    """Uvicorn's HTTP connection with time limits.

    A request that comes in one piece starts no timer. While something is awaited, there is one: for the head, the body or
    the next request. Another one runs while an answer waits for its client.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = self._in_body = False
        self._idle_since = 0.0
        self._awaiting: Callable[[], None] | None = None
        """What is done when the timer ends."""
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._unanswered: deque[RequestResponseCycle] = deque()
        """The requests whose answers are not complete, the first one first: that one is worked on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        if len(self.connections) > self.limits.most_connections and not self._closes_longest_idle():
            told = f"{self.limits.most_connections} connections are open here, and none is idle"
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, told, Retry_After="1")
        self._await(self.limits.head_timeout, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._await(0.0, None)
        self._stop_sending()
        if exc is not None:
            self._unset_keepalive_if_required()
        for cycle in self._unanswered:  # uvicorn tells the last one alone
            cycle.disconnected = True
            cycle.message_event.set()
        self._unanswered.clear()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        limits = self.limits
        if self.transport.is_closing():
            self._await(limits.send_timeout, self._abort)
        elif self._in_body:
            self._await(limits.body_timeout, self._body_is_late)
        elif self._in_head:
            self._await(limits.head_timeout, self._head_is_late)
        elif self.is_answering:
            self._await(0.0, None)
        elif self.timeout_keep_alive_task is None:  # such as a body that nobody waited for
            self._await(limits.idle_timeout, self._close)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        if len(self.pipeline) >= MOST_PIPELINED:
            raise _TooManyAhead
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        stopping = self.app_state.get("stopping")
        if stopping is not None and stopping.begun:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        self._unanswered.popleft()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._watch_sending()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        self._stop_sending()
        super().resume_writing()

    def _await(self, seconds: float, late: Callable[[], None] | None) -> None:
        """Starts the timer, unless it runs for the same thing: what comes byte by byte gets no longer for it. ``late`` None
        stops it."""
        if self._awaiting == late:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaiting = late
        self._timer = None if late is None else self.loop.call_later(seconds, late)

    def _head_is_late(self) -> None:
        if self.is_answering:  # the next request's head: who waits for an answer gets it
            self._timer = self.loop.call_later(self.limits.head_timeout, self._head_is_late)
            return
        told = f"the head of a request must come within {self.limits.head_timeout:g} s"
        self._await(self.limits.send_timeout, self._abort)
        self.refuse(HTTPStatus.REQUEST_TIMEOUT, told)

    def _body_is_late(self) -> None:
        """Answers 408, unless the answer has begun or is not this body's turn yet."""
        cycle = self.cycle
        if self.flow.read_paused:  # it is we who don't read
            self._timer = self.loop.call_later(self.limits.body_timeout, self._body_is_late)
            return
        self._await(self.limits.send_timeout, self._abort)
        if cycle.response_complete:  # a body that nobody needs
            self.transport.close()
            return
        if not self.pipeline and not cycle.response_started:
            cycle.response_complete = cycle.disconnected = True
        told = f"the body of a request must come within {self.limits.body_timeout:g} s"
        self.refuse(HTTPStatus.REQUEST_TIMEOUT, told)
        cycle.message_event.set()

    def _close(self) -> None:
        """Closes a connection that waits for a request; at once, if its client did not take the last answer."""
        if self.is_answering:
            self._awaiting = None
        elif self.transport.get_write_buffer_size():
            self._abort()
        else:
            self.transport.close()

    def _abort(self) -> None:
        self.transport.abort()

    def _watch_sending(self) -> None:
        if self._sending is None:
            size = self.transport.get_write_buffer_size()
            self._sending = self.loop.call_later(self.limits.send_timeout, self._check_sending, size)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _check_sending(self, before: int) -> None:
        """Ends the connection if its client took too little of the ``before`` bytes that waited for it."""
        self._sending = None
        left = self.transport.get_write_buffer_size()
        if left == 0:
            return
        if before - left < LEAST_RATE * self.limits.send_timeout:
            self._abort()
        else:
            self._watch_sending()

    def _closes_longest_idle(self) -> bool:
        """Closes the connection that has waited the longest for a request, so that there is room for another one. False if
        each has a request under way."""
        idle = [
            one
            for one in self.connections
            if isinstance(one, BoundedConnection)
            and one is not self
            and not one.is_answering
            and not one.transport.is_closing()
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one._idle_since).transport.abort()
        return True
