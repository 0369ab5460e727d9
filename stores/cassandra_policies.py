"""What the driver does when a node does not answer: when it gives up, whom it asks instead, what it never sends twice.

A request has some 10 s. A node that ends refuses connections at once; one that is cut off says nothing at all, and without
these the driver would wait for it to the end of each request.
"""

import time
from collections.abc import Iterable
from typing import Any

from cassandra import AuthenticationFailed, OperationTimedOut, RequestExecutionException, Unauthorized
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    RetryPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import IsBootstrappingErrorMessage, OverloadedErrorMessage

HEARTBEAT = 2.0
"""Seconds without an answer after which a connection is asked whether it lives."""
SILENCE = 5.0
"""Seconds that it may take to say so: more than the pauses of a busy node, and, with those before, less than a request has."""
ASK_ANOTHER = 1.0
"""Seconds after which a statement that may be sent twice is sent to another node, too. Far above what an answer takes."""
RECONNECT = (0.5, 5.0)
"""Seconds from one attempt to reach a node that is away to the next: the first, and the most that it grows to. So all are
found within seconds of the end of an outage."""
NODES_ASKED = 3
"""To how many nodes one statement goes at most."""
DISTRUST = 5.0
"""Seconds for which others are asked before a node that could not reach the others."""


class TrustedFirst(TokenAwarePolicy):  # type: ignore[misc]
    """Nodes that have the row first, but last of all those that lately could not reach the others.

    The driver takes a node for well that it can connect to. One that is cut off from the others still listens, and for as
    long as that lasts each statement sent to it would fail.
    """

    def __init__(self, dc: str | None) -> None:
        super().__init__(DCAwareRoundRobinPolicy(dc or ""))
        self._distrusted: dict[Any, float] = {}
        """Until when, by time.monotonic()."""

    def distrust(self, host: Any, error: BaseException) -> None:
        """Notes how a statement ended that this host had."""
        if host is not None and tells_of_others_away(error):
            self._distrusted[host] = time.monotonic() + DISTRUST

    def make_query_plan(self, working_keyspace: Any = None, query: Any = None) -> Iterable[Any]:
        plan: Iterable[Any] = super().make_query_plan(working_keyspace, query)
        if not self._distrusted:
            return plan
        now = time.monotonic()
        self._distrusted = {host: until for host, until in self._distrusted.items() if until > now}
        return iter(sorted(plan, key=self._distrusted.__contains__))


def tells_of_others_away(error: BaseException) -> bool:
    """Whether the node that answered so, or said nothing, may be the one that is cut off. Another may do better."""
    return isinstance(error, RequestExecutionException | OperationTimedOut) or cannot_authorise(error)


def cannot_authorise(error: BaseException) -> bool:
    """Whether a node could not read the roles, which are rows, too. It says the same as of a role that may not, and of a password
    that is wrong."""
    return isinstance(error, Unauthorized | AuthenticationFailed) and "Unable to perform" in str(error)


class AskAnother(RetryPolicy):  # type: ignore[misc]
    """A statement whose node is lost goes to another node, unless it has conditions.

    The lost node may have applied it. Sent again, a conditional write would then be refused because of itself, and its
    caller would take it for another's. What a plain write says twice is the same, with the same write time.
    """

    def on_request_error(
        self, query: Any, consistency: int, error: Exception, retry_num: int
    ) -> tuple[int, int | None]:
        refused = isinstance(error, OverloadedErrorMessage | IsBootstrappingErrorMessage)
        if retry_num + 1 < NODES_ASKED and (refused or query.is_idempotent):
            return self.RETRY_NEXT_HOST, None
        return self.RETHROW, None


def reconnection() -> ExponentialReconnectionPolicy:
    """Without an end: the driver's own gives a node up for good after 64 attempts."""
    return ExponentialReconnectionPolicy(*RECONNECT, max_attempts=None)


def speculation() -> ConstantSpeculativeExecutionPolicy:
    """For what may be sent twice. Others wait until the heartbeat tells that their node is lost."""
    return ConstantSpeculativeExecutionPolicy(ASK_ANOTHER, NODES_ASKED - 1)
