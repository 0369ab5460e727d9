"""How learners stand in activities: the rows, the groups store, and the rows with what no worker has seen are one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.views import end_view, start_view, update_view
from loaders.entries import Entries, best_entries, entries_from_rows, entries_from_states
from loaders.fresh_entries import fresh_entries
from loaders.session import Shared
from rules.entries import Entry
from rules.errors import CohortError
from rules.identifiers import ViewKey
from rules.learner_groups import Activity
from rules.progress import Progress, Status
from rules.states import State, encode_state, vanished_state
from rules.subjects import Subject, subject_of
from rules.views import ViewChange
from stores.events import Message
from stores.topics import STATES
from tests.aggregates import figures_key
from tests.attempts import store_attempt
from tests.conftest import COURSE, NOW, Instance, examples

ACTIVITIES = [
    Activity("course", "Course"),
    Activity("unit-1", "CourseUnit"),
    Activity("unit-2", "CourseUnit"),
]
_attempts = count()
SUBJECTS = [subject_of(activity, None) for activity in ACTIVITIES]


@pytest.fixture
async def class_(cohort: Instance) -> Instance:
    """COURSE with two batches."""
    await cohort.publish()
    await cohort.batch()
    await cohort.batch("batch-2")
    return cohort


@pytest.fixture
async def embedded_class(published: Instance) -> Instance:
    await published.batch("batch-2")
    return published


async def finish(cohort: Instance, user: str, *contents: str, batch: str = "batch") -> None:
    for content in contents:
        call = ViewCall(content, "course", batch)
        await start_view(cohort.session(user), call)
        await end_view(cohort.session(user), call, ViewChange(NOW))


async def attempt(
    cohort: Instance, user: str, content: str, score: float, *, most: float = 3.0, batch: str = "batch"
) -> None:
    """Each is a minute after the one before."""
    number = next(_attempts)
    key = ViewKey(user, "course", batch, content)
    await store_attempt(cohort.shared, key, f"attempt-{number}", score, most, NOW + timedelta(minutes=number))


async def joined(cohort: Instance, user: str, batch: str = "batch") -> None:
    await enrol(cohort.session(), EnrolmentCall("course", batch, user, NOW))


async def left(cohort: Instance, user: str, batch: str = "batch") -> None:
    await unenrol(cohort.session(), EnrolmentCall("course", batch, user, NOW))


async def from_rows(cohort: Instance, *users: str, of: Sequence[Subject] = SUBJECTS) -> Entries:
    return best_entries(await entries_from_rows(cohort.stores.rows, of, users))


async def fresh(
    cohort: Instance, *users: str, of: Sequence[Subject] = SUBJECTS, shared: Shared | None = None
) -> Entries:
    shared = shared or Shared.of(cohort.stores, cohort.shared.now)
    return best_entries(await fresh_entries(cohort.stores.rows, shared.library, shared.tracking, of, users))


async def from_states(cohort: Instance, *users: str, expected: Entries) -> Entries:
    """What the store comes to within half a minute; events reach it a moment after the workers sent them."""
    entries: Entries = {}
    for _ in range(600):
        found, complete = await entries_from_states(cohort.stores.groups, cohort.stores.rows, SUBJECTS, users)
        assert complete
        entries = best_entries(found)
        if entries == expected:
            break
        await asyncio.sleep(0.05)
    return entries


def entry(
    completed: int,
    required: int = 3,
    context: str = "cb:batch",
    *,
    active: bool = True,
    enrolled: bool = True,
    seen: bool = True,
    version: int = 1,
) -> Entry:
    status = Status.COMPLETED if completed == required else Status.IN_PROGRESS if seen else Status.NOT_STARTED
    return Entry.of(
        "course",
        context,
        active,
        Progress(status, completed, required),
        0,
        NOW if seen else None,
        NOW if enrolled else None,
        version,
    )


async def test_a_member_in_two_batches_has_one_entry_the_best(class_: Instance) -> None:
    """a and b in the first, a alone in the second: 2 of 3 and 1 of 3."""
    for batch, contents in (("batch", "ab"), ("batch-2", "a")):
        await joined(class_, "ada", batch)
        await finish(class_, "ada", *contents, batch=batch)
    await class_.drain()
    expected = {
        ("course", "ada"): entry(2),
        ("unit-1", "ada"): entry(2, 2),
        ("unit-2", "ada"): entry(1, 2),
    }
    assert await from_rows(class_, "ada", "bob") == expected
    assert await fresh(class_, "ada", "bob") == expected
    await left(class_, "ada")
    await class_.drain()
    # The enrolment that is left goes before the progress that is there; unit-2 was not begun in that batch.
    assert (
        await from_rows(class_, "ada")
        == await fresh(class_, "ada")
        == {
            ("course", "ada"): entry(1, context="cb:batch-2"),
            ("unit-1", "ada"): entry(1, 2, "cb:batch-2"),
            ("unit-2", "ada"): entry(1, 2, active=False),
        }
    )


async def test_the_type_of_an_activity_is_honoured(class_: Instance) -> None:
    await joined(class_, "ada")
    await class_.drain()
    quiz = subject_of(Activity("course", "Quiz"), None)
    assert await from_rows(class_, "ada", of=[quiz]) == await fresh(class_, "ada", of=[quiz]) == {}
    # As a unit of another collection nobody has been in it.
    unit = subject_of(Activity("course", "CourseUnit"), None)
    assert await from_rows(class_, "ada", of=[unit]) == await fresh(class_, "ada", of=[unit]) == {}
    course = subject_of(Activity("course", "course"), None)
    assert await from_rows(class_, "ada", of=[course]) == {("course", "ada"): entry(0, seen=False)}


async def test_an_acknowledged_call_is_in_it_before_any_worker_ran(class_: Instance) -> None:
    await joined(class_, "ada")
    assert await fresh(class_, "ada") == {("course", "ada"): entry(0, seen=False)}
    await finish(class_, "ada", "a")
    await finish(class_, "bob", "b", "c")
    now = {
        ("course", "ada"): entry(1),
        ("unit-1", "ada"): entry(1, 2),
        ("course", "bob"): entry(2, active=False, enrolled=False),
        ("unit-1", "bob"): entry(1, 2, active=False, enrolled=False),
        ("unit-2", "bob"): entry(2, 2, active=False, enrolled=False),
    }
    assert await from_rows(class_, "ada", "bob") == {}
    assert await fresh(class_, "ada", "bob") == now
    await class_.drain()
    assert await from_rows(class_, "ada", "bob") == now
    await finish(class_, "ada", "b")
    await left(class_, "ada")
    assert await fresh(class_, "ada") == {
        ("course", "ada"): entry(2, active=False),
        ("unit-1", "ada"): entry(2, 2, active=False),
        ("unit-2", "ada"): entry(1, 2, active=False),
    }
    assert await from_rows(class_, "ada") == {k: v for k, v in now.items() if k[1] == "ada"}


async def test_a_batch_begun_a_moment_ago_is_seen_beside_one_that_workers_know(class_: Instance) -> None:
    """Views of both batches are in one partition, and the last change of it was in the batch that has a row."""
    await joined(class_, "ada", "batch-2")
    await finish(class_, "ada", "a", batch="batch-2")
    await left(class_, "ada", "batch-2")
    await class_.drain()
    await finish(class_, "ada", "a", "b")
    entries = await fresh(class_, "ada", of=SUBJECTS[:1])
    assert entries == {("course", "ada"): entry(2, active=False, enrolled=False)}


async def test_a_collection_taken_by_itself_counts_as_well(class_: Instance) -> None:
    call = ViewCall("a", "course")
    await start_view(class_.session("ada"), call)
    await end_view(class_.session("ada"), call, ViewChange(NOW))
    expected = entry(1, context="co:course", active=False, enrolled=False)
    assert (await fresh(class_, "ada"))["course", "ada"] == expected
    await class_.drain()
    assert (await from_rows(class_, "ada"))["course", "ada"] == expected


async def test_a_republished_collection_is_computed_anew_where_a_write_must_be_seen(
    embedded_class: Instance,
) -> None:
    """Without unit-2: required are a and b alone, and 1 of 3 becomes 1 of 2."""
    await joined(embedded_class, "ada")
    await finish(embedded_class, "ada", "a")
    await embedded_class.drain()
    children = COURSE["children"]
    assert isinstance(children, list)
    await embedded_class.publish({**COURSE, "children": children[:1]})
    assert (await fresh(embedded_class, "ada"))["course", "ada"] == entry(1, 2, version=2)


async def test_a_state_that_a_deleted_row_left_behind_is_no_entry(embedded_class: Instance) -> None:
    alive = State("course", "course", "cb:b", "ada", 5, status=Status.IN_PROGRESS, required_count=3)
    gone = vanished_state(figures_key("course", "ada", "cb:a"), 6)
    other = vanished_state(figures_key("unit-1", "ada", "cb:a"), 6)
    states = [Message(state.key, encode_state(state)) for state in (alive, gone, other)]
    await embedded_class.stores.events.send(STATES.name, *states)
    async with asyncio.timeout(60):
        while True:
            found, _ = await entries_from_states(
                embedded_class.stores.groups, embedded_class.stores.rows, SUBJECTS, ["ada"]
            )
            if entries := best_entries(found):
                break
    in_progress = Progress(Status.IN_PROGRESS, 0, 3)
    assert entries == {("course", "ada"): Entry.of("course", "cb:b", False, in_progress, 0, None)}


async def test_a_page_is_one_query_or_a_statement_for_a_hundred_keys(embedded_class: Instance) -> None:
    """3 activities of 40 members are 120 keys: a statement each activity at most. Fresh ones need, besides, where
    the activities belong, enrolments, scopes and attempts; and nothing more for what workers have seen."""
    users = [f"user-{number}" for number in range(40)]
    await asyncio.gather(*(joined(embedded_class, user) for user in users))
    await asyncio.gather(*(finish(embedded_class, user, "a") for user in users))
    await embedded_class.drain()
    rows, groups = embedded_class.stores.rows, embedded_class.stores.groups
    expected = await from_rows(embedded_class, *users)
    assert len(expected) == 80
    assert await from_states(embedded_class, *users, expected=expected) == expected
    with rows.meter.measure() as counted, groups.meter.measure() as asked:
        await entries_from_states(groups, rows, SUBJECTS, users)
    assert (dict(counted), dict(asked)) == ({}, {"activity-state": 1})
    with rows.meter.measure() as counted:
        await from_rows(embedded_class, *users)
    assert set(counted) == {"select user_activity_agg_v2"}
    assert counted.total() <= 3
    shared = Shared.of(embedded_class.stores, embedded_class.shared.now)
    await fresh(embedded_class, *users, shared=shared)
    with rows.meter.measure() as counted:
        await fresh(embedded_class, *users, shared=shared)
    assert counted["select user_activity_agg_v2"] <= 3
    del counted["select user_activity_agg_v2"]
    assert counted == Counter(
        {
            "select node_roots": 1,
            "select user_enrolments": 1,
            "select learner_scope": 1,
            "select user_content_consumption": 1,
            "select assessment_attempt": 1,
        }
    )


async def test_nobody_and_nothing_cost_nothing(embedded_class: Instance) -> None:
    rows, groups = embedded_class.stores.rows, embedded_class.stores.groups
    with rows.meter.measure() as counted, groups.meter.measure() as asked:
        assert await entries_from_states(groups, rows, [], ["ada"]) == ({}, True)
        assert await entries_from_states(groups, rows, SUBJECTS, []) == ({}, True)
        assert await from_rows(embedded_class) == {}
        assert await fresh(embedded_class, of=[]) == {}
    assert counted.total() == asked.total() == 0


async def test_who_attempted_more_than_a_state_can_tell_has_the_same_entry(
    embedded_class: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a state has room for one assessment, some 50 bytes: Ada's two come from the rows, Bob's one from the state."""
    monkeypatch.setattr("rules.states.LONGEST_SCORES", 50)
    for user in ("ada", "bob"):
        await joined(embedded_class, user)
        await attempt(embedded_class, user, "a", 2.0)
    await attempt(embedded_class, "ada", "b", 1.0)
    await embedded_class.drain()
    rows = await from_rows(embedded_class, "ada", "bob")
    assert [rows["course", user].score.score for user in ("ada", "bob")] == [3.0, 2.0]
    assert await from_states(embedded_class, "ada", "bob", expected=rows) == rows
    with embedded_class.stores.rows.meter.measure() as counted:
        await from_states(embedded_class, "ada", "bob", expected=rows)
    assert set(counted) == {"select user_activity_agg_v2"}


@dataclass(frozen=True)
class Step:
    """What a learner does."""

    what: str
    batch: str
    content: str


USERS = ("ada", "bob", "cyd")
steps = st.builds(
    Step,
    st.sampled_from(["enrol", "enrol", "unenrol", "start", "update", "end", "end", "attempt", "attempt"]),
    st.sampled_from(["batch", "batch-2"]),
    st.sampled_from("abcd"),
)
histories = st.fixed_dictionaries({user: st.lists(steps, max_size=8) for user in USERS})
_numbers = count()


async def live(cohort: Instance, user: str, step: Step) -> None:
    session, call = cohort.session(user), ViewCall(step.content, "course", step.batch)
    commands: dict[str, Callable[[], Awaitable[object]]] = {
        "enrol": lambda: joined(cohort, user, step.batch),
        "unenrol": lambda: left(cohort, user, step.batch),
        "start": lambda: start_view(session, call),
        "update": lambda: update_view(session, call, ViewChange(NOW, progress=30, time_spent=7)),
        "end": lambda: finish(cohort, user, step.content, batch=step.batch),
        "attempt": lambda: attempt(cohort, user, step.content, next(_numbers) % 4, batch=step.batch),
    }
    try:
        await commands[step.what]()
    except CohortError:
        return  # such as leaving where one is not: nothing has happened then


@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=histories, after=histories, former=st.sets(st.sampled_from(USERS)))
async def test_rows_states_and_fresh_rows_give_the_same_entries(
    embedded_class: Instance,
    before: dict[str, list[Step]],
    after: dict[str, list[Step]],
    former: set[str],
) -> None:
    """Over any history, of whoever is a member now; the fresh ones before the workers ran for its second half."""
    names = {user: f"{user}-{next(_numbers)}" for user in USERS}
    members = [names[user] for user in USERS if user not in former]

    async def all_of(history: dict[str, list[Step]]) -> None:
        for user, its in history.items():
            for step in its:
                await live(embedded_class, names[user], step)

    await all_of(before)
    await embedded_class.drain()
    await all_of(after)
    early = await fresh(embedded_class, *members)
    await embedded_class.drain()
    rows = await from_rows(embedded_class, *members)
    assert early == rows
    assert await fresh(embedded_class, *members) == rows
    assert await from_states(embedded_class, *members, expected=rows) == rows
