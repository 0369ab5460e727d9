"""Members of a group and in its activities: what is told of each, in which order, page by page."""

from itertools import count
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.commands.enrolments import EnrolmentCall, unenrol
from ingest.commands.group_members import visit_groups
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from loaders.session import Session
from rules.group_changes import AddMember
from rules.learner_groups import Activity, GroupRole
from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import BATCH, code, data, record, view_to_end
from tests.graph.test_group_activities import arrived, at, class_of

NOW_TEXT = "2026-03-01T12:00:00.000Z"
PAGE = """query ($mode: AggregationMode, $ids: [String!], $fresh: String) { group(groupId: "g") {
  activities(mode: $mode, activityIds: $ids, fresh: $fresh) {
    activityId name source enrolledCount completedMembersCount completedMembersPercentage leafNodesCount averageScore
    members { totalCount edges { node { learner { userId } enrolled enrolledOn leftOn lastAccessedOn requiredCount
      completedCount timeSpent } } } } } }"""
LISTED = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: ActivityMemberFilter,
    $orderBy: ActivityMemberOrder) {
  group(groupId: "g") { activities(activityIds: ["course"]) {
    members(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {
      totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      edges { node { learner { userId } } } } } } }"""
ROSTER = """query ($first: Int, $after: String, $last: Int, $filter: GroupMemberFilter, $orderBy: GroupMemberOrder) {
  group(groupId: "g") { members(first: $first, after: $after, last: $last, filter: $filter, orderBy: $orderBy) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { userId } } } } }"""


async def page(session: Session, **variables: Any) -> dict[str, Any]:
    group = (await data(session, PAGE, **variables))["group"]
    return {activity["activityId"]: activity for activity in group["activities"]}


def nodes(activity: Any) -> dict[str, Any]:
    found = {}
    for edge in activity["members"]["edges"]:
        told = dict(edge["node"])
        found[told.pop("learner")["userId"]] = told
    return found


async def left_class(instance: Instance) -> None:
    """The class of test_group_activities.py, and Bob has left the course."""
    await class_of(instance)
    await unenrol(instance.session("bob"), EnrolmentCall("course", "batch"))
    await instance.drain()


async def test_members_tell_what_they_did_and_that_they_left_whatever_the_source(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Required are a, b and c: Ada did all, Bob a, then he left. Cyd never came. Of one who is enrolled one completed."""
    await left_class(published)
    await aggregate(published.shared)
    await arrived(published)
    later = [at(published, seconds, "mo") for seconds in (3700, 8000, 8000)]
    rows, batch = await page(later[0]), await page(later[1], mode="BATCH")
    monkeypatch.setattr("rules.plans.CHEAP_KEYS", -1)
    states = await page(later[2])
    for found, source in ((rows, "ROWS"), (batch, "BATCH"), (states, "STATES")):
        assert found["course"].pop("source") == source
        course = found["course"]
        told = nodes(course)
        assert told["ada"] == {
            "enrolled": True,
            "enrolledOn": NOW_TEXT,
            "leftOn": None,
            "lastAccessedOn": NOW_TEXT,
            "requiredCount": 3,
            "completedCount": 3,
            "timeSpent": 0,
        }
        assert told["bob"] == {
            "enrolled": False,
            "enrolledOn": NOW_TEXT,
            "leftOn": NOW_TEXT,
            "lastAccessedOn": NOW_TEXT,
            "requiredCount": 3,
            "completedCount": 1,
            "timeSpent": 0,
        }
        assert told["cyd"] == {
            "enrolled": False,
            "enrolledOn": None,
            "leftOn": None,
            "lastAccessedOn": None,
            "requiredCount": None,
            "completedCount": 0,
            "timeSpent": 0,
        }
        del course["members"]
        assert course == {
            "activityId": "course",
            "name": "Course",
            "enrolledCount": 1,
            "completedMembersCount": 1,
            "completedMembersPercentage": 100,
            "leafNodesCount": 4,
            "averageScore": None,
        }
        assert found["unit-1"]["name"] == "Unit 1", "a unit has its title"
        # Nothing is published under this id.
        quiz = found["quiz"]
        assert (quiz["name"], quiz["enrolledCount"], quiz["members"]["totalCount"]) == (None, None, 4)
        assert set(nodes(quiz)["ada"].values()) == {None}


async def test_nobody_is_enrolled_in_a_single_content(published: Instance) -> None:
    await class_of(published)
    await update_group(published.session("mo"), GroupCall("g", add_activities=(Activity("a", "Content"),)))
    found = (await page(published.session("mo"), ids=["a"]))["a"]
    assert (found["name"], found["enrolledCount"], found["completedMembersCount"]) == ("A", None, 2)
    ada = nodes(found)["ada"]
    assert (ada["enrolled"], ada["enrolledOn"], ada["completedCount"], ada["requiredCount"]) == (
        None,
        None,
        1,
        1,
    )


async def test_what_is_told_of_members_costs_no_statement_unless_somebody_left(published: Instance) -> None:
    await class_of(published)
    plain = '{ group(groupId: "g") { activities { members { edges { node { role } } } } } }'
    asked = PAGE.replace("leftOn ", "")

    hours = count()

    async def cost(query: str) -> dict[str, int]:
        session = at(published, 3600 * next(hours), "mo")  # nothing is kept any more
        with published.stores.rows.meter.measure() as spent:
            await data(session, query)
        return dict(spent)

    assert await cost(plain) == await cost(asked) == await cost(PAGE)
    await unenrol(published.session("bob"), EnrolmentCall("course", "batch"))
    await published.drain()
    before = await cost(plain)
    assert await cost(asked) == before
    assert await cost(PAGE) == {**before, "select user_enrolments": 1}


async def big_class(instance: Instance) -> None:
    """Mo leads; by progress 0: Cyd, Mo; 33: Bob, Dan; 100: Ada. Names: Ann (ada), bea (bob), Zoe (dan); the others have
    none. Bob came an hour after Dan, Ada two hours after him."""
    users = ("ada", "bob", "cyd", "dan", "mo")
    await create_group(
        instance.session(),
        NewGroup(
            "G",
            members=tuple(
                AddMember(user, GroupRole.ADMIN if user == "mo" else GroupRole.MEMBER) for user in users
            ),
            activities=(Activity("course", "Course"),),
            group_id="g",
        ),
    )
    for user, name in (("ada", "Ann"), ("bob", "bea"), ("dan", "Zoe")):
        await save_profile(instance.session(), ProfileCall(name=name, user_id=user))
    for user, leaves in (("ada", "abc"), ("bob", "a"), ("dan", "b")):
        assert (await record(instance.session(user), "Enrol", **BATCH))["errors"] == []
        for leaf in leaves:
            await view_to_end(instance, user, leaf, **BATCH)
    await instance.drain()


def listed(found: Any) -> list[str]:
    (activity,) = found["group"]["activities"]
    return [edge["node"]["learner"]["userId"] for edge in activity["members"]["edges"]]


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("USER_ID", ["ada", "bob", "cyd", "dan", "mo"]),
        ("NAME", ["cyd", "mo", "ada", "bob", "dan"]),
        ("PROGRESS", ["cyd", "mo", "bob", "dan", "ada"]),
        ("LAST_ACCESSED_ON", ["cyd", "mo", "ada", "bob", "dan"]),
    ],
)
async def test_members_come_in_any_order_page_by_page_both_ways(
    published: Instance, by: str, order: list[str]
) -> None:
    await big_class(published)
    mo = published.session("mo")
    for direction, expected in (("ASC", order), ("DESC", order[::-1])):
        asked = {"orderBy": {"by": by, "direction": direction}}
        seen: list[str] = []
        after = None
        while True:
            found = await data(mo, LISTED, first=2, after=after, **asked)
            members = found["group"]["activities"][0]["members"]
            seen += listed(found)
            assert members["totalCount"] == 5
            if not members["pageInfo"]["hasNextPage"]:
                break
            after = members["pageInfo"]["endCursor"]
        assert seen == expected
        found = await data(mo, LISTED, last=2, before=members["pageInfo"]["startCursor"], **asked)
        assert listed(found) == expected[2:4]
    other = {"by": "NAME" if by != "NAME" else "PROGRESS"}
    assert await code(mo, LISTED, after=after, orderBy=other) == ("INVALID_INPUT", "after")


async def test_a_list_goes_on_where_it_was_although_members_came_on(published: Instance) -> None:
    """By progress, downwards: ada 100, dan 33 | bob 33, … Then Bob finishes b, and stands before the place: he is not
    shown, and nobody is shown twice."""
    await big_class(published)
    order = {"by": "PROGRESS", "direction": "DESC"}
    first = await data(published.session("mo"), LISTED, first=2, orderBy=order)
    assert listed(first) == ["ada", "dan"]
    await view_to_end(published, "bob", "b", **BATCH)
    await published.drain()
    after = first["group"]["activities"][0]["members"]["pageInfo"]["endCursor"]
    rest = await data(at(published, 3600, "mo"), LISTED, after=after, orderBy=order)
    assert listed(rest) == ["mo", "cyd"]


async def test_members_are_filtered_by_role_and_status(published: Instance) -> None:
    await big_class(published)
    mo = published.session("mo")
    for filter_, expected in (
        ({"status": ["NOT_STARTED"]}, ["cyd", "mo"]),
        ({"status": ["NOT_STARTED"], "role": ["MEMBER"]}, ["cyd"]),
        ({"status": ["IN_PROGRESS", "COMPLETED"]}, ["ada", "bob", "dan"]),
        ({"role": ["ADMIN"]}, ["mo"]),
        ({"role": []}, []),
    ):
        found = await data(mo, LISTED, filter=filter_)
        assert listed(found) == expected
        assert found["group"]["activities"][0]["members"]["totalCount"] == len(expected)
    assert listed(await data(published.session("bob"), LISTED)) == ["bob"], "others are not for him to see"


async def test_members_of_a_group_come_by_name_or_role_with_the_total(published: Instance) -> None:
    await big_class(published)
    mo = published.session("mo")

    async def users(**asked: Any) -> tuple[list[str], int]:
        members = (await data(mo, ROSTER, **asked))["group"]["members"]
        return [edge["node"]["userId"] for edge in members["edges"]], members["totalCount"]

    assert await users(first=2) == (["ada", "bob"], 5)
    assert await users(last=2) == (["dan", "mo"], 5)
    assert await users(orderBy={"by": "NAME"}) == (["cyd", "mo", "ada", "bob", "dan"], 5)
    assert await users(orderBy={"by": "NAME", "direction": "DESC"}, first=2) == (["dan", "bob"], 5)
    assert await users(filter={"role": ["ADMIN"]}) == (["mo"], 1)
    found = (await data(mo, ROSTER, first=2, orderBy={"by": "NAME"}))["group"]["members"]
    rest = await users(after=found["pageInfo"]["endCursor"], orderBy={"by": "NAME"})
    assert rest == (["ada", "bob", "dan"], 5)


async def test_a_name_that_is_not_shown_orders_nobody(published: Instance) -> None:
    """Eve was added by Ada and has not opened the group. Her name is not told, so it must not be told by her place."""
    new = NewGroup("G", members=(AddMember("eve"), AddMember("bob")))
    group_id = (await create_group(published.session("ada"), new)).group.group_id
    await save_profile(published.session(), ProfileCall(name="Zzz", user_id="eve"))
    await save_profile(published.session(), ProfileCall(name="Bob", user_id="bob"))
    await visit_groups(published.session("bob"), [group_id])
    query = ROSTER.replace('"g"', f'"{group_id}"')
    found = await data(published.session("ada"), query, orderBy={"by": "NAME"})
    assert [edge["node"]["userId"] for edge in found["group"]["members"]["edges"]] == ["ada", "eve", "bob"]


# --- members of whom nothing is known

UPDATE = """mutation ($input: UpdateGroupInput!) { updateGroup(input: $input) {
  group { membersCount } errors { code } itemErrors { itemId code } itemNotes { kind itemId code message } } }"""


async def test_a_call_that_adds_somebody_unknown_is_told_so(published: Instance) -> None:
    """Ann has a profile, Bob is enrolled. Nothing is known of Nobody, who is a member all the same: the profile may come.
    Who is a member already is named again, who leaves is not."""
    await save_profile(published.session(), ProfileCall(name="Ann", user_id="ann"))
    assert (await record(published.session("bob"), "Enrol", **BATCH))["errors"] == []
    service = published.session("svc", Role.SERVICE)
    await create_group(service, NewGroup("G", group_id="g", members=(AddMember("gone"),)))
    add = [{"userId": user} for user in ("ann", "bob", "nobody")]
    members = {"add": add, "remove": ["gone", "never"]}
    for _ in range(2):
        told = (await data(service, UPDATE, input={"groupId": "g", "members": members}))["updateGroup"]
        assert told["errors"] == []
        assert [(note["kind"], note["itemId"], note["code"]) for note in told["itemNotes"]] == [
            ("MEMBER", "nobody", "LEARNER_UNKNOWN")
        ]
        assert told["group"]["membersCount"] == 3


async def test_who_is_refused_gets_an_error_and_no_note(published: Instance) -> None:
    service = published.session("svc", Role.SERVICE)
    await create_group(service, NewGroup("G", group_id="g", members=(AddMember("nobody"),)))
    add = [{"userId": "nobody", "role": "ADMIN"}]
    told = (await data(service, UPDATE, input={"groupId": "g", "members": {"add": add}}))["updateGroup"]
    assert told["itemErrors"] == [{"itemId": "nobody", "code": "INVALID_INPUT"}]
    assert told["itemNotes"] == []


async def test_notes_are_read_only_where_they_are_asked_for(published: Instance) -> None:
    service = published.session("svc", Role.SERVICE)
    await create_group(service, NewGroup("G", group_id="g"))
    members = {"add": [{"userId": f"u{number}"} for number in range(30)]}
    short = UPDATE.replace("itemNotes { kind itemId code message }", "")
    spent = []
    for query in (short, short, UPDATE):
        session = published.session("svc", Role.SERVICE)
        with published.stores.rows.meter.measure() as counted:
            await data(session, query, input={"groupId": "g", "members": members})
        spent.append(dict(counted))
    more = {name: count - spent[1].get(name, 0) for name, count in spent[2].items()}
    assert {name: count for name, count in more.items() if count} == {
        "select learner": 1,
        "select user_enrolments": 1,
    }
