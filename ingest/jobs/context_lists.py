"""Fills the lists of contexts by collection and by person from the contexts themselves. ``cohort init`` runs it.

Until version 4 of the schema there were none by collection, until version 7 none by person. Writing a row again changes nothing, and a row that a context has
lost meanwhile does not come back (ingest/writes/context_lists.py).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import OnProgress
from ingest.jobs.runner import Jobs, Pace
from ingest.writes.context_lists import LISTS, list_contexts
from loaders.library import context_of
from loaders.session import Shared
from rules.jobs import JobState
from stores.rows import has_rows
from stores.tables import CONTEXTS

RANGES = 16
"""Parts of the ring, each a step."""
PAGE = 200
RATE = 20_000.0
"""Contexts a second at most. Only the one who upgrades waits for them."""


async def fill_context_lists(shared: Shared, on_progress: OnProgress | None = None) -> list[str]:
    """Fills the lists once in the life of an instance, and again when there is a list more, and returns a line about it. Returns nothing if that was done, or
    if there is no context yet.

    A job that was broken off goes on. The instance may serve meanwhile: whoever writes a context keeps its lists.
    """
    jobs = Jobs(shared)
    begun = [job for job in await jobs.list() if job.kind == LISTING.name and job.arguments == _FILLS]
    if any(job.state is JobState.DONE for job in begun) or not await has_rows(shared.stores.rows, CONTEXTS):
        return []
    job = (
        await jobs.resume(LISTING, begun[0].id, on_progress)
        if begun
        else await jobs.start(LISTING, _FILLS, on_progress)
    )
    return [f"listed {job.done} contexts in {' and '.join(_FILLS['lists'])}"]


def _plan(shared: Shared, _arguments: Mapping[str, Any]) -> JobPlan:
    return _Listing(shared)


LISTING = JobKind("list-contexts", _plan)
_FILLS = {"lists": [table.name for table in LISTS]}
"""What a job is asked for. A job of an earlier schema was asked for fewer lists."""


class _Listing:
    def __init__(self, shared: Shared) -> None:
        self._rows = shared.stores.rows
        self._pace = Pace(RATE, PAGE)

    def steps(self) -> Sequence[str]:
        return [str(number) for number in range(RANGES)]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        done = start.done
        token_range = self._rows.ranges(RANGES)[int(step)]
        async for page in self._rows.walk(
            CONTEXTS, token_range, page_size=self._pace.page, resume=start.resume
        ):
            async with self._pace.of(len(page.rows)):
                contexts = [context for context in map(context_of, page.rows) if context is not None]
                await list_contexts(self._rows, contexts)
            done += len(contexts)
            yield Checkpoint(page.resume, done)
