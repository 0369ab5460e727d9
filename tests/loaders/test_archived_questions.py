"""Questions that were archived are read as if they were live: the same attempts, value by value."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from loaders.archived_questions import ArchivedQuestions, archived_attempts
from loaders.archives import archives_of
from loaders.attempts import attempt_key, attempt_of
from loaders.session import Shared
from rules.attempts import Attempt, Question, WholeAttempt
from rules.errors import DeadlineExceeded, StoreUnavailable
from rules.identifiers import ViewKey
from stores.column_files import FileFormat
from stores.deadline import deadline
from stores.rows import Exists
from stores.tables import ARCHIVES, ATTEMPTS
from tests.archived_files import archive_questions, live_attempts
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance

LEARNERS = ("ann", "bob", "eve")


def questions(of: str, at: datetime) -> list[Question]:
    return [
        Question(
            f"q{number} of {of}",
            at,
            1.33,
            2.0,
            "mcq",
            'Which "one"?',
            None,
            12.5,
            [{"1": "a,b"}],
            [{"1": "a"}],
        )
        for number in range(2)
    ]


async def school(cohort: Instance) -> None:
    """Three learners with two attempts each at two contents, in two batches."""
    for user in LEARNERS:
        for context in ("batch", "batch-2"):
            for content in ("a", "b"):
                for number in range(2):
                    at = NOW - timedelta(days=number)
                    key = ViewKey(user, "course", context, content)
                    await store_attempt(
                        cohort.shared,
                        key,
                        f"t{number}",
                        2.0,
                        3.0,
                        at,
                        questions=questions(user + content, at),
                    )


async def slim(shared: Shared) -> list[Attempt]:
    (ring,) = shared.stores.rows.ranges(1)
    return [attempt_of(row) async for page in shared.stores.rows.walk(ATTEMPTS, ring) for row in page.rows]


def by_key(wholes: Sequence[WholeAttempt]) -> dict[object, WholeAttempt]:
    """Without what archiving adds: where the questions are."""
    return {
        attempt_key(one.attempt): replace(one, attempt=replace(one.attempt, archived_in=None))
        for one in wholes
    }


@pytest.mark.parametrize("form", [FileFormat.PARQUET, FileFormat.CSV_GZ])
async def test_questions_are_read_from_the_archive_as_they_were(cohort: Instance, form: FileFormat) -> None:
    await school(cohort)
    before = by_key(await live_attempts(cohort.shared))
    assert len(before) == 24
    first = await archive_questions(
        cohort.shared, form=form, which=lambda one: one.attempt.attempt_id == "t0"
    )
    second = await archive_questions(cohort.shared, form=form)
    third = await archive_questions(cohort.shared, "batch-2", form=form)
    assert await live_attempts(cohort.shared) == []

    found = await cohort.shared.archived_questions.load(await slim(cohort.shared))

    assert by_key([*found.values()]) == before
    assert [key for key, whole in found.items() if attempt_key(whole.attempt) != key] == []
    requests = {(whole.attempt.key.context_id, whole.attempt.archived_in) for whole in found.values()}
    assert requests == {archive.key for archive in (first, second, third)}


async def test_a_page_of_attempts_takes_one_statement_and_one_fetch_a_file(cohort: Instance) -> None:
    await school(cohort)
    for context in ("batch", "batch-2"):
        await archive_questions(cohort.shared, context)
    attempts = await slim(cohort.shared)
    rows, blobs = cohort.stores.rows.meter, cohort.stores.blobs.meter
    for fetches in (2, 0):  # the second time they are on this machine
        with rows.measure() as statements, blobs.measure() as calls:
            assert len(await cohort.shared.archived_questions.load(attempts)) == 24
        assert sum(statements.values()) == 2  # each context is a partition
        assert calls["get"] == fetches


async def test_readers_at_the_same_time_share_the_fetch_of_a_file(embedded: Instance) -> None:
    await school(embedded)
    await archive_questions(embedded.shared)
    attempts = [one for one in await slim(embedded.shared) if one.archived_in]
    with embedded.stores.blobs.meter.measure() as calls:
        load = embedded.shared.archived_questions.load
        found = await asyncio.gather(*(load([attempt]) for attempt in attempts))
    assert [len(one) for one in found] == [1] * 12
    assert calls["get"] == 1


async def test_only_the_newest_version_is_read(cohort: Instance) -> None:
    """The file has the older one still."""
    await school(cohort)
    archive = await archive_questions(cohort.shared)
    key = ViewKey("ann", "course", "batch", "a")
    later = await store_attempt(cohort.shared, key, "t0", 3.0, 3.0, NOW + timedelta(hours=1))
    attempts = [one for one in await slim(cohort.shared) if one.key.context_id == "batch"]
    found = await cohort.shared.archived_questions.load(attempts)
    assert attempt_key(later) not in found
    assert len(found) == 11
    # Whoever has read the slim row before it came is given what is live now.
    old = replace(later, score=2.0, attempted_on=NOW, archived_in=archive.request_id)
    (now,) = (await cohort.shared.archived_questions.load([old])).values()
    assert (now.attempt.score, now.attempt.archived_in) == (3.0, None)


async def test_a_missing_file_is_an_error_that_says_so(cohort: Instance) -> None:
    await school(cohort)
    archive = await archive_questions(cohort.shared)
    attempts = await slim(cohort.shared)
    await cohort.stores.blobs.delete(archive.blob)
    with pytest.raises(StoreUnavailable, match="archived questions are missing") as error:
        await cohort.shared.archived_questions.load(attempts)
    assert archive.request_id in str(error.value)
    assert archive.blob not in error.value.message
    with pytest.raises(StoreUnavailable, match="archived questions are missing"):
        async for _ in archived_attempts(cohort.stores, "batch"):
            pass
    await cohort.stores.rows.delete_if(ARCHIVES, archive.key, [Exists()])
    with pytest.raises(StoreUnavailable, match="the catalogue does not have it"):
        await cohort.shared.archived_questions.load(attempts)


async def test_a_damaged_file_is_an_error_that_says_so(cohort: Instance) -> None:
    await school(cohort)
    archive = await archive_questions(cohort.shared)

    async def damaged() -> AsyncIterator[bytes]:
        yield b"PAR1 no more"

    await cohort.stores.blobs.put(archive.blob, damaged())
    with pytest.raises(StoreUnavailable, match="damaged"):
        await cohort.shared.archived_questions.load(await slim(cohort.shared))


async def test_an_attempt_that_was_erased_meanwhile_is_left_out(embedded: Instance) -> None:
    await school(embedded)
    await archive_questions(embedded.shared)
    (attempt, *_) = [one for one in await slim(embedded.shared) if one.archived_in]
    gone = replace(attempt, attempt_id="gone")
    assert list(await embedded.shared.archived_questions.load([gone, attempt])) == [attempt_key(attempt)]


async def test_a_read_keeps_to_its_deadline(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    await school(embedded)
    await archive_questions(embedded.shared)
    attempts = await slim(embedded.shared)

    async def hangs(name: str) -> AsyncIterator[bytes]:
        await asyncio.sleep(3600)
        yield b""

    monkeypatch.setattr(embedded.stores.blobs, "get", hangs)
    with deadline(0.2), pytest.raises(DeadlineExceeded):
        await embedded.shared.archived_questions.load(attempts)


async def test_chunks_of_learners_read_a_whole_context_and_fetch_each_file_once(cohort: Instance) -> None:
    await school(cohort)
    before = by_key(
        [one for one in await live_attempts(cohort.shared) if one.attempt.key.context_id == "batch"]
    )
    await archive_questions(cohort.shared, which=lambda one: one.attempt.attempt_id == "t0")
    await archive_questions(cohort.shared)
    await archive_questions(cohort.shared, "batch-2")
    stores = replace(cohort.stores)
    stores.copies._most = 1  # so that nothing stays but what is held
    found: list[WholeAttempt] = []
    with stores.blobs.meter.measure() as calls:
        async with ArchivedQuestions(stores).holding() as held:
            for users in (["ann", "nobody"], ["bob", "eve"]):
                async for page in archived_attempts(stores, "batch", "course", users, questions=held):
                    assert {one.attempt.key.user_id for one in page} <= {*users}
                    found += page
    assert calls["get"] == 2
    assert by_key(found) == before
    assert len(found) == 12
    others = [page async for page in archived_attempts(stores, "batch", "elsewhere")]
    assert [one for page in others for one in page] == []
    assert len(await archives_of(stores.rows, "batch")) == 2
