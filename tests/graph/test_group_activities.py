"""A group's page: how its members stand in what they do together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.commands.group_members import visit_groups
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from loaders.entries import best_entries, entries_from_rows, entries_from_states
from loaders.session import Session, Shared
from loaders.totals import group_row_key, members_blob
from resolvers.opaque_texts import encode
from rules.entries import Entry
from rules.errors import Busy, StoreUnavailable
from rules.group_changes import AddMember, EditMember, RemoveMember
from rules.group_figures import ACTIVITY_METRICS
from rules.learner_groups import Activity, GroupRole
from rules.plans import AggregationMode, write_token
from rules.progress import Progress, Status
from rules.subjects import subject_of
from rules.viewers import Role, Viewer
from stores.rows import Write
from stores.tables import ACTIVITY_AGGREGATES
from tests.conftest import NOW, Instance, filled_once
from tests.graph.conftest import (
    BATCH,
    application,
    ask,
    client_of,
    code,
    data,
    document,
    record,
    view_to_end,
)

GROUP_PAGE = document("group_page")
"""As clients hold it."""
SMALL_PAGE = "query ($group: String!) { group(groupId: $group) { activities { activityId } } }"
FIGURES = """query ($group: String!, $ids: [String!], $mode: AggregationMode, $fresh: String, $first: Int, $after: String) {
  group(groupId: $group) { name activities(activityIds: $ids, mode: $mode, fresh: $fresh) {
    activityId type source mode asOf complete agg { metric value }
    members(first: $first, after: $after) { pageInfo { hasNextPage endCursor }
      edges { node { learner { userId name district } role status completionPercentage agg { metric value } } } } } } }"""
NOW_TEXT = "2026-03-01T12:00:00.000Z"
ACTIVITIES = (Activity("course", "Course"), Activity("unit-1", "CourseUnit"), Activity("quiz", "Quiz"))
"""Nothing is published under the last one's id."""
SUBJECTS = [subject_of(activity, None) for activity in ACTIVITIES]


async def enrol(instance: Instance, user: str) -> None:
    assert (await record(instance.session(user), "Enrol", **BATCH))["errors"] == []


async def class_of(instance: Instance) -> Instance:
    """Mo leads Ada, Bob and Cyd, who have all opened the group. Ada has done a, b and c, Bob a; both are enrolled. Cyd
    has never come."""
    members = (AddMember("ada"), AddMember("bob"), AddMember("cyd"))
    await create_group(instance.session(), NewGroup("Class 7", members=members, group_id="g"))
    await update_group(
        instance.session(),
        GroupCall("g", members=(AddMember("mo", GroupRole.ADMIN),), add_activities=ACTIVITIES),
    )
    for user in ("ada", "bob", "cyd", "mo"):
        await visit_groups(instance.session(user), ["g"])
    for user, name in (("ada", "Ada"), ("bob", "Bob")):
        profile = 'mutation ($name: String!) { updateLearner(input: { name: $name, district: "North" }) { errors { code } } }'
        await data(instance.session(user), profile, name=name)
        await enrol(instance, user)
    for content in "abc":
        await view_to_end(instance, "ada", content, **BATCH)
    await view_to_end(instance, "bob", "a", **BATCH)
    await instance.drain()
    return instance


@pytest.fixture
async def class_(tmp_path: Path) -> AsyncIterator[Instance]:
    async with filled_once(class_of, tmp_path, course=True) as instance:
        yield instance


@pytest.fixture
def from_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if reading rows were never cheaper."""
    monkeypatch.setattr("rules.plans.CHEAP_KEYS", 0)


def at(instance: Instance, seconds: float, user: str, *roles: Role) -> Session:
    """In another process, so much later."""
    shared = Shared.of(instance.stores, lambda: NOW + timedelta(seconds=seconds))
    return Session(Viewer(user, frozenset(roles or {Role.LEARNER})), shared)


async def page(session: Session, **variables: Any) -> Any:
    """The group's activities by id."""
    group = (await data(session, FIGURES, group="g", **variables))["group"]
    return {activity["activityId"]: activity for activity in group["activities"]}


def members(activity: Mapping[str, Any]) -> dict[str, Any]:
    nodes = [edge["node"] for edge in activity["members"]["edges"]]
    return {node["learner"]["userId"]: node for node in nodes}


def figures(of: Mapping[str, Any]) -> dict[str, int | None]:
    return {metric["metric"]: metric["value"] for metric in of["agg"]}


async def arrived(instance: Instance) -> None:
    """Returns once the groups store has what the workers sent."""
    users = ("ada", "bob", "cyd", "mo")
    expected = best_entries(await entries_from_rows(instance.stores.rows, SUBJECTS, users))
    async with asyncio.timeout(60):
        while True:
            found, _ = await entries_from_states(
                instance.stores.groups, instance.stores.rows, SUBJECTS, users
            )
            if best_entries(found) == expected:
                return
            await asyncio.sleep(0.05)


IDS = "query ($group: String!, $mode: AggregationMode) { group(groupId: $group) { activities(mode: $mode) { id activityId } } }"
NODE = """query ($id: ID!) { node(id: $id) { id ... on GroupActivity {
  activityId type mode agg { metric value } members { edges { node { learner { userId } } } } } } }"""


async def ids(session: Session, group: str, mode: str | None = None) -> dict[str, str]:
    """The global ids by activity."""
    found = (await data(session, IDS, group=group, mode=mode))["group"]
    return {activity["activityId"]: activity["id"] for activity in found["activities"]}


async def test_the_same_activity_of_two_groups_has_two_ids(class_: Instance) -> None:
    """A client's cache keeps one object an id: neither another group nor the other mode may overwrite figures."""
    await create_group(class_.session(), NewGroup("Other", activities=ACTIVITIES, group_id="h"))
    service = class_.session("svc", Role.SERVICE)
    found = [
        id_
        for group, mode in (("g", "QUERY"), ("g", "BATCH"), ("h", "QUERY"))
        for id_ in (await ids(service, group, mode)).values()
    ]
    assert len(set(found)) == 3 * len(ACTIVITIES)


@pytest.mark.parametrize("mode", ["QUERY", "BATCH"])
async def test_an_activity_is_found_by_its_global_id(class_: Instance, mode: str) -> None:
    """With the figures of the page, and with the same access."""
    await aggregate(class_.shared)
    shown = (await page(class_.session("mo"), mode=mode))["unit-1"]
    id_ = (await ids(class_.session("mo"), "g", mode))["unit-1"]
    answer = await ask(class_.session("mo"), NODE, id=id_)
    assert answer["data"]["node"] == {
        "id": id_,
        "activityId": "unit-1",
        "type": "CourseUnit",
        "mode": mode,
        "agg": shown["agg"],
        "members": {
            "edges": [{"node": {"learner": {"userId": user}}} for user in ("ada", "bob", "cyd", "mo")]
        },
    }
    assert [plan["path"] for plan in answer["extensions"]["plans"]] == [["node"]]
    own = (await data(class_.session("bob"), NODE, id=id_))["node"]
    assert own["agg"] == shown["agg"]
    assert [edge["node"]["learner"]["userId"] for edge in own["members"]["edges"]] == ["bob"]
    assert await code(class_.session("eve"), NODE, id=id_) == ("FORBIDDEN", "groupId")
    gone = encode("GroupActivity", "g", "course-9", "Course", mode.lower())
    assert await code(class_.session("mo"), NODE, id=gone) == ("NOT_FOUND", "activityIds")


async def test_the_group_page_answers_as_it_stands(course: Instance) -> None:
    """Required are 3 of 4 leaves. Ada 3 of 3, Bob 1 of 3; unit-1 (a, b) is done by Ada and half done by Bob. Of the
    two who are enrolled one has completed: 50 %."""
    await class_of(course)

    def agg(at: str | None, **values: int | None) -> list[dict[str, object]]:
        return [{"metric": metric, "value": value, "lastUpdatedOn": at} for metric, value in values.items()]

    def node(
        user: str, name: str | None, completed: int | None, percentage: int | None, at: str | None
    ) -> dict[str, object]:
        return {
            "node": {
                "learner": {"userId": user, "name": name},
                "role": "ADMIN" if user == "mo" else "MEMBER",
                "completionPercentage": percentage,
                "agg": agg(
                    at,
                    completedCount=completed,
                    completionPercentage=percentage,
                    timeSpent=None if completed is None else 0,
                ),
            }
        }

    def activity(
        id_: str, kind: str, collection: object, leaves: int, percentage: int, *nodes: object
    ) -> dict[str, object]:
        someone = NOW_TEXT if percentage else None
        counts = (2, 1) if percentage else (0, 0)
        return {
            "id": encode("GroupActivity", "g", id_, kind, "query"),
            "type": kind,
            "collection": collection,
            "agg": [
                *agg(
                    someone,
                    enrolledCount=counts[0],
                    completedCount=counts[1],
                    completionPercentage=percentage,
                ),
                *agg(NOW_TEXT if leaves else None, leafNodesCount=leaves),
                *agg(None, averageScore=None),
            ],
            "source": "ROWS",
            "asOf": NOW_TEXT,
            "complete": True,
            "members": {"edges": list(nodes)},
        }

    nobody = [node("cyd", None, 0, 0, None), node("mo", None, 0, 0, None)]
    answer = await ask(course.session("mo"), GROUP_PAGE, group="g")
    assert answer["data"] == {
        "group": {
            "groupId": "g",
            "name": "Class 7",
            "activities": [
                activity(
                    *("course", "Course", {"name": "Course", "leafNodesCount": 4}, 4, 50),
                    *(node("ada", "Ada", 3, 100, NOW_TEXT), node("bob", "Bob", 1, 33, NOW_TEXT), *nobody),
                ),
                activity(
                    *("unit-1", "CourseUnit", None, 2, 50),
                    *(node("ada", "Ada", 2, 100, NOW_TEXT), node("bob", "Bob", 1, 50, NOW_TEXT), *nobody),
                ),
                {
                    # Nothing is published under its id: what nobody knows is no zero.
                    **activity("quiz", "Quiz", None, 0, 0),
                    "agg": agg(None, **dict.fromkeys(ACTIVITY_METRICS)),
                    "complete": False,
                    "members": {
                        "edges": [
                            node(user, name, None, None, None)
                            for user, name in (("ada", "Ada"), ("bob", "Bob"), ("cyd", None), ("mo", None))
                        ]
                    },
                },
            ],
        }
    }
    assert answer["extensions"] == {
        "plans": [
            {
                "path": ["group", "activities"],
                "source": "rows",
                "reason": "8 keys are cheaper read one by one, up to 500",
                "estimate": 8,
                "origin": "computed",
                "age": 0,
            }
        ]
    }


@pytest.mark.usefixtures("from_states")
async def test_the_groups_store_gives_the_same_page_as_the_rows(
    class_: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await arrived(class_)
    states = await page(class_.session("mo"))
    monkeypatch.setattr("rules.plans.CHEAP_KEYS", 500)
    rows = await page(at(class_, 0, "mo"))
    assert {activity["source"] for activity in states.values()} == {"STATES"}
    assert {activity["source"] for activity in rows.values()} == {"ROWS"}
    for found in (states, rows):
        for activity in found.values():
            del activity["source"]
    assert states == rows


async def test_the_percentage_is_that_of_the_enrolment_list(class_: Instance) -> None:
    mine = "{ me { enrolments { edges { node { completionPercentage completedCount } } } } }"
    entries = members((await page(class_.session("mo")))["course"])
    for user, expected in (("ada", 100), ("bob", 33)):
        (edge,) = (await data(class_.session(user), mine))["me"]["enrolments"]["edges"]
        assert entries[user]["completionPercentage"] == edge["node"]["completionPercentage"] == expected
        assert figures(entries[user])["completedCount"] == edge["node"]["completedCount"]


async def test_one_who_has_left_the_course_keeps_the_progress_and_is_not_counted(class_: Instance) -> None:
    """Ada has completed it: a service ends her enrolment."""
    leave = """mutation ($user: String!) { unenrol(input: {
        collectionId: "course", contextId: "batch", userId: $user }) { token errors { code } } }"""
    payload = (await data(class_.session(), leave, user="ada"))["unenrol"]
    assert payload == {"token": write_token(NOW), "errors": []}
    await class_.drain()
    found = (await page(class_.session("mo")))["course"]
    assert figures(found) == {
        "enrolledCount": 1,
        "completedCount": 0,
        "completionPercentage": 0,
        "leafNodesCount": 4,
        "averageScore": None,
    }
    assert members(found)["ada"]["completionPercentage"] == 100
    assert (await data(class_.session("cyd"), leave, user="cyd"))["unenrol"] == {
        "token": None,
        "errors": [{"code": "NOT_ENROLLED"}],
    }


async def test_a_former_member_is_left_out_at_once(class_: Instance) -> None:
    """Although the page of before is kept."""
    assert list(members((await page(class_.session("mo")))["course"])) == ["ada", "bob", "cyd", "mo"]
    await update_group(class_.session(), GroupCall("g", members=(RemoveMember("ada"), AddMember("dan"))))
    found = (await page(class_.session("mo")))["course"]
    assert list(members(found)) == ["bob", "cyd", "dan", "mo"]
    assert (figures(found)["enrolledCount"], figures(found)["completedCount"]) == (1, 0)
    await update_group(class_.session("mo"), GroupCall("g", remove_activities=("unit-1",)))
    assert list(await page(class_.session("mo"))) == ["course", "quiz"]


async def test_names_and_roles_are_those_of_now_whatever_is_kept(class_: Instance) -> None:
    await page(class_.session("mo"))
    rename = 'mutation { updateLearner(input: { name: "Roberta" }) { errors { code } } }'
    await data(class_.session("bob"), rename)
    await update_group(class_.session("mo"), GroupCall("g", members=(EditMember("bob", GroupRole.ADMIN),)))
    bob = members((await page(class_.session("mo")))["course"])["bob"]
    assert (bob["learner"]["name"], bob["role"]) == ("Roberta", "ADMIN")


async def test_a_plain_member_sees_the_figures_and_no_entry_but_the_own(class_: Instance) -> None:
    """Also where what is kept was computed for one who sees all."""
    for viewer in ("mo", "ada"):
        everybody = await page(class_.session(viewer))
        assert figures(everybody["course"])["enrolledCount"] == 2
        assert set(members(everybody["course"])) == (
            {"ada"} if viewer == "ada" else {"ada", "bob", "cyd", "mo"}
        )
    for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE):
        assert len(members((await page(class_.session("zoe", role)))["course"])) == 4


async def test_a_groups_admin_sees_names_and_one_who_answers_for_learners_the_profile(
    class_: Instance,
) -> None:
    for viewer, roles, district in (("mo", (), None), ("zoe", (Role.MENTOR,), "North"), ("ada", (), "North")):
        ada = members((await page(class_.session(viewer, *roles)))["course"])["ada"]
        assert ada["learner"] == {"userId": "ada", "name": "Ada", "district": district}


async def test_who_is_no_member_is_turned_away(class_: Instance) -> None:
    assert await code(class_.session("zoe"), FIGURES, group="g") == ("FORBIDDEN", "groupId")
    assert await code(Session(Viewer(), class_.shared), FIGURES, group="g") == ("UNAUTHENTICATED", None)
    await update_group(class_.session("mo"), GroupCall("g", members=(RemoveMember("bob"),)))
    assert await code(class_.session("bob"), FIGURES, group="g") == ("FORBIDDEN", "groupId")


async def test_activities_and_metrics_are_chosen_by_name(class_: Instance) -> None:
    mo = class_.session("mo")
    assert list(await page(mo, ids=["quiz", "course", "quiz"])) == ["course", "quiz"]
    for nowhere in ("unit-3", "batch", "other"):
        assert await code(mo, FIGURES, group="g", ids=["course", nowhere]) == ("NOT_FOUND", "activityIds")
    query = """query ($metrics: [GroupActivityMetric!], $own: [ActivityMemberMetric!]) { group(groupId: "g") { activities(activityIds: ["course"]) {
        agg(metrics: $metrics) { metric value } members { edges { node { agg(metrics: $own) { value } } } } } } }"""
    found = await data(
        mo, query, metrics=["LEAF_NODES_COUNT", "ENROLLED_COUNT"], own=["COMPLETION_PERCENTAGE"]
    )
    (activity,) = found["group"]["activities"]
    assert activity["agg"] == [
        {"metric": "enrolledCount", "value": 2},
        {"metric": "leafNodesCount", "value": 4},
    ]
    values = [edge["node"]["agg"] for edge in activity["members"]["edges"]]
    assert values == [[{"value": 100}], [{"value": 33}], [{"value": 0}], [{"value": 0}]]


async def test_members_come_in_pages(class_: Instance) -> None:
    mo, seen, after = class_.session("mo"), [], None
    for _ in range(2):
        found = (await page(mo, ids=["course"], first=3, after=after))["course"]
        seen.append(list(members(found)))
        after = found["members"]["pageInfo"]["endCursor"]
    assert seen == [["ada", "bob", "cyd"], ["mo"]]
    assert not found["members"]["pageInfo"]["hasNextPage"]
    assert await code(mo, FIGURES, group="g", first=201) == ("INVALID_INPUT", "first")


@pytest.mark.usefixtures("from_states")
async def test_a_call_is_in_the_figures_of_who_sends_its_token_before_any_worker_ran(
    class_: Instance,
) -> None:
    """Bob ends b: 2 of 3. What is kept says 1 of 3, and so does the groups store."""
    await arrived(class_)
    await page(class_.session("mo"))
    await record(class_.session("bob"), "Start", contentId="b", **BATCH)
    token = (await record(class_.session("bob"), "End", contentId="b", **BATCH))["token"]
    kept = (await page(class_.session("mo")))["course"]
    fresh = (await page(class_.session("mo"), fresh=token))["course"]
    assert members(kept)["bob"]["completionPercentage"] == 33
    assert members(fresh)["bob"]["completionPercentage"] == 66
    assert (fresh["source"], fresh["complete"]) == ("ROWS", True)
    assert await code(class_.session("mo"), FIGURES, group="g", fresh="nonsense") == (
        "INVALID_INPUT",
        "fresh",
    )


async def test_a_small_page_has_the_call_of_a_token_in_it_although_no_worker_runs(class_: Instance) -> None:
    """Also some time after the call: rows are read, and what workers have not seen is computed."""
    await page(class_.session("mo"))
    await record(class_.session("bob"), "Start", contentId="b", **BATCH)
    token = (await record(class_.session("bob"), "End", contentId="b", **BATCH))["token"]
    for seconds in (0, 20, 70):
        found = await page(at(class_, seconds, "mo"), fresh=token)
        assert members(found["course"])["bob"]["completionPercentage"] == 66, seconds


@pytest.mark.usefixtures("from_states")
async def test_what_may_be_from_before_a_write_is_not_given_for_its_token(class_: Instance) -> None:
    """Kept for 60 s, and writes are visible after 15 s: a token of 70 s ago needs a new query, one of 80 s none."""
    groups = class_.stores.groups
    await page(at(class_, 0, "mo"))
    for seconds, queries in ((40, 1), (54, 1), (50, 0)):
        token = write_token(NOW + timedelta(seconds=seconds - (70 if queries else 80)))
        with groups.meter.measure() as asked:
            await page(at(class_, seconds, "mo"), fresh=token)
        assert asked["activity-state"] == queries, seconds


@pytest.mark.usefixtures("from_states")
async def test_one_query_answers_all_who_look_at_the_page(class_: Instance) -> None:
    """Whoever they are, and whatever they look at."""
    groups = class_.stores.groups
    with groups.meter.measure() as asked:
        first = await ask(class_.session("mo"), FIGURES, group="g")
        again = [
            await ask(class_.session(user), query, group="g")
            for user in ("mo", "ada", "bob", "cyd")
            for query in (FIGURES, GROUP_PAGE, SMALL_PAGE)
        ]
    assert asked == {"activity-state": 1}
    assert first["extensions"]["plans"][0]["origin"] == "computed"
    assert {answer["extensions"]["plans"][0]["origin"] for answer in again} == {"cached"}
    with groups.meter.measure() as asked:
        await ask(class_.session("mo"), FIGURES, group="g", ids=["course"])
    assert asked == {"activity-state": 1}


async def test_a_page_that_a_client_has_is_not_sent_again(class_: Instance) -> None:
    """By GET; the age of what is kept is in each answer and no part of what the client has."""
    shared = Shared.of(class_.stores, lambda: NOW)
    later = Shared.of(class_.stores, lambda: NOW + timedelta(seconds=30))
    query = {"query": FIGURES, "variables": '{"group": "g"}'}
    async with client_of(application(shared), "mo") as client:
        first = await client.get("/graphql", params=query)
    async with client_of(application(later), "mo") as client:
        whole = await client.get("/graphql", params=query)
        again = await client.get("/graphql", params=query, headers={"If-None-Match": first.headers["etag"]})
    assert [answer.json()["extensions"]["plans"][0]["age"] for answer in (first, whole)] == [0, 30]
    assert (whole.json()["data"], again.status_code) == (first.json()["data"], 304)


async def test_what_a_page_costs_does_not_depend_on_how_much_it_shows(class_: Instance) -> None:
    costs = []
    for number, query in enumerate((SMALL_PAGE, GROUP_PAGE, FIGURES)):
        session = at(class_, 1_000 * (number + 1), "mo")
        with class_.stores.rows.meter.measure() as counted:
            await data(session, query, group="g")
        costs.append(dict(counted))
    assert costs[0] == costs[1] == costs[2]
    # The group, its version, its members; their profiles; the course and the unit; aggregates of two types.
    assert sum(costs[0].values()) <= 8, costs[0]


async def test_a_page_that_brings_profiles_along_reads_none_for_each_member(
    class_: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 members of 20 activities are 3,000 names: none of them may be a resolver's."""

    async def load(*_: object) -> None:
        raise AssertionError("a profile is loaded by itself")

    monkeypatch.setattr("graph.learners.Learner.load", load)
    answer = await data(class_.session("mo"), GROUP_PAGE, group="g")
    course = answer["group"]["activities"][0]
    assert [edge["node"]["learner"]["name"] for edge in course["members"]["edges"]] == [
        "Ada",
        "Bob",
        None,
        None,
    ]


@pytest.mark.usefixtures("from_states")
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreUnavailable("the broker does not answer"), "STORE_UNAVAILABLE"),
        (Busy("10 queries are under way"), "GROUPS_BUSY"),
    ],
)
async def test_with_the_groups_store_away_members_answer_and_figures_say_why_not(
    class_: Instance, monkeypatch: pytest.MonkeyPatch, error: StoreUnavailable, expected: str
) -> None:
    async def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(class_.stores.groups, "query", away)
    query = """{ group(groupId: "g") { name activities { activityId }
        members { edges { node { learner { name enrolments { edges { node { status } } } } } } } } }"""
    answer = await ask(class_.session("zoe", Role.MENTOR), query)
    (told,) = answer["errors"]
    assert (told["path"], told["message"]) == (["group", "activities"], error.message)
    assert told["extensions"] == {"code": expected}
    group = answer["data"]["group"]
    assert (group["name"], group["activities"]) == ("Class 7", None)
    ada = group["members"]["edges"][0]["node"]["learner"]
    assert ada == {"name": "Ada", "enrolments": {"edges": [{"node": {"status": "COMPLETED"}}]}}
    assert "extensions" not in answer


@pytest.mark.usefixtures("from_states")
async def test_with_the_groups_store_away_an_older_answer_is_given_with_its_age(
    class_: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await page(at(class_, 0, "mo"))

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(class_.stores.groups, "query", away)
    answer = await ask(at(class_, 600, "mo"), FIGURES, group="g")
    (plan,) = answer["extensions"]["plans"]
    assert (plan["origin"], plan["age"]) == ("stale", 600)
    now = {activity["activityId"]: activity for activity in answer["data"]["group"]["activities"]}
    assert {(activity["complete"], activity["asOf"]) for activity in now.values()} == {(False, NOW_TEXT)}
    assert {name: members(activity) for name, activity in now.items()} == {
        name: members(activity) for name, activity in before.items()
    }
    late = at(class_, 86_400 * 2, "mo")
    assert await code(late, FIGURES, group="g") == ("STORE_UNAVAILABLE", None)


async def test_batch_mode_answers_what_was_aggregated_and_says_so(class_: Instance) -> None:
    """Of the course an hour ago, when Bob had done nothing yet and Ada was not enrolled, but one who has left the group
    was; of the other activities nothing."""
    bob = Entry.of("course", "cb:batch", True, Progress(Status.NOT_STARTED, 0, 3), 0, None, NOW)
    gone = Entry.of("course", "cb:batch", True, Progress(Status.COMPLETED, 3, 3), 0, NOW, NOW)
    earlier = NOW - timedelta(hours=1)
    counted = {"ada": None, "bob": bob, "cyd": None, "former": gone, "mo": None}
    row = {"members": members_blob(counted), "as_of": earlier, "version": 1}
    key = group_row_key("g", ACTIVITIES[0])
    await class_.stores.rows.write(Write(ACTIVITY_AGGREGATES, key, row))
    answer = await ask(class_.session("mo"), FIGURES, group="g", mode="BATCH")
    found = {activity["activityId"]: activity for activity in answer["data"]["group"]["activities"]}
    course, quiz = found["course"], found["quiz"]
    assert (course["source"], course["mode"], course["complete"]) == ("BATCH", "BATCH", True)
    assert course["asOf"] == "2026-03-01T11:00:00.000Z"
    assert figures(course) == {
        "enrolledCount": 1,
        "completedCount": 0,
        "completionPercentage": 0,
        "leafNodesCount": 4,
        "averageScore": None,
    }
    assert {user: node["completionPercentage"] for user, node in members(course).items()} == dict.fromkeys(
        ("ada", "bob", "cyd", "mo"), 0
    )
    for unknown, at in ((quiz, course["asOf"]), (found["unit-1"], None)):
        assert (unknown["complete"], unknown["asOf"], set(figures(unknown).values())) == (False, at, {None})
    (plan,) = answer["extensions"]["plans"]
    assert (plan["source"], plan["age"], plan["estimate"]) == ("batch", 3600, 2)


async def test_an_instance_in_batch_mode_answers_so_unless_a_request_asks_for_the_other(
    class_: Instance,
) -> None:
    shared = Shared.of(class_.stores, lambda: NOW, mode=AggregationMode.BATCH)
    mo = Session(Viewer("mo", frozenset({Role.LEARNER})), shared)
    assert (await page(mo))["course"]["mode"] == "BATCH"
    assert (await page(mo, mode="QUERY"))["course"]["mode"] == "QUERY"
    assert (await page(mo, fresh=write_token(NOW)))["course"]["mode"] == "QUERY"


async def test_in_batch_mode_an_old_token_changes_nothing(class_: Instance) -> None:
    """Of a write that every kept answer has by now: 15 s and 60 s ago."""
    for age, mode in ((75, "QUERY"), (76, "BATCH")):
        token = write_token(NOW - timedelta(seconds=age))
        found = await page(class_.session("mo"), mode="BATCH", fresh=token)
        assert found["course"]["mode"] == mode


async def test_batch_mode_is_incomplete_while_somebody_joined_after_the_last_run(class_: Instance) -> None:
    """Dan has done nothing, so that only his membership tells that he was not looked at. What Cohort does not know is
    never complete."""
    await aggregate(class_.shared)

    async def complete() -> dict[str, bool]:
        found = await page(class_.session("mo"), mode="BATCH")
        return {activity: figures["complete"] for activity, figures in found.items()}

    assert await complete() == {"course": True, "unit-1": True, "quiz": False}
    await update_group(class_.session(), GroupCall("g", members=(RemoveMember("cyd"), AddMember("dan"))))
    found = await page(class_.session("mo"), mode="BATCH")
    assert {activity["complete"] for activity in found.values()} == {False}
    assert list(members(found["course"])) == ["ada", "bob", "dan", "mo"]
    await aggregate(class_.shared)
    assert await complete() == {"course": True, "unit-1": True, "quiz": False}


async def test_a_group_without_members_or_activities_has_an_empty_page(published: Instance) -> None:
    await create_group(published.session(), NewGroup("Empty", group_id="g"))
    service = published.session()
    assert await page(service) == {}
    await update_group(service, GroupCall("g", add_activities=ACTIVITIES[:1]))
    found = (await page(published.session()))["course"]
    assert (figures(found)["enrolledCount"], members(found)) == (0, {})


async def test_every_acknowledged_change_of_views_and_enrolments_gives_a_token(published: Instance) -> None:
    enrol = 'mutation { enrol(input: { collectionId: "course", contextId: "batch" }) { token } }'
    assert (await data(published.session("ann"), enrol))["enrol"] == {"token": write_token(NOW)}
    for operation in ("Start", "End"):
        payload = await record(published.session("ann"), operation, contentId="a", **BATCH)
        assert payload["token"] == write_token(NOW)
    refused = (
        'mutation { endView(input: { contentId: "b", collectionId: "course" }) { token errors { code } } }'
    )
    assert (await data(published.session("ann"), refused))["endView"] == {
        "token": None,
        "errors": [{"code": "VIEW_NOT_STARTED"}],
    }
