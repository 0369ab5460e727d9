"""Each request as operators see it: counted, timed, traced, and told in the log if it was slow."""

import logging
from collections.abc import Iterable
from functools import cache
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.layers import Layer, at_start
from telemetry import traces
from telemetry.metrics import (
    ERRORS,
    OPERATION_SECONDS,
    OPERATIONS,
    REQUEST_SECONDS,
    REQUESTS,
    SLOW_REQUESTS,
    observe_cost,
)
from telemetry.operations import OperationNames
from telemetry.requests import Noted, noting

log = logging.getLogger(__name__)

NO_ROUTE = "none"
"""The route of a request that no route answers: its path is whatever a client likes."""
ABANDONED = "none"
"""The status of a request that was not answered, because its client left."""


class Watched(Layer):
    """``routes``: those of the application, whose paths are labels. ``slow``: seconds from which on a request is told in the
    log; 0 for never."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], slow: float) -> None:
        super().__init__(app)
        self._slow = slow
        # An endpoint of several paths, as GraphQL's, is known by the first of them.
        named = reversed([*map(_path_and_endpoint, routes)])
        self._paths = {id(endpoint): path for path, endpoint in named}
        self._names = OperationNames()
        # Each is looked up once: their labels are few.
        self._requests, self._seconds = cache(REQUESTS.labels), cache(REQUEST_SECONDS.labels)
        self._operations, self._operation_seconds = cache(OPERATIONS.labels), cache(OPERATION_SECONDS.labels)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = perf_counter(), ABANDONED
        parent = None if not traces.are_on() else Headers(scope=scope).get(traces.TRACEPARENT)

        def tell(message: Message) -> None:
            nonlocal status
            status = str(message["status"])
            if (own := traces.traceparent()) is not None:
                MutableHeaders(scope=message)[traces.TRACEPARENT] = own

        with noting() as notes, traces.request_span("request", parent):
            try:
                await self.app(scope, receive, at_start(send, tell))
            finally:
                self._tell(scope, notes, status, perf_counter() - began)

    def _tell(self, scope: Scope, notes: Noted, status: str, seconds: float) -> None:
        route = self._paths.get(id(scope.get("endpoint")), NO_ROUTE)
        self._requests(route, status).inc()
        self._seconds(route).observe(seconds)
        for code in notes.codes:
            ERRORS.labels(route, code).inc()
        observe_cost(notes.estimate, notes.actual)
        if notes.type:
            operation = self._names.label(notes.operation)
            self._operations(notes.type, operation).inc()
            self._operation_seconds(operation).observe(seconds)
        if traces.are_on():
            traces.describe(
                route, {"http.route": route, "http.response.status_code": status, **_known(notes)}
            )
        if self._slow and seconds >= self._slow:
            SLOW_REQUESTS.labels(route).inc()
            fields = {"route": route, "status": status, "seconds": round(seconds, 3), **_known(notes)}
            told = fields | {"caller": notes.caller, "statements": dict(notes.statements)}
            log.warning("a slow request", extra={"fields": {name: one for name, one in told.items() if one}})


def _known(notes: Noted) -> dict[str, str | int]:
    """What is known of the document and its cost."""
    told = {
        "document": notes.document,
        "type": notes.type,
        "operation": notes.operation,
        "estimate": notes.estimate,
        "cost": notes.actual,
        "errors": ",".join(sorted(set(notes.codes))),
    }
    return {name: value for name, value in told.items() if value}


def _path_and_endpoint(route: BaseRoute) -> tuple[str, object]:
    return getattr(route, "path", NO_ROUTE), getattr(route, "endpoint", None) or getattr(route, "app", None)
