"""What the attempt takers promise: attempts as they were submitted, whatever comes late, twice, broken or erased
(R-ASSESS-3, P-3.1, P-4.5)."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.attempts.taker import chunks
from ingest.attempts.taking import Taking, take
from ingest.calls.placing import ViewCall
from ingest.commands.assessments import submit_assessment
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.learner_erasure import LearnerErasure
from ingest.commands.views import start_view
from ingest.workers.dead_letters import pending, replay
from loaders.questions import whole_attempt_of
from loaders.session import Shared
from rules.assessments import AttemptRules
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from rules.moments import moment
from rules.scoring import questions_of, scored
from rules.tracking import TrackingMode
from rules.triggers import TriggerKind, parse_trigger
from stores.events import Message, Record
from stores.rows import Write
from stores.tables import (
    AGGREGATES,
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    ENROLMENTS,
    ERASURES,
    LEARNER_SCOPES,
    SCORES,
    VIEWS,
)
from stores.topics import ASSESSMENTS, DEAD_LETTERS, TRIGGERS
from tests.conftest import COURSE, Instance
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.member_process import one_of_two_killed
from tests.ingest.test_assessments import call
from tests.ingest.test_sample import rows_of
from tests.rules.test_scoring import answer

pytestmark = pytest.mark.long

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT_MS = 1_769_860_800_000
"""2026-01-31T12:00:00Z: 20,484.5 days of 86,400,000 ms."""
APPENDED = AT_MS + 60_000
MINUTE = timedelta(minutes=1)
BY_ARRIVAL = {"created_on", "updated_on", "written_at"}
"""Columns that tell when a row was written, not what it says."""


def message(user: str = "ada", **more: Any) -> Message:
    """A submission of two answers: 2 of 2 and 0 of 1. ``more`` replaces its fields."""
    told = {
        "assessmentTs": AT_MS,
        "batchId": "batch",
        "courseId": "course",
        "userId": user,
        "attemptId": "try-1",
        "contentId": "a",
        "events": [answer("q1", 2, 2, title="One"), answer("q2", 0, 1)],
    }
    return Message(user, orjson.dumps({**told, **more}))


def records(messages: Sequence[Message], appended_at: int = APPENDED) -> list[Record]:
    """As the log gives them, a millisecond after each other."""
    return [
        Record(ASSESSMENTS.name, 0, number, appended_at + number, one.key, one.value)
        for number, one in enumerate(messages)
    ]


class World:
    """Learners of their own, for a test that takes the same submissions several times."""

    def __init__(self, cohort: Instance) -> None:
        self._cohort = cohort
        self._mark = f"{next(_worlds)}-"

    async def take(
        self, messages: Sequence[Message], appended_at: int = APPENDED, shared: Shared | None = None
    ) -> Taking:
        here = records([*map(self._here, messages)], appended_at)
        return await take(shared or self._cohort.shared, here)

    async def rows(self, *, without: Collection[str] = ()) -> list[dict[str, Any]]:
        """The rows of both tables."""
        found = [
            {**row, "user_id": row["user_id"].removeprefix(self._mark)}
            for row in await stored(self._cohort)
            if row["user_id"].startswith(self._mark)
        ]
        return sorted(({k: v for k, v in row.items() if k not in without} for row in found), key=repr)

    async def triggers(self) -> list[tuple[str | None, ...]]:
        return [
            (user.removeprefix(self._mark), *rest)
            for user, *rest in await triggers(self._cohort)
            if user.startswith(self._mark)
        ]

    def _here(self, one: Message) -> Message:
        try:
            told = orjson.loads(one.value)
        except orjson.JSONDecodeError:
            return one
        return Message(one.key, orjson.dumps({**told, "userId": f"{self._mark}{told['userId']}"}))


_worlds = count()


async def stored(cohort: Instance) -> list[dict[str, Any]]:
    """The rows of both tables."""
    return [
        row for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS) for row in await rows_of(cohort.shared, table)
    ]


async def slim(cohort: Instance) -> list[tuple[Any, ...]]:
    """Learner, context, content, attempt, score and maximum of each attempt."""
    columns = ("user_id", "context_id", "content_id", "attempt_id", "total_score", "total_max_score")
    return sorted(tuple(row[name] for name in columns) for row in await rows_of(cohort.shared, ATTEMPTS))


async def triggers(cohort: Instance) -> list[tuple[str, str | None, str | None, str | None]]:
    """Learner, collection, context and content of each ATTEMPT trigger in the log."""
    found = [parse_trigger(record.value) async for record in cohort.stores.events.read(TRIGGERS.name)]
    return [
        (each.user_id, each.collection_id, each.context_id, each.content_id)
        for each in found
        if each.kind is TriggerKind.ATTEMPT
    ]


async def reasons(cohort: Instance) -> list[str]:
    return [letter.reason async for letter in pending(cohort.stores)]


@pytest.fixture
async def quick(embedded: Instance) -> Instance:
    await embedded.publish()
    await embedded.batch()
    return embedded


async def test_a_submission_becomes_an_attempt_with_its_questions(course: Instance) -> None:
    """2 + 0 of 2 + 1. Names are those of the course and the batch."""
    events = [answer("q1", 2, 2, duration="7.5", resvalues=[{"1": {"text": "é"}}, "b"]), answer("q2", 0)]
    events[0]["edata"]["item"] |= {"params": [{"1": "a", "2": 3}], "title": "One", "desc": "?", "type": "mcq"}
    submission = call(attempt_id="try-1", attempted_on=AT, events=events)
    await submit_assessment(course.session("ada"), submission)
    await course.take_attempts()
    (row,) = await rows_of(course.shared, ATTEMPTS_WITH_QUESTIONS)
    whole = whole_attempt_of(row)
    attempt = whole.attempt
    assert attempt.key == ViewKey("ada", "course", "batch", "a")
    assert (attempt.attempt_id, attempt.attempted_on, attempt.written_at) == ("try-1", AT, AT_MS * 1000)
    assert (attempt.score, attempt.max_score, whole.grand_total) == (2.0, 3.0, "2.0/3.0")
    assert (whole.collection_name, whole.context_name) == ("Course", "Batch batch")
    assert list(whole.questions) == questions_of(events)
    assert whole.questions[0].answers == [{"1": '{"text":"é"}'}, {"value": "b"}]
    (thin,) = await rows_of(course.shared, ATTEMPTS)
    assert {k: v for k, v in thin.items() if k in row} == {k: row[k] for k in thin if k in row}
    assert thin["archived_in"] is None
    assert attempt.created_on == attempt.updated_on is not None
    (scope,) = await rows_of(course.shared, LEARNER_SCOPES)
    assert (scope["userid"], scope["collectionid"], scope["contextid"], scope["scope"]) == (
        "ada",
        "course",
        "batch",
        "course",
    )
    assert await triggers(course) == [("ada", "course", "batch", "a")]
    assert await course.submitted() == 0


async def test_what_is_submitted_is_in_the_aggregates_in_the_end(course: Instance) -> None:
    """The reference's attempts: 1 + 1 + 0 of 3 and 0.33 + 1 + 0 of 3. The better one counts, out of two."""
    for attempt, first in (("1", 1), ("2", 0.33)):
        events = [answer("q1", first), answer("q2", 1), answer("q3", 0)]
        submission = call(attempt_id=attempt, attempted_on=AT, events=events)
        await submit_assessment(course.session("ada"), submission)
    await course.drain()
    totals = sorted(row["grand_total"] for row in await rows_of(course.shared, ATTEMPTS_WITH_QUESTIONS))
    assert totals == ["1.33/3.0", "2.0/3.0"]
    (row,) = [r for r in await rows_of(course.shared, AGGREGATES) if r["activity_id"] == "course"]
    scores = {name: value for name, value in row["aggregates"].items() if name.endswith(":a")}
    assert scores == {"score:a": 2.0, "max_score:a": 3.0, "attempts_count:a": 2.0}
    (score,) = await rows_of(course.shared, SCORES)
    assert (score["best_score"], score["total_max_score"], score["attempts_count"]) == (2.0, 3.0, 2)


async def test_a_newer_version_replaces_an_attempt_and_an_older_one_does_not(quick: Instance) -> None:
    """Its questions too. When it was first heard of stays."""
    newer = message(assessmentTs=AT_MS + 1, events=[answer("q1", 1, 2)])
    older = message(assessmentTs=AT_MS - 1, events=[answer("q1", 2, 2)])
    for each, total in ((message(), 2.0), (newer, 1.0), (older, 1.0), (message(), 1.0)):
        await take(quick.shared, records([each], APPENDED))
        (row,) = await rows_of(quick.shared, ATTEMPTS)
        assert row["total_score"] == total
    (whole,) = await rows_of(quick.shared, ATTEMPTS_WITH_QUESTIONS)
    assert [q["score"] for q in whole["question"]] == [1.0]
    assert whole["grand_total"] == "1.0/2.0"
    assert len(await triggers(quick)) == 4, "a trigger each, as the one before may have been lost"


async def test_of_two_versions_of_one_moment_the_same_counts_in_any_order(quick: Instance) -> None:
    one, other = message(events=[answer("q1", 1)]), message(events=[answer("q1", 0)])
    found = []
    for order in ((one, other), (other, one)):
        apart, together = World(quick), World(quick)
        for each in order:
            await apart.take([each])
        await together.take(order)
        found += [await apart.rows(without=BY_ARRIVAL), await together.rows(without=BY_ARRIVAL)]
    assert found[0] == found[1] == found[2] == found[3]
    assert len(found[0]) == 2


VERSIONS = st.lists(
    st.builds(
        message,
        st.sampled_from(["ada", "bob"]),
        assessmentTs=st.sampled_from([AT_MS - 1000, AT_MS, AT_MS + 1000]),
        attemptId=st.sampled_from(["try-1", "try-2"]),
        contentId=st.sampled_from(["a", "b"]),
        events=st.lists(
            st.builds(answer, st.sampled_from(["q1", "q2"]), st.sampled_from([0, 0.33, 1])), max_size=3
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VERSIONS, st.randoms(use_true_random=False))
async def test_late_duplicate_and_reordered_submissions_leave_the_same_rows(
    quick: Instance, sent: list[Message], dice: random.Random
) -> None:
    once, often = World(quick), World(quick)
    await once.take(sent)
    again = [*sent, *dice.choices(sent, k=len(sent))]
    dice.shuffle(again)
    while again:
        size = dice.randint(1, len(again))
        await often.take(again[:size], APPENDED + dice.randint(0, 10_000))
        again = again[size:]
    assert await often.rows(without=BY_ARRIVAL) == await once.rows(without=BY_ARRIVAL)


async def test_of_the_same_attempt_sent_twice_one_is_written(quick: Instance) -> None:
    taking = await take(quick.shared, records([message(), message(), Message("ada", b"[]")]))
    assert (taking.written, taking.erased, len(taking.dead)) == (1, 0, 1)
    unnamed = records([message(attemptId=None)])
    assert [(await take(quick.shared, unnamed)).written for _ in range(2)] == [1, 0]


async def test_without_events_nothing_is_written_and_scores_are_asked_for(quick: Instance) -> None:
    taking = await take(quick.shared, records([message(events=[])]))
    assert (taking.written, taking.dead, await stored(quick)) == (0, [], [])
    assert await triggers(quick) == [("ada", "course", "batch", "a")]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {"events": [answer("q1"), {"eid": "ASSESS", "edata": {"item": {}}}]},
            "events[1].edata.item.id must be a text",
        ),
        ({"events": [{"eid": "START", "edata": {}}]}, "events[0].eid must be ASSESS"),
        ({"assessmentTs": None}, "assessmentTs must be a number"),
        ({"userId": " "}, "userId must not be blank"),
        ({"contentId": "x"}, "collection course has no content x"),
        ({"contentId": "unit-1"}, "collection course has no content unit-1"),
        ({"courseId": "nothing"}, "there is no published collection nothing"),
        ({"courseId": "unit-1"}, "there is no published collection unit-1"),
        ({"courseId": None, "batchId": None, "contentId": "nothing"}, "there is no content nothing"),
    ],
)
async def test_bad_events_go_to_the_dead_letters_and_block_no_good_ones(
    quick: Instance, more: dict[str, Any], reason: str
) -> None:
    bad, broken = message("bob", **more), Message("cleo", b"{")
    await quick.stores.events.send(ASSESSMENTS.name, message(), bad, broken, message("dan"))
    taker = await quick.take_attempts()
    assert (taker.processed, taker.written, taker.dead) == (4, 2, 2)
    assert [user for user, *_ in await slim(quick)] == ["ada", "dan"]
    found = sorted(await reasons(quick))
    assert found[0].startswith(f"INVALID_INPUT: {reason}") or found[1].startswith(f"INVALID_INPUT: {reason}")
    assert len(found) == 2


async def test_a_dead_letter_is_replayed_once_its_collection_is_published(quick: Instance) -> None:
    await quick.stores.events.send(ASSESSMENTS.name, message(courseId="later", batchId=None, contentId="x"))
    await quick.drain()
    assert await stored(quick) == []
    leaf = {"identifier": "x", "name": "X", "mimeType": "application/pdf"}
    await quick.publish({"identifier": "later", "name": "Later", "children": [leaf]})
    assert await replay(quick.stores) == 1
    await quick.drain()
    assert [row["collection_name"] for row in await rows_of(quick.shared, ATTEMPTS_WITH_QUESTIONS)] == [
        "Later"
    ]
    assert await reasons(quick) == []


async def test_what_was_published_a_moment_ago_is_known(quick: Instance) -> None:
    """The taker has read the course before, and keeps it for some seconds."""
    await take(quick.shared, records([message()]))
    new = {"identifier": "new", "name": "New", "mimeType": "application/pdf"}
    async with quick.opened() as another:
        elsewhere = Instance(quick.urls, quick.data)
        elsewhere.shared = another
        await elsewhere.publish({**COURSE, "children": [*COURSE["children"], new]})
    taking = await take(quick.shared, records([message(contentId="new")]))
    assert (taking.written, taking.dead) == (1, [])


async def test_the_settings_say_which_attempts_are_taken(quick: Instance) -> None:
    """c has one question, and d does not say how many it has."""
    told = {"identifier": "c", "name": "C", "mimeType": "application/pdf", "totalQuestions": 1}
    other = {"identifier": "d", "name": "D", "mimeType": "application/pdf"}
    await quick.publish({"identifier": "quiz", "name": "Quiz", "children": [told, other]})

    def at(content: str, attempt: str, **more: Any) -> Message:
        return message(courseId="quiz", batchId=None, contentId=content, attemptId=attempt, **more)

    sent = [at(content, "1") for content in ("c", "d", "unknown")]
    lenient = await take(quick.shared, records(sent), AttemptRules(leaves_only=False))
    assert (lenient.written, lenient.dead) == (3, [])
    sent = [at(content, "2") for content in ("c", "d", "unknown")]
    strict = await take(quick.shared, records(sent), AttemptRules(within_total=True))
    assert strict.written == 1
    assert [letter.headers["reason"] for letter in strict.dead] == [
        "INVALID_INPUT: 2 questions, and c has 1",
        "INVALID_INPUT: collection quiz has no content unknown",
    ]
    one = at("c", "3", events=[answer("q1"), answer("q1", 0)])
    assert (await take(quick.shared, records([one]), AttemptRules(within_total=True))).written == 1


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (APPENDED + 3_600_000, APPENDED),  # in the future
        (AT_MS - 7_200_000, AT_MS - 3_600_000),  # before the enrolment
        (0, AT_MS - 3_600_000),  # a clock that was never set
        (AT_MS, AT_MS),
    ],
)
async def test_an_attempt_counts_between_the_enrolment_and_the_log_whatever_it_says(
    quick: Instance, told: int, counted: int
) -> None:
    """Ada enrolled an hour before AT."""
    await enrol(quick.session(), EnrolmentCall("course", "batch", "ada", AT - 60 * MINUTE))
    await take(quick.shared, records([message(assessmentTs=told)]))
    (row,) = await rows_of(quick.shared, ATTEMPTS)
    assert row["last_attempted_on"] == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=counted)


async def test_what_lay_in_the_topic_before_any_taker_is_taken(course: Instance) -> None:
    """As on upgrade: messages of an older gateway, and workers that know nothing of them."""
    await course.stores.events.send(ASSESSMENTS.name, *(message(f"learner-{n}") for n in range(20)))
    assert await course.submitted() == 20
    await course.drain()
    assert len(await slim(course)) == 20
    assert await course.submitted() == 0
    assert await course.lag() == 0, "and the workers have had the triggers"


@pytest.mark.parametrize(
    ("mode", "place"),
    [
        (TrackingMode.STRICT, ("course", "batch")),
        (TrackingMode.COPY, ("course", "batch")),
        (TrackingMode.CARRY_FORWARD_COLLECTION, ("course", "course")),
        (TrackingMode.CARRY_FORWARD_FULL, ("a", "a")),
    ],
)
async def test_an_attempt_is_kept_where_the_mode_keeps_views(
    quick: Instance, mode: TrackingMode, place: tuple[str, str]
) -> None:
    """It carries the names of the place where it was made."""
    quick.track(mode)
    await take(quick.shared, records([message()]))
    (row,) = await rows_of(quick.shared, ATTEMPTS_WITH_QUESTIONS)
    assert (row["collection_id"], row["context_id"]) == place
    assert (row["collection_name"], row["context_name"]) == ("Course", "Batch batch")
    assert await triggers(quick) == [("ada", *place, "a")]
    (scope,) = await rows_of(quick.shared, LEARNER_SCOPES)
    assert (scope["collectionid"], scope["contextid"]) == place


async def test_in_move_mode_an_attempt_follows_the_enrolment(course: Instance) -> None:
    course.track(TrackingMode.MOVE, '{"rules": [{"type": "always"}]}')
    await course.batch("second")
    await enrol(course.session(), EnrolmentCall("course", "batch", "ada", AT - 60 * MINUTE))
    await enrol(course.session("ada"), EnrolmentCall("course", "second"))
    await take(course.shared, records([message(), message("bob")]))
    assert [(user, context) for user, context, *_ in await slim(course)] == [
        ("ada", "second"),
        ("bob", "batch"),
    ]


async def erased(cohort: Instance, at: datetime, *place: str) -> None:
    await cohort.stores.rows.write(Write(ERASURES, ("ada", *(place or ("", ""))), {"erased_on": at}))


async def test_attempts_that_come_late_hide_no_place_from_an_erasure_that_runs(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused once its watermark stands, and what was listed for them is taken away: in the very millisecond of the erasure,
    before it comes to the places. One place has an enrolment, the other one nothing but views."""
    session = course.session("ada")
    await enrol(session, EnrolmentCall("course", "batch"))
    await start_view(session, ViewCall("a", "course", "batch"))
    await start_view(session, ViewCall("a", "course"))
    at = time.time_ns() // 1_000_000 + 1
    clock = count(at * 1000 + 1)
    shared = replace(course.shared, now=lambda: moment(at), change_moment=cast("Any", clock.__next__))
    late = records([message(), message(batchId="course", attemptId="alone")])
    erase_places = LearnerErasure._erase_places

    async def after_the_takers(erasure: LearnerErasure) -> AsyncIterator[Mapping[str, int]]:
        assert (await take(shared, late)).erased == 2
        async for counted in erase_places(erasure):
            yield counted

    monkeypatch.setattr(LearnerErasure, "_erase_places", after_the_takers)
    await erase(replace(session, shared=shared), ErasureCall(None))
    await course.drain()
    for table in (VIEWS, ENROLMENTS, LEARNER_SCOPES, AGGREGATES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS):
        assert await rows_of(course.shared, table) == [], table.name


@pytest.mark.parametrize("place", [(), ("course", "batch")])
async def test_an_attempt_of_before_an_erasure_is_ignored_and_counted(
    quick: Instance, place: tuple[str, ...]
) -> None:
    await erased(quick, AT, *place)
    await quick.stores.events.send(
        ASSESSMENTS.name, message(), message(attemptId="2", assessmentTs=AT_MS + 1), message("bob")
    )
    taker = await quick.take_attempts()
    assert (taker.ignored, taker.written) == (1, 2)
    assert [(user, attempt) for user, _, _, attempt, *_ in await slim(quick)] == [
        ("ada", "2"),
        ("bob", "try-1"),
    ]
    assert len(await triggers(quick)) == 2
    assert await reasons(quick) == []


async def test_an_attempt_of_the_past_that_says_the_future_is_not_brought_back(quick: Instance) -> None:
    """It was in the log before the erasure."""
    await erased(quick, AT + 2 * MINUTE)
    taking = await take(quick.shared, records([message(assessmentTs=APPENDED + 3_600_000)]))
    assert (taking.erased, await stored(quick)) == (1, [])


async def test_an_erasure_that_comes_in_between_leaves_nothing(course: Instance) -> None:
    """Whatever the step before which it came, and wherever the taker then died, the attempt is gone in the end."""
    for step in range(4):
        for died in (False, True):
            user = f"{step}-{died}"
            submission = records([message(user)])

            async def comes(user: str = user, died: bool = died) -> None:
                await erase(course.session(user), ErasureCall(None, "course", "batch"))
                if died:
                    raise StoreUnavailable("this process died here")

            interruption = Interruption(step, comes)
            try:
                await take(interruption.of(course.shared), submission)
            except StoreUnavailable:
                await take(course.shared, submission)
            assert interruption.happened, "scopes, questions, slim rows and triggers are four steps"
            assert await stored(course) == []
            assert await rows_of(course.shared, LEARNER_SCOPES) == []


async def test_a_taker_that_dies_between_two_steps_leaves_the_same_rows_after_the_next_one(
    quick: Instance,
) -> None:
    batch = [message(), message("bob"), Message("cleo", b"{"), message(contentId="b", events=[])]
    clean = World(quick)
    await clean.take(batch)
    for after in (False, True):
        for step in range(9):
            world, interruption = World(quick), Interruption(step, dies, after=after)
            try:
                await world.take(batch, shared=interruption.of(quick.shared))
            except StoreUnavailable:
                sent = len(await world.triggers())
                await world.take(batch)
                assert (await world.triggers())[sent:] == await clean.triggers()
            assert await world.rows() == await clean.rows()
            if not interruption.happened:
                break
        assert step == 5, "scopes, questions, slim rows, dead letters and triggers are five steps"
    assert len(await reasons(quick)) == 1


async def test_a_newer_version_wins_over_one_that_was_half_written(quick: Instance) -> None:
    """The taker died after it had written the questions of the first; both are of one moment."""
    versions = [message(events=[answer("q1", score)]) for score in (0, 0.33, 1)]
    clean = World(quick)
    await clean.take(versions)
    for first in versions:
        world = World(quick)
        with pytest.raises(StoreUnavailable):
            await world.take([first], shared=Interruption(2, dies).of(quick.shared))
        await world.take([first, *versions])
        assert await world.rows(without=BY_ARRIVAL) == await clean.rows(without=BY_ARRIVAL)


async def test_a_record_that_breaks_the_batch_is_put_away_alone(
    quick: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ingest.attempts.versions as module

    def breaks(key: Any, *rest: Any) -> Any:
        if key.user_id == "bob":
            raise ZeroDivisionError("a fault")
        return scored(key, *rest)

    monkeypatch.setattr(module, "scored", breaks)
    await quick.stores.events.send(ASSESSMENTS.name, message(), message("bob"), message("cleo"))
    taker = await quick.take_attempts()
    assert (taker.written, taker.dead) == (2, 1)
    assert await reasons(quick) == ["internal error: ZeroDivisionError('a fault')"]


async def test_the_number_of_learners_decides_no_number_of_reads(quick: Instance) -> None:
    """40 attempts cost as many reads as 2."""

    async def cost(learners: int) -> dict[str, int]:
        batch = records([message(f"{learners}-{number}") for number in range(learners)])
        with quick.stores.rows.meter.measure() as measured:
            await take(quick.shared, batch)
        return dict(measured)

    await cost(1)
    few, many = await cost(2), await cost(40)
    reads = {what for what in few if what.startswith("select")}
    assert {what: few[what] for what in reads} == {what: many[what] for what in reads}
    assert reads == {f"select {name}" for name in ("assessment_attempt", "erasure", "user_enrolments")}


def test_a_batch_is_divided_by_its_bytes() -> None:
    some = records([Message("ada", b"x" * size) for size in (4, 4, 9, 1, 1)])
    assert [[len(record.value) for record in chunk] for chunk in chunks(some, 8)] == [[4, 4], [9], [1, 1]]


async def test_the_log_forgets_the_submissions_of_an_erased_learner_once_they_were_taken(
    quick: Instance,
) -> None:
    """Also those that another system sent under another key, and those among the dead letters."""
    await submit_assessment(quick.session("ada"), call(attempted_on=AT))
    foreign, dead = message(attemptId="foreign"), message(events=[{"eid": "START"}])
    await quick.stores.events.send(
        ASSESSMENTS.name, Message("batch", foreign.value), Message("batch", dead.value), message("bob")
    )
    await quick.drain()
    assert len(await slim(quick)) == 3
    await erase(quick.session("ada"), ErasureCall(None))
    await quick.drain()
    assert [user for user, *_ in await slim(quick)] == ["bob"]
    for topic in (ASSESSMENTS.name, DEAD_LETTERS.name):
        left = [record.value async for record in quick.stores.events.read(topic)]
        assert not any(b'"ada"' in value for value in left)


async def test_the_log_forgets_no_submission_that_a_group_has_not_had(quick: Instance) -> None:
    """The takers are one of the groups that it waits for."""
    await take_first(quick)
    await quick.stores.events.send(ASSESSMENTS.name, message(attemptId="late"))
    await erase(quick.session("ada"), ErasureCall(None))
    await quick.stores.events.forget(ASSESSMENTS.name)
    assert await quick.submitted() == 1
    await quick.drain()
    assert await slim(quick) == []
    assert [record async for record in quick.stores.events.read(ASSESSMENTS.name)] == []


async def take_first(cohort: Instance) -> None:
    """From here on the log knows the group of takers."""
    await cohort.stores.events.send(ASSESSMENTS.name, message(attemptId="first"))
    await cohort.take_attempts()


@pytest.mark.timeout(180)
async def test_takers_that_are_killed_lose_nothing(course: Instance) -> None:
    """Two processes share the partitions. One is killed with SIGKILL with work left."""
    sent = [message(f"learner-{n}", attemptId=f"try-{n}") for n in range(400)]
    await course.stores.events.send(ASSESSMENTS.name, *sent)

    async with asyncio.timeout(150), one_of_two_killed(course, "taker"):
        while await course.submitted():
            await asyncio.sleep(0.05)
    assert len(await slim(course)) == 400
    assert len(set(await triggers(course))) == 400
