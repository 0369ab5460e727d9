"""Archives for tests that are about something else than the run that makes them: written as that run leaves them."""

from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import orjson

from loaders.archives import FILE_COLUMNS, Archive, all_archives, archive_values
from loaders.attempts import attempt_key
from loaders.questions import whole_attempt_of, whole_attempt_values
from loaders.session import Shared
from rules.archives import (
    ARCHIVE_ORDER,
    ROOT,
    ArchivedPart,
    ArchiveState,
    archive_row,
    blob_name,
    iso_week,
    request_id,
    whole_of_archive_row,
)
from rules.attempts import WholeAttempt
from stores.column_files import FileFormat, read_file, write_file
from stores.rows import Write
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS


async def archive_questions(
    shared: Shared,
    context_id: str = "batch",
    *,
    form: FileFormat = FileFormat.PARQUET,
    which: Callable[[WholeAttempt], bool] = lambda whole: True,
) -> Archive:
    """Archives all live questions of a context in one file: those of these attempts."""
    rows = shared.stores.rows
    wholes = [
        whole
        for whole in await live_attempts(shared)
        if whole.attempt.key.context_id == context_id and which(whole)
    ]
    with TemporaryDirectory() as folder:
        content = await file_of(wholes, form, Path(folder))
    token, now = uuid4().hex[:12], shared.now()
    part = ArchivedPart(context_id, iso_week(wholes[0].attempt.updated_on or now))
    blob = blob_name(part, now, f"{token}.{form.value}")
    archive = Archive(
        part,
        request_id(part.week, token, now),
        ArchiveState.ARCHIVED,
        "job",
        len(wholes),
        form,
        blob,
        now,
        now,
        len(content),
        sha256(content).hexdigest(),
    )
    await shared.stores.blobs.put(blob, _chunks(content))
    await rows.insert_if_absent(ARCHIVES, {**ARCHIVES.named(archive.key), **archive_values(archive)})
    for whole in wholes:
        key, at = attempt_key(whole.attempt), whole.attempt.written_at + 1
        await rows.write(Write(ATTEMPTS, key, {"archived_in": archive.request_id}, at))
        await rows.write(Write(ATTEMPTS_WITH_QUESTIONS, key, {}, at, delete=True))
    return archive


async def live_attempts(shared: Shared) -> list[WholeAttempt]:
    """All attempts whose questions are live."""
    (ring,) = shared.stores.rows.ranges(1)
    return [
        whole_attempt_of(row)
        async for page in shared.stores.rows.walk(ATTEMPTS_WITH_QUESTIONS, ring)
        for row in page.rows
    ]


async def in_files(shared: Shared, *context_ids: str) -> list[WholeAttempt]:
    """All that the blobs of the archive have, of these contexts or of all: also blobs that nothing leads to."""
    found = []
    async for blob in shared.stores.blobs.below(ROOT):
        if context_ids and not blob.name.startswith(tuple(f"{ROOT}/{context}-" for context in context_ids)):
            continue
        form = FileFormat.PARQUET if blob.name.endswith("parquet") else FileFormat.CSV_GZ
        async with shared.stores.copies.copy(blob.name) as path:
            found += [
                whole_of_archive_row(row)
                async for page in read_file(path, FILE_COLUMNS, form)
                for row in page
                if not context_ids or row["batch_id"] in context_ids
            ]
    return found


async def blobs_of(shared: Shared) -> set[str]:
    return {blob.name async for blob in shared.stores.blobs.below(ROOT)}


async def named_blobs(shared: Shared) -> set[str]:
    """Those that the catalogue has, each with the content that it says."""
    names = set()
    async for archive in all_archives(shared.stores.rows):
        assert archive.leftovers is None
        names.add(archive.blob)
        content = b"".join([chunk async for chunk in shared.stores.blobs.get(archive.blob)])
        assert (len(content), sha256(content).hexdigest()) == (archive.size, archive.checksum)
    return names


async def file_of(wholes: Sequence[WholeAttempt], form: FileFormat, folder: Path) -> bytes:
    lines, to = folder / "lines", folder / f"file.{form.value}"
    lines.write_bytes(b"".join(orjson.dumps(archive_row_of(whole)) + b"\n" for whole in wholes))
    await write_file(lines, to, FILE_COLUMNS, form, order=ARCHIVE_ORDER)
    return to.read_bytes()


def archive_row_of(whole: WholeAttempt) -> dict[str, Any]:
    """The row of a file for this attempt."""
    stored = {**ATTEMPTS.named(attempt_key(whole.attempt)), **whole_attempt_values(whole)}
    return archive_row(stored, whole.attempt.written_at)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
