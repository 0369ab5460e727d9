"""Attempts at assessments in their slim form, in the order of content and attempt."""

import heapq
from collections.abc import AsyncIterator, Collection, Sequence

from rules.assessments import Attempt
from rules.identifiers import ProgressKey, ViewKey
from stores.rows import Row, Rows
from stores.tables import ATTEMPTS

MOST_ATTEMPTS = 25
"""Attempts at a content in a list of scores, the latest ones (P-2.3)."""
_READ = 500
"""Rows at a time."""

Place = tuple[str, str, str]
"""Learner, collection and context."""


async def attempts_page(
    rows: Rows, place: Place, *, content_id: str | None, after: Sequence[str] | None, limit: int
) -> list[Attempt]:
    """A page of attempts at all contents, or at one. ``after``: content and attempt of the last one seen."""
    user_id, collection_id, context_id = place
    found = await rows.partition(
        ATTEMPTS,
        (user_id, collection_id),
        prefix=(context_id,) if content_id is None else (context_id, content_id),
        after=None if after is None else (context_id, *after),
        limit=limit,
    )
    return [_attempt(row) for row in found]


async def latest_attempts(
    rows: Rows, key: ProgressKey, content_ids: Collection[str] | None = None
) -> dict[str, list[Attempt]]:
    """The latest MOST_ATTEMPTS attempts at each content, the latest first; of these contents, or of all that have
    attempts.

    Rows are read page by page, so that no more is held than is returned.
    """
    latest: dict[str, list[tuple[float, str, Attempt]]] = {}
    async for attempt in _all(rows, (key.user_id, key.collection_id, key.context_id)):
        content_id = attempt.key.content_id
        if content_ids is not None and content_id not in content_ids:
            continue
        kept = latest.setdefault(content_id, [])
        at = attempt.attempted_on.timestamp() if attempt.attempted_on else 0.0
        heapq.heappush(kept, (at, attempt.attempt_id, attempt))
        if len(kept) > MOST_ATTEMPTS:
            heapq.heappop(kept)
    return {
        content: [attempt for _, _, attempt in sorted(kept, key=lambda one: one[:2], reverse=True)]
        for content, kept in latest.items()
    }


async def _all(rows: Rows, place: Place) -> AsyncIterator[Attempt]:
    after: tuple[str, str] | None = None
    while True:
        found = await attempts_page(rows, place, content_id=None, after=after, limit=_READ)
        for attempt in found:
            yield attempt
        if len(found) < _READ:
            return
        after = found[-1].key.content_id, found[-1].attempt_id


def _attempt(row: Row) -> Attempt:
    return Attempt(
        ViewKey(row["user_id"], row["collection_id"], row["context_id"], row["content_id"]),
        row["attempt_id"],
        row["total_score"] or 0.0,
        row["total_max_score"] or 0.0,
        row["last_attempted_on"],
    )
