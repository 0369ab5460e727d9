"""What a learner may rely on in copy mode: the attempts come along with what was completed elsewhere, whoever dies."""

import random
from contextlib import suppress
from datetime import timedelta

import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.workers.worker import Worker
from ingest.writes.triggers import send_trigger
from loaders.attempts import attempt_key
from loaders.session import Session
from loaders.whole_attempts import whole_attempts
from resolvers.enrolments import enrolments_page
from rules.attempts import AttemptOrigin
from rules.errors import StoreUnavailable
from rules.identifiers import ProgressKey
from rules.origins import OriginKind
from rules.triggers import TriggerKind
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.conftest import NOW, Instance, stride
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.kept_attempts import archive_all, assess, attempts, questions, scores, slim
from tests.ingest.test_copies import completes, copying, joins, set_up

__all__ = ["copying"]
DAY = timedelta(days=1)
COURSE = ("course", "batch")


async def learn(cohort: Instance, user: str = "ada") -> None:
    """a alone, with two attempts; b in another course, with one; c is attempted, and not completed."""
    await assess(cohort, user, ("a", "a", "a"), "first", 4)
    await assess(cohort, user, ("a", "a", "a"), "second", 7, NOW + DAY)
    await assess(cohort, user, ("b", "shares", "shares-batch"), "third", 9)
    await assess(cohort, user, ("c", "course", "course"), "fourth", 1)
    await completes(cohort, "a", user=user)
    await completes(cohort, "b", "shares", "shares-batch", user=user)


MADE = [
    ("a", "a", "a", "first", 4),
    ("a", "a", "a", "second", 7),
    ("course", "course", "c", "fourth", 1),
    ("shares", "shares-batch", "b", "third", 9),
]
COPIED = [(*COURSE, "a", "first", 4), (*COURSE, "a", "second", 7), (*COURSE, "b", "third", 9)]


async def test_attempts_come_along_with_what_counts_here(cohort: Instance) -> None:
    """In both engines, before any worker ran and after: the same attempts with their scores, times and questions, which
    say where they were made. What is not completed there does not count here, and neither do its attempts."""
    await set_up(cohort)
    await learn(cohort)
    made = {one.attempt_id: one for one in await slim(cohort, "ada")}
    await joins(cohort, *COURSE)
    for _ in range(2):
        assert await attempts(cohort, "ada") == sorted([*MADE, *COPIED])
        assert await questions(cohort, "ada") == sorted([*MADE, *COPIED])
        for one in await slim(cohort, "ada"):
            if one.key.progress_key == ProgressKey("ada", *COURSE):
                source = made[one.attempt_id]
                assert one.origin == AttemptOrigin(
                    OriginKind.COPIED, (source.key.collection_id, source.key.context_id)
                )
                assert (one.attempted_on, one.created_on, one.version, one.max_score) == (
                    *(source.attempted_on, source.created_on, source.version, source.max_score),
                )
        await cohort.drain()
    assert await scores(cohort, "ada") == {
        ("a", "a", "a"): (7, 2),
        (*COURSE, "a"): (7, 2),
        ("shares", "shares-batch", "b"): (9, 1),
        (*COURSE, "b"): (9, 1),
        ("course", "course", "c"): (1, 1),
    }


async def test_a_later_attempt_elsewhere_follows_and_so_does_a_newer_version(copying: Instance) -> None:
    """By its trigger alone: the content was completed before."""
    await learn(copying)
    await joins(copying, *COURSE)
    await copying.drain()
    await assess(copying, "ada", ("a", "a", "a"), "fifth", 10, NOW + 2 * DAY)
    await assess(copying, "ada", ("a", "a", "a"), "first", 5, NOW + 3 * DAY)
    await copying.drain()
    here = [*COPIED[1:], (*COURSE, "a", "fifth", 10), (*COURSE, "a", "first", 5)]
    assert [one for one in await attempts(copying, "ada") if one[1] == "batch"] == sorted(here)
    assert [one for one in await questions(copying, "ada") if one[1] == "batch"] == sorted(here)
    assert (await scores(copying, "ada"))[*COURSE, "a"] == (10, 3)


async def test_a_correction_of_the_same_moment_follows(copying: Instance) -> None:
    """As a migration writes it, whichever of the two has the larger hash."""
    for score, corrected in ((4, 9), (9, 4)):
        user = f"learner-{score}"
        source = await assess(copying, user, ("a", "a", "a"), "first", score)
        await completes(copying, "a", user=user)
        await joins(copying, *COURSE, user)
        await copying.drain()
        row = (user, "a", "a", "a", "first")
        values = {
            "total_score": float(corrected),
            "content_hash": f"{corrected}/10",
            "written_at": source.written_at + 2,
        }
        for table in (ATTEMPTS_WITH_QUESTIONS, ATTEMPTS):
            await copying.stores.rows.write(Write(table, row, values, source.written_at + 2))
        await send_trigger(copying.stores, TriggerKind.RECONCILE, ProgressKey(user, "a", "a"))
        await copying.drain()
        assert {one.score for one in await slim(copying, user)} == {corrected}
        assert (await scores(copying, user))[*COURSE, "a"] == (corrected, 1)


async def test_a_completion_brings_its_attempts_where_the_content_was_completed_before(
    copying: Instance,
) -> None:
    """So it does not matter which came first; each place keeps its own attempts too."""
    await joins(copying, *COURSE)
    await completes(copying, "a", *COURSE)
    await assess(copying, "ada", ("a", *COURSE), "own", 3)
    await learn(copying)
    await copying.drain()
    here = [*COPIED, (*COURSE, "a", "own", 3)]
    assert [one for one in await attempts(copying, "ada") if one[1] == "batch"] == sorted(here)


async def test_archived_questions_are_live_again_where_the_attempt_is_copied_to(cohort: Instance) -> None:
    """On both engines. The original stays in the archive, and the copy goes there by itself the next time."""
    await set_up(cohort)
    await learn(cohort)
    cohort.sets_clock(NOW + 3 * DAY)
    assert await archive_all(cohort) == len(MADE)
    assert await questions(cohort, "ada") == []
    await joins(cohort, *COURSE)
    await cohort.drain()
    assert await attempts(cohort, "ada") == sorted([*MADE, *COPIED])
    assert await questions(cohort, "ada") == COPIED
    assert {one.key.context_id for one in await slim(cohort, "ada") if one.archived_in is None} == {"batch"}
    cohort.sets_clock(NOW + 4 * DAY)
    assert await archive_all(cohort) == len(COPIED)
    found = await slim(cohort, "ada")
    wholes = await whole_attempts(cohort.stores.rows, cohort.shared.archived_questions, found)
    for one in found:
        told = wholes[attempt_key(one)]
        assert not isinstance(told, Exception)
        assert [question.id for question in told.whole.questions] == [f"{one.attempt_id}-1"]


async def test_a_copied_attempt_is_not_copied_on(copying: Instance) -> None:
    """batch-2 has it from where it was made, and a trigger of a copy sends it nowhere."""
    await learn(copying)
    await joins(copying, *COURSE)
    await joins(copying, "course", "batch-2")
    await send_trigger(copying.stores, TriggerKind.RECONCILE, ProgressKey("ada", *COURSE))
    await copying.drain()
    for one in await slim(copying, "ada"):
        if one.is_copy:
            assert one.origin is not None
            assert one.origin.place in {("a", "a"), ("shares", "shares-batch")}
            assert one.attempt_id != "fourth"
    assert len([one for one in await slim(copying, "ada") if one.key.context_id == "batch-2"]) == 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_enrolment_killed_at_any_step_has_the_attempts_after_a_look(
    copying: Instance, *, after: bool
) -> None:
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await learn(copying, user)
        interruption = Interruption(step, dies, after=after)
        session = Session(copying.session(user).viewer, interruption.of(copying.shared))
        with suppress(StoreUnavailable):
            await enrol(session, EnrolmentCall(*COURSE))
        reached = interruption.happened
        if step == 0 and not after:
            await joins(copying, *COURSE, user)
        await enrolments_page(copying.session(user), user, first=10, after=None, active=True)
        await copying.shared.background.settled()
        await copying.drain()
        assert await attempts(copying, user) == await questions(copying, user) == sorted([*MADE, *COPIED])
        step += 1
    # The enrolment, the scope, the views, the questions, the slim rows, the trigger.
    assert step == 7


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_killed_at_any_step_leaves_no_attempt_out(copying: Instance, *, after: bool) -> None:
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await joins(copying, *COURSE, user)
        await copying.drain()
        await learn(copying, user)
        interruption = Interruption(step, dies, after=after)
        await copying.drain(Worker(interruption.of(copying.shared), wait=0.005))
        reached = interruption.happened
        assert await attempts(copying, user) == await questions(copying, user) == sorted([*MADE, *COPIED])
        assert (await scores(copying, user))[*COURSE, "a"] == (7, 2)
        step += stride()
    assert step > 7


async def test_in_whatever_order_things_happen_the_same_attempts_are_there(copying: Instance) -> None:
    """Drawn with fixed seeds; what the command, the worker and a repair write is the same to the last column."""
    ends = []
    for number in range(8):
        user, dice = f"learner-{number}", random.Random(number)

        async def happen(what: str, user: str = user) -> None:
            match what:
                case "batch" | "batch-2":
                    await joins(copying, "course", what, user)
                case "shares-batch":
                    await joins(copying, "shares", what, user)
                case "a":
                    await completes(copying, "a", user=user)
                case "b":
                    await completes(copying, "b", "shares", "shares-batch", user=user)
                case "first":
                    await assess(copying, user, ("a", "a", "a"), "first", 4)
                case "third":
                    await assess(copying, user, ("b", "shares", "shares-batch"), "third", 9)

        moves = ["batch", "batch-2", "shares-batch", "a", "b", "first", "third"]
        dice.shuffle(moves)
        for what in moves + dice.sample(moves, 3):
            await happen(what)
            if dice.random() < 0.4:
                await copying.drain()
        await copying.drain()
        for context in ("batch", "batch-2"):
            await send_trigger(copying.stores, TriggerKind.RECONCILE, ProgressKey(user, "course", context))
        await copying.drain()
        found = await slim(copying, user)
        ends.append(
            sorted(
                (
                    *(one.key.context_id, one.key.content_id, one.attempt_id),
                    one.origin.place if one.origin else (),
                    one.written_at,
                )
                for one in found
            )
        )
    assert all(end == ends[0] for end in ends)
    assert [one[:3] for one in ends[0]] == [
        *(("a", "a", "first"), ("batch", "a", "first"), ("batch", "b", "third")),
        *(("batch-2", "a", "first"), ("batch-2", "b", "third"), ("shares-batch", "a", "first")),
        ("shares-batch", "b", "third"),
    ]


async def test_who_comes_back_after_an_erasure_of_the_place_gets_the_attempts_again(cohort: Instance) -> None:
    """On both engines: the deletion is later than the attempts."""
    await set_up(cohort)
    await learn(cohort)
    await joins(cohort, *COURSE)
    await cohort.drain()
    cohort.sets_clock(NOW + 2 * DAY)
    await unenrol(cohort.session("ada"), EnrolmentCall(*COURSE))
    await erase(cohort.session(), ErasureCall("ada", *COURSE))
    await cohort.drain()
    assert await attempts(cohort, "ada") == MADE
    cohort.sets_clock(NOW + 3 * DAY)
    await joins(cohort, *COURSE)
    await cohort.drain()
    assert await attempts(cohort, "ada") == await questions(cohort, "ada") == sorted([*MADE, *COPIED])


async def test_40_attempts_cost_as_many_reads_as_2(copying: Instance) -> None:
    """Those that are there, those that are here, their questions, and whether the place was erased."""
    counted = []
    for size in (2, 40):
        user = f"learner-{size}"
        for number in range(size):
            await assess(copying, user, ("a", "a", "a"), f"attempt-{number}", 1)
        await completes(copying, "a", user=user)
        with copying.stores.rows.meter.measure() as counts:
            await joins(copying, *COURSE, user)
        counted.append({name: n for name, n in counts.items() if "assessment" in name or "erasure" in name})
        assert len(await attempts(copying, user)) == 2 * size
    reads = {"select assessment_attempt": 2, "select assessment_aggregator": 1, "select erasure": 1}
    for each in counted:
        assert {name: n for name, n in each.items() if name.startswith("select")} == reads
