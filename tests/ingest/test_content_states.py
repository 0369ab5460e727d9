"""What a device may rely on that sends what a learner did with several contents in one call (P-2.2, P-4.4)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.assessments import AssessmentCall
from ingest.commands.content_states import Outcome, sync_enrolment, take, update_states
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view, update_view
from loaders.session import Session
from loaders.touches import hash_key
from rules.assessments import Submission
from rules.content_states import ContentState
from rules.errors import (
    Absent,
    CohortError,
    ContextClosed,
    Erased,
    Forbidden,
    InvalidInput,
    NotEnrolled,
    NotFound,
    StoreUnavailable,
    Unauthenticated,
)
from rules.identifiers import ProgressKey, view_key
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.triggers import TriggerKind, parse_trigger
from rules.viewers import Role, Viewer
from rules.views import View, ViewChange
from stores.rows import Write
from stores.tables import ERASURES, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS
from tests.conftest import LEAF, NOW, Instance
from tests.ingest.interruptions import Interruption
from tests.ingest.test_assessments import event

ALWAYS = '{"rules": [{"type": "always"}]}'
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
KEY = ProgressKey("ada", "course", "batch")


def state(
    content: str, status: Status = Status.COMPLETED, context: str | None = "batch", **more: object
) -> ContentState:
    return ContentState(content, status, "course", context, **more)  # type: ignore[arg-type]


def view(outcome: Outcome) -> View:
    assert isinstance(outcome, View), outcome
    return outcome


def error(outcome: Outcome) -> tuple[type[CohortError], str | None]:
    assert isinstance(outcome, CohortError)
    return type(outcome), outcome.field


async def triggers(cohort: Instance) -> list[tuple[TriggerKind, ProgressKey | None]]:
    found = [parse_trigger(record.value) async for record in cohort.stores.events.read(TRIGGERS.name)]
    return [(trigger.kind, trigger.progress_key) for trigger in found]


async def stored(cohort: Instance, content: str, user: str = "ada") -> View | None:
    return await cohort.session().loaders.views.load(view_key(user, content, "course", "batch"))


async def test_one_call_starts_continues_and_completes_and_its_progress_is_seen_at_once(
    course: Instance,
) -> None:
    """a is completed, b at 40, of the required a, b, c: floor(100 × 1 / 3) = 33."""
    session = course.session("ada")
    await start_view(session, ViewCall("a", "course", "batch"))
    outcomes = await update_states(
        session,
        [
            state("a"),
            state("b", Status.IN_PROGRESS, progress=40, progress_details={"page": 7}),
            state("d", Status.NOT_STARTED),
        ],
    )
    assert [(v.key.content_id, v.status, v.progress) for v in map(view, outcomes)] == [
        ("a", Status.COMPLETED, 100),
        ("b", Status.IN_PROGRESS, 40),
        ("d", Status.NOT_STARTED, 0),
    ]
    assert await stored(course, "b") == View(
        view_key("ada", "b", "course", "batch"),
        Status.IN_PROGRESS,
        40,
        started_on=NOW,
        last_accessed_on=NOW,
        last_updated_on=NOW,
        progress_details={"page": 7},
        changed_at=(await stored(course, "b")).changed_at,  # type: ignore[union-attr]
    )
    assert await stored(course, "d") is None
    for _ in range(2):
        collection = await course.shared.library.collection("course")
        tree = await course.shared.library.relation_tree(collection)
        standing = await course.session("ada").loaders.standings.load(KEY)
        assert standing is not None
        assert standing.progress(tree).completion_percentage == 33
        await course.drain()


async def test_a_call_of_twenty_contents_costs_one_read_one_write_and_one_send(course: Instance) -> None:
    leaves = [f"leaf-{n}" for n in range(20)]
    children = [{"identifier": leaf, "name": leaf, "mimeType": LEAF} for leaf in leaves]
    await course.publish({"identifier": "long", "name": "Long", "children": children})
    session = course.session("ada")
    states = [ContentState(leaf, Status.COMPLETED, "long") for leaf in leaves]
    await update_states(session, states[:1])  # the tree is in memory now
    with course.stores.rows.meter.measure() as rows, course.stores.events.meter.measure() as events:
        outcomes = await update_states(session, states)
    assert all(view(outcome).status is Status.COMPLETED for outcome in outcomes)
    assert rows[f"select {VIEWS.name}"] == 1
    assert rows[f"conditional batch {VIEWS.name}"] == 1
    assert sum(count for name, count in rows.items() if VIEWS.name in name) == 2
    assert events.total() == 1


async def test_what_several_items_name_is_read_once(published: Instance) -> None:
    """Places, erasures and since when the learner is there; in move mode the enrolments before the rows are written, and
    after."""
    leaves = [f"leaf-{n}" for n in range(20)]
    children = [{"identifier": leaf, "name": leaf, "mimeType": LEAF} for leaf in leaves]
    await published.publish({"identifier": "long", "name": "Long", "children": children})
    contexts = ["batch-1", "batch-2", "batch-3"]
    for context in contexts:
        await published.batch(context, "long")
    published.track(TrackingMode.MOVE, ALWAYS)
    states = [
        ContentState(
            leaf, Status.COMPLETED, "long", contexts[n % 3], "ada", last_accessed_on=NOW - n * MINUTE
        )
        for n, leaf in enumerate(leaves)
    ]
    await update_states(published.session(), [replace(each, user_id="bob") for each in states[:3]])
    with published.stores.rows.meter.measure() as rows:
        outcomes = await update_states(published.session(), states)
    assert [view(outcome).completed_on for outcome in outcomes] == [NOW - n * MINUTE for n in range(20)]
    assert rows == {
        "select erasure": 1,
        "select user_enrolments": 2 * len(contexts) + 1,
        f"select {VIEWS.name}": 1,
        "batch": 1,  # the scopes of three contexts
        f"conditional batch {VIEWS.name}": 1,
    }
    assert len(await published.stores.rows.partition(LEARNER_SCOPES, ("ada",))) == 3


async def test_neither_status_nor_progress_goes_down_and_a_revisit_changes_nothing(
    published: Instance,
) -> None:
    session = published.session("ada")
    await update_states(session, [state("a"), state("b", Status.IN_PROGRESS, progress=60)])
    before = [await stored(published, content) for content in "ab"]
    again = await update_states(
        session,
        [
            state("a", Status.IN_PROGRESS, progress=10, progress_details={"page": 1}),
            state("b", Status.IN_PROGRESS, progress=30),
            state("b", Status.NOT_STARTED),
        ],
    )
    assert [(view(o).status, view(o).progress) for o in again] == [
        (Status.COMPLETED, 100),
        (Status.IN_PROGRESS, 60),
        (Status.IN_PROGRESS, 60),
    ]
    assert [await stored(published, content) for content in "ab"] == before


async def test_times_are_the_devices_and_never_in_the_future(published: Instance) -> None:
    session = published.session("ada")
    await update_states(
        session,
        [
            state("a", last_accessed_on=NOW - 2 * HOUR, last_completed_on=NOW - HOUR),
            state("b", last_accessed_on=NOW + HOUR, last_completed_on=NOW + HOUR),
        ],
    )
    a, b = await stored(published, "a"), await stored(published, "b")
    assert a is not None
    assert b is not None
    assert (a.started_on, a.last_accessed_on, a.completed_on) == (NOW - 2 * HOUR, NOW - HOUR, NOW - HOUR)
    assert (b.last_accessed_on, b.completed_on) == (NOW, NOW)
    await update_states(session, [state("c", Status.IN_PROGRESS, last_accessed_on=NOW - HOUR)])
    await update_states(
        session, [state("c", Status.IN_PROGRESS, last_accessed_on=NOW - 5 * HOUR, progress=5)]
    )
    c = await stored(published, "c")
    assert c is not None
    assert (c.last_accessed_on, c.progress) == (NOW - HOUR, 5)


async def test_a_refused_item_leaves_the_others_alone_and_says_why(published: Instance) -> None:
    await published.batch("ended", end_date=NOW - HOUR)
    await published.batch("later", start_date=NOW + HOUR)
    outcomes = await update_states(
        published.session("ada"),
        [
            state("a"),
            state("a", context="ended"),
            state("a", context="later"),
            state("a", context="nowhere"),
            state("a", user_id="bob"),
            state("nothing"),
            state("b", progress=101),
            state("b", progress_details={"x": "y" * 20_000}),
            ContentState("a", Status.COMPLETED, None, "batch"),
            ContentState("a", Status.COMPLETED, "nowhere", "batch"),
            ContentState(" ", Status.COMPLETED, "course", "batch"),
        ],
    )
    assert view(outcomes[0]).status is Status.COMPLETED
    assert [error(outcome) for outcome in outcomes[1:]] == [
        (ContextClosed, "contextId"),
        (ContextClosed, "contextId"),
        (NotFound, "contextId"),
        (Forbidden, "userId"),
        (NotFound, "contentId"),
        (InvalidInput, "progress"),
        (InvalidInput, "progressDetails"),
        (Absent, "collectionId"),
        (NotFound, "collectionId"),
        (Absent, "contentId"),
    ]
    with pytest.raises(Unauthenticated):
        await update_states(Session(Viewer(), published.shared), [state("a")])


async def test_items_of_one_place_are_refused_each_for_its_own_reason(published: Instance) -> None:
    """The content is looked for before the context."""
    await published.batch("ended", end_date=NOW - HOUR)
    outcomes = await update_states(
        published.session("ada"),
        [
            state("a", context="ended"),
            state("nothing", context="ended"),
            state("b", context="ended"),
            state("a", context="nowhere"),
            state("nothing", context="nowhere"),
            ContentState("a", Status.COMPLETED, "nowhere", "nowhere"),
            ContentState("course", Status.COMPLETED, "course"),
            ContentState("a", Status.COMPLETED, "course"),
            ContentState("unit-1", Status.COMPLETED, "course"),
            ContentState("course", Status.COMPLETED),
        ],
    )
    assert view(outcomes.pop(7)).key == view_key("ada", "a", "course")
    assert [error(outcome) for outcome in outcomes] == [
        (ContextClosed, "contextId"),
        (NotFound, "contentId"),
        (ContextClosed, "contextId"),
        (NotFound, "contextId"),
        (NotFound, "contentId"),
        (NotFound, "collectionId"),
        (NotFound, "contentId"),
        (NotFound, "contentId"),
        (NotFound, "contentId"),
    ]


async def test_a_services_items_of_one_place_are_judged_each_by_its_time(published: Instance) -> None:
    """The batch ended an hour ago; three hours ago all that was there was deleted."""
    await published.batch("ended", end_date=NOW - HOUR)
    place = ("ada", "course", "ended")
    await published.stores.rows.write(Write(ERASURES, place, {"erased_on": NOW - 3 * HOUR}))
    outcomes = await update_states(
        published.session(),
        [
            state(content, context="ended", user_id="ada", last_completed_on=NOW - hours * HOUR)
            for content, hours in (("a", 0), ("b", 2), ("c", 3), ("nothing", 4), ("d", 4))
        ],
    )
    assert view(outcomes.pop(1)).completed_on == NOW - 2 * HOUR
    assert [error(outcome) for outcome in outcomes] == [(ContextClosed, "contextId"), *[(Erased, "at")] * 3]


@pytest.mark.parametrize("swept", [False, True], ids=["before-workers", "after-workers"])
async def test_a_move_that_comes_in_at_any_step_of_a_call_loses_nothing(
    published: Instance, *, swept: bool
) -> None:
    """Sent under the batch that the learner leaves for another meanwhile, as all calls before it and after."""
    published.track(TrackingMode.MOVE, ALWAYS)
    await published.batch("other")
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        session = published.session(user)
        await enrol(session, EnrolmentCall("course", "batch"))
        await update_states(session, [state("a"), state("b", Status.IN_PROGRESS, progress=40)])

        async def meanwhile(session: Session = session) -> None:
            await enrol(session, EnrolmentCall("course", "other"))
            if swept:
                await published.drain()

        interruption = Interruption(step, meanwhile)
        calling = Session(session.viewer, interruption.of(published.shared))
        outcomes = await update_states(calling, [state("b"), state("c"), state("d", Status.NOT_STARTED)])
        reached = interruption.happened
        assert [view(outcome).status for outcome in outcomes] == [2, 2, 0]
        if not reached:
            await meanwhile()
        await update_states(session, [state("a", Status.IN_PROGRESS), state("d")])
        await published.drain()
        rows = await published.stores.rows.partition(VIEWS, (user, "course"))
        assert [(row["contextid"], row["contentid"], row["status"]) for row in rows] == [
            ("other", content, Status.COMPLETED) for content in "abcd"
        ]
        step += 1
    # The views, the trigger.
    assert step == 3


async def test_a_batch_is_judged_now_for_a_learner_and_then_for_a_service(published: Instance) -> None:
    await published.batch("ended", end_date=NOW - HOUR)
    late = state("a", context="ended", last_completed_on=NOW - 2 * HOUR)
    (refused,) = await update_states(published.session("ada"), [late])
    assert error(refused) == (ContextClosed, "contextId")
    ended = state("a", context="ended", last_completed_on=NOW - 2 * HOUR, user_id="ada")
    (done,) = await update_states(published.session(), [ended])
    assert (view(done).key.user_id, view(done).completed_on) == ("ada", NOW - 2 * HOUR)


async def test_places_of_every_kind_go_in_one_call(published: Instance) -> None:
    """Under a context, in a collection by itself, and a content by itself: a row and a trigger each."""
    leaf = {"identifier": "alone", "name": "Alone", "mimeType": LEAF}
    await published.publish({"identifier": "small", "name": "Small", "children": [leaf]})
    await published.batch("other")
    outcomes = await update_states(
        published.session("ada"),
        [
            state("a"),
            state("a", context="other"),
            state("a", context=None),
            ContentState("alone", Status.COMPLETED),
        ],
    )
    places = [
        ProgressKey("ada", *place)
        for place in (("course", "batch"), ("course", "other"), ("course", "course"), ("alone", "alone"))
    ]
    assert [view(outcome).key.progress_key for outcome in outcomes] == places
    assert sorted(await triggers(published), key=str) == sorted(
        [(TriggerKind.VIEW, place) for place in places], key=str
    )
    scopes = await published.stores.rows.partition(LEARNER_SCOPES, ("ada",))
    assert {(row["collectionid"], row["contextid"]) for row in scopes} == {
        (p.collection_id, p.context_id) for p in places
    }


async def test_two_devices_at_once_lose_nothing(course: Instance) -> None:
    """One sends many contents, the other goes through them: whatever comes first, all of it is there in the end."""
    sessions = [course.session("ada") for _ in range(4)]
    await update_states(sessions[0], [state(content, Status.IN_PROGRESS, progress=10) for content in "abcd"])
    await asyncio.gather(
        update_states(sessions[0], [state(content) for content in "abc"]),
        update_states(sessions[1], [state(content, Status.IN_PROGRESS, progress=50) for content in "abcd"]),
        end_view(sessions[2], ViewCall("b", "course", "batch"), ViewChange(NOW)),
        update_view(sessions[3], ViewCall("d", "course", "batch"), ViewChange(NOW, time_spent=30)),
    )
    found = [await stored(course, content) for content in "abcd"]
    assert [(v.status, v.progress, v.time_spent) for v in found if v] == [
        *[(Status.COMPLETED, 100, 0)] * 3,
        (Status.IN_PROGRESS, 50, 30),
    ]


async def test_the_marks_are_gone_once_the_call_is_done(published: Instance) -> None:
    session = published.session("ada")
    await session.loaders.touches.load(KEY)
    await update_states(session, [state("a"), state("b", Status.NOT_STARTED), state("nothing")])
    await published.shared.background.settled()
    (fields,) = await published.stores.cache.hashes([hash_key(KEY)])
    assert sorted(fields) == ["c:a", "whole"]


async def test_what_is_not_acknowledged_may_be_sent_again(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is away after the rows were written: the call fails, readers go to the rows, and the next one heals."""
    session = published.session("ada")

    async def away(*_: object) -> None:
        raise StoreUnavailable("the log is away")

    with monkeypatch.context() as patched:
        patched.setattr(published.stores.events, "send", away)
        with pytest.raises(StoreUnavailable):
            await update_states(session, [state("a")])
    assert await triggers(published) == []
    (again,) = await update_states(session, [state("a")])
    assert view(again).status is Status.COMPLETED
    assert await triggers(published) == [(TriggerKind.VIEW, KEY)]


async def test_with_the_rows_away_nothing_is_claimed(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("the rows are away")

    monkeypatch.setattr(published.stores.rows, "write_together", away)
    with pytest.raises(StoreUnavailable):
        await update_states(published.session("ada"), [state("a"), state("b")])
    mixed = await update_states(published.session("ada"), [state("a"), state("nothing")])
    assert [error(outcome) for outcome in mixed] == [(StoreUnavailable, None), (NotFound, "contentId")]
    assert await triggers(published) == []


async def test_large_details_are_written_in_several_writes(published: Instance) -> None:
    """16,000 bytes each: two of them fit into one conditional write."""
    details = {"x": "y" * 15_900}
    with published.stores.rows.meter.measure() as rows:
        outcomes = await update_states(
            published.session("ada"),
            [state(content, Status.IN_PROGRESS, progress_details=details) for content in "abcd"],
        )
    assert [view(outcome).progress_details for outcome in outcomes] == [details] * 4
    assert rows[f"conditional batch {VIEWS.name}"] == 2


async def test_an_enrolment_is_synchronised_by_a_trigger(published: Instance) -> None:
    session = published.session("ada")
    with pytest.raises(NotEnrolled):
        await sync_enrolment(session, "course", "batch")
    with pytest.raises(Forbidden):
        await sync_enrolment(session, "course", "batch", "bob")
    leaf = {"identifier": "leaf", "name": "Leaf", "mimeType": LEAF}
    await published.publish({"identifier": "other", "name": "Other", "children": [leaf]})
    with pytest.raises(InvalidInput):
        await sync_enrolment(session, "other", "batch")
    await enrol(session, EnrolmentCall("course", "batch"))
    await sync_enrolment(session, "course", "batch")
    await sync_enrolment(published.session("mo", Role.ADMIN), "course", "batch", "ada")
    assert (await triggers(published))[1:] == [(TriggerKind.RECONCILE, KEY)] * 2


async def test_moments_are_kept_whole_whatever_their_offset(published: Instance) -> None:
    at = datetime(2026, 2, 1, 17, 30, tzinfo=UTC)
    (outcome,) = await update_states(published.session("ada"), [state("a", last_completed_on=at)])
    assert view(outcome).completed_on == at


ENROLLED = NOW - timedelta(days=2)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (datetime(1970, 1, 2, 10, tzinfo=UTC), ENROLLED),
        (datetime(1, 1, 1, tzinfo=UTC), ENROLLED),
        (ENROLLED - MINUTE, ENROLLED),
        (ENROLLED + MINUTE, ENROLLED + MINUTE),
        (NOW + HOUR, NOW),
    ],
)
async def test_a_devices_times_count_between_the_enrolment_and_now(
    course: Instance, told: datetime, counted: datetime
) -> None:
    """A learner's and a service's items alike; a service's of the future are refused."""
    session, service = course.session("ada"), course.session()
    for user in ("ada", "bob"):
        await enrol(service, EnrolmentCall("course", "batch", user, ENROLLED))
    states = [
        state("a", Status.IN_PROGRESS, last_accessed_on=told),
        state("b", last_accessed_on=told, last_completed_on=told),
        state("c", last_completed_on=told),
    ]
    outcomes = await update_states(session, states)
    a, b, c = map(view, outcomes)
    assert (a.started_on, a.last_accessed_on, a.completed_on) == (counted, counted, None)
    assert (b.started_on, b.last_accessed_on, b.completed_on) == (counted, counted, counted)
    assert c.completed_on == counted
    if told <= NOW:
        of_bob = [replace(each, user_id="bob") for each in states]
        assert [(view(o).started_on, view(o).completed_on) for o in await update_states(service, of_bob)] == [
            (counted, None),
            (counted, counted),
            (counted, counted),
        ]


async def test_nothing_counts_before_the_context_opened_nor_by_a_clock_that_was_never_set(
    published: Instance,
) -> None:
    """Enrolled two days ago into a batch that opened an hour ago; one day ago is before that. Under no context, and
    without an enrolment, any plausible time counts, and one of before 2000 is as good as none."""
    await published.batch("opened", start_date=NOW - HOUR)
    await enrol(published.session(), EnrolmentCall("course", "opened", "ada", ENROLLED))
    day = NOW - timedelta(days=1)
    outcomes = await update_states(
        published.session("ada"),
        [
            state("a", context="opened", last_accessed_on=day),
            state("a", context=None, last_accessed_on=day),
            state("b", context=None, last_accessed_on=datetime(1970, 1, 2, tzinfo=UTC)),
            state("c", context="batch", last_accessed_on=day),
            state("a", context="batch", last_accessed_on=datetime(1999, 12, 31, tzinfo=UTC)),
        ],
    )
    assert [view(outcome).last_accessed_on for outcome in outcomes] == [NOW - HOUR, day, NOW, day, NOW]


async def test_an_item_that_tells_a_time_before_a_deletion_stays_refused_although_it_would_count_later(
    published: Instance,
) -> None:
    """Deleted a day ago, enrolled again an hour ago: an item of two days ago would count from then on."""
    erased_on = NOW - timedelta(days=1)
    await published.stores.rows.write(Write(ERASURES, ("ada", "course", "batch"), {"erased_on": erased_on}))
    await enrol(published.session(), EnrolmentCall("course", "batch", "ada", NOW - HOUR))
    (outcome,) = await update_states(
        published.session("ada"), [state("a", last_accessed_on=NOW - timedelta(days=2))]
    )
    assert error(outcome)[0] is Erased


def assessed(content: str = "c", context: str = "batch", **more: object) -> AssessmentCall:
    named = {"attempt_id": "try-1", "attempted_on": NOW - HOUR, "events": [event()]}
    return AssessmentCall(content, "course", context, **{**named, **more})  # type: ignore[arg-type]


async def test_an_assessment_completes_its_content_at_the_attempts_time(course: Instance) -> None:
    """Without a state of it; under the same write as the states of others. Sent again, nothing changes."""
    session = course.session("ada")
    for _ in range(2):
        states, submitted = await take(session, [state("a")], [assessed()])
        assert view(states[0]).status is Status.COMPLETED
        assert isinstance(submitted[0], Submission)
    c = await stored(course, "c")
    assert c is not None
    assert (c.status, c.progress, c.completed_on) == (Status.COMPLETED, 100, NOW - HOUR)
    await course.drain()
    standing = await course.session("ada").loaders.standings.load(KEY)
    assert standing is not None
    assert standing.statuses == {"a": 2, "c": 2}


async def test_a_content_in_both_lists_keeps_what_either_says(published: Instance) -> None:
    """Half way an hour and a half ago, answered an hour ago: begun then, completed now, its details kept."""
    half_way = state(
        "c",
        Status.IN_PROGRESS,
        progress=50,
        progress_details={"page": 7},
        last_accessed_on=NOW - HOUR - 30 * MINUTE,
    )
    with published.stores.rows.meter.measure() as rows:
        states, submitted = await take(published.session("ada"), [half_way], [assessed()])
    assert isinstance(submitted[0], Submission)
    after = view(states[0])
    assert (after.status, after.progress, after.progress_details) == (Status.COMPLETED, 100, {"page": 7})
    assert (after.started_on, after.completed_on) == (NOW - HOUR - 30 * MINUTE, NOW - HOUR)
    assert rows[f"conditional batch {VIEWS.name}"] == 1


async def test_a_refused_assessment_completes_nothing_and_takes_nothing_from_the_states(
    published: Instance,
) -> None:
    await published.batch("ended", end_date=NOW - 2 * HOUR)
    states, submitted = await take(
        published.session("ada"),
        [state("c", Status.IN_PROGRESS)],
        [
            assessed(events=[{**event(), "eid": "START"}]),
            assessed(context="ended"),
            assessed("nothing"),
            assessed(user_id="bob"),
            assessed("b", events=[]),
        ],
    )
    assert view(states[0]).status is Status.IN_PROGRESS
    refusals = [each for each in submitted if isinstance(each, CohortError)]
    assert [(type(each), each.field) for each in refusals] == [
        (InvalidInput, "events[0].eid"),
        (ContextClosed, "contextId"),
        (NotFound, "contentId"),
        (Forbidden, "userId"),
    ]
    assert isinstance(submitted[4], Submission), (
        "without events the scores are computed anew, and nothing else"
    )
    kept = await stored(published, "c")
    assert kept is not None
    assert kept.status is Status.IN_PROGRESS
    assert await stored(published, "b") is None
