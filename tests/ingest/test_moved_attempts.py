"""What a learner may rely on in move mode: their attempts are where the progress is, each once, whoever dies or writes
meanwhile."""

from contextlib import suppress
from datetime import timedelta

import pytest

from ingest.archival.restoring import restore
from ingest.archival.verification import verify
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.workers.worker import Worker
from ingest.writes.triggers import send_trigger
from loaders.session import Session
from rules.attempts import AttemptOrigin
from rules.errors import StoreUnavailable
from rules.identifiers import ProgressKey
from rules.origins import OriginKind
from rules.tracking import TrackingMode
from rules.triggers import TriggerKind
from stores.tables import AGGREGATES
from tests.conftest import NOW, Instance, stride
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.kept_attempts import Kept, archive_all, assess, attempts, questions, scores, slim
from tests.ingest.test_moves import active, enters, moving, set_up
from tests.ingest.test_moves import learn as view_some
from tests.ingest.test_sample import rows_of

__all__ = ["moving"]
DAY = timedelta(days=1)
BATCH = ("course", "batch")


async def learn(cohort: Instance, user: str = "ada") -> None:
    """a is completed, with two attempts; b is under way, with one; c has one and was never opened."""
    await view_some(cohort, user)
    for content, attempt, score in (
        ("a", "first", 4),
        ("a", "second", 7),
        ("b", "third", 9),
        ("c", "fourth", 1),
    ):
        await assess(cohort, user, (content, *BATCH), attempt, score)


def all_in(context: str) -> list[Kept]:
    place = ("course", context)
    return [
        *((*place, "a", "first", 4), (*place, "a", "second", 7)),
        *((*place, "b", "third", 9), (*place, "c", "fourth", 1)),
    ]


async def check_all_in(cohort: Instance, user: str, context: str, more: list[Kept] | None = None) -> None:
    expected = sorted([*all_in(context), *(more or [])])
    assert await attempts(cohort, user) == expected
    assert await questions(cohort, user) == expected


async def test_attempts_move_with_the_progress(cohort: Instance) -> None:
    """On both engines: whole, and they say where they were. They are there when the call is answered; then the old
    place is emptied."""
    await set_up(cohort)
    await learn(cohort)
    before = {one.attempt_id: one for one in await slim(cohort, "ada")}
    await enters(cohort, "ada")
    assert await attempts(cohort, "ada") == [*all_in("batch"), *all_in("program")]
    await cohort.drain()
    await check_all_in(cohort, "ada", "program")
    await check_scores(cohort, "ada", "program")
    for one in await slim(cohort, "ada"):
        was = before[one.attempt_id]
        assert one.origin == AttemptOrigin(OriginKind.MOVED, BATCH)
        assert (one.version, one.attempted_on, one.created_on, one.updated_on) == (
            *(was.version, was.attempted_on, was.created_on, was.updated_on),
        )


async def check_scores(cohort: Instance, user: str, context: str) -> None:
    """In the place alone where the learner is: a 7 of two attempts, b 9 and c 1 of one. Together 17 of 30."""
    assert await scores(cohort, user) == {
        ("course", context, "a"): (7, 2),
        ("course", context, "b"): (9, 1),
        ("course", context, "c"): (1, 1),
    }
    (row,) = [
        row
        for row in await rows_of(cohort.shared, AGGREGATES)
        if (row["user_id"], row["activity_id"]) == (user, "course")
    ]
    assert row["context_id"].endswith(f":{context}")
    shown = {name: value for name, value in row["aggregates"].items() if name.startswith("score:")}
    assert shown == {"score:a": 7, "score:b": 9, "score:c": 1}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_they_are_where_the_learner_is(moving: Instance, *, after: bool) -> None:
    step, reached = 0, True
    while reached:
        for again in (True, False):
            user = f"learner-{step}-{again}"
            await learn(moving, user)
            interruption = Interruption(step, dies, after=after)
            session = Session(moving.session(user).viewer, interruption.of(moving.shared))
            with suppress(StoreUnavailable):
                await enrol(session, EnrolmentCall("course", "program"))
            reached = interruption.happened
            (place,) = await active(moving, user)
            assert set(all_in(place)) <= {*await attempts(moving, user)}
            if again:
                await enters(moving, user)
                place = "program"
            for _ in range(2):
                await active(moving, user)  # a look sends what was lost
                await moving.shared.background.settled()
                await moving.drain()
            found = await attempts(moving, user)
            if place == "program":
                await check_all_in(moving, user, "program")
            else:
                assert [one for one in found if one[1] == "batch"] == all_in("batch")
        step += 1
    # As without attempts, and two writes of them.
    assert step == 8


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_killed_at_any_step_takes_all_away_and_loses_nothing(
    moving: Instance, *, after: bool
) -> None:
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await learn(moving, user)
        await moving.drain()
        await enters(moving, user)
        interruption = Interruption(step, dies, after=after)
        await moving.drain(Worker(interruption.of(moving.shared), wait=0.005))
        reached = interruption.happened
        await check_all_in(moving, user, "program")
        await check_scores(moving, user, "program")
        step += stride()
    assert step > 8


async def test_an_attempt_that_comes_into_the_old_place_at_any_step_is_brought_along(
    moving: Instance,
) -> None:
    """A new one, and a newer version of one that is there, as an attempt taker that looked before the move writes them:
    at every step of the move, and of the worker that ends it."""
    for whose in ("call", "worker"):
        step, reached = 0, True
        while reached:
            user = f"{whose}-{step}"
            await learn(moving, user)
            await moving.drain()

            async def meanwhile(user: str = user) -> None:
                await assess(moving, user, ("c", *BATCH), "late", 2, NOW + DAY)
                await assess(moving, user, ("a", *BATCH), "first", 8, NOW + DAY)

            interruption = Interruption(step, meanwhile)
            shared = interruption.of(moving.shared)
            if whose == "call":
                await enrol(Session(moving.session(user).viewer, shared), EnrolmentCall("course", "program"))
            else:
                await enters(moving, user)
                await moving.drain(Worker(shared, wait=0.005))
            reached = interruption.happened
            await moving.drain()
            if reached:
                here = [one for one in all_in("program") if one[3] != "first"]
                place = ("course", "program")
                expected = sorted([*here, (*place, "a", "first", 8), (*place, "c", "late", 2)])
                assert await attempts(moving, user) == expected
                assert await questions(moving, user) == expected
            step += stride()
        assert step > 6


async def test_on_and_back_again_every_attempt_is_there_once(cohort: Instance) -> None:
    """On both engines: at each place that they come back to, the deletion of before does not hide them."""
    await set_up(cohort)
    await learn(cohort)
    more: list[Kept] = []
    for number, context in enumerate(["program", "other", "batch", "program", "batch", "other"], 1):
        cohort.sets_clock(NOW + number * DAY)
        await enters(cohort, "ada", context)
        if number % 2:
            await cohort.drain()
        await assess(cohort, "ada", ("b", "course", context), f"new-{number}", number, NOW + number * DAY)
        more = [("course", context, *one[2:]) for one in more]
        more.append(("course", context, "b", f"new-{number}", number))
        await cohort.drain()
        await check_all_in(cohort, "ada", context, more)


async def test_a_replay_of_the_move_brings_nothing_back(moving: Instance) -> None:
    await learn(moving)
    await enters(moving, "ada")
    await moving.drain()
    for context in ("batch", "program"):
        for kind in (TriggerKind.RECONCILE, TriggerKind.ATTEMPT, TriggerKind.ENROLMENT):
            await send_trigger(moving.stores, kind, ProgressKey("ada", "course", context))
    await moving.drain()
    await check_all_in(moving, "ada", "program")


async def test_what_the_rules_leave_behind_keeps_its_attempts(moving: Instance) -> None:
    moving.track(TrackingMode.MOVE, '{"rules": [{"type": "completedWithin", "unit": "days", "value": 7}]}')
    await learn(moving)
    moving.sets_clock(NOW + 8 * DAY)
    await enters(moving, "ada")
    await moving.drain()
    stays, goes = all_in("batch")[:2], all_in("program")[2:]
    assert await attempts(moving, "ada") == await questions(moving, "ada") == [*stays, *goes]


async def test_archived_questions_move_along(cohort: Instance) -> None:
    """On both engines: archived at the first place and again at the next one. They are live at the new place each time, and
    whoever restores the old files finds nothing that is missing."""
    await set_up(cohort)
    await learn(cohort)
    for number, context in enumerate(["program", "other", "batch"], 1):
        cohort.sets_clock(NOW + number * DAY)
        assert await archive_all(cohort) == 4
        assert await questions(cohort, "ada") == []
        await enters(cohort, "ada", context)
        await cohort.drain()
        await check_all_in(cohort, "ada", context)
    assert (await verify(cohort.shared)).differences == 0
    restored = await restore(cohort.shared, context_id="program")
    assert (restored.attempts, restored.left) == (0, 4)
    await check_all_in(cohort, "ada", "batch")
