"""What is restored is live again, as it was before, however often it goes back and forth and whatever dies on the way."""

from datetime import timedelta

import pytest

from ingest.archival import ArchivalOrder, archive
from ingest.archival.restoring import RESTORATION, restore
from ingest.archival.verification import verify
from ingest.commands.erasures import ErasureCall, erase
from ingest.jobs.runner import Jobs
from loaders.archives import archives_of
from loaders.attempts import attempt_key, attempt_of
from loaders.session import Shared
from rules.archives import ArchiveState
from rules.attempts import WholeAttempt
from rules.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from stores.rows import Equal, Key, Write
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.archived_files import archive_questions, blobs_of, live_attempts
from tests.archives import archives, rows_of, store_old_attempt
from tests.conftest import NOW, Instance
from tests.ingest.interruptions import Interruption, dies

ORDER = ArchivalOrder(timedelta(days=90))
OLD = NOW - timedelta(days=100)


async def attempts(cohort: Instance, context: str = "batch") -> None:
    for user in ("ann", "bob", "eve"):
        for number in range(2):
            at = OLD + timedelta(days=7 * number)
            await store_old_attempt(cohort.shared, user, f"t{number}", at, context=context)


async def live(cohort: Instance) -> dict[Key, object]:
    """What is live, without the write times, which go up with each restoration."""
    return {attempt_key(one.attempt): content(one) for one in await live_attempts(cohort.shared)}


def content(whole: WholeAttempt) -> object:
    attempt = whole.attempt
    times = attempt.attempted_on, attempt.created_on, attempt.updated_on
    return (
        *(attempt.version, attempt.score, attempt.max_score, times),
        *(whole.questions, whole.grand_total, whole.collection_name, whole.context_name),
    )


async def leading(cohort: Instance) -> set[str | None]:
    """The requests that slim rows name."""
    return {attempt_of(row).archived_in for row in await rows_of(cohort.shared, ATTEMPTS)}


async def test_attempts_go_to_the_archive_and_back_three_times(cohort: Instance) -> None:
    await attempts(cohort)
    before = await live(cohort)
    assert len(before) == 6
    for round_ in range(1, 4):
        assert (await archive(cohort.shared, ORDER)).archived == 6
        assert await live(cohort) == {}
        requests = await archives(cohort.shared, ArchiveState.ARCHIVED)
        assert await leading(cohort) == {one.request_id for one in requests}
        assert len(requests) == 2  # two weeks
        slim = [attempt_of(row) for row in await rows_of(cohort.shared, ATTEMPTS)]
        found = await cohort.shared.archived_questions.load(slim)
        assert {key: content(one) for key, one in found.items()} == before

        report = await restore(cohort.shared, context_id="batch")
        assert (report.requests, report.attempts, report.left) == (2, 6, 0)
        assert await live(cohort) == before
        assert await leading(cohort) == {None}
        assert await blobs_of(cohort.shared) == set()
        states = [one.state for one in await archives_of(cohort.stores.rows, "batch")]
        assert states == [ArchiveState.RESTORED] * 2 * round_
        # Each time two microseconds later, in both tables.
        for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS):
            for row in await rows_of(cohort.shared, table):
                own = int(row["last_attempted_on"].timestamp() * 1000) * 1000
                assert row["written_at"] == own + 2 * round_
    assert (await verify(cohort.shared)).examples == []


async def test_one_request_is_restored_and_the_others_stay(cohort: Instance) -> None:
    await attempts(cohort)
    first = await archive_questions(cohort.shared, which=lambda one: one.attempt.attempt_id == "t0")
    second = await archive_questions(cohort.shared)
    report = await restore(cohort.shared, request_id=first.request_id)
    assert (report.requests, report.attempts) == (1, 3)
    assert {key[-1] for key in await live(cohort)} == {"t0"}
    assert await leading(cohort) == {None, second.request_id}
    again = await restore(cohort.shared, request_id=first.request_id)
    assert (again.requests, again.attempts) == (0, 0)


async def test_what_is_newer_or_erased_is_not_brought_back(cohort: Instance) -> None:
    await attempts(cohort)
    request = await archive_questions(cohort.shared)
    await store_old_attempt(cohort.shared, "ann", "t0", NOW, score=2.0)
    key = ("bob", "course", "batch", "quiz", "t0")
    row = await cohort.stores.rows.get(ATTEMPTS, key)
    assert row is not None
    await cohort.stores.rows.write(Write(ATTEMPTS, key, {}, row["written_at"] + 999, delete=True))
    report = await restore(cohort.shared, request_id=request.request_id)
    assert (report.attempts, report.left) == (4, 2)
    found = {
        one.attempt.key.user_id + one.attempt.attempt_id: one for one in await live_attempts(cohort.shared)
    }
    assert sorted(found) == ["annt0", "annt1", "bobt1", "evet0", "evet1"]
    assert found["annt0"].attempt.score == 2.0


async def interrupted(shared: Shared, request_id: str) -> bool:
    try:
        await restore(shared, request_id=request_id)
    except StoreUnavailable:
        return True
    return False


@pytest.mark.parametrize("after", [False, True])
async def test_a_restoration_that_dies_anywhere_is_finished_by_the_next(
    embedded: Instance, *, after: bool
) -> None:
    for step in range(100):
        context = f"batch-{step}"
        await attempts(embedded, context)
        before = await live(embedded)
        request = await archive_questions(embedded.shared, context)
        interruption = Interruption(step, dies, after=after)
        died = await interrupted(interruption.of(embedded.shared, blobs=True), request.request_id)
        if not interruption.happened:
            break
        # Meanwhile reads answer, each with all questions.
        slim = [attempt_of(row) for row in await rows_of(embedded.shared, ATTEMPTS)]
        archived = await embedded.shared.archived_questions.load(slim)
        for key, one in archived.items():
            assert content(one) == before[key]
        assert {*archived, *await live(embedded)} == before.keys()
        if died:
            await restore(embedded.shared, request_id=request.request_id)
        assert await live(embedded) == before
        assert await blobs_of(embedded.shared) == set()
    # The job and its signs of life, the state, two tables, the state, the blob.
    assert 10 < step < 99


async def test_the_job_goes_on_where_it_was_interrupted(embedded: Instance) -> None:
    await attempts(embedded)
    before = await live(embedded)
    request = await archive_questions(embedded.shared)
    assert await interrupted(Interruption(4, dies).of(embedded.shared), request.request_id)
    (job,) = [one for one in await Jobs(embedded.shared).list() if one.kind == RESTORATION.name]
    await Jobs(embedded.shared).resume(RESTORATION, job.id)
    assert await live(embedded) == before


async def test_an_erasure_meanwhile_is_not_undone(embedded: Instance) -> None:
    """Whenever it comes between two steps of the restoration."""
    for step in range(100):
        context = f"batch-{step}"
        await attempts(embedded, context)
        request = await archive_questions(embedded.shared, context)

        async def erases(context: str = context) -> None:
            await erase(embedded.session("ann"), ErasureCall(collection_id="course", context_id=context))

        interruption = Interruption(step, erases)
        await restore(interruption.of(embedded.shared, blobs=True), request_id=request.request_id)
        if not interruption.happened:
            break
        found = [one.attempt.key for one in await live_attempts(embedded.shared)]
        assert {key.user_id for key in found if key.context_id == context} == {"bob", "eve"}
        assert await blobs_of(embedded.shared) == set()
        assert await embedded.stores.rows.partition(ATTEMPTS, ("ann", "course"), prefix=(context,)) == []
    assert 10 < step < 99


async def test_what_a_run_is_at_is_left_to_it(embedded: Instance) -> None:
    await attempts(embedded)
    request = await archive_questions(embedded.shared)
    await embedded.stores.rows.update_if(
        ARCHIVES, request.key, {"state": "deleting"}, [Equal("state", "archived")]
    )
    with pytest.raises(Conflict, match="is deleting: `cohort archive run` goes on with it first"):
        await restore(embedded.shared, context_id="batch")


async def test_what_does_not_exist_is_said_so(embedded: Instance) -> None:
    with pytest.raises(NotFound, match="no request 2026-01-x"):
        await restore(embedded.shared, request_id="2026-01-x")
    with pytest.raises(NotFound, match="nothing of the context batch"):
        await restore(embedded.shared, context_id="batch")
    with pytest.raises(InvalidInput, match="a request or a context"):
        await restore(embedded.shared)
