"""What a group may do together beside whole courses: single contents, units, courses within programs; and how a page says
what it does not know."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.views import end_view, start_view, update_view
from ingest.publishing.direct import publish_collection
from loaders.session import Session, Shared
from rules.group_changes import AddMember
from rules.identifiers import ContextType
from rules.learner_groups import Activity
from rules.tracking import TrackingMode
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from tests.conftest import COURSE, LEAF, NOW, Instance
from tests.graph.conftest import BATCH, ask, code, data, record, view_to_end
from tests.graph.test_group_activities import FIGURES, figures, members

NOW_TEXT = "2026-03-01T12:00:00.000Z"
ALONE = {"identifier": "alone", "name": "Alone", "mimeType": LEAF}


async def group_of(
    instance: Instance, *activities: Activity, users: tuple[str, ...], group: str = "g"
) -> None:
    new = NewGroup("G", members=tuple(map(AddMember, users)), activities=activities, group_id=group)
    assert (await create_group(instance.session(), new)).item_errors == ()


def mentor(instance: Instance) -> Session:
    """With nothing kept from before."""
    shared = Shared.of(instance.stores, instance.shared.now, answers_ttl=0, tracking=instance.shared.tracking)
    return Session(Viewer("mia", frozenset({Role.MENTOR})), shared)


async def page(instance: Instance, **variables: Any) -> Any:
    answer = await data(mentor(instance), FIGURES, group="g", **variables)
    return {activity["activityId"]: activity for activity in answer["group"]["activities"]}


async def finish(instance: Instance, user: str, call: ViewCall, seconds: int = 0) -> None:
    session = instance.session(user)
    await start_view(session, call)
    if seconds:
        await update_view(session, call, ViewChange(NOW, time_spent=seconds))
    await end_view(session, call, ViewChange(NOW))


# --- single contents

USERS = ("ann", "bob", "cleo", "dan", "eve")


async def quizzes(instance: Instance) -> None:
    """A content in no collection, and a leaf of the course: ann took both by themselves, bob the leaf in a batch, cleo in
    the group's own context, dan has begun it; eve did nothing."""
    await instance.publish()
    await instance.publish(ALONE)
    await instance.batch()
    await create_context(instance.session(), NewContext(ContextType.GROUP, "G", ("course",), "g"))
    await group_of(instance, Activity("alone", "Quiz"), Activity("a", "Content"), users=USERS)
    await finish(instance, "ann", ViewCall("alone"), seconds=40)
    await finish(instance, "ann", ViewCall("a"))
    await finish(instance, "bob", ViewCall("a", "course", "batch"), seconds=5)
    await finish(instance, "cleo", ViewCall("a", "course", "g"))
    await start_view(instance.session("dan"), ViewCall("a", "course", "batch"))


def of_contents(completed: int, percentage: int) -> dict[str, int | None]:
    """How many are enrolled does not apply."""
    return {
        "enrolledCount": None,
        "completedCount": completed,
        "completionPercentage": percentage,
        "leafNodesCount": 1,
        "averageScore": None,
    }


@pytest.mark.parametrize("states", [False, True])
async def test_a_single_content_has_figures_wherever_members_took_it(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch, *, states: bool
) -> None:
    """1 of 5 and 3 of 5 completed: 20 % and 60 %. Also on a page whose courses come from the groups store."""
    if states:
        monkeypatch.setattr("rules.plans.CHEAP_KEYS", -1)
    await quizzes(cohort)
    found = await page(cohort)
    assert figures(found["alone"]) == of_contents(1, 20)
    assert figures(found["a"]) == of_contents(3, 60)
    assert {activity["complete"] for activity in found.values()} == {True}
    assert {activity["source"] for activity in found.values()} == {"ROWS"}
    told = {user: (node["status"], figures(node)) for user, node in members(found["a"]).items()}

    def of_member(completed: int, seconds: int = 0) -> dict[str, int]:
        return {
            "completedCount": completed,
            "completionPercentage": 100 * completed,
            "timeSpent": seconds,
        }

    assert told == {
        "ann": ("COMPLETED", of_member(1)),
        "bob": ("COMPLETED", of_member(1, 5)),
        "cleo": ("COMPLETED", of_member(1)),
        "dan": ("IN_PROGRESS", of_member(0)),
        "eve": ("NOT_STARTED", of_member(0)),
    }
    assert figures(members(found["alone"])["ann"])["timeSpent"] == 40


async def test_a_single_content_is_kept_by_content_in_full_carry_forward(embedded: Instance) -> None:
    """Completed anywhere it is completed, and there is but one place to look."""
    embedded.track(TrackingMode.CARRY_FORWARD_FULL)
    await quizzes(embedded)
    assert figures((await page(embedded))["a"]) == of_contents(3, 60)


async def test_in_batch_mode_a_single_content_is_counted_when_somebody_took_it(cohort: Instance) -> None:
    """No worker sends a state of it: the trigger itself says that it was touched. Eve ends it after the first run."""
    await quizzes(cohort)
    await cohort.drain()
    await aggregate(cohort.shared)
    found = await page(cohort, mode="BATCH")
    assert (figures(found["a"]), found["a"]["source"], found["a"]["complete"]) == (
        of_contents(3, 60),
        "BATCH",
        True,
    )
    await finish(cohort, "eve", ViewCall("a"))
    await aggregate(cohort.shared)
    assert figures((await page(cohort, mode="BATCH"))["a"]) == of_contents(4, 80)


async def test_contents_of_a_page_cost_as_many_statements_for_forty_members_as_for_two(
    embedded: Instance,
) -> None:
    await embedded.publish()
    users = tuple(f"user-{number:02}" for number in range(40))
    spent = []
    for group, some in (("large", users), ("small", users[:2])):
        for user in some:
            await finish(embedded, user, ViewCall("a", "course"))
        await group_of(embedded, Activity("a", "Content"), Activity("b", "Quiz"), users=some, group=group)
        with embedded.stores.rows.meter.measure() as counted:
            await data(mentor(embedded), FIGURES, group=group)
        spent.append(counted)
    assert spent[0] == spent[1]


async def test_what_cohort_does_not_know_is_null_and_not_complete(published: Instance) -> None:
    await group_of(published, Activity("meeting", "Meeting"), users=("ann",))
    found = (await page(published))["meeting"]
    assert (set(figures(found).values()), found["complete"]) == ({None}, False)
    node = members(found)["ann"]
    assert (node["status"], node["completionPercentage"], set(figures(node).values())) == (None, None, {None})


# --- units and nested courses

PROGRAM: dict[str, Any] = {
    "identifier": "program",
    "name": "Program",
    "children": [
        {"identifier": "part", "name": "Part", "children": [COURSE]},
        {"identifier": "last", "name": "Last", "mimeType": LEAF},
    ],
}
IN_PROGRAM = {"collectionId": "program", "contextId": "term"}


@pytest.fixture
async def program(published: Instance) -> Instance:
    """The course is a collection of its own and a part of a program. Ann learns in the program, bob in the course: ann
    completes a and b (unit-1), bob a."""
    await published.publish(PROGRAM)
    await create_context(published.session(), NewContext(ContextType.PROGRAM, "Term", ("program",), "term"))
    await group_of(published, Activity("program", "Course"), users=("ann", "bob"))
    assert (await record(published.session("ann"), "Enrol", **IN_PROGRAM))["errors"] == []
    assert (await record(published.session("bob"), "Enrol", **BATCH))["errors"] == []
    for content in ("a", "b"):
        await view_to_end(published, "ann", content, **IN_PROGRAM)
    await view_to_end(published, "bob", "a", **BATCH)
    await published.drain()
    return published


async def test_a_course_within_a_program_stays_a_collection_of_its_own(program: Instance) -> None:
    query = '{ collection(identifier: "course") { identifier } }'
    assert (await data(program.session("ann"), query))["collection"] == {"identifier": "course"}
    mine = "{ me { enrolments { edges { node { completionPercentage collection { identifier } } } } } }"
    for user, collection, percentage in (("ann", "program", 50), ("bob", "course", 33)):
        (edge,) = (await data(program.session(user), mine))["me"]["enrolments"]["edges"]
        node = edge["node"]
        assert (node["collection"]["identifier"], node["completionPercentage"]) == (collection, percentage)


async def test_units_and_courses_below_an_activity_may_be_asked_for(program: Instance) -> None:
    """Of the group's program: the course in it, and by itself, as one may take it there; a unit of the course; a leaf."""
    found = await page(program, ids=["course", "unit-1", "part", "a"])
    assert {id_: activity["type"] for id_, activity in found.items()} == dict.fromkeys(found, "CourseUnit")
    percentages = {
        id_: {user: node["completionPercentage"] for user, node in members(activity).items()}
        for id_, activity in found.items()
    }
    # The course needs a, b and c; unit-1 a and b. Bob's unit-1 is that of the course by itself, not of the program.
    assert percentages == {
        "course": {"ann": 66, "bob": 33},
        "unit-1": {"ann": 100, "bob": 0},
        "part": {"ann": 66, "bob": 0},
        "a": {"ann": 100, "bob": 100},
    }
    assert figures(found["course"])["enrolledCount"] == 2
    assert found["course"]["complete"]


async def test_with_a_token_what_no_worker_has_seen_is_in_them(program: Instance) -> None:
    await record(program.session("ann"), "Start", contentId="c", **IN_PROGRAM)
    token = (await record(program.session("ann"), "End", contentId="c", **IN_PROGRAM))["token"]
    asked = ["course", "unit-2", "unit-1"]
    before = members((await page(program, ids=asked))["course"])["ann"]["completionPercentage"]
    found = await page(program, ids=asked, fresh=token)
    fresh = {id_: members(activity)["ann"]["completionPercentage"] for id_, activity in found.items()}
    assert (before, fresh) == (66, {"course": 100, "unit-2": 100, "unit-1": 100})


async def test_what_is_in_no_activity_of_the_group_is_not_found(program: Instance) -> None:
    await program.publish({"identifier": "elsewhere", "name": "E", "children": [ALONE]})
    for asked in ("elsewhere", "alone", "nothing"):
        assert await code(mentor(program), FIGURES, group="g", ids=[asked]) == ("NOT_FOUND", "activityIds")


async def test_an_instance_in_batch_mode_computes_what_no_aggregation_has(program: Instance) -> None:
    """Aggregated are the group's own activities."""
    await aggregate(program.shared)
    assert (await page(program, mode="BATCH"))["program"]["mode"] == "BATCH"
    found = (await page(program, ids=["course"], mode="BATCH"))["course"]
    assert (found["mode"], members(found)["ann"]["completionPercentage"]) == ("QUERY", 66)


# --- several at once, and what is kept


async def test_two_aliases_of_one_field_do_not_mix_up_how_they_were_answered(program: Instance) -> None:
    """Asked for at the same time, in two modes: each keeps its own plan, source and page."""
    query = """{ group(groupId: "g") {
        a: activities(mode: BATCH) { source mode complete agg { metric value } }
        b: activities(mode: QUERY) { source mode complete agg { metric value } } } }"""
    for _ in range(2):
        answer = await ask(program.session("mia", Role.MENTOR), query)
        (batch,), (computed,) = answer["data"]["group"]["a"], answer["data"]["group"]["b"]
        assert (batch["source"], batch["mode"], batch["complete"]) == ("BATCH", "BATCH", False)
        assert (computed["source"], computed["mode"], computed["complete"]) == ("ROWS", "QUERY", True)
        plans = {plan["path"][-1]: plan["source"] for plan in answer["extensions"]["plans"]}
        assert plans == {"a": "batch", "b": "rows"}


def without_last_unit(document: dict[str, Any]) -> dict[str, Any]:
    less = deepcopy(document)
    less["children"].pop()
    return less


async def completes(instance: Instance, user: str, *contents: str) -> None:
    assert (await record(instance.session(user), "Enrol", **BATCH))["errors"] == []
    for content in contents:
        await view_to_end(instance, user, content, **BATCH)
    await instance.drain()


@pytest.mark.parametrize("by", ["this process", "another"])
async def test_figures_and_leaves_of_a_kept_page_are_of_one_version(published: Instance, by: str) -> None:
    """Ann completed a, b and c. Published again with unit-1 alone, a and b are left: 2 of 2, never 3 of 2; and so at
    once, whatever this process remembers of the course."""
    await group_of(published, Activity("course", "Course"), users=("ann",))
    await completes(published, "ann", "a", "b", "c")
    session = published.session("mia", Role.MENTOR)

    async def told() -> tuple[Any, ...]:
        answer = await data(session, FIGURES, group="g")
        (activity,) = answer["group"]["activities"]
        leaves = figures(activity)["leafNodesCount"]
        return activity["complete"], leaves, figures(members(activity)["ann"])["completedCount"]

    assert await told() == (True, 4, 3)
    shared = published.shared if by == "this process" else Shared.of(published.stores, published.shared.now)
    await publish_collection(
        Session(Viewer("svc", frozenset({Role.SERVICE})), shared), without_last_unit(COURSE)
    )
    session.refresh()
    assert await told() == (True, 2, 2), (
        "rows are compared with the live version, and views counted where they lag"
    )


async def test_states_of_an_older_version_are_told_and_computed_anew(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The groups store knows nothing of the new version until the workers have sent it, which the read has them do."""
    monkeypatch.setattr("rules.plans.CHEAP_KEYS", -1)
    await group_of(published, Activity("course", "Course"), users=("ann",))
    await completes(published, "ann", "a", "b", "c")
    await published.arrived()
    assert (await page(published))["course"]["complete"]
    await published.publish(without_last_unit(COURSE))
    outdated = (await page(published))["course"]
    assert (outdated["source"], outdated["complete"]) == ("STATES", False)
    assert figures(members(outdated)["ann"])["completedCount"] == 3
    async with asyncio.timeout(60):
        while not (found := (await page(published))["course"])["complete"]:
            await published.drain()
            await asyncio.sleep(0.05)
    assert (figures(found)["leafNodesCount"], figures(members(found)["ann"])["completedCount"]) == (2, 2)
