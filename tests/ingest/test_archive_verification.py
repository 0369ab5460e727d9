"""Verifying the archive tells every kind of damage, and nothing of an archive that is whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from ingest.archival.verification import VERIFICATION, verify
from ingest.jobs.runner import Jobs
from loaders.archives import Archive
from loaders.attempts import attempt_key
from loaders.questions import slim_values, whole_attempt_values
from rules.errors import InvalidInput, NotFound, StoreUnavailable
from rules.identifiers import ViewKey
from stores.column_files import FileFormat
from stores.rows import Exists, Write
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.archived_files import archive_questions, in_files
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance, is_thorough
from tests.ingest.interruptions import Interruption

OLD = NOW - timedelta(days=100)


@dataclass
class World:
    """Three learners' attempts in an archive of one file of ``batch``, and another file of ``batch-2``."""

    cohort: Instance
    archive: Archive

    async def put(self, content: bytes, name: str | None = None) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        await self.cohort.stores.blobs.put(name or self.archive.blob, chunks())

    async def change(self, **values: object) -> None:
        await self.cohort.stores.rows.update_if(ARCHIVES, self.archive.key, values, [Exists()])


async def world(cohort: Instance) -> World:
    for context in ("batch", "batch-2"):
        for user in ("ann", "bob", "eve"):
            key = ViewKey(user, "course", context, "quiz")
            await store_attempt(cohort.shared, key, "t", 1.0, 3.0, OLD)
    made = await archive_questions(cohort.shared)
    await archive_questions(cohort.shared, "batch-2")
    return World(cohort, made)


async def test_a_whole_archive_has_no_differences(cohort: Instance) -> None:
    made = await world(cohort)
    # A newer version leads nowhere, or is live: its older one in the file is none that counts.
    await store_attempt(cohort.shared, ViewKey("ann", "course", "batch", "quiz"), "t", 2.0, 3.0, NOW)
    report = await verify(cohort.shared)
    assert (report.files, report.attempts, report.rows) == (2, 6, 6)
    assert (report.differences, report.examples, report.passed_over) == (0, [], 0)
    one = await verify(cohort.shared, request_id=made.archive.request_id)
    of_context = await verify(cohort.shared, context_id="batch")
    assert (one.files, one.attempts, one.rows, one.differences) == (1, 3, 0, 0)
    assert of_context == one


async def missing_file(made: World) -> str:
    await made.cohort.stores.blobs.delete(made.archive.blob)
    return f"its file {made.archive.blob} is missing"


async def another_file(made: World) -> str:
    await made.put(b"no parquet")
    return "its file has 10 bytes, the catalogue says"


async def broken_file(made: World) -> str:
    content = b"".join([chunk async for chunk in made.cohort.stores.blobs.get(made.archive.blob)])
    await made.put(bytes(len(content)))
    return "its file can't be read"


async def another_checksum(made: World) -> str:
    await made.change(checksum="0" * 64)
    return "its file has another checksum than the catalogue"


async def another_count(made: World) -> str:
    await made.change(attempts=4)
    return "its file has 3 attempts, the catalogue says 4"


async def no_slim_row(made: World) -> str:
    key = ("ann", "course", "batch", "quiz", "t")
    row = await made.cohort.stores.rows.get(ATTEMPTS, key)
    assert row is not None
    await made.cohort.stores.rows.write(Write(ATTEMPTS, key, {}, row["written_at"] + 2, delete=True))
    return "ann/course/batch/quiz/t has no slim row"


async def slim_row_elsewhere(made: World) -> str:
    (whole, *_) = await in_files(made.cohort.shared, "batch")
    at = whole.attempt.written_at + 2
    await made.cohort.stores.rows.write(
        Write(ATTEMPTS, attempt_key(whole.attempt), {"archived_in": None}, at)
    )
    return "ann/course/batch/quiz/t has a slim row that leads to no request"


async def older_slim_row(made: World) -> str:
    (whole, *_) = await in_files(made.cohort.shared, "batch")
    older = replace(whole, attempt=replace(whole.attempt, attempted_on=OLD - timedelta(days=1)))
    at = whole.attempt.written_at + 2
    await made.cohort.stores.rows.write(Write(ATTEMPTS, attempt_key(whole.attempt), slim_values(older), at))
    return "ann/course/batch/quiz/t is older in its slim row"


async def live_as_well(made: World) -> str:
    (whole, *_) = await in_files(made.cohort.shared, "batch")
    await made.cohort.stores.rows.write(
        Write(
            ATTEMPTS_WITH_QUESTIONS,
            attempt_key(whole.attempt),
            whole_attempt_values(whole),
            whole.attempt.written_at + 2,
        )
    )
    return "ann/course/batch/quiz/t has live questions as well"


async def left_by_the_dead(made: World) -> str:
    await made.change(leftovers="archived-batches/assessment/left.parquet")
    return "who changed it died, and left archived-batches/assessment/left.parquet"


IN_FILES = [
    *(missing_file, another_file, broken_file, another_checksum, another_count, no_slim_row),
    *(slim_row_elsewhere, older_slim_row, live_as_well, left_by_the_dead),
]


async def stray_blob(made: World) -> str:
    await made.put(b"whose?", "archived-batches/assessment/nobodys.parquet")
    return "no request has the blob archived-batches/assessment/nobodys.parquet"


async def file_of_a_restored(made: World) -> str:
    await made.change(state="restored")
    return f"no request has the blob {made.archive.blob}"


async def missing_request(made: World) -> str:
    await made.cohort.stores.rows.delete_if(ARCHIVES, made.archive.key, [Exists()])
    await made.cohort.stores.blobs.delete(made.archive.blob)
    return (
        f"the slim row of ann/course/batch/quiz/t leads to request {made.archive.request_id}, "
        "which is not in the catalogue or has no file"
    )


@pytest.mark.parametrize("damage", [*IN_FILES, stray_blob, file_of_a_restored, missing_request])
async def test_every_kind_of_damage_is_told(
    embedded: Instance, damage: Callable[[World], Awaitable[str]]
) -> None:
    made = await world(embedded)
    told = await damage(made)
    report = await verify(embedded.shared)
    assert report.differences == len(report.examples) >= 1
    assert [one for one in report.examples if told in one] != []
    if damage in IN_FILES:
        alone = await verify(embedded.shared, request_id=made.archive.request_id)
        assert [one for one in alone.examples if told in one] != []
    others = await verify(embedded.shared, context_id="batch-2")
    assert others.differences == 0


@pytest.mark.parametrize("damage", [missing_file, no_slim_row, live_as_well, stray_blob, missing_request])
async def test_damage_is_told_on_every_engine(
    cohort: Instance, damage: Callable[[World], Awaitable[str]]
) -> None:
    told = await damage(made := await world(cohort))
    report = await verify(cohort.shared)
    assert [one for one in report.examples if told in one] != []
    assert made.archive.form is FileFormat.PARQUET


async def test_a_request_that_is_being_uploaded_is_passed_over(embedded: Instance) -> None:
    made = await world(embedded)
    for user in ("ann", "bob", "eve"):
        row = await embedded.stores.rows.get(ATTEMPTS, (user, "course", "batch", "quiz", "t"))
        assert row is not None
        key, at = (user, "course", "batch", "quiz", "t"), row["written_at"] + 2
        await embedded.stores.rows.write(Write(ATTEMPTS, key, {"archived_in": None}, at))
    await made.change(state="uploading")
    report = await verify(embedded.shared)
    assert (report.passed_over, report.differences) == (1, 0)


async def test_a_verification_that_died_goes_on_and_counts_nothing_twice(embedded: Instance) -> None:
    await world(embedded)

    async def dies() -> None:
        raise StoreUnavailable("died")

    known: set[str] = set()
    for step in range(1, 100, 1 if is_thorough() else 5):  # the first step is that there is a job
        interruption = Interruption(step, dies)
        try:
            await verify(interruption.of(embedded.shared))
        except StoreUnavailable:
            (job,) = [one for one in await Jobs(embedded.shared).list() if one.id not in known]
            known.add(job.id)
            done = await Jobs(embedded.shared).run(VERIFICATION, job.id)
            reports = [one.checkpoint.report for one in done.steps]
            for of in ("attempts", "rows"):
                assert sum(report.get(of, 0) for report in reports) == 6
        else:
            break
    # Each of 18 steps has at least a sign of life and a checkpoint.
    assert step > 36


async def test_no_file_of_a_verification_is_left(embedded: Instance) -> None:
    await world(embedded)
    await verify(embedded.shared)
    assert await asyncio.to_thread(lambda: [*(embedded.data / "copies").rglob("*")]) == []


async def test_orders_that_can_t_be_are_refused(embedded: Instance) -> None:
    with pytest.raises(InvalidInput, match="rate"):
        await verify(embedded.shared, rate=0)
    with pytest.raises(InvalidInput, match="a request or a context"):
        await verify(embedded.shared, context_id="batch", request_id="x")
    with pytest.raises(NotFound, match="no request x"):
        await verify(embedded.shared, request_id="x")
