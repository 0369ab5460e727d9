"""Going over from one tracking mode to another: what is written, that nobody loses what they see, and that it may be cut
off and done again."""

import asyncio
from dataclasses import replace
from itertools import permutations

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.learner_change import ModeChangeReport
from ingest.jobs.mode_change import change_mode, mode_before, survey
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.modes.agreement import agree, agreed, has_data
from loaders.enrolments import enrolments_in
from loaders.session import Session
from loaders.views import views_by_key
from rules.errors import Conflict, InvalidInput
from rules.identifiers import ContextType, ProgressKey, ViewKey, view_key
from rules.jobs import JobState
from rules.modes import Agreed
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.views import View, ViewChange
from stores.tables import ENROLMENTS, LEARNER_SCOPES, VIEWS
from tests.conftest import NOW, Instance
from tests.graph.conftest import data
from tests.ingest.test_sample import rows_of

STRICT, FULL, COLLECTION, COPY, MOVE = TrackingMode
BY_CONTEXT = (STRICT, COPY, MOVE)
BATCH, SECOND, NONE = ("course", "batch"), ("course", "second"), ("course",)

Kept = set[tuple[str, str, str, int]]
"""Collection, context, content and status of each row."""


def _kept(collection: str, context: str, **statuses: int) -> Kept:
    return {(collection, context, content, status) for content, status in statuses.items()}


def _alone(**statuses: int) -> Kept:
    return {(content, content, content, status) for content, status in statuses.items()}


# Ada completes a in her first batch, completes b by itself, and starts c in the course without a context.
FIRST: dict[str, Kept] = {
    "context": _kept("course", "batch", a=2) | _alone(b=2) | _kept("course", "course", c=1),
    "content": _alone(a=2, b=2, c=1),
    "collection": _kept("course", "course", a=2, c=1) | _alone(b=2),
}
ADDED: dict[tuple[str, str], Kept] = {
    ("context", "context"): set(),
    ("context", "content"): _alone(a=2, c=1),
    ("context", "collection"): _kept("course", "course", a=2),
    ("content", "context"): _kept("course", "batch", a=2, b=2, c=1)
    | _kept("course", "second", a=2, b=2, c=1),
    ("content", "collection"): _kept("course", "course", a=2, b=2, c=1),
    ("collection", "context"): _kept("course", "batch", a=2, c=1) | _kept("course", "second", a=2, c=1),
    ("collection", "content"): _alone(a=2, c=1),
}
COMPLETED = {
    ("context", "context"): (1, 0),
    ("context", "content"): (2, 2),
    ("context", "collection"): (1, 1),
    ("content", "context"): (2, 2),
    ("content", "collection"): (2, 2),
    ("collection", "context"): (1, 1),
    ("collection", "content"): (2, 2),
}
"""Contents of the course that each of her two enrolments counts afterwards."""


def kind_of_keys(mode: TrackingMode) -> str:
    return {FULL: "content", COLLECTION: "collection"}.get(mode, "context")


async def learns(cohort: Instance, content: str, *place: str, end: bool = True, spent: int = 0) -> None:
    collection, context = (*place, None, None)[:2]
    session, call = cohort.session("ada"), ViewCall(content, collection, context)
    await start_view(session, call)
    if spent:
        await update_view(session, call, ViewChange(NOW, progress=50, time_spent=spent, call_id="a call"))
    if end:
        await end_view(session, call, ViewChange(NOW))


async def joins(cohort: Instance, context: str = "batch", collection: str = "course") -> None:
    await enrol(cohort.session("ada"), EnrolmentCall(collection, context))


async def goes_over(cohort: Instance, old: TrackingMode, new: TrackingMode) -> ModeChangeReport:
    """Every process stops, the mode changes, they start in the new one."""
    report = await change_mode(cohort.shared, old, new)
    cohort.track(new)
    return report


async def kept(cohort: Instance) -> Kept:
    rows = await rows_of(cohort.shared, VIEWS)
    return {(r["collectionid"], r["contextid"], r["contentid"], r["status"]) for r in rows}


async def sees(cohort: Instance, content: str, *place: str) -> View | None:
    key = view_key("ada", content, *place)
    (view,) = await views_by_key(cohort.stores.rows, cohort.shared.tracking, [key])
    return view


async def status(cohort: Instance, content: str, *place: str) -> int:
    view = await sees(cohort, content, *place)
    return int(view.status) if view else 0


STANDS = """
query Stands($context: String!) {
  me { enrolment(collectionId: "course", contextId: $context) { completedCount } }
}
"""


async def completed(cohort: Instance) -> tuple[int, ...]:
    """In the first batch and the second, as a client is told."""
    session: Session = cohort.session("ada")
    answers = [await data(session, STANDS, context=context) for context in ("batch", "second")]
    return tuple(answer["me"]["enrolment"]["completedCount"] for answer in answers)


@pytest.fixture
async def school(cohort: Instance) -> Instance:
    """COURSE with two open batches."""
    await cohort.publish()
    await cohort.batch()
    await cohort.batch("second")
    return cohort


@pytest.fixture
async def embedded_school(published: Instance) -> Instance:
    await published.batch("second")
    return published


async def begins(cohort: Instance, mode: TrackingMode) -> None:
    """The instance's first start, and Ada's first days, of which the workers have seen all."""
    assert await agree(cohort.stores.rows, mode, NOW) == Agreed(mode)
    cohort.track(mode)
    await joins(cohort)
    await learns(cohort, "a", *BATCH)
    await learns(cohort, "b")
    await learns(cohort, "c", *NONE, end=False)
    await joins(cohort, "second")
    await cohort.drain()


@pytest.mark.parametrize(("old", "new"), list(permutations(TrackingMode, 2)))
async def test_each_change_writes_what_was_shown_to_where_the_new_mode_keeps_it(
    embedded_school: Instance, old: TrackingMode, new: TrackingMode
) -> None:
    school = embedded_school
    await begins(school, old)
    from_to = (kind_of_keys(old), kind_of_keys(new))
    assert await kept(school) == FIRST[from_to[0]]
    places = [(), NONE, BATCH, SECOND]
    before = {(c, p): await status(school, c, *p) for c in "abcd" for p in places if p}
    before |= {("b", ()): 2}
    promised = await survey(school.shared, old, new)
    assert await kept(school) == FIRST[from_to[0]], "who asks what it would do changes nothing"
    report = await goes_over(school, old, new)
    assert report == promised == ModeChangeReport(learners=1, views=len(ADDED[from_to]), enrolments=2)
    assert await kept(school) == FIRST[from_to[0]] | ADDED[from_to]
    assert await agreed(school.stores.rows) == Agreed(new)
    # Where she neither was nor is enrolled, nothing is promised.
    been = {BATCH, SECOND, ()} | ({NONE} if from_to[0] != "content" else set())
    for (content, place), earlier in before.items():
        if place in been:
            assert await status(school, content, *place) >= earlier, (content, place)
    assert await completed(school) == COMPLETED[from_to], "before any worker has looked"
    await school.drain()
    assert await completed(school) == COMPLETED[from_to]
    found = await enrolments_in(school.stores.rows, "ada", "course")
    assert tuple(enrolment.completed_count for enrolment in found) == COMPLETED[from_to]


async def test_a_change_there_and_back_on_both_engines(school: Instance) -> None:
    await begins(school, STRICT)
    assert (await goes_over(school, STRICT, FULL)).views == 2
    assert (await goes_over(school, FULL, COLLECTION)).views == 2  # a and b; c is there
    assert (await goes_over(school, COLLECTION, STRICT)).views == 2 + 3
    await school.drain()
    assert await completed(school) == (2, 2)
    assert await kept(school) == (
        FIRST["context"]
        | _alone(a=2, c=1)
        | _kept("course", "course", a=2, b=2)
        | _kept("course", "batch", b=2, c=1)
        | _kept("course", "second", a=2, b=2, c=1)
    )


async def test_a_view_that_came_over_says_where_from_and_why(embedded_school: Instance) -> None:
    await begins(embedded_school, STRICT)
    await goes_over(embedded_school, STRICT, FULL)
    came = Origin(
        OriginKind.MODE_CHANGED, BATCH, "the instance went over from strict to carry-forward-full", NOW
    )
    alone, own = await sees(embedded_school, "a"), await sees(embedded_school, "b")
    assert alone is not None
    assert own is not None
    assert (alone.origin, own.origin) == (came, None)
    await goes_over(embedded_school, FULL, STRICT)
    second, batch = await sees(embedded_school, "a", *SECOND), await sees(embedded_school, "a", *BATCH)
    assert second is not None
    assert batch is not None
    assert second.origin == came, "of the place where it was earned, not of the one in between"
    assert batch.origin is None, "where it was earned it needs none"


async def test_time_and_dates_come_along_and_going_back_adds_nothing(embedded_school: Instance) -> None:
    school = embedded_school
    await agree(school.stores.rows, STRICT, NOW)
    await joins(school)
    await joins(school, "second")
    await learns(school, "a", *BATCH, spent=60)
    await learns(school, "a", *SECOND, spent=40, end=False)
    first = await sees(school, "a", *BATCH)
    assert first is not None
    await goes_over(school, STRICT, FULL)
    for place in (BATCH, SECOND, ()):
        shown = await sees(school, "a", *place)
        assert shown is not None
        assert (shown.status, shown.progress, shown.time_spent) == (Status.COMPLETED, 100, 60)
        assert (shown.started_on, shown.completed_on, shown.recent_calls) == (NOW, NOW, ("a call",))
    await goes_over(school, FULL, STRICT)
    again = await sees(school, "a", *BATCH)
    assert again is not None
    assert replace(again, changed_at=first.changed_at) == first
    second = await sees(school, "a", *SECOND)
    assert second is not None
    assert (second.status, second.time_spent) == (Status.COMPLETED, 60)
    assert (await goes_over(school, STRICT, FULL)).views == 0


async def test_a_call_sent_again_after_the_change_counts_once(embedded_school: Instance) -> None:
    school = embedded_school
    await agree(school.stores.rows, STRICT, NOW)
    await learns(school, "a", *BATCH, spent=60, end=False)
    await goes_over(school, STRICT, COLLECTION)
    await learns(school, "a", *BATCH, spent=60, end=False)
    shown = await sees(school, "a", *BATCH)
    assert shown is not None
    assert shown.time_spent == 60


async def test_carried_progress_is_told_at_once_where_no_row_had_to_be_written(
    embedded_school: Instance,
) -> None:
    """The rows of another context are in the same partition: what the workers kept looks as if it had seen them."""
    school = embedded_school
    await agree(school.stores.rows, STRICT, NOW)
    await joins(school)
    await joins(school, "second")
    await learns(school, "a", *NONE)
    await school.drain()
    assert await completed(school) == (0, 0)
    assert (await goes_over(school, STRICT, COLLECTION)).views == 0
    assert await completed(school) == (1, 1)


async def test_what_came_over_is_in_the_learners_list_so_that_an_erasure_finds_it(
    embedded_school: Instance,
) -> None:
    await begins(embedded_school, STRICT)
    await goes_over(embedded_school, STRICT, FULL)
    scopes = {
        (row["collectionid"], row["contextid"]): row["scope"]
        for row in await rows_of(embedded_school.shared, LEARNER_SCOPES)
    }
    for row in await rows_of(embedded_school.shared, VIEWS):
        assert scopes[row["collectionid"], row["contextid"]] == row["scope"]
    key = ViewKey("ada", "a", "a", "a")
    assert scopes["a", "a"] == key.scope
    assert key.scope.startswith("content:")


async def test_what_was_taken_along_shows_at_both_ends_of_a_move_when_moving_ends(
    embedded_school: Instance,
) -> None:
    school = embedded_school
    await agree(school.stores.rows, MOVE, NOW)
    school.track(MOVE, '{"rules": [{"type": "always"}]}')
    program = NewContext(ContextType.PROGRAM, "Program", ("course",), "program")
    await create_context(school.session(), program)
    await joins(school)
    await learns(school, "a", *BATCH, spent=60)
    await joins(school, "program")
    await school.drain()
    assert await kept(school) == _kept("course", "program", a=2)
    report = await goes_over(school, MOVE, STRICT)
    assert report == ModeChangeReport(learners=1, views=1, enrolments=2)
    assert await kept(school) == _kept("course", "program", a=2) | _kept("course", "batch", a=2)
    await school.drain()
    enrolments = await enrolments_in(school.stores.rows, "ada", "course")
    found = {each.key.context_id: (each.active, each.completed_count, each.moved_to) for each in enrolments}
    assert found == {"batch": (False, 1, None), "program": (True, 1, None)}
    # Back again the pointer is gone: nothing is taken along a second time.
    await goes_over(school, STRICT, MOVE)
    await school.drain()
    there = await sees(school, "a", "course", "program")
    assert there is not None
    assert there.time_spent == 60


async def test_a_move_of_nothing_leads_nowhere_either_when_moving_ends(embedded_school: Instance) -> None:
    school = embedded_school
    await agree(school.stores.rows, MOVE, NOW)
    school.track(MOVE, '{"rules": [{"type": "always"}]}')
    await joins(school)
    await joins(school, "second")
    await school.drain()
    found = await enrolments_in(school.stores.rows, "ada", "course")
    assert [(each.key.context_id, each.moved_to) for each in found] == [("batch", "second"), ("second", None)]
    assert await goes_over(school, MOVE, STRICT) == ModeChangeReport()
    await school.drain()
    kept = await school.stores.rows.partition(ENROLMENTS, ("ada",))
    assert [(row["moved_to"], row["progress"], row["status"]) for row in kept] == [(None, 0, 0)] * 2


async def test_a_change_that_was_cut_off_goes_on_where_it_stopped(embedded_school: Instance) -> None:
    school = embedded_school
    await begins(school, STRICT)

    def cut_off(job: JobRecord) -> None:
        if job.steps_done == 7:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await change_mode(school.shared, STRICT, FULL, on_progress=cut_off)
    assert await agreed(school.stores.rows) == Agreed(STRICT, FULL)
    assert await agree(school.stores.rows, FULL, NOW) == Agreed(STRICT, FULL), "nobody may start yet"
    with pytest.raises(Conflict, match="not kept in mode strict any more"):
        await change_mode(school.shared, STRICT, COPY)
    report = await goes_over(school, STRICT, FULL)
    assert report == ModeChangeReport(learners=1, views=2, enrolments=2)
    (job,) = await Jobs(school.shared).list()
    assert (job.state, job.steps_done) == (JobState.DONE, job.total)
    assert await kept(school) == FIRST["context"] | ADDED["context", "content"]
    assert await agreed(school.stores.rows) == Agreed(FULL)


async def test_again_it_takes_what_an_old_process_wrote_since_and_then_nothing(
    embedded_school: Instance,
) -> None:
    school = embedded_school
    await begins(school, STRICT)
    await goes_over(school, STRICT, COLLECTION)
    assert await mode_before(school.shared, COLLECTION) is STRICT
    assert (await goes_over(school, STRICT, COLLECTION)).views == 0
    school.track(STRICT)
    await learns(school, "d", *SECOND)
    school.track(COLLECTION)
    assert await status(school, "d", *BATCH) == 0
    assert (await goes_over(school, STRICT, COLLECTION)).views == 1
    assert await status(school, "d", *BATCH) == 2
    assert (await goes_over(school, STRICT, COLLECTION)).views == 0
    assert await agreed(school.stores.rows) == Agreed(COLLECTION)


async def test_enrolments_in_what_is_gone_are_left_as_they_are(embedded_school: Instance) -> None:
    from stores.rows import Write
    from stores.tables import CONTEXTS

    school = embedded_school
    await begins(school, FULL)
    await school.stores.rows.write(Write(CONTEXTS, ("second",), {}, delete=True))
    school.shared.library.contexts.forget("second")
    report = await goes_over(school, FULL, STRICT)
    assert report == ModeChangeReport(learners=1, views=6, enrolments=1, left=1)
    assert await status(school, "a", *SECOND) == 2, "its views come over all the same"


async def test_many_learners_are_each_taken_once_whatever_the_pages(
    embedded_school: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.jobs.mode_change.PAGE", 2)
    school = embedded_school
    await agree(school.stores.rows, STRICT, NOW)
    users = [f"learner-{number}" for number in range(20)]
    for user in users:
        for call in (ViewCall("a", *BATCH), ViewCall("a", *SECOND), ViewCall("a", *NONE), ViewCall("b")):
            await start_view(school.session(user), call)
    promised = await survey(school.shared, STRICT, COLLECTION)
    assert promised == ModeChangeReport(learners=20)  # in the course without a context both are there already
    assert await change_mode(school.shared, STRICT, COLLECTION, rate=1000) == promised


async def test_the_first_start_decides_and_as_long_as_there_is_nothing_the_last(embedded: Instance) -> None:
    rows = embedded.stores.rows
    assert await agreed(rows) is None
    assert await agree(rows, COPY, NOW) == Agreed(COPY)
    assert await agree(rows, FULL, NOW) == Agreed(FULL)
    await embedded.publish()
    await embedded.batch()
    assert not await has_data(rows), "collections and contexts are kept alike in every mode"
    assert await agree(rows, MOVE, NOW) == Agreed(MOVE)
    await joins(embedded)
    assert await has_data(rows)
    assert await agree(rows, STRICT, NOW) == Agreed(MOVE)


async def test_data_from_before_there_were_modes_is_strict(embedded_school: Instance) -> None:
    await learns(embedded_school, "a")
    assert await agree(embedded_school.stores.rows, FULL, NOW) == Agreed(STRICT)
    assert await agreed(embedded_school.stores.rows) == Agreed(STRICT)


async def test_processes_that_start_at_once_agree(embedded: Instance) -> None:
    wanted = [COPY, COPY, COPY]
    found = await asyncio.gather(*(agree(embedded.stores.rows, mode, NOW) for mode in wanted))
    assert found == [Agreed(COPY)] * 3


async def test_a_rate_must_be_one(embedded: Instance) -> None:
    with pytest.raises(InvalidInput, match="rate must be above 0"):
        await change_mode(embedded.shared, STRICT, COPY, rate=0)


async def test_a_key_of_progress_is_not_lost_between_two_collections(embedded_school: Instance) -> None:
    """A content in two collections: what was done in one counts in the other from then on, and its figures say so."""
    school = embedded_school
    other = {
        "identifier": "other",
        "name": "Other",
        "children": [{"identifier": "a", "name": "A", "mimeType": "x/y"}],
    }
    await school.publish(other)
    await school.batch("other-batch", "other")
    await agree(school.stores.rows, STRICT, NOW)
    await joins(school)
    await joins(school, "other-batch", "other")
    await learns(school, "a", *BATCH)
    await school.drain()
    await goes_over(school, STRICT, FULL)
    await school.drain()
    (enrolment,) = await enrolments_in(school.stores.rows, "ada", "other")
    assert (enrolment.status, enrolment.key) == (
        Status.COMPLETED,
        ProgressKey("ada", "other", "other-batch"),
    )
