"""A session of the Cassandra driver for asyncio: the address, statements as awaitables, the driver's errors as ours.

Its connections are on the event loop (cassandra_connection.py), where answers come. What the driver's threads tell, of connections
that are lost, reaches it in as few wake-ups as possible. A session must not be shared over a fork: open one in each process.
"""

import asyncio
import logging
import re
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import get_ident
from typing import Any, ClassVar, NamedTuple, TypeVar

from cassandra import (
    AlreadyExists,
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ProtocolVersion,
    RequestExecutionException,
    Unauthorized,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import IsBootstrappingErrorMessage, OverloadedErrorMessage, ServerError
from cassandra.query import BoundStatement, tuple_factory

from rules.errors import NotInitialised, StoreUnavailable
from stores.cassandra_address import Address
from stores.cassandra_connection import connections_on, runs_here
from stores.cassandra_policies import (
    HEARTBEAT,
    SILENCE,
    AskAnother,
    TrustedFirst,
    cannot_authorise,
    reconnection,
    speculation,
)
from stores.cassandra_responses import Response
from stores.cassandra_values import Answers
from stores.deadline import remaining
from stores.meter import Meter

T = TypeVar("T")

CONNECTED_WITHIN = 5.0
"""Seconds that a host may take to accept a connection, and to answer each question of the driver then, before another one is
tried. The driver's own two seconds are too few for a busy node with many tables."""
TIMEOUT = 10.0
"""Seconds that a statement may take; a change of the schema may take three times as long."""

# The server warns of batches over many partitions; ours are meant, for the same replicas, and below every limit.
logging.getLogger("cassandra.protocol").addFilter(
    lambda record: "Server warning: Unlogged batch covering" not in record.getMessage()
)
_connecting: set[int] = set()
"""Threads that connect. ``connect`` raises what goes wrong there, so the driver need not log it too."""
logging.getLogger("cassandra.cluster").addFilter(lambda record: record.thread not in _connecting)

_AWAY = (
    TimeoutError,
    NoHostAvailable,
    UnresolvableContactPoints,
    OperationTimedOut,
    RequestExecutionException,
    ConnectionException,
    ServerError,
    OverloadedErrorMessage,
    IsBootstrappingErrorMessage,
)


class Answer(NamedTuple):
    """One page of an answer. ``page``: where the next page begins; None at the end."""

    rows: list[tuple[Any, ...]]
    page: bytes | None
    columns: list[str]


class Routed(BoundStatement):  # type: ignore[misc]
    """A bound statement with a routing key of its own: the driver finds none for IN."""

    routing_key: bytes | None = None


class CassandraSession:
    """At most ``in_flight`` statements run at a time; the others wait. A session belongs to the loop that opened it."""

    connecting: ClassVar[Mapping[str, Any]] = {"protocol_version": ProtocolVersion.V5}
    """Options of the driver beside the address."""
    answers: ClassVar[Any] = Answers
    """How the driver decodes what comes."""

    def __init__(self, address: Address, meter: Meter, in_flight: int) -> None:
        self.address = address
        self.meter = meter
        self.permits = asyncio.Semaphore(in_flight)
        self._loop = asyncio.get_running_loop()
        self._answered: deque[tuple[asyncio.Future[Answer], Response, Answer | BaseException]] = deque()
        self._waking = False
        self._prepared: dict[str, Any] = {}
        self._preparing: dict[str, asyncio.Task[Any]] = {}
        self._nodes = TrustedFirst(address.dc)
        self._profile = ExecutionProfile(
            load_balancing_policy=self._nodes,
            consistency_level=ConsistencyLevel.LOCAL_QUORUM,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
            request_timeout=TIMEOUT,
            row_factory=tuple_factory,
            retry_policy=AskAnother(),
            speculative_execution_policy=speculation(),
        )
        self._cluster: Any = None
        self._session: Any = None

    async def connect(self) -> None:
        """Connects to a host. StoreUnavailable where none answers. Then, or when cancelled, nothing is left open."""
        try:
            async with asyncio.timeout(remaining(TIMEOUT)):
                # In a thread, as names are resolved and hosts tried in turn.
                await asyncio.to_thread(self._connect)
        except BaseException as error:
            await self.close()
            if isinstance(error, _AWAY):
                remaining(TIMEOUT)
                where = ", ".join(f"{host}:{port}" for host, port in self.address.hosts)
                raise StoreUnavailable(
                    "the rows can't be reached", detail=f"Cassandra at {where}: {self._why(error)}"
                ) from error
            raise

    def _why(self, error: BaseException) -> str:
        if others := self.other_data_centres:
            return f"there is no data centre {self.address.dc}, but {' and '.join(others)}"
        return _error_line(error)

    def _connect(self) -> None:
        address = self.address
        self._cluster = Cluster(
            [*address.hosts],
            auth_provider=PlainTextAuthProvider(address.user, address.password) if address.user else None,
            ssl_context=address.certificates and address.certificates.context("rows"),
            execution_profiles={EXEC_PROFILE_DEFAULT: self._profile},
            reconnection_policy=reconnection(),
            idle_heartbeat_interval=HEARTBEAT,
            idle_heartbeat_timeout=SILENCE,
            # At first use each node asks for a statement that it does not know. Else the first to need a new statement
            # would wait for every node, also for one that says nothing.
            prepare_on_all_hosts=False,
            max_schema_agreement_wait=0,  # change_schema waits
            **self.connecting,
            connection_class=connections_on(self._loop, self.answers),
            # Else the last part of what is sent may wait 40 ms for an ACK.
            sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            compression=False,
            connect_timeout=CONNECTED_WITHIN,
            control_connection_timeout=CONNECTED_WITHIN,
        )
        _connecting.add(get_ident())
        try:
            self._session = self._cluster.connect()
            self._session.client_protocol_handler = self.answers
        finally:
            _connecting.discard(get_ident())

    async def close(self) -> None:
        if self._cluster is not None:
            await asyncio.to_thread(self._cluster.shutdown)

    def alike(self, items: Sequence[T], routing_key: Callable[[T], bytes]) -> list[list[T]]:
        """The items in groups, each of which the same nodes hold. One group where there is one node."""
        if self.nodes < 2:
            return [[*items]] if items else []
        groups: dict[frozenset[Any], list[T]] = {}
        for item in items:
            groups.setdefault(self.replicas(routing_key(item)), []).append(item)
        return [*groups.values()]

    @property
    def other_data_centres(self) -> list[str]:
        """The data centres there, if the address names one that is none of them. None are known before a host answers."""
        hosts = () if self._cluster is None else self._cluster.metadata.all_hosts()
        known = {host.datacenter for host in hosts if host.datacenter}
        return sorted(known) if self.address.dc and self.address.dc not in known else []

    @property
    def nodes(self) -> int:
        return len(self._cluster.metadata.all_hosts())

    @property
    def holders(self) -> dict[str, bool]:
        """Whether each node that may hold rows is there: those of the data centre, where the address names one."""
        return {
            str(host.endpoint): bool(host.is_up)
            for host in self._cluster.metadata.all_hosts()
            if self.address.dc in (None, host.datacenter)
        }

    def replicas(self, routing_key: bytes) -> frozenset[Any]:
        """The nodes that hold the partition."""
        hosts = self._cluster.metadata.get_replicas(self.address.keyspace, routing_key)
        return frozenset(host.endpoint for host in hosts)

    async def prepare(self, cql: str) -> Any:
        """The prepared statement. Each text is prepared once, also where several ask at the same time."""
        if (known := self._prepared.get(cql)) is not None:
            return known
        task = self._preparing.get(cql)
        if task is None:
            task = self._preparing[cql] = asyncio.create_task(asyncio.to_thread(self._prepare, cql))
            task.add_done_callback(lambda done: self._keep(cql, done))
        with _errors():
            async with asyncio.timeout(remaining(TIMEOUT)):
                return await asyncio.shield(task)

    def _prepare(self, cql: str) -> Any:
        prepared = self._session.prepare(cql)
        # Reads, and writes whose time is set once: sent twice, they say the same.
        prepared.is_idempotent = not re.search(r"\bIF\b", cql)
        return prepared

    def _keep(self, cql: str, done: asyncio.Task[Any]) -> None:
        del self._preparing[cql]
        if not done.cancelled() and done.exception() is None:
            self._prepared[cql] = done.result()

    async def send(self, what: str, statement: Any, *, page: bytes | None = None) -> Answer:
        """Sends one statement, metered as ``what``, and returns a page of its answer.

        A cancelled caller's permit is given back when the driver has the answer, so that no more than ``in_flight``
        statements ever run. StoreUnavailable where there is no answer in time.
        """
        left = remaining(TIMEOUT)
        with _errors():
            if self.permits.locked():
                async with asyncio.timeout(left):
                    await self.permits.acquire()
            else:
                await self.permits.acquire()  # at once
            future: asyncio.Future[Answer] = self._loop.create_future()
            try:
                response = Response(
                    *(self._session, self._profile, statement, remaining(TIMEOUT), page),
                    partial(self._told, future),
                )
                response.ask()
            except BaseException:
                self.permits.release()
                raise
            self.meter.count(what)
            try:
                return await future
            finally:
                # They have the error, whose trace has this frame: they would hold each other.
                del future, response

    def _told(
        self,
        future: asyncio.Future[Answer],
        response: Response,
        rows: list[tuple[Any, ...]] | None,
        error: BaseException | None,
    ) -> None:
        if response.is_settled:
            return  # a second node has answered, too, or could not
        if error is None:
            told: Answer | BaseException = Answer(rows or [], response.page, response.columns)
        else:
            told = error
            self._nodes.distrust(response.host, error)
        if runs_here(self._loop):
            self._settle(future, response, told)
            return
        self._answered.append((future, response, told))
        if not self._waking:  # else the loop is woken already
            self._waking = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._waking = False
        while self._answered:
            self._settle(*self._answered.popleft())

    def _settle(
        self, future: asyncio.Future[Answer], response: Response, told: Answer | BaseException
    ) -> None:
        if response.is_settled:
            return
        response.is_settled = True
        self.permits.release()
        if future.done():
            return
        if isinstance(told, BaseException):
            future.set_exception(told)
        else:
            future.set_result(told)

    async def change_schema(self, *ddl: str) -> None:
        """Sends statements of DDL, one after the other. Returns when every node agrees on the last."""
        if not ddl:
            return
        self.meter.count("schema change", len(ddl))
        with _errors():
            agreed = await asyncio.to_thread(self._change_schema, ddl)
        if not agreed:
            raise StoreUnavailable("the nodes do not agree on the schema yet; try again")

    def _change_schema(self, ddl: Sequence[str]) -> bool:
        # All to one node, which has each change before the next. So the others, a second behind, are waited for only once.
        node = self._cluster.get_control_connection_host()
        for text in ddl:
            with suppress(AlreadyExists):  # another process was faster
                self._session.execute_async(text, timeout=3 * TIMEOUT, host=node).result()
        return bool(self._cluster.control_connection.wait_for_schema_agreement(wait_time=3 * TIMEOUT))


def _error_line(error: BaseException) -> str:
    """The driver's error in a line."""
    if isinstance(error, UnresolvableContactPoints):
        return "no host of this name is known"
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict) and error.errors:
        return "; ".join(
            f"{getattr(host, 'endpoint', host)}: {_error_line(cause)}" for host, cause in error.errors.items()
        )
    if isinstance(error, ServerError):  # a fault of the server, whose words may be of the rows
        return f"{error.summary}: {error.message.partition(':')[0]}"
    return str(error) or "no answer in time"


@contextmanager
def _errors() -> Iterator[None]:
    """Turns the driver's errors into ours; DeadlineExceeded past the deadline."""
    try:
        yield
    except _AWAY as error:
        remaining(TIMEOUT)
        raise StoreUnavailable(
            "the rows did not answer", detail=f"Cassandra: {_error_line(error)}"
        ) from error
    except Unauthorized as error:
        remaining(TIMEOUT)
        why = "did not answer" if cannot_authorise(error) else "refuse it to Cohort's role"
        raise StoreUnavailable(f"the rows {why}", detail=f"Cassandra: {_error_line(error)}") from error
    except InvalidRequest as error:
        if re.search(r"unconfigured table|(table|keyspace) \S+ does not exist", str(error), re.IGNORECASE):
            raise NotInitialised(
                "the rows have no such table yet: `cohort init` creates what is missing", detail=str(error)
            ) from error
        raise
