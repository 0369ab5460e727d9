"""What the driver is told about nodes that do not answer."""

import asyncio
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest, OperationTimedOut, Unauthorized, Unavailable
from cassandra.connection import ConnectionShutdown
from cassandra.policies import RetryPolicy, TokenAwarePolicy
from cassandra.protocol import OverloadedErrorMessage
from cassandra.query import SimpleStatement

from stores.cassandra_address import Address
from stores.cassandra_policies import (
    DISTRUST,
    HEARTBEAT,
    NODES_ASKED,
    RECONNECT,
    SILENCE,
    AskAnother,
    TrustedFirst,
    cannot_authorise,
    reconnection,
)
from stores.cassandra_session import TIMEOUT, CassandraSession
from stores.meter import Meter

READ, WRITE = SimpleStatement("SELECT", is_idempotent=True), SimpleStatement("UPDATE … IF")
LOST, BUSY = ConnectionShutdown("reset"), OverloadedErrorMessage(0x1001, "busy", None)


@pytest.mark.parametrize(
    ("statement", "error", "tried", "expected"),
    [
        (READ, LOST, 0, RetryPolicy.RETRY_NEXT_HOST),
        (READ, LOST, NODES_ASKED - 1, RetryPolicy.RETHROW),
        # The lost node may have applied it.
        (WRITE, LOST, 0, RetryPolicy.RETHROW),
        # The busy one says that it has not.
        (WRITE, BUSY, 0, RetryPolicy.RETRY_NEXT_HOST),
    ],
)
def test_only_what_may_be_sent_twice_goes_to_another_node(
    statement: SimpleStatement, error: Exception, tried: int, expected: int
) -> None:
    assert AskAnother().on_request_error(statement, 6, error, tried) == (expected, None)


def test_a_silent_node_is_given_up_within_a_request() -> None:
    assert HEARTBEAT + SILENCE < TIMEOUT


def test_a_node_that_was_away_long_is_found_within_seconds() -> None:
    pauses = [*islice(reconnection().new_schedule(), 1000)]
    assert len(pauses) == 1000, "it is never given up"
    assert max(pauses) <= RECONNECT[1] * 1.15  # the driver adds up to 15 % so that not all come at once


def test_a_node_that_could_not_reach_the_others_is_asked_last_for_some_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("stores.cassandra_policies.time.monotonic", lambda: now[0])
    monkeypatch.setattr(TokenAwarePolicy, "make_query_plan", lambda *_: iter("abc"))
    nodes = TrustedFirst("dc1")

    def plan() -> str:
        return "".join(nodes.make_query_plan())

    assert plan() == "abc"
    nodes.distrust("a", Unavailable("cannot achieve LOCAL_QUORUM"))
    assert plan() == "bca"
    now[0] = DISTRUST
    assert plan() == "abc"
    nodes.distrust("a", InvalidRequest("no such column"))
    assert plan() == "abc", "every other node would say the same"


def test_a_role_that_a_node_could_not_read_is_told_from_one_that_may_not() -> None:
    assert cannot_authorise(Unauthorized("Unable to perform authorization of permissions: timed out"))
    assert not cannot_authorise(Unauthorized("User cohort has no SELECT permission on <table k.t>"))


async def test_an_error_that_comes_after_another_nodes_answer_changes_nothing() -> None:
    """Neither is the node distrusted that has answered, nor is its statement's permit given back twice."""
    session = CassandraSession(Address.parse("cassandra://nowhere/cohort"), Meter(), 1)
    response: Any = SimpleNamespace(is_settled=False, host="well", page=None, columns=["a"])
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await session.permits.acquire()
    session._told(future, response, [(1,)], None)
    session._told(future, response, None, OperationTimedOut())
    assert (await future).rows == [(1,)]
    assert session._nodes._distrusted == {}
    await session.permits.acquire()
    assert session.permits.locked()
