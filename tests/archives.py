"""Attempts that are old enough to be archived, and what is stored of all attempts, wherever their questions are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.archival.local_files import fetched
from ingest.archival.standing import dated
from loaders.archives import Archive, all_archives
from loaders.attempts import attempt_key, attempt_of
from loaders.questions import whole_attempt_of
from loaders.session import Shared
from rules.archives import ROOT, ArchiveState, whole_of_archive_row
from rules.attempts import Attempt, Question, WholeAttempt
from rules.identifiers import ViewKey
from stores.columns import Table
from stores.rows import Key, Row
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.attempts import store_attempt


async def store_old_attempt(
    shared: Shared, user: str, attempt_id: str, at: datetime, *, context: str = "batch", score: float = 1.5
) -> Attempt:
    """An attempt at a quiz with two questions, last updated at its own moment."""
    questions = [
        Question(
            "q1", at, score, 2.0, "mcq", f"Which, {user}?", None, 3.5, [{"1": "a"}], [{"1": 'a "b"\n,'}]
        ),
        Question("q2", at, 0.0, 1.0),
    ]
    key = ViewKey(user, "course", context, "quiz")
    return await store_attempt(shared, key, attempt_id, score, 3.0, at, questions=questions)


async def rows_of(shared: Shared, table: Table) -> list[Row]:
    rows = shared.stores.rows
    return [row for one in rows.ranges(1) async for page in rows.walk(table, one) for row in page.rows]


async def archives(shared: Shared, *states: ArchiveState) -> list[Archive]:
    """Of all contexts, in these states or in any."""
    found = [one async for one in all_archives(shared.stores.rows) if not states or one.state in states]
    return sorted(found, key=lambda one: (one.part.context_id, one.request_id))


async def read_archive(shared: Shared, archive: Archive) -> list[WholeAttempt]:
    """The attempts of a file."""
    with TemporaryDirectory() as folder:
        copy = await fetched(shared.stores.blobs, archive.blob, Path(folder, "file"), archive.form)
        assert (copy.size, copy.checksum) == (archive.size, archive.checksum)
        return [whole_of_archive_row(row) async for page in copy.pages() for row in page]


async def stored_attempts(shared: Shared) -> dict[Key, WholeAttempt]:
    """Every attempt with its questions, from its live row or from the file that its slim row leads to.

    Fails if one has none, or both, and if there is any other file or any file has anything else but versions that are no
    longer the newest.
    """
    live = {
        attempt_key(one.attempt): one
        for one in map(whole_attempt_of, await rows_of(shared, ATTEMPTS_WITH_QUESTIONS))
    }
    filed = {
        one.request_id: {attempt_key(whole.attempt): whole for whole in await read_archive(shared, one)}
        for one in await archives(shared, ArchiveState.ARCHIVED)
    }
    found: dict[Key, WholeAttempt] = {}
    for slim in map(attempt_of, await rows_of(shared, ATTEMPTS)):
        key = attempt_key(slim)
        if slim.archived_in is None:
            whole = live.pop(key)
        else:
            assert key not in live, "archived and live"
            whole = filed[slim.archived_in].pop(key)
        assert dated(whole.attempt) == replace(dated(slim), archived_in=None)
        found[key] = whole
    assert not live, "questions without an attempt"
    for key, whole in ((key, whole) for rows in filed.values() for key, whole in rows.items()):
        assert whole.attempt.version < found[key].attempt.version, "in two files"
    assert await blob_names(shared) == sorted(
        one.blob for one in await archives(shared, ArchiveState.ARCHIVED)
    )
    return found


async def blob_names(shared: Shared) -> Sequence[str]:
    return sorted([blob.name async for blob in shared.stores.blobs.below(ROOT)])
