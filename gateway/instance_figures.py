"""Figures of the whole instance for its metrics: lag, the last aggregation, dead letters, jobs.

They are read from the stores now and then, whoever looks at the metrics: looking costs no store anything.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from ingest.jobs.runner import Jobs
from ingest.workers.dead_letters import pending
from loaders.session import Shared
from loaders.totals import last_aggregation
from rules.errors import StoreUnavailable, loggable
from rules.jobs import JobState
from stores.deadline import deadline
from stores.topics import GROUPS
from telemetry.metrics import AGGREGATED_AT, DEAD_LETTERS, JOBS, LAG, LOOKED_AT

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that reading one of them may take."""
SHARE = 20
"""A pause is at least so many times as long as the reading took: large topics of dead letters are read less often."""


async def follow(shared: Shared, every: float) -> None:
    """Reads all of them every so many seconds, until it is cancelled. What can't be read stays as old as it says."""
    while True:
        began = time.monotonic()
        for what, read in READINGS.items():
            try:
                with deadline(PATIENCE):
                    async with asyncio.timeout(PATIENCE):
                        await read(shared)
            except (StoreUnavailable, TimeoutError) as error:
                log.info("%s could not be read for the metrics: %s", what, loggable(error))
            except Exception:
                log.exception("%s could not be read for the metrics", what)
            else:
                LOOKED_AT.labels(what).set_to_current_time()
        await asyncio.sleep(max(every, SHARE * (time.monotonic() - began)))


async def _lag(shared: Shared) -> None:
    for group, topics in GROUPS.items():
        for topic, behind in (await shared.stores.events.lag(group, [one.name for one in topics])).items():
            LAG.labels(group, topic).set(behind)


async def _figures(shared: Shared) -> None:
    at = await last_aggregation(shared.stores.rows)
    AGGREGATED_AT.set(0 if at is None else at.timestamp())


async def _dead_letters(shared: Shared) -> None:
    DEAD_LETTERS.set(sum([1 async for _ in pending(shared.stores)]))


async def _jobs(shared: Shared) -> None:
    found = Counter((job.kind, job.state) for job in await Jobs(shared).list())
    for kind in {kind for kind, _ in found}:
        for state in JobState:
            JOBS.labels(kind, state.value).set(found[kind, state])


READINGS: dict[str, Callable[[Shared], Awaitable[None]]] = {
    "lag": _lag,
    "aggregation": _figures,
    "dead letters": _dead_letters,
    "jobs": _jobs,
}
"""Each by what the log and the metrics call it."""
