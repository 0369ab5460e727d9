"""Attempts that follow a learner's progress: written under another key, and taken away from the one of before.

An attempt keeps its id, score and times, and its questions come along. If they are archived they are read from there and are
live again under the new key, until the archive takes them from it: so what becomes of the old file does not matter to the new
row. Nothing is written where the same or a newer version is already. All writes
follow from what is stored, so each may be done again, by any process.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.writes.transfers import enter_scopes
from loaders.attempts import attempt_key, attempt_of, attempts_by_key
from loaders.erasures import erased_places
from loaders.questions import slim_values, whole_attempt_of, whole_attempt_values
from loaders.session import Shared
from rules.attempts import Attempt, WholeAttempt, rekeyed_at, taken_away_at
from rules.identifiers import ProgressKey, ViewKey
from rules.origins import OriginKind
from rules.tracking import Tracking
from stores.rows import Key, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS

AT_ONCE = 50
"""Attempts that are brought together. Their questions are in memory."""
_SLIM = tuple(ATTEMPTS.types)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Attempts that are to come under other keys. ``due`` are those to be written, each with where it goes and the other
    version that is there. ``reached`` are the keys that have at least one of all that were asked for, or will have it."""

    due: Sequence[tuple[Attempt, ViewKey, Attempt | None]] = ()
    reached: frozenset[ProgressKey] = frozenset()


async def slim_attempts(shared: Shared, keys: Collection[ProgressKey]) -> dict[ProgressKey, list[Attempt]]:
    """Returns the attempts whose rows stand under each key. It costs one statement for 100 collections of a learner."""
    return await attempts_by_key(shared.stores.rows, Tracking(), keys, {}, _SLIM)


async def arrivals(shared: Shared, wanted: Mapping[ViewKey, Collection[Attempt]]) -> Arrivals:
    """Returns what is left to do to have attempts under other keys. ``wanted``: by the key of a content where they are to
    be. Of several versions of an attempt the newest comes. It costs one read for 100 attempts."""
    newest: dict[Key, tuple[Attempt, ViewKey]] = {}
    for to, attempts in wanted.items():
        for attempt in attempts:
            key = attempt_key(replace(attempt, key=to))
            if key not in newest or _order(newest[key][0]) < _order(attempt):
                newest[key] = attempt, to
    if not newest:
        return Arrivals()
    found = await shared.stores.rows.get_many(ATTEMPTS, list(newest), _SLIM)
    due: list[tuple[Attempt, ViewKey, Attempt | None]] = []
    reached = set()
    for key, (attempt, to) in newest.items():
        there = attempt_of(found[key]) if key in found else None
        if there is None or there.version < attempt.version or _is_stale_copy(there, attempt):
            due.append((attempt, to, there))
            reached.add(to.progress_key)
        elif there.origin is not None:
            # The figures of an earlier attempt to bring it may not have been computed.
            reached.add(to.progress_key)
    return Arrivals(due, frozenset(reached))


async def bring(shared: Shared, coming: Arrivals, kind: OriginKind) -> int:
    """Writes the attempts that are due, and returns how many. The learner's list of scopes comes first, and questions
    before the slim row, which says that they were written. It costs, for 50 attempts, one read of the questions, one of
    the erasures and two writes; for archived ones also what the archive costs.

    Raises StoreUnavailable if the archive can't be read: what was not brought is brought by whoever does it again.
    """
    for start in range(0, len(coming.due), AT_ONCE):
        await _bring(shared, coming.due[start : start + AT_ONCE], kind)
    return len(coming.due)


async def _bring(
    shared: Shared, due: Sequence[tuple[Attempt, ViewKey, Attempt | None]], kind: OriginKind
) -> None:
    rows = shared.stores.rows
    places = list(dict.fromkeys(to.progress_key for _, to, _ in due))
    sources = [attempt for attempt, _, _ in due]
    questions, erased = await asyncio.gather(_questions(shared, sources), erased_places(rows, places))
    whole: list[Write] = []
    slim: list[Write] = []
    for source, (_, to, there) in zip(sources, due, strict=True):
        at = rekeyed_at(source, there, erased.get(to.progress_key))
        attempt, key = source.rekeyed(to, kind, at), attempt_key(replace(source, key=to))
        found = questions.get(attempt_key(source))
        if found is not None:
            values = whole_attempt_values(replace(found, attempt=attempt))
            whole.append(Write(ATTEMPTS_WITH_QUESTIONS, key, values, at))
        assert attempt.origin is not None  # noqa: S101 - rekeyed says where it was
        stays = {"archived_in": None, "origin": attempt.origin.encode()}
        slim.append(Write(ATTEMPTS, key, {**slim_values(WholeAttempt(attempt, ())), **stays}, at))
    await enter_scopes(shared, {to.progress_key: to.scope for _, to, _ in due})
    if whole:
        await rows.write(*whole)
    await rows.write(*slim)


async def _questions(shared: Shared, attempts: Sequence[Attempt]) -> Mapping[Key, WholeAttempt]:
    """Returns the attempts with their questions, from live rows and from the archive, by the key of the row."""
    rows = shared.stores.rows
    versions = {attempt_key(attempt): attempt.version for attempt in attempts}
    live = [attempt_key(attempt) for attempt in attempts if attempt.archived_in is None]
    stored = await rows.get_many(ATTEMPTS_WITH_QUESTIONS, live) if live else {}
    found = {key: whole_attempt_of(row) for key, row in stored.items()}
    archived = [attempt for attempt in attempts if attempt.archived_in is not None]
    if gone := [key for key in live if key not in found]:
        # They may have gone into the archive since the slim row was read.
        again = map(attempt_of, (await rows.get_many(ATTEMPTS, gone, _SLIM)).values())
        archived += [attempt for attempt in again if attempt.archived_in is not None]
    if archived:
        found |= await shared.archived_questions.load(archived)
    # Questions of a newer version come with the trigger of their slim row.
    return {key: whole for key, whole in found.items() if whole.attempt.version == versions[key]}


async def take_away(shared: Shared, attempts: Sequence[Attempt]) -> None:
    """Deletes attempts that stand somewhere else by now, the slim row last: by it what is left is found again.

    A version that came here since is written after the deletion, and stays.
    """
    if not attempts:
        return
    for table in (ATTEMPTS_WITH_QUESTIONS, ATTEMPTS):
        await shared.stores.rows.write(
            *(Write(table, attempt_key(one), {}, taken_away_at(one), delete=True) for one in attempts)
        )


def _is_stale_copy(there: Attempt, attempt: Attempt) -> bool:
    """Whether a copy differs from what it was copied of. Whoever migrates may correct an attempt without a later moment."""
    source = (attempt.key.collection_id, attempt.key.context_id)
    return (
        there.is_copy
        and there.origin is not None
        and there.origin.place == source
        and there.version != attempt.version
    )


def _order(attempt: Attempt) -> tuple[tuple[int, str], bool, str, str]:
    """Newer versions are larger. Of equal ones that with live questions, so that they are not lost sight of."""
    return attempt.version, attempt.archived_in is None, attempt.key.collection_id, attempt.key.context_id
