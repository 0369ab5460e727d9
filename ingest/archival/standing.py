"""Which attempts of a file still are what their slim rows say. Only those belong into the archive."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ingest.writes.all_ended import all_ended
from loaders.attempts import attempt_key, attempt_of
from loaders.erasures import erasures_of, last_erased_on
from rules.archives import AttemptVersion
from rules.attempts import Attempt, write_time, write_time_of
from rules.moments import milliseconds
from stores.columns import Milliseconds, Table
from stores.rows import Key, NarrowRow, Row, Rows
from stores.tables import ATTEMPTS

T = TypeVar("T")

Place = tuple[str, str, str]
"""Of an assessment: collection, context and content."""

AT_ONCE = 1000
"""Attempts that are looked up together."""
_SLICES = 16
"""Assessments that are read at the same time."""
_COLUMNS = (
    *ATTEMPTS.key,
    "total_score",
    "total_max_score",
    "last_attempted_on",
    "content_hash",
    "written_at",
    "archived_in",
    "origin",
)
_NARROW = (
    "attempt_id",
    Milliseconds("last_attempted_on"),
    "content_hash",
    "written_at",
    "archived_in",
)


async def standing(rows: Rows, attempts: Sequence[AttemptVersion]) -> dict[Key, str | None]:
    """The slim rows that are of the same version as these, by key: the request that has the questions of each. What was erased is
    left out, although its rows may be there yet."""
    found: dict[Key, str | None] = {}
    for some in portions_of(attempts):
        slim = await _slim(rows, some)
        # By learner: a statement for a hundred of them. By place, each file of a class would take three times as many.
        erasures = await erasures_of(rows, {attempt.key[0] for attempt in some})
        for attempt in some:
            key = attempt.key
            stored = slim.get(key)
            if stored is None or stored[:2] != (attempt.written_at, attempt.content_hash):
                continue
            if of_learner := erasures.get(key[0]):
                erased_on = last_erased_on(of_learner, key[1:3])
                at = attempt.attempted_on
                if erased_on is not None and (at is None or at <= milliseconds(erased_on)):
                    continue
            found[key] = stored[2]
    return found


async def _slim(
    rows: Rows, attempts: Sequence[AttemptVersion]
) -> dict[Key, tuple[int, str | None, str | None]]:
    """Write time, hash and request of the slim rows in the partitions of these attempts, by key. Learners share a statement, if
    they attempted the same assessment."""

    async def read(place: Place, partitions: Sequence[Key]) -> dict[Key, list[NarrowRow]]:
        return await rows.tuples(ATTEMPTS, partitions, _NARROW, prefix=place[1:])

    return {
        (*partition, *place[1:], attempt_id): (written_at or write_time_of(at), content_hash, archived_in)
        for place, found in await _by_assessment([attempt.key for attempt in attempts], read)
        for partition, some in found.items()
        for attempt_id, at, content_hash, written_at, archived_in in some
    }


async def _by_assessment(
    keys: Iterable[Key], read: Callable[[Place, Sequence[Key]], Awaitable[T]]
) -> list[tuple[Place, T]]:
    """What ``read`` gives of each assessment in which these attempts are, with the partitions of its learners."""
    learners: dict[Place, dict[Key, None]] = {}
    for user_id, collection_id, context_id, content_id, _ in keys:
        learners.setdefault((collection_id, context_id, content_id), {})[user_id, collection_id] = None
    works = (read(place, [*partitions]) for place, partitions in learners.items())
    return list(zip(learners, await all_ended(works, _SLICES), strict=True))


def dated(attempt: Attempt) -> Attempt:
    """The attempt with the write time of its row. In rows of before schema 6 it is that of the attempt's own moment. It stays 0
    where nobody knows."""
    if attempt.written_at or attempt.attempted_on is None:
        return attempt
    return replace(attempt, written_at=write_time(attempt.attempted_on))


async def stored_attempts(
    rows: Rows, attempts: Sequence[Attempt], table: Table = ATTEMPTS
) -> Mapping[Key, Attempt]:
    """What the table has with the keys of these attempts. Learners share a statement, if they attempted the same
    assessment."""
    columns = [column for column in _COLUMNS if column in table.types]
    wanted = {attempt_key(attempt) for attempt in attempts}

    async def read(place: Place, partitions: Sequence[Key]) -> list[Row]:
        found = await rows.partitions(table, partitions, columns, prefix=place[1:])
        return [
            row
            for partition, some in found.items()
            for row in some
            if (*partition, *place[1:], row["attempt_id"]) in wanted
        ]

    found = await _by_assessment(map(attempt_key, attempts), read)
    stored = [dated(attempt_of(row)) for _, some in found for row in some]
    return {attempt_key(attempt): attempt for attempt in stored}


def portions_of(attempts: Sequence[AttemptVersion]) -> Iterator[Sequence[AttemptVersion]]:
    """Those that are looked up together."""
    for first in range(0, len(attempts), AT_ONCE):
        yield attempts[first : first + AT_ONCE]
