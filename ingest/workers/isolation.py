"""Records that break a batch: each is found, and put away, so that it blocks no other."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ingest.workers.batch import send_dead_letters
from ingest.workers.dead_letters import dead_letter, place_of
from loaders.session import Shared
from rules.errors import StoreUnavailable
from stores.events import Record

log = logging.getLogger(__name__)

T = TypeVar("T")


async def isolated(
    shared: Shared, records: Sequence[Record], process: Callable[[Sequence[Record]], Awaitable[T]]
) -> tuple[list[T], int]:
    """Processes the records together. If one breaks them, processes each alone, and puts away the one that breaks.

    Returns what came of the others, and how many broke. Raises StoreUnavailable: then all may be done again.
    """
    try:
        return [await process(records)], 0
    except StoreUnavailable:
        raise
    except Exception as error:
        if len(records) == 1:
            log.exception("could not process %s, which is a dead letter now", place_of(records[0]))
            await send_dead_letters(shared, [dead_letter(records[0], f"internal error: {error!r}")])
            return [], 1
    done: list[T] = []
    broken = 0
    for record in records:
        alone, broke = await isolated(shared, [record], process)
        done += alone
        broken += broke
    return done, broken
