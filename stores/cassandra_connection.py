"""Connections of the Cassandra driver on an event loop of asyncio.

The driver has a thread that sends and receives for every loop. What it hands over wakes two threads a statement, which each wait
for the other to let go of the interpreter. Here the loop itself does both: a statement is sent in the turn that asks for it, and
its answer is decoded where it is waited for. The driver connects still, in its threads: names, addresses one after the
other, TLS.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from io import BytesIO
from threading import Event
from typing import Any, ClassVar

from cassandra import OperationTimedOut, ProtocolVersion
from cassandra.connection import (
    Connection,
    ConnectionBusy,
    ConnectionException,
    ConnectionShutdown,
    CrcMismatchException,
    ProtocolError,
)
from cassandra.protocol import _SKIP_METADATA_FLAG, ExecuteMessage, PrepareMessage, ProtocolHandler
from cassandra.segment import CrcException

from stores.cassandra_policies import SILENCE, cannot_authorise
from stores.cassandra_segments import Messages, Segments

_RECEIVED = 1 << 18
"""Bytes that are taken from a socket in a turn."""
_UNSENT = 1 << 24
"""Bytes that wait to be sent above which a node is taken for busy, so that the driver asks another one. Statements that are
under way at a time are counted already (CassandraSession); this is for a node that takes nothing."""
_LOOKED_AT = 0.1
"""Seconds from one look at a loop that some work holds to the next."""

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def connections_on(loop: asyncio.AbstractEventLoop, answers: Any = ProtocolHandler) -> "type[LoopConnection]":
    """The class of connections whose sockets this loop has, for one Cluster of the driver: ``connection_class``. ``answers``: the
    protocol handler of its session."""
    members = {
        "loop": loop,
        "answers": answers,
        "context": Context(),
        "received": memoryview(bytearray(_RECEIVED)),
        "open": set(),
    }
    return type("LoopConnection", (LoopConnection,), members)


def runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the caller is in a turn of this loop."""
    return asyncio._get_running_loop() is loop


class LoopConnection(Connection):  # type: ignore[misc]
    """Its methods may be called in any thread. Only a turn of the loop touches the socket, until the loop has ended."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    answers: ClassVar[Any]
    """Reads what is told of a statement that is prepared, which are its answers' columns. The driver has its own do that."""
    context: ClassVar[Context]
    """An empty one: what the connection does is of no request."""
    received: ClassVar[memoryview]
    """Where bytes are put that a socket has. Messages are read out of it before ``receive`` ends."""
    open: ClassVar[set["LoopConnection"]]
    """The connections that the loop looks at."""
    is_closed: bool
    _messages: Messages | None = None
    """Puts them together once the server and the driver have agreed on segments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsent = bytearray()
        self._late = 0.0
        """Seconds that the loop took to send what another thread had last: the driver's own, such as heartbeats."""
        self._will_send = False
        self._waits_to_send = False
        if self.loop.is_closed():
            raise ConnectionShutdown(f"the event loop of {self.endpoint} has ended")
        self._connect_socket()
        self._socket.setblocking(False)
        self._in_turn(self._begin)
        self._send_options_message()

    @classmethod
    def create_timer(cls, timeout: float, callback: Callable[[], Any]) -> "_Timer":
        """As the driver's: calls back in ``timeout`` seconds unless it is cancelled."""
        return _Timer(cls, timeout, callback)

    @property
    def is_idle(self) -> bool:
        """Whether it should be asked if it lives. Not where its loop stands still, which could not tell; where the loop has
        ended, that ends the connection."""
        return not self.msg_received and (self.loop.is_running() or self.loop.is_closed())

    def send_msg(self, msg: Any, request_id: int, *args: Any, **kwargs: Any) -> int:
        """As the driver's. ConnectionBusy where too much waits to be sent; the driver forgets then that nothing is under way."""
        if msg.__class__ is ExecuteMessage and msg.skip_meta and self.protocol_version in _KNOWS_COLUMNS:
            msg.__class__ = _Execute
        elif msg.__class__ is PrepareMessage:
            kwargs["decoder"] = self.answers.decode_message
        try:
            return int(super().send_msg(msg, request_id, *args, **kwargs))
        except ConnectionBusy:
            with self.lock:
                self.in_flight -= 1
                self.request_ids.append(request_id)
            raise

    def push(self, data: bytes) -> None:
        """Sends a whole message, at the end of this turn of the loop: together with what else is sent in it."""
        if runs_here(self.loop):
            self._add(data)
        else:
            self._in_turn(self._add_late, data, time.monotonic())

    def close(self) -> None:
        """Statements under way fail with ConnectionShutdown."""
        with self.lock:
            if self.is_closed:
                return
            self.is_closed = True
        if runs_here(self.loop) or not self.loop.is_running():
            self._end()
        else:
            self._in_turn(self._end)
        if not self.is_defunct:  # else the caller tells of it
            closed = ConnectionShutdown(f"Connection to {self.endpoint} was closed")
            if not self.connected_event.is_set():
                self.last_error = closed  # else whoever connects would take it for a good one
            self.error_all_requests(closed)
            self.connected_event.set()

    def defunct(self, error: Exception) -> Any:
        """The connection is of no use any more. A node that could not read the roles says so as of a wrong password, after which
        the driver would never come back to it, once that is all over. A heartbeat that was not answered in time is no reason where
        the loop had no time to hear the answer."""
        if isinstance(error, OperationTimedOut) and self._was_heard():
            if self.is_control_connection:  # else who gives it back counts
                with self.lock:
                    self.in_flight -= 1
            return None
        if cannot_authorise(error):
            error = ConnectionException(str(error), self.endpoint)
        return super().defunct(error)

    def _was_heard(self) -> bool:
        """Whether the node has said something since the driver's thread asked it. Where some work held the loop, that thread waits: for
        the turn in which the loop hears what has come, and, where it asked late, as much longer."""
        loop, turned = self.loop, Event()
        if runs_here(loop):
            return False
        with suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(loop.call_soon, turned.set)
            while not (turned.wait(_LOOKED_AT) or self.is_closed) and loop.is_running():
                pass
        ends = time.monotonic() + min(self._late, SILENCE)
        while not (self.msg_received or self.is_closed) and loop.is_running() and time.monotonic() < ends:
            time.sleep(_LOOKED_AT)
        return bool(self.msg_received)

    def _enable_checksumming(self) -> None:
        super()._enable_checksumming()
        if not self.compressor:
            self._segment_codec, self._messages = Segments(), Messages()

    def _in_turn(self, do: Callable[..., None], *args: Any) -> None:
        """Has it done in a turn of the loop. Where there will be none any more, the connection ends."""
        try:
            self.loop.call_soon_threadsafe(do, *args, context=self.context)
        except RuntimeError:
            if self.is_closed:
                self._end()
            else:
                self.defunct(ConnectionShutdown(f"the event loop of {self.endpoint} has ended"))

    def _begin(self) -> None:
        if not self.is_closed:
            self.open.add(self)
            self.loop.add_reader(self._socket.fileno(), self.receive)

    def _end(self) -> None:
        self.open.discard(self)
        socket, self._unsent = self._socket, bytearray()
        if not self.loop.is_closed() and socket.fileno() >= 0:
            self.loop.remove_reader(socket.fileno())
            self.loop.remove_writer(socket.fileno())
        socket.close()

    def _add_late(self, data: bytes, since: float) -> None:
        self._late = time.monotonic() - since
        self._add(data)

    def _add(self, data: bytes) -> None:
        self._unsent += data
        if not self._will_send:
            self._will_send = True
            self.loop.call_soon(self._send, context=self.context)

    def _send(self) -> None:
        self._will_send = False
        if self.is_closed:
            return
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except _LATER:
            pass
        except OSError as error:
            self.defunct(error)
            return
        self._socket_writable = len(self._unsent) < _UNSENT
        if bool(self._unsent) != self._waits_to_send:
            self._waits_to_send = not self._waits_to_send
            if self._waits_to_send:
                self.loop.add_writer(self._socket.fileno(), self._send)
            else:
                self.loop.remove_writer(self._socket.fileno())

    def receive(self) -> None:
        """Takes what the socket has, and calls back whose answers are whole."""
        received, taken = self.received, 0
        try:
            while not self.is_closed:
                count = self._socket.recv_into(received)
                if not count:
                    self.close()
                    return
                self._process(received[:count])
                taken += count
                # The loop tells of more; not of what TLS has taken already, which gives 16 KB at most at once.
                if self.ssl_context is None or (taken >= _RECEIVED and not self._socket.pending()):
                    return
        except _LATER:
            pass
        except OSError as error:
            self.defunct(error)

    def _process(self, came: memoryview) -> None:
        if self._messages is None:
            self._iobuf.write(came)
            self.process_io_buffer()
            return
        try:
            for message in self._messages.in_what_came(came):
                self.process_msg(message, message.body)
        except CrcException as error:
            self.defunct(CrcMismatchException(str(error), self.endpoint))
        except ProtocolError as error:
            self.defunct(error)


class _Timer:
    """A call that can be cancelled in any thread."""

    __slots__ = ("_callback", "_connections", "_handle")

    def __init__(
        self, connections: type[LoopConnection], timeout: float, callback: Callable[[], Any]
    ) -> None:
        self._connections = connections
        self._callback: Callable[[], Any] | None = callback
        self._handle: asyncio.TimerHandle | None = None
        loop = connections.loop
        if runs_here(loop):
            self._start(timeout)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self._start, timeout, context=connections.context)

    def _start(self, timeout: float) -> None:
        if self._callback is not None:
            connections = self._connections
            self._handle = connections.loop.call_later(timeout, self._over, context=connections.context)

    def cancel(self) -> None:
        self._callback = None
        if self._handle is not None and runs_here(self._connections.loop):
            self._handle.cancel()

    def _over(self) -> None:
        self._handle = None
        try:
            # A loop that is late calls timers first. What has come in time must not be taken for late.
            for connection in [*self._connections.open]:
                if self._callback is not None:
                    connection.receive()
        finally:
            callback = self._callback  # another thread may cancel at any moment
            if callback is not None:
                callback()


class _Execute(ExecuteMessage):  # type: ignore[misc]
    """Asks for rows without the names and types of their columns, which the prepared statement has. The driver means to ask so, and does
    not. Where a table has changed meanwhile the server tells them all the same, as it is told which ones are known."""

    def send_body(self, f: BytesIO, protocol_version: int) -> None:
        begun = f.tell()
        super().send_body(f, protocol_version)
        # Behind two ids, each with its length, and the consistency: the last of four bytes of flags.
        flags = begun + 2 + len(self.query_id) + 2 + len(self.result_metadata_id) + 2 + 3
        with f.getbuffer() as sent:
            sent[flags] |= _SKIP_METADATA_FLAG


_KNOWS_COLUMNS = (ProtocolVersion.V5, ProtocolVersion.V6)
"""Versions of the protocol whose servers are told, by an id, which columns the client knows."""
