"""Connections of the driver on the event loop: who sends and receives, and what ends them."""

import asyncio
import gc
import io
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import uvloop
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut
from cassandra.cluster import ResponseFuture
from cassandra.connection import ConnectionBusy, ConnectionShutdown, DefaultEndPoint, HeartbeatFuture
from cassandra.protocol import OptionsMessage
from cassandra.query import SimpleStatement

from rules.errors import DeadlineExceeded, StoreUnavailable
from stores import cassandra_session
from stores.cassandra_address import Address
from stores.cassandra_connection import LoopConnection, connections_on
from stores.cassandra_segments import Segments
from stores.cassandra_session import CassandraSession
from stores.deadline import deadline
from stores.meter import Meter
from stores.rows_cassandra import CassandraRows
from tests.conftest import CASSANDRA, times_as_served
from tests.outages.proxies import Fault, Proxy
from tests.stores.authority import Authority
from tests.stores.tls_proxy import tls_proxy

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
WHERE = urlsplit(CASSANDRA).netloc.rpartition("@")[2]
HOST, PORT = WHERE.rpartition(":")[0], int(WHERE.rpartition(":")[2])

on_both_loops = pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])

Loop = Callable[[], asyncio.AbstractEventLoop]


def through(proxy: Proxy) -> str:
    return CASSANDRA.replace(WHERE, proxy.address)


def connections_of(session: CassandraSession) -> list[LoopConnection]:
    """Of statements, and the one by which the driver hears of nodes."""
    pools = [pool._connection for pool in session._session._pools.values()]
    return [*pools, session._cluster.control_connection._connection]


async def until(holds: Callable[[], bool], within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.02)


def plain(text: str) -> SimpleStatement:
    return SimpleStatement(text, is_idempotent=True)


# --- sending and receiving


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads in which connections send, receive and decode."""
    seen: set[int] = set()

    def noted(method: Any) -> Any:
        def call(self: LoopConnection, *args: Any) -> None:
            seen.add(threading.get_ident())
            method(self, *args)

        return call

    for name in ("_send", "receive", "process_msg"):
        monkeypatch.setattr(LoopConnection, name, noted(getattr(LoopConnection, name)))
    return seen


@pytest.mark.stack
@on_both_loops
def test_statements_are_sent_and_their_answers_decoded_in_the_thread_of_the_loop(
    loop: Loop, threads: set[int]
) -> None:
    async def ask() -> None:
        rows = await CassandraRows.open(CASSANDRA)
        await asyncio.gather(*(rows.clock() for _ in range(50)))
        await rows.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())
    assert threads == {threading.get_ident()}


@pytest.mark.stack
async def test_what_is_sent_in_one_turn_goes_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = await CassandraRows.open(CASSANDRA)
    await rows.clock()
    sent = []
    send = LoopConnection._send

    def counted(self: LoopConnection) -> None:
        sent.append(len(self._unsent))
        send(self)

    monkeypatch.setattr(LoopConnection, "_send", counted)
    await asyncio.gather(*(rows.clock() for _ in range(50)))
    await rows.close()
    assert sent[0] > 50 * len("SELECT toUnixTimestamp(now()) FROM system.local")


@pytest.fixture
async def made() -> AsyncIterator[CassandraSession]:
    """A session, with a table of one row whose names are told nowhere else."""
    session = CassandraSession(Address.parse(CASSANDRA), Meter(), 16)
    await session.connect()
    keyspace = f"test_{uuid4().hex[:10]}"
    await session.change_schema(
        f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
        f"CREATE TABLE {keyspace}.told (place text PRIMARY KEY, first text, second map<text, text>)",
    )
    session.keyspace = keyspace  # type: ignore[attr-defined]
    insert = plain(f"INSERT INTO {keyspace}.told (place, first, second) VALUES ('a', 'b', {{'c': 'd'}})")
    await session.send("insert", insert)
    try:
        yield session
    finally:
        await session.change_schema(f"DROP KEYSPACE {keyspace}")
        await session.close()


async def row_of(session: CassandraSession, columns: str) -> Any:
    prepared = await session.prepare(f"SELECT {columns} FROM {session.keyspace}.told WHERE place = ?")  # type: ignore[attr-defined]
    return (await session.send("select", prepared.bind(["a"]))).rows[0]


@pytest.mark.stack
async def test_answers_do_not_tell_again_which_columns_they_have(
    made: CassandraSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await row_of(made, "first, second") == ("b", {"c": "d"})
    heard = []
    process = LoopConnection._process

    def noted(self: LoopConnection, came: memoryview) -> None:
        heard.append(bytes(came))
        process(self, came)

    monkeypatch.setattr(LoopConnection, "_process", noted)
    assert await row_of(made, "first, second") == ("b", {"c": "d"})
    answer = b"".join(heard)
    assert b"b" in answer
    assert b"second" not in answer


@pytest.mark.stack
async def test_a_statement_that_was_prepared_before_its_table_changed_is_answered_rightly(
    made: CassandraSession,
) -> None:
    """The server tells the columns then: a client that went by those of before would mix them up."""
    before = await row_of(made, "*")
    assert tuple(before) == ("a", "b", {"c": "d"})
    await made.change_schema(
        f"ALTER TABLE {made.keyspace}.told ADD alike text",  # type: ignore[attr-defined]
        f"ALTER TABLE {made.keyspace}.told DROP first",  # type: ignore[attr-defined]
    )
    assert tuple(await row_of(made, "*")) == ("a", None, {"c": "d"})


@pytest.mark.stack
async def test_statements_leave_nothing_to_the_garbage_collector(made: CassandraSession) -> None:
    async def ask() -> None:
        await row_of(made, "first, second")
        with suppress(InvalidRequest):
            await made.send("select", plain("SELECT nothing FROM nowhere"))

    for _ in range(3):
        await ask()
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(10):
            await ask()
        await asyncio.sleep(0)
        gc.collect()
        assert [one for one in gc.garbage if isinstance(one, ResponseFuture | InvalidRequest)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.stack
async def test_statements_are_sent_from_other_threads_too() -> None:
    rows = await CassandraRows.open(CASSANDRA)

    def ask() -> Any:
        return rows._session._session.execute("SELECT key FROM system.local").one()

    assert await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(10))) == [("local",)] * 10
    await rows.close()


ONE_ROW = "SELECT key FROM system.local"
LARGE = 4_000_000
WIDE = "0123456789" * 5_000


async def sends_and_receives_much(url: str) -> None:
    """Statements of 4 MB, which no socket takes at once, and an answer of more than 2 MB, of many segments."""
    rows = await CassandraRows.open(url)
    session = rows._session
    asked = plain(
        f"SELECT table_name, (text)'{WIDE}' FROM system_schema.columns WHERE keyspace_name = 'system_schema'"
    )
    large = plain(f"SELECT key FROM system.local /* {'x' * LARGE} */")
    wide, *answers = await asyncio.gather(
        session.send("wide", asked), *(session.send("large", large) for _ in range(5))
    )
    assert [answer.rows for answer in answers] == [[("local",)]] * 5
    assert len(wide.rows) > 50
    assert {row[1] for row in wide.rows} == {WIDE}
    assert "columns" in {row[0] for row in wide.rows}
    await rows.close()


@pytest.mark.stack
@on_both_loops
def test_long_statements_and_long_answers_come_whole(loop: Loop) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(sends_and_receives_much(CASSANDRA))


@pytest.mark.stack
@on_both_loops
def test_long_statements_and_long_answers_come_whole_over_tls(loop: Loop, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def over_tls() -> None:
        async with tls_proxy(authority.server(), WHERE) as port:
            secure = CASSANDRA.replace("cassandra:", "cassandras:").replace(WHERE, f"127.0.0.1:{port}")
            await sends_and_receives_much(f"{secure}/cohort?ca={authority.ca}")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(over_tls())


# --- what goes wrong


@pytest.mark.stack
@pytest.mark.parametrize("idempotent", [True, False])
async def test_statements_fail_whose_connection_is_closed_under_way(idempotent: bool) -> None:
    """150 at once: the driver tells the hundredth and more in a thread of its own."""
    async with Proxy(HOST, PORT) as proxy:
        rows = await CassandraRows.open(through(proxy))
        in_all = rows._session.permits._value
        await proxy.becomes(Fault.CUT)
        statement = SimpleStatement("SELECT key FROM system.local", is_idempotent=idempotent)
        asked = [asyncio.create_task(rows._session.send("ping", statement)) for _ in range(150)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, StoreUnavailable)
        assert rows._session.permits._value == in_all
        await proxy.becomes(None)
        await until_it_answers(rows)
        await rows.close()


async def until_it_answers(rows: CassandraRows) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(StoreUnavailable):
                await rows.ping()
                return
            await asyncio.sleep(0.05)


@pytest.mark.stack
async def test_a_deadline_ends_a_statement_that_a_silent_server_has() -> None:
    async with Proxy(HOST, PORT) as proxy:
        rows = await CassandraRows.open(through(proxy))
        in_all = rows._session.permits._value
        await proxy.becomes(Fault.SILENT)
        with deadline(0.3), pytest.raises(DeadlineExceeded):
            await rows.ping()
        assert rows._session.permits._value == in_all
        await proxy.becomes(None)
        await rows.ping()  # the late answer is not taken for this one
        await rows.close()


@pytest.mark.stack
@on_both_loops
def test_an_answer_that_has_come_is_not_late_because_the_loop_is(loop: Loop) -> None:
    """Some work held the loop for longer than the statement had."""

    async def ask() -> None:
        rows = await CassandraRows.open(CASSANDRA)
        clock = plain("SELECT toUnixTimestamp(now()) FROM system.local")
        with deadline(1.0):
            asked = asyncio.create_task(rows._session.send("clock", clock))
            await until(lambda: rows.meter.counts["clock"] == 1)
            await asyncio.sleep(0)
            connection = connections_of(rows._session)[0]
            await until(lambda: not connection._unsent)
            time.sleep(2.0)  # noqa: ASYNC251 - it is what holds the loop
        assert (await asked).rows
        assert rows.meter.counts["clock"] == 1
        await rows.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())


@pytest.mark.stack
async def test_a_server_that_says_nothing_is_given_up_by_the_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times_as_served(monkeypatch)
    monkeypatch.setattr(cassandra_session, "HEARTBEAT", 0.2)
    monkeypatch.setattr(cassandra_session, "SILENCE", 1.0)
    async with Proxy(HOST, PORT) as proxy:
        rows = await CassandraRows.open(through(proxy))
        connections = connections_of(rows._session)
        await proxy.becomes(Fault.SILENT)
        await until(lambda: all(connection.is_closed for connection in connections))
        await proxy.becomes(None)
        await until_it_answers(rows)
        await rows.close()


@pytest.mark.stack
async def test_nodes_that_could_not_read_the_roles_for_a_while_are_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As without a quorum: a login is refused as if the password were wrong."""
    answered, refused, away = LoopConnection._handle_auth_response, 0, False
    why = 'Bad credentials message="Unable to perform authentication: Cannot achieve consistency level LOCAL_QUORUM"'

    def handle(self: LoopConnection, answer: Any) -> None:
        nonlocal refused
        if away:
            refused += 1
            self.defunct(AuthenticationFailed(why))
        else:
            answered(self, answer)

    monkeypatch.setattr(LoopConnection, "_handle_auth_response", handle)
    async with Proxy(HOST, PORT) as proxy:
        rows = await CassandraRows.open(through(proxy))
        away = True
        for connection in connections_of(rows._session):
            connection.defunct(ConnectionShutdown("the node is gone"))
        await until(lambda: refused > 3)
        with pytest.raises(StoreUnavailable):
            await rows.ping()
        away = False
        await until_it_answers(rows)
        await rows.close()


@asynccontextmanager
async def peer(*, ends: bool) -> AsyncIterator[DefaultEndPoint]:
    """Takes connections and what is sent first. It answers nothing, or ends them then."""

    talks = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        await reader.read(1)
        if not ends:
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield DefaultEndPoint(*server.sockets[0].getsockname())
        await until(lambda: bool(talks))
        async with asyncio.timeout(20):
            await asyncio.gather(*filter(None, talks))


@asynccontextmanager
async def talking() -> AsyncIterator[LoopConnection]:
    """A connection to such a peer, which the loop looks at."""
    connections = connections_on(asyncio.get_running_loop())
    async with peer(ends=False) as address:
        connection = await asyncio.to_thread(connections, address)
        await until(lambda: connection in connections.open)
        yield connection


async def test_a_connection_that_is_ended_while_it_is_made_is_no_connection() -> None:
    """As by a node that has enough of them, or drains. Taken for a good one, each attempt would seem to have succeeded."""
    connections = connections_on(asyncio.get_running_loop())
    async with peer(ends=True) as address:
        with pytest.raises(ConnectionShutdown):
            await asyncio.to_thread(connections.factory, address, 20)


async def test_a_statement_that_a_busy_connection_refuses_leaves_nothing_under_way() -> None:
    connections = connections_on(asyncio.get_running_loop())
    async with peer(ends=False) as address:
        connection = await asyncio.to_thread(connections, address)
        before = connection.in_flight, len(connection.request_ids), connection.highest_request_id
        connection._socket_writable = False
        with connection.lock:
            connection.in_flight += 1
            request_id = connection.get_request_id()
        with pytest.raises(ConnectionBusy):
            connection.send_msg(OptionsMessage(), request_id, lambda answer: None)
        assert (connection.in_flight, len(connection.request_ids), connection.highest_request_id) == before
        connection.close()


async def test_a_statement_ends_in_time_whatever_happens_to_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking() as connection:
        monkeypatch.setattr(LoopConnection, "receive", lambda self: 1 // 0)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        over = asyncio.Event()
        connection.create_timer(0.01, over.set)
        async with asyncio.timeout(20):
            await over.wait()
        monkeypatch.undo()
        connection.close()


async def test_a_message_that_was_changed_on_its_way_ends_the_connection() -> None:
    async with talking() as connection:
        connection._enable_checksumming()
        whole = io.BytesIO()
        Segments().encode(whole, struct.pack(">BBhBi", 0x85, 0, 7, 8, 5) + b"hello")
        changed = bytearray(whole.getvalue())
        changed[-6] ^= 1
        connection._process(memoryview(changed))
        assert connection.is_closed
        assert "CRC" in str(connection.last_error)


async def test_what_is_no_message_ends_the_connection() -> None:
    async with talking() as connection:
        connection._enable_checksumming()
        short = io.BytesIO()
        Segments().encode(short, struct.pack(">BBhBi", 0x85, 0, 7, 8, 500) + b"hello")
        connection._process(memoryview(short.getvalue()))
        assert connection.is_closed
        assert "500" in str(connection.last_error)


# --- loops that end


@pytest.mark.stack
@on_both_loops
def test_a_session_that_is_closed_leaves_no_socket_open(loop: Loop) -> None:
    async def ask() -> list[LoopConnection]:
        rows = await CassandraRows.open(CASSANDRA)
        await rows.ping()
        connections = connections_of(rows._session)
        await rows.close()
        return connections

    with asyncio.Runner(loop_factory=loop) as runner:
        connections = runner.run(ask())
        assert [connection._socket.fileno() for connection in connections] == [-1, -1]
        assert not connections[0].open


@pytest.mark.stack
@on_both_loops
def test_connections_of_a_loop_that_was_closed_end_without_a_word(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's heartbeat finds that the loop is gone."""
    times_as_served(monkeypatch)
    monkeypatch.setattr(cassandra_session, "HEARTBEAT", 0.2)
    with asyncio.Runner(loop_factory=loop) as runner:
        rows = runner.run(CassandraRows.open(CASSANDRA))
        connections = connections_of(rows._session)
    ends = time.monotonic() + 60
    while not all(connection._socket.fileno() == -1 for connection in connections):
        assert time.monotonic() < ends
        time.sleep(0.05)
    with asyncio.Runner(loop_factory=loop) as another:
        another.run(rows.close())


@pytest.mark.stack
@on_both_loops
def test_a_connection_lives_on_where_its_loop_stands_still_for_long(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    times_as_served(monkeypatch)
    monkeypatch.setattr(cassandra_session, "HEARTBEAT", 0.1)
    monkeypatch.setattr(cassandra_session, "SILENCE", 0.2)
    with asyncio.Runner(loop_factory=loop) as runner:
        rows = runner.run(CassandraRows.open(CASSANDRA))
        connections = connections_of(rows._session)
        time.sleep(1.5)  # several heartbeats
        runner.run(rows.ping())
        assert connections_of(rows._session) == connections
        runner.run(rows.close())


@pytest.mark.stack
@on_both_loops
def test_work_that_holds_the_loop_for_longer_than_a_heartbeat_may_take_costs_neither_connections_nor_answers(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times_as_served(monkeypatch)
    monkeypatch.setattr(cassandra_session, "HEARTBEAT", 0.1)
    monkeypatch.setattr(cassandra_session, "SILENCE", 0.2)
    beats = 0
    wait = HeartbeatFuture.wait

    def counted(self: HeartbeatFuture, timeout: float) -> None:
        nonlocal beats
        try:
            wait(self, timeout)
        except OperationTimedOut:
            beats += 1
            raise

    monkeypatch.setattr(HeartbeatFuture, "wait", counted)

    async def held() -> None:
        rows = await CassandraRows.open(CASSANDRA)
        connections = connections_of(rows._session)
        asked = [
            asyncio.create_task(rows._session.send("one", SimpleStatement(ONE_ROW, is_idempotent=idempotent)))
            for idempotent in (True, False)
        ]
        await asyncio.sleep(0)
        until_missed = time.monotonic() + 60
        while not beats:
            assert time.monotonic() < until_missed
            time.sleep(0.05)  # noqa: ASYNC251 - it is what holds the loop
        time.sleep(0.5)  # noqa: ASYNC251
        assert [answer.rows for answer in await asyncio.gather(*asked)] == [[("local",)]] * 2
        assert connections_of(rows._session) == connections
        assert not any(connection.is_defunct or connection.is_closed for connection in connections)
        await rows.ping()
        await rows.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(held())


# --- timers


async def in_thread(do: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(do)


async def here(do: Callable[[], Any]) -> Any:
    return do()


@pytest.mark.parametrize("where", [here, in_thread])
async def test_a_timer_calls_back_in_the_loop_wherever_it_was_made(
    where: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]],
) -> None:
    connections = connections_on(asyncio.get_running_loop())
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await where(lambda: connections.create_timer(0.01, lambda: over.set_result(threading.get_ident())))
    assert await over == threading.get_ident()


@pytest.mark.parametrize("where", [here, in_thread])
async def test_a_timer_that_was_cancelled_does_not_call_back(
    where: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]],
) -> None:
    connections = connections_on(asyncio.get_running_loop())
    called: list[str] = []
    timers = [connections.create_timer(0.01, lambda: called.append("cancelled")) for _ in range(2)]
    timers.append(await where(lambda: connections.create_timer(0.01, lambda: called.append("cancelled"))))
    for timer in timers:
        await where(timer.cancel)
    over = asyncio.Event()
    connections.create_timer(0.05, over.set)
    await over.wait()
    assert called == []
