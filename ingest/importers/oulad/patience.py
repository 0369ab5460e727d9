"""How the loader calls: again while a store is away, and how many at the same time."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rules.errors import StoreUnavailable
from stores.backoff import Backoff

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE, PAUSES = 1.0, 16.0, 5
"""Seconds between attempts of a call while a store is away, and the number of pauses."""
AT_ONCE = 64
"""Learners or groups that are sent at the same time. The calls of each go one after another."""


async def patiently(command: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Calls again while a store is away: a store that is busy for a moment must not end a load of hours."""
    backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    for _ in range(PAUSES):
        try:
            return await command(*arguments)
        except StoreUnavailable as error:
            log.warning("a store is away, trying again in %g s: %s", backoff.seconds, error)
        await backoff.pause()
    return await command(*arguments)
