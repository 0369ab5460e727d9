"""Which attempts of a file still are what their slim rows say. Only those belong into the archive."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ingest.writes.all_ended import all_ended
from loaders.attempts import attempt_key, attempt_of
from loaders.erasures import erasures_of, last_erased_on
from rules.attempts import Attempt, write_time
from rules.moments import milliseconds
from stores.columns import Table
from stores.rows import Key, Row, Rows
from stores.tables import ATTEMPTS

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


async def standing(rows: Rows, attempts: Sequence[Attempt]) -> dict[Key, Attempt]:
    """The slim attempts that are of the same version as these, by key of the row. What was erased is left out, although its
    rows may be there yet."""
    found: dict[Key, Attempt] = {}
    for some in _portions(attempts):
        slim = await stored_attempts(rows, some)
        # By learner: a statement for a hundred of them. By place, each file of a class would take three times as many.
        erasures = await erasures_of(rows, {attempt.key.user_id for attempt in some})
        for attempt in some:
            stored = slim.get(attempt_key(attempt))
            if stored is None or not _same_version(attempt, stored):
                continue
            at, place = attempt.attempted_on, (attempt.key.collection_id, attempt.key.context_id)
            erased_on = last_erased_on(erasures.get(attempt.key.user_id, {}), place)
            if erased_on is None or (at is not None and milliseconds(at) > milliseconds(erased_on)):
                found[attempt_key(attempt)] = stored
    return found


def dated(attempt: Attempt) -> Attempt:
    """The attempt with the write time of its row. In rows of before schema 6 it is that of the attempt's own moment. It stays 0
    where nobody knows."""
    if attempt.written_at or attempt.attempted_on is None:
        return attempt
    return replace(attempt, written_at=write_time(attempt.attempted_on))


def _same_version(attempt: Attempt, stored: Attempt) -> bool:
    return attempt.written_at == stored.written_at and attempt.content_hash == stored.content_hash


async def stored_attempts(
    rows: Rows, attempts: Sequence[Attempt], table: Table = ATTEMPTS
) -> Mapping[Key, Attempt]:
    """What the table has with the keys of these attempts. Learners share a statement, if they attempted the same
    assessment."""
    learners: dict[tuple[str, str, str], dict[Key, None]] = {}
    for attempt in attempts:
        key = attempt.key
        place = key.collection_id, key.context_id, key.content_id
        learners.setdefault(place, {})[key.user_id, key.collection_id] = None
    columns = [column for column in _COLUMNS if column in table.types]
    wanted = {attempt_key(attempt) for attempt in attempts}

    async def read(place: tuple[str, str, str], partitions: Sequence[Key]) -> list[Row]:
        found = await rows.partitions(table, partitions, columns, prefix=place[1:])
        return [
            row
            for partition, some in found.items()
            for row in some
            if (*partition, *place[1:], row["attempt_id"]) in wanted
        ]

    works = (read(place, [*partitions]) for place, partitions in learners.items())
    stored = [dated(attempt_of(row)) for some in await all_ended(works, _SLICES) for row in some]
    return {attempt_key(attempt): attempt for attempt in stored}


def _portions(attempts: Sequence[Attempt]) -> Iterator[Sequence[Attempt]]:
    for first in range(0, len(attempts), AT_ONCE):
        yield attempts[first : first + AT_ONCE]
