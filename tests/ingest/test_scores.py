"""What the workers make of attempts: scores in aggregates, in states and in a table of their own, whatever comes late,
twice, in another order, or dies."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

import ingest.workers.recompute as recomputing
import ingest.workers.rows_and_states as rows_and_states
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from ingest.workers.dead_letters import pending
from ingest.workers.scores import compare_scores
from ingest.workers.worker import Worker
from loaders.aggregates import StoredAggregate, aggregates_by_key
from loaders.attempts import attempts_by_key
from loaders.scores import StoredScores, scores_key, scores_of_learner, scores_values
from rules.attempts import Attempt
from rules.identifiers import ProgressKey, ViewKey
from rules.progress import Status
from rules.scores import NO_SCORE, Best
from rules.states import State, encode_state
from rules.tracking import TrackingMode
from rules.triggers import Trigger, TriggerKind
from rules.views import ViewChange
from stores.events import Message
from stores.rows import Write
from stores.tables import AGGREGATES, ATTEMPTS, LEARNER_SCOPES, SCORES
from stores.topics import TRIGGERS
from tests.aggregates import figures_key
from tests.attempts import store_attempt
from tests.conftest import COURSE, LEAF, NOW, Instance
from tests.ingest.histories import stored_figures
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.test_sample import rows_of

FAST = 100_000.0
BATCH = ("course", "batch")


def minute(number: int) -> datetime:
    return NOW - timedelta(days=1) + timedelta(minutes=number)


async def attempted(
    cohort: Instance,
    content: str,
    *scores: tuple[float, float],
    user: str = "ada",
    place: tuple[str, str] = BATCH,
    first: int = 0,
) -> list[Attempt]:
    """Attempts at a content, one a minute. None has the id of another test's, whose deletion a server may still know."""
    key = ViewKey(user, *place, content)
    return [
        await store_attempt(
            cohort.shared, key, f"attempt-{next(_numbers):06d}", *each, minute(first + number)
        )
        for number, each in enumerate(scores)
    ]


_numbers = count()


async def view(cohort: Instance, content: str, user: str = "ada") -> None:
    call = ViewCall(content, *BATCH)
    await start_view(cohort.session(user), call)
    await end_view(cohort.session(user), call, ViewChange(minute(0)))


async def aggregate(
    cohort: Instance, activity: str = "course", user: str = "ada", context: str = "cb:batch"
) -> StoredAggregate | None:
    (found,) = await aggregates_by_key(cohort.stores.rows, [figures_key(activity, user, context)])
    return found


async def known(cohort: Instance, activity: str = "course", user: str = "ada") -> StoredAggregate:
    found = await aggregate(cohort, activity, user)
    assert found is not None
    return found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], State]:
    """The states by activity and learner that the workers send: of each the one with the highest version."""
    newest: dict[tuple[str, str], State] = {}

    def noted(state: State) -> bytes:
        known = newest.setdefault((state.activity_id, state.user_id), state)
        assert state.version != known.version or state == known, "two different states share a version"
        if state.version > known.version:
            newest[state.activity_id, state.user_id] = state
        return encode_state(state)

    monkeypatch.setattr(rows_and_states, "encode_state", noted)
    return newest


async def test_the_platforms_worked_case_is_in_aggregates_states_and_the_table_of_scores(
    course: Instance, sent: dict[tuple[str, str], State]
) -> None:
    """2.0 of 3.0 and 1.33 of 3.0: score 2, maximum 3, two attempts (P-4.5). Nothing was viewed, so nothing is begun.
    The average is (2 + 1.33) / 2 = 1.665."""
    best, last = await attempted(course, "a", (2.0, 3.0), (1.33, 3.0))
    await course.drain()
    rows = await rows_of(course.shared, AGGREGATES)
    assert {row["activity_id"] for row in rows} == {"course", "unit-1"}
    for row in rows:
        required = 3.0 if row["activity_id"] == "course" else 2.0
        assert row["aggregates"] == {
            "completedCount": 0.0,
            "requiredCount": required,
            "timeSpent": 0.0,
            "score:a": 2.0,
            "max_score:a": 3.0,
            "attempts_count:a": 2.0,
            "rightFirstCount": 0.0,
            "passableCount": 0.0,
            "passedCount": 0.0,
        }
        assert row["agg_last_updated"] == {"score:a": minute(1)}
        assert (row["status"], row["content_status"] or {}, row["completed_on"]) == (0, {}, None)
        state = sent[row["activity_id"], "ada"]
        assert (state.version, state.status) == (row["version"], Status.NOT_STARTED)
        assert state.score.assessments == {"a": Best(2.0, 3.0, 2, minute(1))}
    (scores,) = await scores_of_learner(course.stores.rows, "ada")
    assert replace(scores, version=0, average=0.0) == StoredScores(
        key=ViewKey("ada", *BATCH, "a"),
        best=2.0,
        max=3.0,
        lowest=1.33,
        average=0.0,
        first=2.0,
        last=1.33,
        attempts=2,
        updated_on=minute(1),
        best_attempt_id=best.attempt_id,
        last_attempt_id=last.attempt_id,
        version=0,
    )
    assert scores.average == pytest.approx(1.665)
    places = await course.stores.rows.partition(LEARNER_SCOPES, ("ada",))
    assert [(row["collectionid"], row["contextid"]) for row in places] == [BATCH]
    assert [letter async for letter in pending(course.stores)] == []


async def test_a_course_whose_units_share_an_assessment_by_hand(
    course: Instance, sent: dict[tuple[str, str], State]
) -> None:
    """unit-1 has a and b, unit-2 has b, c and d. Ada: a 1 of 4, then 3 of 4; b 5 of 5, then 2 of 6; d 0 of 2.

    unit-1: 3 + 5 = 8 of 4 + 5 = 9, four attempts, b right at first.
    unit-2: 5 + 0 = 5 of 5 + 2 = 7, three attempts, b right at first.
    The course counts b once: 3 + 5 + 0 = 8 of 11, five attempts.
    She also completed a: 1 of 3, and of unit-1 1 of 2.
    """
    await enrol(course.session("ada"), EnrolmentCall(*BATCH))
    await attempted(course, "a", (1, 4), (3, 4))
    await view(course, "a")
    await attempted(course, "b", (5, 5), (2, 6), first=2)
    await attempted(course, "d", (0, 2), first=4)
    await course.drain()
    expected = {
        "course": [8, 11, 3, 5, 1, 1, 3],
        "unit-1": [8, 9, 2, 4, 1, 1, 2],
        "unit-2": [5, 7, 2, 3, 1, 0, 2],
    }
    for activity, figures in expected.items():
        found = await known(course, activity)
        score = found.score
        of_score = [score.score, score.max_score, score.assessed, score.attempts, score.right_first]
        assert [*of_score, found.completed_count, found.required_count] == figures
        assert sent[activity, "ada"].score == score
        assert sent[activity, "ada"].version == found.version
    assert (await known(course, "unit-2")).status is Status.NOT_STARTED
    enrolment = await course.session().loaders.enrolments.load(ProgressKey("ada", *BATCH))
    assert enrolment is not None
    assert (enrolment.status, enrolment.completed_count) == (Status.IN_PROGRESS, 1)


async def test_an_attempt_at_what_is_no_leaf_has_scores_of_its_own_and_counts_in_no_activity(
    course: Instance,
) -> None:
    await attempted(course, "elsewhere", (1, 2))
    await course.drain()
    assert (await known(course)).score == NO_SCORE
    assert [each.key.content_id for each in await scores_of_learner(course.stores.rows, "ada")] == [
        "elsewhere"
    ]


async def test_a_content_by_itself_has_scores_and_no_aggregate(course: Instance) -> None:
    await course.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    await attempted(course, "alone", (1, 2), (2, 2), place=("alone", "alone"))
    await course.drain()
    (scores,) = await scores_of_learner(course.stores.rows, "ada")
    assert (scores.key, scores.best, scores.attempts) == (ViewKey("ada", "alone", "alone", "alone"), 2.0, 2)
    assert await rows_of(course.shared, AGGREGATES) == []
    assert [letter async for letter in pending(course.stores)] == []


async def test_an_assessment_that_a_new_version_drops_counts_no_more_and_keeps_its_scores(
    embedded: Instance,
) -> None:
    """a moves out of the course: unit-1 has had a and b, and of the course b is left, 1 of 2."""
    await embedded.publish()
    await embedded.batch()
    await attempted(embedded, "a", (3, 4))
    await attempted(embedded, "b", (1, 2))
    await embedded.drain()
    assert (await known(embedded)).score.score == 4
    without: Any = deepcopy(COURSE)
    without["children"][0]["children"].pop(0)
    await embedded.publish(without)
    await reconcile(embedded.shared, rate=FAST)
    await embedded.drain()
    for activity in ("course", "unit-1", "unit-2"):
        score = (await known(embedded, activity)).score
        assert (score.score, score.max_score, score.assessed) == (1, 2, 1)
    assert len(await scores_of_learner(embedded.stores.rows, "ada")) == 2


# --- Interrupted and overtaken


async def score_rows(cohort: Instance) -> list[dict[str, Any]]:
    return [{n: v for n, v in row.items() if n != "version"} for row in await rows_of(cohort.shared, SCORES)]


async def everything(cohort: Instance) -> tuple[Any, Any]:
    return await stored_figures(cohort), await score_rows(cohort)


async def history(cohort: Instance) -> None:
    await enrol(cohort.session("ada"), EnrolmentCall(*BATCH))
    await attempted(cohort, "a", (1, 4), (3, 4))
    await view(cohort, "a")
    await attempted(cohort, "b", (2, 2), first=2)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(4))
async def test_a_worker_that_dies_between_any_two_of_its_writes_loses_no_score(
    embedded: Instance, sent: dict[tuple[str, str], State], step: int, after: bool
) -> None:
    """Its steps: units, root and enrolment, states, scores of assessments. Meanwhile the learner goes on: at the step she
    reaches 4 of 4 in a."""
    await embedded.publish()
    await embedded.batch()
    await history(embedded)

    async def goes_on_and_dies() -> None:
        await attempted(embedded, "a", (4, 4), first=9)
        await dies()

    death = Interruption(step, goes_on_and_dies, after=after)
    await embedded.drain(Worker(death.of(embedded.shared), wait=0.005))
    assert death.happened
    found = (await known(embedded)).score
    assert (found.score, found.max_score, found.attempts) == (6, 6, 4)
    for activity in ("course", "unit-1", "unit-2"):
        row = await known(embedded, activity)
        assert (sent[activity, "ada"].score, sent[activity, "ada"].version) == (row.score, row.version)
    by_content = {s.key.content_id: s for s in await scores_of_learner(embedded.stores.rows, "ada")}
    assert {content: (s.best, s.last, s.attempts) for content, s in by_content.items()} == {
        "a": (4.0, 4.0, 3),
        "b": (2.0, 2.0, 1),
    }
    assert (await reconcile(embedded.shared, rate=FAST)).drifted == 0


async def test_a_slow_worker_never_overwrites_newer_scores(course: Instance) -> None:
    """It read the attempts, paused, and lost its partition; meanwhile the learner went on and another worker wrote."""
    place = ProgressKey("ada", *BATCH)
    await attempted(course, "a", (1, 4))
    (trigger,) = [record async for record in course.stores.events.read(TRIGGERS.name)]
    ((stale,),) = (await compare_scores(course.stores.rows, {place: None})).values()
    await attempted(course, "a", (3, 4), first=1)
    await course.drain()
    newer = await scores_of_learner(course.stores.rows, "ada")
    assert [each.attempts for each in newer] == [2]
    await course.stores.rows.write(stale.write(trigger))
    assert await scores_of_learner(course.stores.rows, "ada") == newer


async def test_a_slow_worker_never_overwrites_a_newer_score_of_an_activity(embedded: Instance) -> None:
    """The same of aggregates: who reads attempts later gets the higher version."""
    await embedded.publish()
    await embedded.batch()
    await attempted(embedded, "a", (1, 4))
    (trigger,) = [record async for record in embedded.stores.events.read(TRIGGERS.name)]
    sound = attempts_by_key

    async def slow(*args: Any) -> Any:
        read = await sound(*args)
        with pytest.MonkeyPatch.context() as quick:
            quick.setattr(recomputing, "attempts_by_key", sound)
            await attempted(embedded, "a", (3, 4), first=1)
            await embedded.drain()
        return read

    with pytest.MonkeyPatch.context() as paused:
        paused.setattr(recomputing, "attempts_by_key", slow)
        (stale,) = (await recomputing.recompute(embedded.shared, [ProgressKey("ada", *BATCH)])).done
    assert stale.root.score.score == 1
    newer = [await known(embedded, activity) for activity in ("course", "unit-1")]
    assert [each.score.score for each in newer] == [3, 3]
    version = stale.next_version(trigger.appended_at, trigger.offset)
    versions = stale.versions(version, renew=True)
    await embedded.stores.rows.write(
        *rows_and_states.unit_writes(stale, versions, version, enrolled=True),
        *rows_and_states.sealing_writes(stale, versions),
    )
    assert [await known(embedded, activity) for activity in ("course", "unit-1")] == newer


async def test_triggers_sent_again_change_nothing(course: Instance) -> None:
    await history(course)
    await course.drain()
    before = await everything(course)
    versions = [row["version"] for row in await rows_of(course.shared, SCORES)]
    records = [record async for record in course.stores.events.read(TRIGGERS.name)]
    await course.stores.events.send(TRIGGERS.name, *(Message(r.key, r.value) for r in reversed(records)))
    await course.drain()
    assert await everything(course) == before
    assert [row["version"] for row in await rows_of(course.shared, SCORES)] == versions


# --- Carried attempts


async def test_carried_attempts_count_in_every_enrolment_that_shows_them(course: Instance) -> None:
    """Under full carry forward an attempt is kept by its content: it counts in both collections that hold it."""
    course.track(TrackingMode.CARRY_FORWARD_FULL)
    other = {"identifier": "other", "name": "Other", "children": COURSE["children"][:1]}
    await course.publish(other)
    await course.batch("second", "other")
    for place in (BATCH, ("other", "second")):
        await enrol(course.session("ada"), EnrolmentCall(*place))
    await course.drain()
    await attempted(course, "a", (2, 3), (1, 3), place=("a", "a"))
    await course.drain()
    for activity, context in (("course", "cb:batch"), ("other", "cb:second")):
        found = await aggregate(course, activity, context=context)
        assert found is not None
        assert found.score.assessments == {"a": Best(2.0, 3.0, 2, minute(1))}
        assert (found.completed_count, found.status) == (0, Status.NOT_STARTED)
    (scores,) = await scores_of_learner(course.stores.rows, "ada")
    assert (scores.key, scores.best) == (ViewKey("ada", "a", "a", "a"), 2.0)
    assert (await reconcile(course.shared, rate=FAST)).drifted == 0


async def test_attempts_carried_within_a_collection_count_under_each_of_its_contexts(
    embedded: Instance,
) -> None:
    embedded.track(TrackingMode.CARRY_FORWARD_COLLECTION)
    await embedded.publish()
    for context in ("batch", "second"):
        await embedded.batch(context)
        await enrol(embedded.session("ada"), EnrolmentCall("course", context))
    await embedded.drain()
    await attempted(embedded, "a", (2, 3), place=("course", "course"))
    await embedded.drain()
    for context in ("cb:batch", "cb:second"):
        found = await aggregate(embedded, context=context)
        assert found is not None
        assert found.score.score == 2
    (scores,) = await scores_of_learner(embedded.stores.rows, "ada")
    assert scores.key == ViewKey("ada", "course", "course", "a")
    assert (await reconcile(embedded.shared, rate=FAST)).drifted == 0


# --- Repair


async def test_a_lost_trigger_is_found_and_mended(course: Instance) -> None:
    """Ada's attempts are written and no trigger was sent; of Bob's scores somebody wrote others; Cleo's attempt at a
    content by itself told nobody; Dan has all that he should have."""
    await course.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    for user in ("bob", "dan"):
        await attempted(course, "a", (1, 2), user=user)
    await enrol(course.session("ada"), EnrolmentCall(*BATCH))
    await course.drain()
    await attempted(course, "a", (2, 3))
    await attempted(course, "alone", (1, 1), user="cleo", place=("alone", "alone"))
    await lose_triggers(course)
    (bobs,) = await scores_of_learner(course.stores.rows, "bob")
    wrong = replace(bobs, best=9.0, version=bobs.version + 1)
    await course.stores.rows.write(
        Write(SCORES, scores_key(wrong.key), scores_values(wrong), timestamp=wrong.version)
    )
    report = await reconcile(course.shared, rate=FAST)
    assert (report.checked, report.drifted, report.failed) == (4, 3, 0)
    assert sorted(report.examples) == [
        "ada course batch: course, unit-1, scores of a",
        "bob course batch: scores of a",
        "cleo alone alone: scores of alone",
    ]
    await course.drain()
    best = {user: await scores_of_learner(course.stores.rows, user) for user in ("ada", "bob", "cleo")}
    assert {user: [each.best for each in found] for user, found in best.items()} == {
        "ada": [2.0],
        "bob": [1.0],
        "cleo": [1.0],
    }
    assert (await known(course)).score.score == 2
    assert (await reconcile(course.shared, rate=FAST)).drifted == 0


async def lose_triggers(cohort: Instance) -> None:
    """What is in the log is read by a worker that knows nothing of attempts, and committed."""
    consumer = await cohort.stores.events.consumer("workers", [TRIGGERS.name])
    async with asyncio.timeout(60):
        while await cohort.lag():
            if records := await consumer.batch(100, 0.05):
                await consumer.commit(records)
    await consumer.close()


async def test_a_figure_of_a_score_that_drifted_is_found(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await attempted(embedded, "a", (1, 2))
    await embedded.drain()
    stored = await known(embedded, "unit-1")
    row = await embedded.stores.rows.get(AGGREGATES, ("CourseUnit", "unit-1", "ada", "cb:batch", "course"))
    assert row is not None
    wrong = {"aggregates": {**row["aggregates"], "score:a": 2.0}, "version": stored.version + 1}
    key = ("CourseUnit", "unit-1", "ada", "cb:batch", "course")
    await embedded.stores.rows.write(Write(AGGREGATES, key, wrong, timestamp=stored.version + 1))
    assert list((await reconcile(embedded.shared, rate=FAST)).examples) == ["ada course batch: unit-1"]
    await embedded.drain()
    assert (await known(embedded, "unit-1")).score.score == 1


async def test_scores_whose_attempts_are_gone_go(course: Instance) -> None:
    (attempt,) = await attempted(course, "a", (1, 2))
    await course.drain()
    key = ("ada", *BATCH, "a", attempt.attempt_id)
    await course.stores.rows.write(Write(ATTEMPTS, key, {}, attempt.written_at + 1, delete=True))
    trigger = Trigger(TriggerKind.ATTEMPT, "ada", *BATCH, "a")
    await course.stores.events.send(TRIGGERS.name, Message("ada", trigger.encode()))
    await course.drain()
    assert await rows_of(course.shared, SCORES) == []
    await attempted(course, "a", (2, 2), first=1)
    await course.drain()
    assert [each.best for each in await scores_of_learner(course.stores.rows, "ada")] == [2.0]


# --- What it costs


async def statements(cohort: Instance, act: Callable[[], Awaitable[object]]) -> Mapping[str, int]:
    await cohort.drain()
    await act()
    with cohort.stores.rows.meter.measure() as counts:
        await cohort.drain(Worker(cohort.shared, wait=1.0))
    return counts


@pytest.mark.parametrize("kind", [TriggerKind.VIEW, TriggerKind.ATTEMPT])
async def test_a_batch_reads_attempts_in_as_many_statements_whatever_its_keys(
    embedded: Instance, kind: TriggerKind
) -> None:
    """One for the figures, and where attempts were made one more for the scores, which are read in one, too."""
    await embedded.publish()
    await embedded.batch()
    users = [f"user-{number}" for number in range(30)]
    for user in users:
        await view(embedded, "a", user)
        await attempted(embedded, "a", (1, 2), user=user)
    await embedded.drain()

    async def triggers(of: Sequence[str]) -> None:
        found = [Message(user, Trigger(kind, user, *BATCH, "a").encode()) for user in of]
        await embedded.stores.events.send(TRIGGERS.name, *found)

    one = await statements(embedded, lambda: triggers(users[:1]))
    many = await statements(embedded, lambda: triggers(users))
    scores = int(kind is TriggerKind.ATTEMPT)
    for counts in (one, many):
        assert counts["select assessment_attempt"] == 1 + scores
        assert counts["select assessment_aggregator_v2"] == scores
    assert one == many
