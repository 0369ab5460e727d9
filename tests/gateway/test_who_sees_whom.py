"""Whom a group shows to whom, through GraphQL and REST.

The rule: whom somebody added who answers for learners (a mentor, an admin, a service) is a member, as is who opened the
group. Whom a fellow learner added is invited until then: in no figure and no count, and nobody but those who may see the
learner anyway reads a name. Members see each other's names; the group's admins and those who answer for learners see the
figures of each member as well.
"""

from collections.abc import AsyncIterator, Callable, Set
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.identity import make_token
from gateway.settings import Settings
from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.group_members import visit_groups
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from loaders.session import Session
from loaders.totals import group_results
from rules.attempts import Question
from rules.group_changes import AddMember, RemoveMember
from rules.identifiers import ViewKey
from rules.learner_groups import Activity, GroupRole
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance
from tests.gateway.conftest import ServedAfter

MEMBERS = {
    "of-mentor": "added by a mentor who leads the group",
    "of-admin": "added by an admin of the instance",
    "of-service": "added by a service",
    "invited": "added by a learner who leads the group",
    "opened": "added by a learner who leads the group, and has opened it",
    "former": "added by a mentor and removed",
}
VIEWERS: dict[str, tuple[str | None, tuple[Role, ...]]] = {
    "nobody": (None, ()),
    "stranger": ("zoe", (Role.LEARNER,)),
    "fellow": ("fellow", (Role.LEARNER,)),
    "leader": ("lea", (Role.LEARNER,)),
    "mentor": ("zoe", (Role.MENTOR,)),
    "reporter": ("zoe", (Role.REPORTER,)),
    "creator": ("zoe", (Role.CREATOR,)),
    "admin": ("zoe", (Role.ADMIN,)),
    "service": ("zoe", (Role.SERVICE,)),
}
NOTHING = frozenset[str]()
LISTED = frozenset({"listed"})
NAMED = LISTED | {"name"}
ALL = NAMED | {"figures"}
REFUSED = None

ANSWERED_FOR = ("of-mentor", "of-admin", "of-service")


Told = dict[str, Set[str] | None]


def told(member: Set[str], invited: Set[str], former: Set[str] | None = NOTHING) -> Told:
    """Of each of MEMBERS: of those who are a member, at once or since they opened the group, and of the two others."""
    return {**dict.fromkeys((*ANSWERED_FOR, "opened"), member), "invited": invited, "former": former}


MATRIX = {
    "nobody": REFUSED,
    "stranger": REFUSED,
    "fellow": told(NAMED, invited=NOTHING),
    "leader": told(ALL, invited=LISTED),
    "mentor": told(ALL, invited=NAMED),
    "reporter": told(ALL, invited=NAMED),
    "creator": REFUSED,
    "admin": told(ALL, invited=NAMED),
    "service": told(ALL, invited=NAMED),
}
THEMSELVES = told(ALL, invited=NAMED, former=REFUSED)
COUNTED = {*ANSWERED_FOR, "opened"}
"""Of MEMBERS. Mia, Lea and the fellow are members as well, and are not enrolled."""

GROUP_PAGE = """{ group(groupId: "g") { membersCount
    membership { invited }
    members(first: 150) { edges { node { userId invited learner { name } } } }
    activities(mode: MODE) { agg { metric value }
        members(first: 150) { edges { node { learner { userId name } agg { metric value } } } } } } }"""
OF_COURSE = {"groupId": "g", "activityId": "course", "activityType": "Course"}


async def fill(instance: Instance) -> None:
    """Each of MEMBERS is enrolled and has done one leaf of the course."""
    service: Session = instance.session()
    for user in MEMBERS:
        await enrol(service, EnrolmentCall("course", "batch", user, NOW))
        await save_profile(service, ProfileCall(f"Name of {user}", {"state": "Kerala"}, user, NOW))
        view = ViewCall("a", "course", "batch", user, NOW)
        await start_view(service, view)
        await end_view(service, view, ViewChange(NOW))
    await group_of_all(instance)
    await instance.drain()


@pytest.fixture
async def class_(served_after: ServedAfter) -> AsyncIterator[Any]:
    async with served_after(fill) as instance:
        yield instance


async def group_of_all(instance: Any) -> None:
    mia, lea = instance.session("mia", Role.MENTOR), instance.session("lea")
    new = NewGroup("Class 7", activities=(Activity("course", "Course"),), group_id="g", user_id="mia")
    await create_group(instance.session(), new)

    async def change(session: Session, *changes: Any) -> None:
        changed = await update_group(session, GroupCall("g", members=changes))
        assert changed.item_errors == ()

    await change(mia, *map(AddMember, ("of-mentor", "former", "fellow")), AddMember("lea", GroupRole.ADMIN))
    await change(mia, RemoveMember("former"))
    await change(instance.session("root", Role.ADMIN), AddMember("of-admin"))
    await change(instance.session(), AddMember("of-service"))
    await change(lea, AddMember("invited"), AddMember("opened"))
    await visit_groups(instance.session("opened"), ["g"])


Asking = Callable[..., Any]


@pytest.fixture
def asking(class_: Any, settings: Settings) -> Asking:
    """``asking(user, roles)`` gives a function that sends a call as this user: its status and what it answers."""

    def of(user: str | None, roles: tuple[Role, ...]) -> Any:
        headers = {}
        if user is not None:
            headers["Authorization"] = f"Bearer {make_token(settings, user, roles, timedelta(hours=1))}"

        async def send(path: str, body: object = None) -> tuple[int, Any]:
            method = "GET" if body is None else "POST"
            answer: httpx.Response = await class_.client.request(method, path, json=body, headers=headers)
            return answer.status_code, answer.json()

        return send

    return of


async def shown_by_graphql(ask: Any, mode: str = "QUERY") -> Told | None:
    """Of each of MEMBERS what the viewer is told; None where the group is refused."""
    _, answer = await ask("/graphql", {"query": GROUP_PAGE.replace("MODE", mode)})
    group = answer["data"]["group"]
    if group is None:
        (error,) = answer["errors"]
        assert error["extensions"]["code"] in ("FORBIDDEN", "UNAUTHENTICATED")
        return None
    assert "errors" not in answer
    assert group["membersCount"] == len(COUNTED) + 3
    (course,) = group["activities"]
    assert course["agg"][0] == {"metric": "enrolledCount", "value": len(COUNTED)}
    shown: Told = {user: set() for user in MEMBERS}
    for node in (edge["node"] for edge in group["members"]["edges"]):
        assert node["invited"] == (node["userId"] == "invited")
        _note(shown, node["userId"], node["learner"]["name"], "listed")
    for node in (edge["node"] for edge in course["members"]["edges"]):
        _note(shown, node["learner"]["userId"], node["learner"]["name"], "figures")
        assert [metric["value"] for metric in node["agg"][:2]] == (
            [1, 33] if node["learner"]["userId"] in MEMBERS else [0, 0]
        )
    return shown


async def shown_by_rest(ask: Any) -> Told | None:
    """As ``shown_by_graphql``, of the calls that tell of a group's members together."""
    status, read = await ask("/v1/group/read/g?fields=members")
    calls = [
        await ask("/data/group/activity/agg", {"request": OF_COURSE}),
        await ask("/v1/group/activity/agg", {"request": OF_COURSE}),
        await ask("/data/group/agg", {"request": {"groupId": "g"}}),
    ]
    assert {each for each, _ in calls} == {status}
    if status != 200:
        assert status == 401
        assert all(answer["result"] == {} for _, answer in calls)
        return None
    documents, platform, summed = (answer["result"] for _, answer in calls)
    for activity in (documents["activity"], platform["activity"], *summed["activity"]):
        assert activity["agg"][0]["value"] == len(COUNTED)
    shown: Told = {user: set() for user in MEMBERS}
    for member in read["result"]["members"]:
        assert member["invited"] == (member["userId"] == "invited")
        assert member["status"] == "active"
        _note(shown, member["userId"], member["name"], "listed")
    theirs = {member["userId"]: member["agg"] for member in platform["members"]}
    assert theirs.keys() == {member["id"] for member in documents["activity"]["members"]}
    for member in documents["activity"]["members"]:
        _note(shown, member["id"], member["name"], "figures")
        done = [agg[0]["value"] for agg in (member["agg"], theirs[member["id"]])]
        assert done == ([1, 1] if member["id"] in MEMBERS else [0, 0])
    return shown


def _note(told: Told, user: str, name: str | None, what: str) -> None:
    if user in MEMBERS:
        assert name in (f"Name of {user}", None, "")
        told[user] = (told[user] or set()) | ({what, "name"} if name else {what})


@pytest.mark.parametrize("viewer", VIEWERS)
async def test_what_each_viewer_is_told_of_each_member(asking: Asking, viewer: str) -> None:
    ask = asking(*VIEWERS[viewer])
    assert await shown_by_graphql(ask) == MATRIX[viewer]
    assert await shown_by_rest(ask) == MATRIX[viewer]


ATTEMPTS_PAGE = """{ learner(userId: "of-mentor") { assessments { edges { node { best { score }
    attempts { edges { node { score { score } questions { questionId } } } } } } } } }"""
SEES_ATTEMPTS = {"mentor", "reporter", "admin", "service"}
"""Of VIEWERS. Whoever leads a group sees figures of its members there, and not what they answered."""


@pytest.mark.parametrize("viewer", VIEWERS)
async def test_attempts_are_seen_by_who_may_see_the_learner_whatever_groups_they_share(
    class_: Any, asking: Asking, viewer: str
) -> None:
    key = ViewKey("of-mentor", "course", "batch", "a")
    await store_attempt(class_.shared, key, "t1", 2.0, 3.0, NOW, questions=[Question("q1")])
    await class_.drain()
    calls = {
        "/v2/view/assess/read": {"userId": "of-mentor", "assessmentId": "a"},
        "/v1/assessment/read": {"userId": "of-mentor", "courseId": "course", "batchId": "batch"},
    }
    for who, sees in ((VIEWERS[viewer], viewer in SEES_ATTEMPTS), (("of-mentor", (Role.LEARNER,)), True)):
        ask = asking(*who)
        _, answer = await ask("/graphql", {"query": ATTEMPTS_PAGE})
        if sees:
            (edge,) = answer["data"]["learner"]["assessments"]["edges"]
            (attempt,) = edge["node"]["attempts"]["edges"]
            assert attempt["node"] == {"score": {"score": 2.0}, "questions": [{"questionId": "q1"}]}
        else:
            assert answer["errors"][0]["extensions"]["code"] in ("FORBIDDEN", "UNAUTHENTICATED")
            assert not answer["data"]["learner"]
        for path, request in calls.items():
            status, _ = await ask(path, {"request": request})
            assert status == (200 if sees else 401)


@pytest.mark.parametrize("member", MEMBERS)
async def test_what_each_member_is_told_of_themselves(asking: Asking, member: str) -> None:
    ask = asking(member, (Role.LEARNER,))
    for told in (await shown_by_graphql(ask), await shown_by_rest(ask)):
        assert (None if told is None else told[member]) == THEMSELVES[member]


async def test_who_is_invited_finds_the_group_among_their_own_and_told_apart(asking: Asking) -> None:
    mine = "{ me { groups(first: 50) { edges { node { groupId membership { invited visited role } } } } } }"
    for user, invited in (("invited", True), ("opened", False), ("of-mentor", False)):
        ask = asking(user, (Role.LEARNER,))
        _, answer = await ask("/graphql", {"query": mine})
        (edge,) = answer["data"]["me"]["groups"]["edges"]
        assert edge["node"] == {
            "groupId": "g",
            "membership": {"invited": invited, "visited": user == "opened", "role": "MEMBER"},
        }
        _, listed = await ask("/v1/group/list", {"request": {"filters": {"userId": user}}})
        (group,) = listed["result"]["group"]
        assert (group["id"], group["invited"], group["visited"]) == ("g", invited, user == "opened")
    _, answer = await asking("zoe", (Role.MENTOR,))(
        "/graphql", {"query": '{ group(groupId: "g") { membership { invited } } }'}
    )
    assert answer["data"]["group"]["membership"] is None


async def test_a_visit_shows_at_once_whatever_is_kept(class_: Any, asking: Asking) -> None:
    """Also in another process, which has kept what it answered."""
    ask, page = asking("lea", (Role.LEARNER,)), {"query": GROUP_PAGE.replace("MODE", "QUERY")}
    other = Session(
        Viewer("lea", frozenset({Role.LEARNER})), type(class_.shared).of(class_.stores, class_.shared.now)
    )
    before = await other.shared.rosters.load(["g"])
    assert "invited" not in [member.user_id for member in before[0].counted()]
    for _ in range(2):
        _, answer = await ask("/graphql", page)
        assert answer["data"]["group"]["activities"][0]["agg"][0]["value"] == len(COUNTED)
    await visit_groups(class_.session("invited"), ["g"])
    _, answer = await ask("/graphql", page)
    group = answer["data"]["group"]
    assert group["activities"][0]["agg"][0]["value"] == len(COUNTED) + 1
    shown = [edge["node"]["learner"] for edge in group["activities"][0]["members"]["edges"]]
    assert {"userId": "invited", "name": "Name of invited"} in shown
    assert group["membersCount"] == len(COUNTED) + 4
    after = await other.shared.rosters.load(["g"])
    assert "invited" in [member.user_id for member in after[0].counted()]


async def test_batch_mode_and_files_have_the_same_members(
    class_: Any, asking: Asking, tmp_path: Path
) -> None:
    def in_file() -> Any:
        [activity] = orjson.loads((tmp_path / "static" / "groups" / "g.json").read_bytes())["activity"]
        return {member["id"] for member in activity["members"]} & MEMBERS.keys(), activity["agg"][0]["value"]

    await aggregate(class_.shared, static=tmp_path / "static")
    assert await shown_by_graphql(asking("lea", (Role.LEARNER,)), "BATCH") == MATRIX["leader"]
    assert await shown_by_graphql(asking("zoe", (Role.MENTOR,)), "BATCH") == MATRIX["mentor"]
    [result] = (await group_results(class_.stores.rows, "g", [Activity("course", "Course")])).values()
    assert result is not None
    assert result.entries.keys() == COUNTED
    assert in_file() == (COUNTED, len(COUNTED))
    await visit_groups(class_.session("invited"), ["g"])
    await aggregate(class_.shared, static=tmp_path / "static")
    assert in_file() == (COUNTED | {"invited"}, len(COUNTED) + 1)
