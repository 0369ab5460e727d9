"""What operators see of loaders: how many keys each reads together, and a span for each of these reads."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from telemetry import traces
from telemetry.metrics import LOADER_KEYS

if TYPE_CHECKING:
    from strawberry.dataloader import DataLoader

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def loader(
    name: str, load: Callable[[list[K]], Awaitable[Sequence[V | BaseException]]]
) -> "DataLoader[K, V]":
    """A loader of one request, whose reads are counted and traced by this name."""
    return _made()(load_fn=watched(name, load))


@cache
def _made() -> "type[DataLoader[Any, Any]]":
    """Importing it brings all of GraphQL along, which most commands at a shell can do without."""
    from strawberry.dataloader import DataLoader

    return DataLoader


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
