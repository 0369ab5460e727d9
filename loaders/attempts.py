"""Attempts at assessments in their slim form, in the order of content and attempt."""

import heapq
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from rules.attempts import Attempt, AttemptOrigin
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, ViewKey
from rules.tracking import Tracking
from stores.rows import Key, Row, Rows
from stores.tables import ATTEMPTS
from stores.turns import breathe, portions

MOST_ATTEMPTS = 25
"""Attempts at a content in a list of scores, the latest ones (P-2.3)."""
SCORE_COLUMNS = (*ATTEMPTS.key, "total_score", "total_max_score", "last_attempted_on")
"""The columns that scores are computed from."""
_READ = 500
"""Rows at a time."""

Place = tuple[str, str, str]
"""Learner, collection and context."""


async def attempts_by_key(
    rows: Rows,
    tracking: Tracking,
    keys: Collection[ProgressKey],
    trees: Mapping[str, RelationTree],
    columns: Sequence[str] | None = SCORE_COLUMNS,
) -> dict[ProgressKey, list[Attempt]]:
    """All attempts that count for each key, wherever the instance keeps them. ``trees``: of the collections; without one,
    a key whose attempts are kept by content has none. ``columns`` None: all of them.

    Partitions are batched by the rows port: one of each learner and collection, in full carry forward one of each
    learner and leaf.
    """
    if tracking.keeps_by_content:
        leaves = {
            key: tree.leaf_nodes if (tree := trees.get(key.collection_id)) else frozenset() for key in keys
        }
        wanted = {(key.user_id, leaf) for key, those in leaves.items() for leaf in those}
        found = await rows.partitions(ATTEMPTS, sorted(wanted), columns) if wanted else {}
        by_key: dict[ProgressKey, list[Attempt]] = {key: [] for key in leaves}
        for key, those in leaves.items():
            for leaf in sorted(those):
                by_key[key] += await _attempts_under(leaf, found[key.user_id, leaf])
        return by_key
    sources = {key: tracking.source(key) for key in keys}
    found_at = await attempts_kept_at(rows, set(sources.values()), columns)
    return {key: found_at[source] for key, source in sources.items()}


async def attempts_kept_at(
    rows: Rows, places: Collection[ProgressKey], columns: Sequence[str] | None = SCORE_COLUMNS
) -> dict[ProgressKey, list[Attempt]]:
    """All attempts that are kept at these places themselves, a content alone among them."""
    partitions = {(place.user_id, place.collection_id) for place in places}
    found = await rows.partitions(ATTEMPTS, sorted(partitions), columns) if partitions else {}
    return {
        place: await _attempts_under(place.context_id, found[place.user_id, place.collection_id])
        for place in places
    }


async def _attempts_under(context_id: str, rows: Sequence[Row]) -> list[Attempt]:
    """Those rows of a partition that are of this context."""
    attempts: list[Attempt] = []
    await breathe()
    async for portion in portions(rows):
        attempts += [attempt_of(row) for row in portion if row["context_id"] == context_id]
    return attempts


async def attempts_of_keys(rows: Rows, keys: Sequence[ViewKey]) -> list[list[Attempt]]:
    """All attempts at the assessment of each key, whole. A key says where attempts are kept.

    One statement for all keys. It reads the partitions, of a learner and a collection, that they are in.
    """
    found = await attempts_kept_at(rows, {key.progress_key for key in keys}, None)
    by_key: defaultdict[ViewKey, list[Attempt]] = defaultdict(list)
    for attempts in found.values():
        for attempt in attempts:
            by_key[attempt.key].append(attempt)
    return [by_key[key] for key in keys]


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
    return [attempt_of(row) for row in found]


async def latest_attempts(
    rows: Rows,
    tracking: Tracking,
    key: ProgressKey,
    trees: Mapping[str, RelationTree],
    content_ids: Collection[str] | None = None,
) -> dict[str, list[Attempt]]:
    """The latest MOST_ATTEMPTS attempts at each content, the latest first; of these contents, or of all that have
    attempts. ``trees``: as of ``attempts_by_key``.

    Rows are read page by page, so that no more is held than is returned. Full carry forward reads all leaves at once.
    """
    latest: dict[str, list[tuple[float, str, Attempt]]] = {}
    async for attempt in _counted(rows, tracking, key, trees):
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


async def _counted(
    rows: Rows, tracking: Tracking, key: ProgressKey, trees: Mapping[str, RelationTree]
) -> AsyncIterator[Attempt]:
    """All attempts that count for the key."""
    if tracking.keeps_by_content and key.collection_id in trees:
        for attempt in (await attempts_by_key(rows, tracking, [key], trees))[key]:
            yield attempt
        return
    source = tracking.source(key)
    place = source.user_id, source.collection_id, source.context_id
    after: tuple[str, str] | None = None
    while True:
        found = await attempts_page(rows, place, content_id=None, after=after, limit=_READ)
        for attempt in found:
            yield attempt
        if len(found) < _READ:
            return
        after = found[-1].key.content_id, found[-1].attempt_id


def attempt_key(attempt: Attempt) -> Key:
    """The primary key of the attempt's row, in both tables."""
    key = attempt.key
    return key.user_id, key.collection_id, key.context_id, key.content_id, attempt.attempt_id


def attempt_of(row: Row) -> Attempt:
    """The attempt in a row, of either table. Columns that were not read are as if nothing was stored."""
    return Attempt(
        ViewKey(row["user_id"], row["collection_id"], row["context_id"], row["content_id"]),
        row["attempt_id"],
        row["total_score"],
        row["total_max_score"],
        row["last_attempted_on"],
        row.get("created_on"),
        row.get("updated_on"),
        row.get("written_at") or 0,
        row.get("content_hash"),
        row.get("archived_in"),
        AttemptOrigin.decode(origin) if (origin := row.get("origin")) else None,
    )
