"""Questions of attempts that were archived, read from the files of the archive (R-ASSESS-5).

A slim row says which request has its questions, the catalogue says which file that is, and the file is read in part. What
is read meanwhile may be on its way: restored to live rows, or in a new file without somebody who was erased. So who finds
nothing where the slim row led looks at the slim row again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from loaders.archives import FILE_COLUMNS, Archive, ArchiveKey, archive_by_id, archives_by_id, archives_of
from loaders.attempts import attempt_key, attempt_of
from loaders.questions import whole_attempt_of
from rules.archives import whole_of_archive_row
from rules.attempts import Attempt, WholeAttempt
from rules.errors import NotFound, StoreUnavailable
from stores.blob_copies import BlobCopies
from stores.column_files import Only, read_file
from stores.deadline import remaining
from stores.engines import Stores
from stores.rows import Key, Row
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS

FILES_AT_ONCE = 4
"""Files that are read at the same time."""
WHOLE = 600.0
"""Seconds that a call may take where no deadline is nearer."""
_LOOKS = 3
"""How often what is not where the rows said is looked for."""
MISSING = "archived questions are missing: cohort archive verify says which"

OpenCopy = Callable[[str, str | None], AbstractAsyncContextManager[Path]]
"""Opens a copy of a blob on this machine: its name and its checksum."""


class ArchivedQuestions:
    """Reads the archive of one instance. Safe to use concurrently. ``copy``: where files come from; without it from the
    copies that the process keeps."""

    def __init__(self, stores: Stores, copy: OpenCopy | None = None) -> None:
        self._rows = stores.rows
        self._copies = stores.copies
        self._copy = copy or stores.copies.copy
        self._slots = asyncio.Semaphore(FILES_AT_ONCE)
        self._stores = stores

    async def load(self, attempts: Sequence[Attempt]) -> dict[Key, WholeAttempt]:
        """The attempts with their questions, by row key. Of these ``attempts``, slim ones, those that name an archive. Each
        file is read once.

        One that was restored or replaced meanwhile comes from its live row; then its ``archived_in`` is None. One that was
        erased meanwhile is left out. Raises StoreUnavailable if a file is missing, damaged or away.
        """
        found: dict[Key, WholeAttempt] = {}
        left = {attempt_key(attempt): attempt for attempt in attempts if attempt.archived_in is not None}
        if not left:
            return found
        missing: Exception | None = None
        try:
            async with asyncio.timeout(remaining(WHOLE)):
                for _ in range(_LOOKS):
                    of_files, missing = await self._from_files([*left.values()])
                    found |= of_files
                    left = {key: attempt for key, attempt in left.items() if key not in found}
                    if not left:
                        return found
                    left, live = await self._looked_at_again([*left])
                    found |= live
                    if not left:
                        return found
        except TimeoutError:
            remaining(WHOLE)  # DeadlineExceeded, where it was that
            raise StoreUnavailable("the archive is slow") from None
        attempt = next(iter(left.values()))
        why = missing or "its file does not have all that rows say"
        request = f"request {attempt.archived_in} of context {attempt.key.context_id}"
        raise StoreUnavailable(MISSING, detail=f"{request}: {why}")

    @asynccontextmanager
    async def holding(self) -> AsyncIterator["ArchivedQuestions"]:
        """The same, for who reads the same files again and again: each file stays on this machine to the end."""
        async with AsyncExitStack() as stack:
            yield ArchivedQuestions(self._stores, _Held(self._copies, stack).copy)

    async def of_archive(
        self, archive: Archive, user_ids: Collection[str] | None = None
    ) -> AsyncGenerator[list[WholeAttempt], None]:
        """What the request's file has, of these learners or of all, a page at a time. Raises NotFound if it is gone."""
        only = None if user_ids is None else Only("user_id", sorted(user_ids))
        async with (
            self._copy(archive.blob, archive.checksum) as path,
            aclosing(read_file(path, FILE_COLUMNS, archive.form, only=only)) as pages,
        ):
            async for page in pages:
                yield [_whole_of(row, archive) for row in page]

    async def _from_files(
        self, attempts: Sequence[Attempt]
    ) -> tuple[dict[Key, WholeAttempt], Exception | None]:
        """What the files have of these, and why a file was not read."""
        by_archive: dict[ArchiveKey, list[Attempt]] = {}
        for attempt in attempts:
            by_archive.setdefault((attempt.key.context_id, attempt.archived_in or ""), []).append(attempt)
        archives = await archives_by_id(self._rows, [*by_archive])
        missing: Exception | None = None
        tasks = []
        try:
            async with asyncio.TaskGroup() as group:
                for key, archive in archives.items():
                    tasks.append(group.create_task(self._of_file(archive, by_archive[key])))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        found: dict[Key, WholeAttempt] = {}
        for outcome in (task.result() for task in tasks):
            if isinstance(outcome, NotFound):
                missing = outcome
            else:
                found |= outcome
        if archives.keys() != by_archive.keys():
            missing = missing or NotFound("the catalogue does not have it")
        return found, missing

    async def _of_file(
        self, archive: Archive, attempts: Sequence[Attempt]
    ) -> Mapping[Key, WholeAttempt] | NotFound:
        versions = {attempt_key(attempt): attempt.version for attempt in attempts}
        found = {}
        try:
            users = {attempt.key.user_id for attempt in attempts}
            async with self._slots, aclosing(self.of_archive(archive, users)) as pages:
                async for page in pages:
                    for whole in page:
                        key = attempt_key(whole.attempt)
                        if versions.get(key) == whole.attempt.version:
                            found[key] = whole
        except NotFound as error:
            return error
        return found

    async def _looked_at_again(
        self, keys: Sequence[Key]
    ) -> tuple[dict[Key, Attempt], dict[Key, WholeAttempt]]:
        """The slim attempts of these keys that still name an archive, and the live ones of the others."""
        slim = {
            key: attempt_of(row) for key, row in (await self._rows.get_many(ATTEMPTS, sorted(keys))).items()
        }
        archived = {key: attempt for key, attempt in slim.items() if attempt.archived_in is not None}
        live = slim.keys() - archived.keys()
        rows = await self._rows.get_many(ATTEMPTS_WITH_QUESTIONS, sorted(live)) if live else {}
        return archived, {key: whole_attempt_of(row) for key, row in rows.items()}


class _Held:
    """Copies that stay until ``stack`` is closed."""

    def __init__(self, copies: BlobCopies, stack: AsyncExitStack) -> None:
        self._copies = copies
        self._stack = stack
        self._paths: dict[tuple[str, str | None], Path] = {}
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def copy(self, name: str, checksum: str | None) -> AsyncIterator[Path]:
        async with self._opening:
            if (name, checksum) not in self._paths:
                path = await self._stack.enter_async_context(self._copies.copy(name, checksum))
                self._paths[name, checksum] = path
        yield self._paths[name, checksum]


async def archived_attempts(
    stores: Stores,
    context_id: str,
    collection_id: str | None = None,
    user_ids: Collection[str] | None = None,
    *,
    questions: ArchivedQuestions | None = None,
) -> AsyncGenerator[list[WholeAttempt], None]:
    """All that the archive has of a context (and a collection), of these learners or of all: a page at a time, file after
    file, ordered within each by learner. Each attempt says in ``archived_in`` which request it is from.

    One that came again in a newer version may be in two files; the slim row says which one counts. ``questions``: for
    chunks of learners give the same ``holding()`` each time, so that each file is fetched once.
    Raises StoreUnavailable if a file is missing.
    """
    questions = questions or ArchivedQuestions(stores)
    for archive in await archives_of(stores.rows, context_id):
        now: Archive | None = archive
        for _ in range(_LOOKS):
            if now is None or not now.has_file:
                break
            try:
                async with aclosing(questions.of_archive(now, user_ids)) as pages:
                    async for page in pages:
                        yield [one for one in page if collection_id in (None, one.attempt.key.collection_id)]
                break
            except NotFound:  # nothing was given of it yet
                now = await archive_by_id(stores.rows, *archive.key)
        else:
            raise StoreUnavailable(MISSING, detail=f"request {archive.request_id} of context {context_id}")


def _whole_of(row: Row, archive: Archive) -> WholeAttempt:
    whole = whole_of_archive_row(row)
    return replace(whole, attempt=replace(whole.attempt, archived_in=archive.request_id))
