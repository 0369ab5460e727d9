"""What the driver does when a node does not answer: when it gives up, whom it asks instead, what it never sends twice.

A request has some 10 s. A node that ends refuses connections at once; one that is cut off says nothing at all, and without
these the driver would wait for it to the end of each request.
"""

from typing import Any

from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    ExponentialReconnectionPolicy,
    RetryPolicy,
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
    return ExponentialReconnectionPolicy(*RECONNECT)


def speculation() -> ConstantSpeculativeExecutionPolicy:
    """For what may be sent twice. Others wait until the heartbeat tells that their node is lost."""
    return ConstantSpeculativeExecutionPolicy(ASK_ANOTHER, NODES_ASKED - 1)
