"""Responses of the Cassandra driver that tell the event loop alone.

Which nodes are asked, retries, a second node beside a slow one and the time that there is stay the driver's. Left out is what threads
need: locks, an Event, callbacks that may be added at any time. It took as long as to ask.
"""

import time
from collections.abc import Callable
from typing import Any

from cassandra.cluster import ExecutionProfile, ResponseFuture
from cassandra.policies import NoSpeculativeExecutionPlan
from cassandra.protocol import BatchMessage, ExecuteMessage, QueryMessage
from cassandra.query import FETCH_SIZE_UNSET, BatchStatement, SimpleStatement


class Response(ResponseFuture):  # type: ignore[misc]
    """What becomes of one statement."""

    is_settled = False
    """Whether who waits was told."""

    def __init__(
        self,
        session: Any,
        profile: ExecutionProfile,
        statement: Any,
        timeout: float,
        page: bytes | None,
        told: Callable[["Response", Any, BaseException | None], None],
    ) -> None:
        """``session``: the driver's. ``statement``: a bound or a simple one, or a batch. ``told`` gets the rows, where the statement
        has any, or the error; it may be called in any thread, and more than once where a second node was asked."""
        self.session = session
        self.query, self.timeout = statement, timeout
        self.message = _message(session, profile, statement, page)
        self.prepared_statement = getattr(statement, "prepared_statement", None)
        self.row_factory = profile.row_factory
        self._load_balancer = profile.load_balancing_policy
        self._retry_policy = profile.retry_policy
        self._protocol_handler = session.client_protocol_handler
        self._start_time = time.time()
        self._spec_execution_plan = (
            profile.speculative_execution_policy.new_plan(None, statement)
            if statement.is_idempotent
            else NoSpeculativeExecutionPlan()
        )
        self._told = told
        self._event = _Flag()
        self._errors: dict[Any, Exception] = {}
        self.attempted_hosts: list[Any] = []
        self._make_query_plan()

    def ask(self) -> None:
        """Sends the statement to the first node that takes it. What it raises is all that is told."""
        self._start_timer()
        try:
            self.send_request()
        except BaseException:
            self._cancel_timer()
            self.is_settled = True
            raise

    @property
    def page(self) -> bytes | None:
        """Where the next page begins; None at the end."""
        return self._paging_state  # type: ignore[no-any-return]

    @property
    def columns(self) -> list[str]:
        return self._col_names  # type: ignore[no-any-return]

    @property
    def host(self) -> Any:
        """The node that has answered, or else that was asked last."""
        return self.coordinator_host or self._current_host

    def _set_final_result(self, response: Any) -> None:
        self._cancel_timer()
        self._event.set()
        self._told(self, response, None)

    def _set_final_exception(self, response: BaseException) -> None:
        self._cancel_timer()
        self._final_exception = response  # the driver looks for it before it tries again
        self._event.set()
        self._told(self, None, response)


class _Flag:
    """What the driver asks of an Event where nobody waits for it."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


def _message(session: Any, profile: ExecutionProfile, statement: Any, page: bytes | None) -> Any:
    level = statement.consistency_level
    if level is None:
        level = profile.consistency_level
    serial = statement.serial_consistency_level
    if serial is None:
        serial = profile.serial_consistency_level
    timestamp = session.cluster.timestamp_generator() if session.use_client_timestamp else None
    if isinstance(statement, BatchStatement):
        return BatchMessage(
            statement.batch_type, statement._statements_and_parameters, level, serial, timestamp
        )
    size = session.default_fetch_size if statement.fetch_size is FETCH_SIZE_UNSET else statement.fetch_size
    if isinstance(statement, SimpleStatement):
        return QueryMessage(statement.query_string, level, serial, size, page, timestamp)
    prepared = statement.prepared_statement
    return ExecuteMessage(
        *(prepared.query_id, statement.values, level, serial, size, page, timestamp),
        skip_meta=bool(prepared.result_metadata),
        result_metadata_id=prepared.result_metadata_id,
    )
