"""The rows of attempts: of each attempt the newest version, whatever order versions come in."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ingest.attempts.places import PlacedAttempt
from loaders.attempts import attempt_key, attempt_of
from loaders.questions import slim_values, whole_attempt_values
from loaders.session import Shared
from rules.attempts import Attempt, WholeAttempt, write_time
from rules.scoring import scored
from stores.rows import Key, Rows, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES

_READ = (
    *ATTEMPTS.key,
    "total_score",
    "total_max_score",
    "last_attempted_on",
    "created_on",
    "content_hash",
    "written_at",
)


@dataclass(frozen=True, slots=True)
class _Version:
    whole: WholeAttempt
    placed: PlacedAttempt

    @property
    def rank(self) -> tuple[int, str]:
        return self.whole.attempt.version


async def write_newest(shared: Shared, placed: Sequence[PlacedAttempt]) -> int:
    """Writes each attempt that is newer than what is stored, and returns how many.

    The entry in the learner's list of scopes comes first: lists and erasures find the attempt by it. Then come the
    questions, then the slim row, which says that the questions are there. If this dies in between, the same records write
    the same again.
    """
    rows = shared.stores.rows
    versions: dict[Key, list[_Version]] = {}
    for one in placed:
        version = _Version(_whole(one), one)
        versions.setdefault(attempt_key(version.whole.attempt), []).append(version)
    stored = await _stored(rows, list(versions))
    newest = {key: _newest(those, stored.get(key)) for key, those in versions.items()}
    written = [whole for whole in newest.values() if whole is not None]
    begun = [
        version.placed
        for key, those in versions.items()
        if newest[key] is not None and key not in stored
        for version in those
    ]
    await rows.write(*_scope_writes(begun))
    await rows.write(
        *(
            Write(
                ATTEMPTS_WITH_QUESTIONS,
                attempt_key(whole.attempt),
                whole_attempt_values(whole),
                whole.attempt.written_at,
            )
            for whole in written
        )
    )
    await rows.write(
        *(
            Write(
                ATTEMPTS,
                attempt_key(whole.attempt),
                {**slim_values(whole), "archived_in": None, "origin": None},
                whole.attempt.written_at,
            )
            for whole in written
        )
    )
    return len(written)


def _whole(one: PlacedAttempt) -> WholeAttempt:
    submission = one.received.submission
    whole = scored(one.key, submission.attempt_id, one.attempted_on, submission.events)
    return replace(whole, collection_name=one.collection_name, context_name=one.context_name)


async def _stored(rows: Rows, keys: Sequence[Key]) -> dict[Key, Attempt]:
    """Returns the slim attempts that are stored under these keys.

    Learners who took the same assessment share a statement, which reads all their attempts at it. Those are few, and a
    statement for each attempt would be many.
    """
    alike: dict[Key, set[Key]] = {}
    for user_id, collection_id, context_id, content_id, _ in keys:
        alike.setdefault((collection_id, context_id, content_id), set()).add((user_id, collection_id))
    found = await asyncio.gather(
        *(
            rows.partitions(ATTEMPTS, sorted(partitions), _READ, prefix=(context_id, content_id))
            for (_, context_id, content_id), partitions in alike.items()
        )
    )
    wanted = set(keys)
    stored = (attempt_of(row) for of_alike in found for those in of_alike.values() for row in those)
    return {key: attempt for attempt in stored if (key := attempt_key(attempt)) in wanted}


def _newest(versions: Sequence[_Version], stored: Attempt | None) -> WholeAttempt | None:
    """Returns the newest of these versions as it is to be written. None if what is stored is as new.

    Each version has a write time after that of the older ones, also of those that are passed over: a process that died may
    have written one of them.
    """
    newer = {version.rank: version for version in versions if stored is None or version.rank > stored.version}
    if not newer:
        return None
    written_at = _written_at(stored)
    for rank in sorted(newer):
        written_at = write_time(newer[rank].placed.attempted_on, written_at)
    last = newer[max(newer)]
    appended_on = last.placed.received.appended_on
    created_on = stored.created_on if stored is not None else None
    attempt = replace(
        last.whole.attempt,
        created_on=created_on or versions[0].placed.received.appended_on,
        updated_on=appended_on,
        written_at=written_at or 0,
    )
    return replace(last.whole, attempt=attempt)


def _written_at(stored: Attempt | None) -> int | None:
    """Returns the write time of the stored row. Rows of before schema 6 were written at the moment of the attempt."""
    if stored is None or stored.attempted_on is None:
        return None
    return stored.written_at or write_time(stored.attempted_on)


def _scope_writes(begun: Sequence[PlacedAttempt]) -> Iterator[Write]:
    """Gives the entries of the places of these attempts, written at the time of the log, so that they never outlive an
    erasure after it."""
    latest = {
        one.key.progress_key: one for one in sorted(begun, key=lambda one: one.received.record.appended_at)
    }
    for place, one in latest.items():
        at = one.received.record.appended_at * 1000
        key = (place.user_id, place.collection_id, place.context_id)
        yield Write(LEARNER_SCOPES, key, {"scope": one.key.scope}, at)
