"""What operators see of loaders: how many keys each reads together, and a span for each of these reads."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeVar

from telemetry import traces
from telemetry.metrics import LOADER_KEYS

K = TypeVar("K")
V = TypeVar("V")


def watched(loader: str, load: Callable[[list[K]], Awaitable[V]]) -> Callable[[list[K]], Awaitable[V]]:
    """The same function, whose calls are counted and traced as those of ``loader``."""
    observe = _observer(loader)

    async def batch(keys: list[K]) -> V:
        observe(len(keys))
        with traces.span(f"loader {loader}", {"loader": loader, "keys": len(keys)}):
            return await load(keys)

    return batch


@cache
def _observer(loader: str) -> Callable[[float], None]:
    """Looked up once: there are loaders in every request."""
    return LOADER_KEYS.labels(loader).observe
