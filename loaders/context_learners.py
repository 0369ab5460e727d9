"""Who is or was enrolled in a collection under a context, page by page."""

from collections.abc import AsyncIterator, Sequence

from loaders.library import Library
from stores.rows import Rows
from stores.tables import ENROLMENTS_BY_CONTEXT

PAGE = 500
"""Learners of each bucket of a context that are read at once."""


async def learners_in(
    rows: Rows,
    library: Library,
    context_id: str,
    collection_id: str,
    *,
    after: str | None = None,
    size: int = PAGE,
) -> AsyncIterator[Sequence[str]]:
    """Gives the learners in the order of their ids, after this one. ``size``: how many of each bucket are read at once;
    a page has so many or more. ``context_id`` and ``collection_id`` are of rows, or were checked."""
    context = await library.contexts.load(context_id)
    buckets = context.buckets if context is not None else 1
    keys = [(context_id, collection_id, bucket) for bucket in range(buckets)]
    while True:
        found = await rows.tuples(
            ENROLMENTS_BY_CONTEXT, keys, ("userid",), after=None if after is None else (after,), limit=size
        )
        pages = [[user for (user,) in rows_of] for rows_of in found.values()]
        # Beyond the last learner of a page that is full there may be others, whose turn is earlier.
        ends = [page[-1] for page in pages if len(page) == size]
        last = min(ends, default=None)
        users = sorted(user for page in pages for user in page if last is None or user <= last)
        if users:
            yield users
        if last is None:
            return
        after = last
