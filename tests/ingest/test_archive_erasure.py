"""What is deleted of a learner is deleted from the files of the archive too, and nothing of others is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.commands.archived_rows import erase_archived
from ingest.commands.erasures import ErasureCall, erase
from ingest.workers.sweeping import sweep
from ingest.writes import archive_files
from loaders.archives import archives_of
from loaders.attempts import attempt_key
from loaders.session import Shared
from rules.attempts import Question, WholeAttempt
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from rules.tracking import TrackingMode
from stores.column_files import FileFormat
from stores.rows import Row
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.archived_files import archive_questions, blobs_of, in_files, live_attempts, named_blobs
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.kept_attempts import archive_all, assess, slim
from tests.ingest.test_moves import enters, learn, set_up

BEFORE, AFTER = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
LEARNERS = ("ann", "bob", "eve")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_files, "PATIENCE", 0.0)


async def attempts(cohort: Instance, context: str, *users: str) -> None:
    for user in users:
        for content in ("a", "b"):
            key = ViewKey(user, "course", context, content)
            questions = [Question("q1", BEFORE, 1.0, 2.0, answers=[{"1": f"answer of {user}"}])]
            await store_attempt(cohort.shared, key, "t", 2.0, 3.0, BEFORE, questions=questions)


async def archived(cohort: Instance, *contexts: str) -> list[WholeAttempt]:
    """Three learners with two attempts in each context, archived. Returns these attempts as the files have them."""
    for context in contexts:
        await attempts(cohort, context, *LEARNERS)
        await archive_questions(cohort.shared, context)
    return ordered(await in_files(cohort.shared))


def ordered(wholes: Sequence[WholeAttempt]) -> list[WholeAttempt]:
    return sorted(wholes, key=lambda one: attempt_key(one.attempt))


def without(wholes: Sequence[WholeAttempt], is_gone: Callable[[ViewKey], bool]) -> list[WholeAttempt]:
    return [one for one in wholes if not is_gone(one.attempt.key)]


async def slim_of(cohort: Instance, user: str) -> list[Row]:
    return await cohort.stores.rows.partition(ATTEMPTS, (user, "course"))


async def test_a_deleted_learner_is_in_no_file_and_the_others_are_as_before(cohort: Instance) -> None:
    before = await archived(cohort, "batch", "batch-2")
    of_bob = await slim_of(cohort, "bob")
    await erase(cohort.session("ann"), ErasureCall())
    assert await slim_of(cohort, "ann") == []
    assert ordered(await in_files(cohort.shared)) == without(before, lambda key: key.user_id == "ann")
    assert await blobs_of(cohort.shared) == await named_blobs(cohort.shared)
    for context in ("batch", "batch-2"):
        (archive,) = await archives_of(cohort.stores.rows, context)
        assert archive.attempts == 4
    assert await slim_of(cohort, "bob") == of_bob
    # Nor does this machine keep the files of before: as many copies as blobs.
    copies = [*(cohort.data / "copies").glob("*.copy.*")]
    assert len(copies) == 2


async def test_a_deleted_place_is_in_no_file_and_the_learners_other_places_are(cohort: Instance) -> None:
    before = await archived(cohort, "batch", "batch-2")
    await erase(cohort.session("ann"), ErasureCall(collection_id="course", context_id="batch"))

    def is_gone(key: ViewKey) -> bool:
        return (key.user_id, key.context_id) == ("ann", "batch")

    assert ordered(await in_files(cohort.shared)) == without(before, is_gone)
    found = await cohort.shared.archived_questions.load(
        [
            replace(one.attempt, archived_in=archive.request_id)
            for archive in await archives_of(cohort.stores.rows, "batch-2")
            for one in before
            if one.attempt.key.context_id == "batch-2"
        ]
    )
    assert len(found) == 6


async def test_a_file_that_has_nobody_else_goes_with_its_request(cohort: Instance) -> None:
    await attempts(cohort, "batch", "ann")
    await archive_questions(cohort.shared)
    await erase(cohort.session("ann"), ErasureCall())
    assert await blobs_of(cohort.shared) == set()
    assert await archives_of(cohort.stores.rows, "batch") == []


async def test_an_older_version_that_no_row_leads_to_any_more_goes_too(cohort: Instance) -> None:
    await archived(cohort, "batch")
    await store_attempt(cohort.shared, ViewKey("ann", "course", "batch", "a"), "t", 3.0, 3.0, NOW)
    await erase(cohort.session("ann"), ErasureCall())
    assert {one.attempt.key.user_id for one in await in_files(cohort.shared)} == {"bob", "eve"}


async def test_files_as_csv_lose_a_learner_too(embedded: Instance) -> None:
    await attempts(embedded, "batch", *LEARNERS)
    await archive_questions(embedded.shared, form=FileFormat.CSV_GZ)
    before = ordered(await in_files(embedded.shared))
    await erase(embedded.session("ann"), ErasureCall())
    assert ordered(await in_files(embedded.shared)) == without(before, lambda key: key.user_id == "ann")


async def test_attempts_that_are_kept_by_content_go_with_the_learner(embedded: Instance) -> None:
    embedded.track(TrackingMode.CARRY_FORWARD_FULL)
    for user in LEARNERS:
        await store_attempt(embedded.shared, ViewKey(user, "quiz", "quiz", "quiz"), "t", 1.0, 3.0, BEFORE)
    await archive_questions(embedded.shared, "quiz")
    await erase(embedded.session("ann"), ErasureCall())
    assert {one.attempt.key.user_id for one in await in_files(embedded.shared)} == {"bob", "eve"}


@pytest.mark.parametrize("others", [["bob"], []])
@pytest.mark.parametrize("after", [False, True])
async def test_an_erasure_that_dies_anywhere_is_finished_by_the_next(
    embedded: Instance, others: list[str], *, after: bool
) -> None:
    """Each step in a context of its own, where a file has Ann's and the others' attempts."""
    for step in range(100):
        context = f"batch-{step}"
        await attempts(embedded, context, "ann", *others)
        await archive_questions(embedded.shared, context)
        interruption = Interruption(step, dies, after=after)
        if await erased(interruption.of(embedded.shared, blobs=True), context):
            break
        # Others read what is there meanwhile, if anything is.
        left = {one.attempt.key.user_id for one in await in_files(embedded.shared, context)}
        assert left - {"ann"} == {*others} or not others
        await erase_archived(embedded.shared, "ann", [context])
        assert [one.attempt.key.user_id for one in await in_files(embedded.shared, context)] == [
            user for user in others for _ in range(2)
        ]
        assert await blobs_of(embedded.shared) == await named_blobs(embedded.shared)
    # Claim, upload, switch, deletion of the old file, end of the claim; or notice, deletion of the file, of the request.
    assert step == (5 if others else 3)


async def erased(shared: Shared, context: str) -> bool:
    try:
        await erase_archived(shared, "ann", [context])
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("after", [False, True])
async def test_two_erasures_of_one_file_bring_nothing_back(embedded: Instance, *, after: bool) -> None:
    """Whenever the second one comes in between, from its beginning to its end."""
    rival = replace(embedded.shared, changing=type(embedded.shared.changing)())
    for step in range(100):
        context = f"batch-{step}"
        await attempts(embedded, context, *LEARNERS)
        await archive_questions(embedded.shared, context)

        async def comes(context: str = context) -> None:
            assert await erase_archived(rival, "bob", [context]) == 2

        interruption = Interruption(step, comes, after=after)
        await erase_archived(interruption.of(embedded.shared, blobs=True), "ann", [context])
        if not interruption.happened:
            break
        left = [one.attempt.key.user_id for one in await in_files(embedded.shared, context)]
        assert left == ["eve", "eve"]
        assert await blobs_of(embedded.shared) == await named_blobs(embedded.shared)
    assert step == 5


async def test_many_erasures_at_once_leave_whoever_is_left(cohort: Instance) -> None:
    before = await archived(cohort, "batch")
    await asyncio.gather(*(erase(cohort.session(user), ErasureCall()) for user in ("ann", "bob")))
    assert ordered(await in_files(cohort.shared)) == without(before, lambda key: key.user_id != "eve")
    assert await blobs_of(cohort.shared) == await named_blobs(cohort.shared)


async def test_what_was_erased_in_the_millisecond_it_was_archived_in_stays_so(cohort: Instance) -> None:
    """Archiving and restoring write a little after the attempt's own time."""
    await attempts(cohort, "batch", *LEARNERS)
    cohort.sets_clock(BEFORE)
    await archive_questions(cohort.shared)
    await erase(cohort.session("ann"), ErasureCall())
    assert await slim_of(cohort, "ann") == []
    late = [one for one in await live_attempts(cohort.shared) if one.attempt.key.user_id == "ann"]
    assert late == []
    rows = cohort.stores.rows
    assert await rows.partition(ATTEMPTS_WITH_QUESTIONS, ("ann", "course")) == []


async def test_a_lost_file_does_not_stand_in_the_way_of_an_erasure(
    embedded: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    await archived(embedded, "batch")
    (archive,) = await archives_of(embedded.stores.rows, "batch")
    await embedded.stores.blobs.delete(archive.blob)
    await embedded.stores.copies.forget(archive.blob)
    await erase(embedded.session("ann"), ErasureCall())
    assert await slim_of(embedded, "ann") == []
    assert f"request {archive.request_id} of context batch has no file" in caplog.text


async def test_a_damaged_file_stops_an_erasure_which_is_finished_once_it_is_mended(
    embedded: Instance,
) -> None:
    """What is in it nobody knows."""
    await archived(embedded, "batch")
    (archive,) = await archives_of(embedded.stores.rows, "batch")
    sound = b"".join([chunk async for chunk in embedded.stores.blobs.get(archive.blob)])

    async def put(content: bytes) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        await embedded.stores.blobs.put(archive.blob, chunks())

    await put(sound[:-1])
    with pytest.raises(StoreUnavailable, match="damaged"):
        await erase(embedded.session("ann"), ErasureCall())
    assert len(await slim_of(embedded, "ann")) == 2
    await put(sound)
    await erase(embedded.session("ann"), ErasureCall())
    assert await slim_of(embedded, "ann") == []
    assert {one.attempt.key.user_id for one in await in_files(embedded.shared)} == {"bob", "eve"}


async def test_what_was_archived_before_it_moved_goes_from_the_files_of_every_place_it_was_in(
    embedded: Instance,
) -> None:
    """Archived at the batch, then at the program, then erased where the learner is now. Bob's stay."""
    await set_up(embedded)
    for user in ("ann", "bob"):
        await learn(embedded, user)
        await assess(embedded, user, ("a", "course", "batch"), "t", 4)
    assert await archive_all(embedded) == 2
    for number, context in enumerate(["program", "other"], 1):
        embedded.sets_clock(NOW + timedelta(days=number))
        await enters(embedded, "ann", context)
        await embedded.drain()
        assert await archive_all(embedded) == 1
    of_ann = [one for one in await in_files(embedded.shared) if one.attempt.key.user_id == "ann"]
    assert sorted(one.attempt.key.context_id for one in of_ann) == ["batch", "other", "program"]
    await erase(embedded.session("ann"), ErasureCall(collection_id="course", context_id="other"))
    assert [one.attempt.key.user_id for one in await in_files(embedded.shared)] == ["bob"]
    assert await blobs_of(embedded.shared) == await named_blobs(embedded.shared)


async def test_what_the_rules_left_behind_stays_in_the_archive_when_the_new_place_is_erased(
    embedded: Instance,
) -> None:
    """After eight days, a rule of seven leaves the completed content a behind, and b goes."""
    await set_up(embedded)
    embedded.track(TrackingMode.MOVE, '{"rules": [{"type": "completedWithin", "unit": "days", "value": 7}]}')
    await learn(embedded, "ann")
    for content in ("a", "b"):
        await assess(embedded, "ann", (content, "course", "batch"), "t", 4)
    assert await archive_all(embedded) == 2
    embedded.sets_clock(NOW + timedelta(days=8))
    await enters(embedded, "ann", "program")
    await embedded.drain()
    await erase(embedded.session("ann"), ErasureCall(collection_id="course", context_id="program"))
    (left,) = await slim(embedded, "ann")
    assert (left.key.context_id, left.key.content_id) == ("batch", "a")
    assert len(await embedded.shared.archived_questions.load([left])) == 1
    assert len(await in_files(embedded.shared)) == 1


async def test_what_was_archived_after_an_erasure_stays_whoever_sweeps(embedded: Instance) -> None:
    """Workers look for what was written while an erasure ran each time that they meet its place again."""
    await erase(embedded.session("ann"), ErasureCall(collection_id="course", context_id="batch"))
    at = NOW + timedelta(days=1)
    embedded.sets_clock(at)
    key = ViewKey("ann", "course", "batch", "a")
    await store_attempt(embedded.shared, key, "t", 2.0, 3.0, at)
    await archive_questions(embedded.shared)
    await sweep(embedded.shared, {key.progress_key: NOW})
    (kept,) = await slim(embedded, "ann")
    assert len(await embedded.shared.archived_questions.load([kept])) == 1
