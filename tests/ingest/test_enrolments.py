"""What a learner and a mentor may rely on when they enrol and unenrol."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.content_states import update_states
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.views import end_view, start_view
from loaders.enrolments import enrolments_by_key, enrolments_page
from loaders.session import Session
from rules.content_states import ContentState
from rules.contexts import EnrolmentType
from rules.enrolments import Enrolment
from rules.errors import (
    AlreadyCompleted,
    AlreadyEnrolled,
    CohortError,
    EnrolmentClosed,
    Forbidden,
    InvalidInput,
    NotEnrolled,
    NotFound,
    Unauthenticated,
)
from rules.identifiers import ContextType, ProgressKey
from rules.progress import Status
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.tables import ENROLMENTS, ENROLMENTS_BY_CONTEXT
from stores.topics import TRIGGERS
from tests.conftest import NOW, Instance

KEY = ProgressKey("ada", "course", "batch")
CALL = EnrolmentCall("course", "batch")


def at(days: int, user: str | None = "ada") -> EnrolmentCall:
    """A service's call, some days before NOW."""
    return EnrolmentCall("course", "batch", user, NOW - timedelta(days=days))


async def stored(cohort: Instance, key: ProgressKey = KEY) -> Enrolment | None:
    return (await enrolments_by_key(cohort.stores.rows, [key]))[0]


async def triggers(cohort: Instance) -> int:
    return len([record async for record in cohort.stores.events.read(TRIGGERS.name)])


async def test_one_enrols_leaves_and_comes_back(course: Instance) -> None:
    service = course.session()
    first = await enrol(service, at(9))
    assert (first.active, first.enrolled_on, first.status) == (True, NOW - timedelta(days=9), 0)
    assert await triggers(course) == 1

    again = await enrol(service, at(9))  # the same call, sent again
    assert (again.key, again.active, again.enrolled_on) == (KEY, True, first.enrolled_on)
    with pytest.raises(AlreadyEnrolled) as already:
        await enrol(service, at(8))
    assert already.value.code == "ALREADY_ENROLLED"
    assert await triggers(course) == 3  # the refused one too: the first trigger may have been lost

    await start_view(course.session("ada"), ViewCall("a", "course", "batch"))
    await end_view(course.session("ada"), ViewCall("a", "course", "batch"), ViewChange(NOW))
    await course.drain()
    left = await unenrol(service, at(5))
    assert (left.active, left.unenrolled_on) == (False, NOW - timedelta(days=5))
    sent = await triggers(course)
    assert not (await unenrol(service, at(5))).active
    with pytest.raises(NotEnrolled):
        await unenrol(service, at(4))
    assert await triggers(course) == sent + 2

    await course.drain()
    found = await stored(course)
    assert found is not None
    assert (found.active, found.completed_count, found.status) == (False, 1, Status.IN_PROGRESS)
    page, more = await enrolments_page(course.stores.rows, "ada", after=None, limit=9, active=True)
    assert (page, more) == ([], False)

    with pytest.raises(InvalidInput) as too_early:
        await enrol(service, at(6))
    assert too_early.value.field == "at"
    await enrol(service, at(3))
    found = await stored(course)
    assert found is not None
    assert (found.active, found.enrolled_on, found.unenrolled_on) == (True, NOW - timedelta(days=9), None)
    assert (found.reenrolled_on, found.completed_count) == (NOW - timedelta(days=3), 1)
    for days in (3, 9):  # either beginning, sent again
        again = await enrol(service, at(days))
        assert (again.active, again.enrolled_on) == (True, NOW - timedelta(days=9))
    with pytest.raises(AlreadyEnrolled):
        await enrol(service, at(2))
    with pytest.raises(InvalidInput) as too_early:
        await unenrol(service, at(4))  # between leaving and coming back
    assert too_early.value.field == "at"
    await course.drain()
    context = await course.shared.library.context("batch")
    keys = [("batch", "course", bucket) for bucket in range(context.buckets)]
    rows = [
        row
        for found in (await course.stores.rows.partitions(ENROLMENTS_BY_CONTEXT, keys)).values()
        for row in found
    ]
    first_day = NOW - timedelta(days=9)
    assert [(row["userid"], row["active"], row["enrolled_on"]) for row in rows] == [("ada", True, first_day)]


async def test_a_completion_does_not_lie_before_the_enrolment_of_who_came_back(course: Instance) -> None:
    """Enrolled nine days ago, completed eight days ago, left by a service a week ago, back three days ago."""
    service = course.session()
    await enrol(service, at(9))
    for content in "abc":
        call = ViewCall(content, "course", "batch", "ada", NOW - timedelta(days=8))
        await start_view(service, call)
        await end_view(service, call, ViewChange(NOW))
    await unenrol(service, at(7))
    await enrol(service, at(3))
    await course.drain()
    found = await stored(course)
    assert found is not None
    assert found.completed_on == NOW - timedelta(days=8) > found.enrolled_on == NOW - timedelta(days=9)


async def test_a_completed_course_is_left_by_a_service_alone(course: Instance) -> None:
    """The required a, b and c are done; judged before a worker ran, and after. Its completion stays."""
    session, service = course.session("ada"), course.session()
    await enrol(service, at(9))
    done = [ContentState(content, Status.COMPLETED, "course", "batch") for content in "abc"]
    await update_states(session, done[:2])
    await unenrol(session, CALL)  # two of three
    await enrol(session, CALL)
    await update_states(session, done)
    callers = (
        (session, CALL),
        (course.session("mo", Role.ADMIN), EnrolmentCall("course", "batch", "ada")),
    )
    for _ in range(2):
        for caller, call in callers:
            with pytest.raises(AlreadyCompleted) as refused:
                await unenrol(caller, call)
            assert (refused.value.code, refused.value.field) == ("ALREADY_COMPLETED", "contextId")
        found = await stored(course)
        assert found is not None
        assert found.active
        await course.drain()
    assert not (await unenrol(service, EnrolmentCall("course", "batch", "ada"))).active
    await course.drain()
    found = await stored(course)
    assert found is not None
    assert (found.active, found.status, found.completed_count) == (False, Status.COMPLETED, 3)
    assert found.completed_on == NOW


async def test_who_was_erased_begins_anew(course: Instance) -> None:
    """Enrolled, left, back; then deleted: the next enrolment is a first one."""
    service = course.session()
    for command, days in ((enrol, 9), (unenrol, 8), (enrol, 7)):
        await command(service, at(days))
    await erase(service, ErasureCall("ada", "course", "batch"))
    await course.drain()
    course.sets_clock(NOW + timedelta(hours=1))
    await enrol(course.session("ada"), CALL)
    found = await stored(course)
    assert found is not None
    assert (found.enrolled_on, found.reenrolled_on) == (NOW + timedelta(hours=1), None)


async def test_one_who_never_enrolled_can_not_leave(published: Instance) -> None:
    with pytest.raises(NotEnrolled) as refused:
        await unenrol(published.session("ada"), CALL)
    assert refused.value.field == "contextId"
    assert await stored(published) is None


async def test_nobody_leaves_before_they_came(published: Instance) -> None:
    await enrol(published.session(), at(3))
    with pytest.raises(InvalidInput) as refused:
        await unenrol(published.session(), at(4))
    assert refused.value.field == "at"
    found = await stored(published)
    assert found is not None
    assert found.active


async def test_views_without_an_enrolment_make_none(published: Instance) -> None:
    """The enrolment is touched only if the row exists, there are no phantom rows (R-AGG-4, P-4.2, P-4.6)."""
    session, call = published.session("ada"), ViewCall("a", "course", "batch")
    await start_view(session, call)
    await end_view(session, call, ViewChange(NOW))
    await published.drain()
    assert await published.stores.rows.partition(ENROLMENTS, ("ada",)) == []


@pytest.mark.parametrize(
    ("call", "error", "field"),
    [
        (EnrolmentCall("", "batch"), InvalidInput, "collectionId"),
        (EnrolmentCall("course", " "), InvalidInput, "contextId"),
        (EnrolmentCall("nowhere", "batch"), NotFound, "collectionId"),
        (EnrolmentCall("unit-1", "batch"), NotFound, "collectionId"),
        (EnrolmentCall("a", "batch"), NotFound, "collectionId"),
        (EnrolmentCall("course", "nowhere"), NotFound, "contextId"),
        (EnrolmentCall("course", "course"), NotFound, "contextId"),
        (EnrolmentCall("other", "batch"), InvalidInput, "contextId"),
        (EnrolmentCall("course", "batch", "bob"), Forbidden, "userId"),
        (EnrolmentCall("course", "batch", at=NOW), Forbidden, "at"),
    ],
)
async def test_a_call_that_can_not_be_is_refused_by_field(
    published: Instance, call: EnrolmentCall, error: type[CohortError], field: str
) -> None:
    await published.publish(
        {"identifier": "other", "name": "Other", "children": [{"identifier": "x", "name": "X"}]}
    )
    for command in (enrol, unenrol):
        with pytest.raises(error) as refused:
            await command(published.session("ada"), call)
        assert refused.value.field == field
    assert await triggers(published) == 0


async def test_a_stranger_and_the_future_are_refused(published: Instance) -> None:
    with pytest.raises(Unauthenticated):
        await enrol(Session(Viewer(), published.shared), CALL)
    with pytest.raises(InvalidInput) as refused:
        await enrol(published.session(), at(-1))
    assert refused.value.field == "at"


async def test_enrolment_is_taken_before_the_start_and_not_after_the_end(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch("next", start_date=NOW + timedelta(days=9))
    await embedded.batch("last", end_date=NOW - timedelta(days=9))
    assert (await enrol(embedded.session("ada"), EnrolmentCall("course", "next"))).active
    with pytest.raises(EnrolmentClosed):
        await enrol(embedded.session("ada"), EnrolmentCall("course", "last"))
    then = datetime(2025, 1, 1, tzinfo=UTC)
    assert (await enrol(embedded.session(), EnrolmentCall("course", "last", "ada", then))).enrolled_on == then


async def test_only_those_who_answer_for_a_context_invite_into_it(embedded: Instance) -> None:
    await embedded.publish()
    new = NewContext(
        ContextType.BATCH,
        "By invitation",
        ("course",),
        "closed",
        enrolment_type=EnrolmentType.INVITE_ONLY,
        mentors=frozenset({"mia"}),
    )
    await create_context(embedded.session(), new)
    call = EnrolmentCall("course", "closed")

    def others(user: str) -> EnrolmentCall:
        return EnrolmentCall("course", "closed", user)

    for session, wrong in (
        (embedded.session("ada"), call),
        (embedded.session("ada", Role.CREATOR, Role.REPORTER), call),
        (embedded.session("max", Role.MENTOR), call),  # a mentor of another context
        (embedded.session("max", Role.MENTOR), others("ada")),
        (embedded.session("mia", Role.LEARNER), others("ada")),
    ):
        with pytest.raises(Forbidden):
            await enrol(session, wrong)
    await enrol(embedded.session("mia", Role.MENTOR), others("ada"))
    await enrol(embedded.session("root", Role.ADMIN), others("bob"))
    await enrol(embedded.session(), others("cleo"))
    with pytest.raises(Forbidden):
        await unenrol(embedded.session("max", Role.MENTOR), others("ada"))
    with pytest.raises(Forbidden):
        await unenrol(embedded.session("bob"), others("ada"))
    assert not (await unenrol(embedded.session("mia", Role.MENTOR), others("ada"))).active
    assert not (await unenrol(embedded.session("bob"), call)).active


async def test_a_list_skips_ended_ones_and_says_whether_there_are_more(embedded: Instance) -> None:
    """Six batches, every second one left: b0, b2, b4 are active."""
    await embedded.publish()
    for number in range(6):
        await embedded.batch(f"b{number}")
        await enrol(embedded.session("ada"), EnrolmentCall("course", f"b{number}"))
        if number % 2:
            await unenrol(embedded.session("ada"), EnrolmentCall("course", f"b{number}"))
    rows = embedded.stores.rows

    async def page(limit: int, after: tuple[str, str] | None, active: bool | None) -> tuple[list[str], bool]:
        found, more = await enrolments_page(rows, "ada", after=after, limit=limit, active=active)
        return [enrolment.key.context_id for enrolment in found], more

    assert await page(2, None, True) == (["b0", "b2"], True)
    assert await page(2, ("course", "b2"), True) == (["b4"], False)
    assert await page(3, None, True) == (["b0", "b2", "b4"], False)
    assert await page(3, None, False) == (["b1", "b3", "b5"], False)
    assert await page(4, None, None) == (["b0", "b1", "b2", "b3"], True)
    assert await page(4, ("course", "b3"), None) == (["b4", "b5"], False)
