"""How long the calls of a store take: the methods of its port are timed, and are spans where there are traces."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any, TypeVar

from rules.errors import StoreUnavailable
from telemetry import traces
from telemetry.metrics import STORE_FAILURES, STORE_SECONDS

T = TypeVar("T")

UNTIMED = {"close", "consumer", "init"}
"""Methods that no request waits for."""
Subject = Callable[[Any], str]
"""Gives the name that a span may have of a call's first argument: of a table, a topic or a data source, never a key."""


def timed(store: str, port: type, subject: Subject | None = None) -> Callable[[type[T]], type[T]]:
    """Times the coroutines of the port in a class that is an engine of it. ``store``: what the metrics call it."""
    names = [
        name for name, member in vars(port).items() if iscoroutinefunction(member) and name not in UNTIMED
    ]

    def with_timing(engine: type[T]) -> type[T]:
        for name in names:
            setattr(engine, name, _timed(store, name, getattr(engine, name), subject))
        return engine

    return with_timing


def _timed(
    store: str, name: str, method: Callable[..., Awaitable[Any]], subject: Subject | None
) -> Callable[..., Awaitable[Any]]:
    observe = STORE_SECONDS.labels(store, name).observe
    span_name = f"{store} {name}"

    @wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        began = perf_counter()
        try:
            if not traces.are_on():
                return await method(self, *args, **kwargs)
            attributes = {"store": store, "operation": name}
            if subject is not None and args:
                attributes["subject"] = subject(args[0])
            with traces.span(span_name, attributes, calls=True):
                return await method(self, *args, **kwargs)
        except StoreUnavailable as error:
            STORE_FAILURES.labels(store, error.code).inc()
            raise
        finally:
            observe(perf_counter() - began)

    return call
