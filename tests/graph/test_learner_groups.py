"""Groups of learners, as a client asks for them and changes them."""

from typing import Any

from loaders.session import Session
from rules.viewers import Role
from tests.conftest import NOW, Instance
from tests.graph.conftest import ask, code, data

PAYLOAD = "group { groupId name status membersCount membershipVersion } errors { code field } itemErrors { kind itemId code }"
CREATE = f"mutation ($input: CreateGroupInput!) {{ createGroup(input: $input) {{ {PAYLOAD} }} }}"
UPDATE = f"mutation ($input: UpdateGroupInput!) {{ updateGroup(input: $input) {{ {PAYLOAD} }} }}"
PAGE = """query ($group: String!, $first: Int, $after: String) { group(groupId: $group) {
    id groupId name description status membershipType membersCount createdOn createdBy updatedOn updatedBy
    members(first: $first, after: $after) { pageInfo { hasNextPage endCursor }
        edges { node { userId role status visited createdBy createdOn updatedOn learner { userId name } } } } } }"""


async def change(session: Session, query: str, **values: Any) -> Any:
    (payload,) = (await data(session, query, input=values)).values()
    return payload


async def simple(session: Session, name: str, group_id: str) -> Any:
    query = f"mutation ($group: String!) {{ {name}(groupId: $group) {{ {PAYLOAD} }} }}"
    return (await data(session, query, group=group_id))[name]


async def created(instance: Instance, *others: str, user: str = "ada") -> str:
    members = [{"userId": other} for other in others]
    payload = await change(instance.session(user), CREATE, name="Class 7", members=members)
    assert payload["errors"] == payload["itemErrors"] == []
    group_id: str = payload["group"]["groupId"]
    return group_id


async def page(session: Session, group_id: str, **variables: Any) -> Any:
    return (await data(session, PAGE, group=group_id, **variables))["group"]


VISIT = "mutation ($group: String!) { visitGroup(groupId: $group) { errors { code } } }"


async def test_a_group_and_its_members(course: Instance) -> None:
    profile = 'mutation { updateLearner(input: { name: "Bob", district: "Idukki" }) { errors { code } } }'
    await data(course.session("bob"), profile)
    group_id = await created(course, "bob")
    await data(course.session("bob"), VISIT, group=group_id)
    found = await page(course.session("ada"), group_id)
    moment = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found == {
        "id": found["id"],
        "groupId": group_id,
        "name": "Class 7",
        "description": None,
        "status": "ACTIVE",
        "membershipType": "INVITE_ONLY",
        "membersCount": 2,
        "createdOn": moment,
        "createdBy": "ada",
        "updatedOn": None,
        "updatedBy": None,
        "members": {
            "pageInfo": {"hasNextPage": False, "endCursor": found["members"]["pageInfo"]["endCursor"]},
            "edges": [
                {
                    "node": {
                        "userId": user,
                        "role": role,
                        "status": "ACTIVE",
                        "visited": user == "bob",
                        "createdBy": "ada",
                        "createdOn": moment,
                        "updatedOn": None,
                        "learner": {"userId": user, "name": name},
                    }
                }
                for user, role, name in (("ada", "ADMIN", None), ("bob", "MEMBER", "Bob"))
            ],
        },
    }
    again = "query ($id: ID!) { node(id: $id) { __typename ... on Group { groupId } } }"
    assert await data(course.session("bob"), again, id=found["id"]) == {
        "node": {"__typename": "Group", "groupId": group_id}
    }
    assert await code(course.session("eve"), again, id=found["id"]) == ("FORBIDDEN", "groupId")


async def test_members_see_each_others_names_and_nothing_else(published: Instance) -> None:
    profile = 'mutation { updateLearner(input: { name: "Bob", district: "Idukki" }) { errors { code } } }'
    await data(published.session("bob"), profile)
    group_id = await created(published, "bob")
    await data(published.session("bob"), VISIT, group=group_id)
    query = """query ($group: String!) { group(groupId: $group) { members { edges { node {
        learner { name district enrolments { edges { node { contextId } } } } } } } } }"""

    async def bobs(session: Session) -> Any:
        answer = await ask(session, query, group=group_id)
        nodes = [edge["node"]["learner"] for edge in answer["data"]["group"]["members"]["edges"]]
        return nodes[1], [error["extensions"]["code"] for error in answer.get("errors", [])]

    assert await bobs(published.session("ada")) == (
        {"name": "Bob", "district": None, "enrolments": None},
        ["FORBIDDEN"],
    )
    seen = {"name": "Bob", "district": "Idukki", "enrolments": {"edges": []}}
    assert await bobs(published.session("mo", Role.MENTOR)) == (seen, [])


async def test_members_come_page_by_page(published: Instance) -> None:
    group_id, ada = await created(published, "bob", "cleo"), published.session("ada")
    first = (await page(ada, group_id, first=2))["members"]
    assert [edge["node"]["userId"] for edge in first["edges"]] == ["ada", "bob"]
    assert first["pageInfo"]["hasNextPage"]
    rest = (await page(ada, group_id, first=2, after=first["pageInfo"]["endCursor"]))["members"]
    assert [edge["node"]["userId"] for edge in rest["edges"]] == ["cleo"]
    assert not rest["pageInfo"]["hasNextPage"]
    assert await code(ada, PAGE, group=group_id, first=201) == ("INVALID_INPUT", "first")


async def test_a_group_changes_and_says_which_items_were_refused(course: Instance) -> None:
    group_id, ada = await created(course, "bob"), course.session("ada")
    payload = await change(
        ada,
        UPDATE,
        groupId=group_id,
        name="Class 8",
        members={
            "add": [{"userId": "eve"}, {"userId": "bob", "role": "ADMIN"}],
            "edit": [{"userId": "zoe", "role": "ADMIN"}],
            "remove": ["nobody"],
        },
        activities={
            "add": [{"activityId": "course", "type": "Course"}, {"activityId": "x", "type": "Course"}],
            "remove": ["y"],
        },
    )
    assert (payload["group"]["name"], payload["group"]["membersCount"], payload["errors"]) == (
        "Class 8",
        1,
        [],
    )
    assert payload["itemErrors"] == [
        {"kind": "ACTIVITY", "itemId": "x", "code": "NOT_FOUND"},
        {"kind": "MEMBER", "itemId": "bob", "code": "INVALID_INPUT"},
        {"kind": "MEMBER", "itemId": "zoe", "code": "NOT_FOUND"},
        {"kind": "MEMBER", "itemId": "nobody", "code": "NOT_FOUND"},
    ]
    found = await page(ada, group_id)
    assert [edge["node"]["userId"] for edge in found["members"]["edges"]] == ["ada", "bob", "eve"]
    assert found["updatedBy"] == "ada"


async def test_the_membership_version_is_another_one_after_each_change(published: Instance) -> None:
    group_id, ada = await created(published), published.session("ada")
    versions = [
        (await change(ada, UPDATE, groupId=group_id, **what))["group"]["membershipVersion"]
        for what in (
            {"members": {"add": [{"userId": "bob"}]}},
            {"members": {"remove": ["bob"]}},
            {"activities": {"add": [{"activityId": "course", "type": "Course"}]}},
            {"activities": {"remove": ["course"]}},
        )
    ]
    assert len(set(versions)) == 4


async def test_what_may_not_be_done_is_a_typed_error(published: Instance) -> None:
    group_id = await created(published, "bob")
    bob, ada = published.session("bob"), published.session("ada")
    refused = await change(bob, UPDATE, groupId=group_id, name="Mine")
    assert (refused["group"], refused["errors"]) == (None, [{"code": "FORBIDDEN", "field": "groupId"}])
    assert (await simple(ada, "leaveGroup", group_id))["errors"][0]["code"] == "LAST_ADMIN"
    assert (await simple(bob, "leaveGroup", group_id))["group"]["membersCount"] == 1
    blank = await change(ada, CREATE, name=" ")
    assert blank["errors"] == [{"code": "INVALID_INPUT", "field": "name"}]
    assert await code(bob, PAGE, group=group_id) == ("FORBIDDEN", "groupId")
    assert await code(ada, PAGE, group="unknown") == ("NOT_FOUND", "groupId")
    assert await code(Session(type(ada.viewer)(), ada.shared), PAGE, group=group_id) == (
        "UNAUTHENTICATED",
        None,
    )


async def test_a_group_is_suspended_reactivated_and_deleted(published: Instance) -> None:
    group_id, ada = await created(published), published.session("ada")
    assert (await simple(ada, "suspendGroup", group_id))["group"]["status"] == "SUSPENDED"
    refused = await change(ada, UPDATE, groupId=group_id, name="New")
    assert refused["errors"] == [{"code": "GROUP_SUSPENDED", "field": "groupId"}]
    assert (await page(ada, group_id))["status"] == "SUSPENDED"
    assert (await simple(ada, "reactivateGroup", group_id))["group"]["status"] == "ACTIVE"
    delete = "mutation ($group: String!) { deleteGroup(groupId: $group) { groupId errors { code } } }"
    refused = (await data(published.session("eve"), delete, group=group_id))["deleteGroup"]
    assert refused == {"groupId": None, "errors": [{"code": "FORBIDDEN"}]}
    assert (await data(ada, delete, group=group_id))["deleteGroup"] == {"groupId": group_id, "errors": []}
    assert await code(ada, PAGE, group=group_id) == ("NOT_FOUND", "groupId")


async def test_a_learners_groups(published: Instance) -> None:
    groups = sorted([await created(published, "bob") for _ in range(3)])
    query = """query ($after: String) { me { groups(first: 2, after: $after) {
        pageInfo { hasNextPage endCursor } edges { node { groupId name } } } } }"""
    bob = published.session("bob")
    first = (await data(bob, query))["me"]["groups"]
    rest = (await data(bob, query, after=first["pageInfo"]["endCursor"]))["me"]["groups"]
    assert [edge["node"]["groupId"] for edge in (*first["edges"], *rest["edges"])] == groups
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)


async def test_a_list_of_20_groups_costs_what_one_of_2_does(published: Instance) -> None:
    query = "{ me { groups(first: 20) { edges { node { name membersCount } } } } }"

    async def cost(user: str, count: int) -> dict[str, int]:
        for _ in range(count):
            await created(published, user=user)
        with published.stores.rows.meter.measure() as spent:
            found = await data(published.session(user), query)
        assert len(found["me"]["groups"]["edges"]) == count
        return dict(spent)

    assert await cost("few", 2) == await cost("many", 20)


async def test_a_service_creates_the_group_of_somebody_else(course: Instance) -> None:
    wanted = {"name": "Region", "groupId": "region-1", "userId": "ann", "members": [{"userId": "bob"}]}
    service = course.session()
    first = await change(service, CREATE, **wanted)
    assert (first["group"]["groupId"], first["group"]["membersCount"]) == ("region-1", 2)
    assert await change(service, CREATE, **wanted) == first
    assert (await page(course.session("ann"), "region-1"))["createdBy"] == "ann"
