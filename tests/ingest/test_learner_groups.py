"""What members and admins of a group may rely on, whatever happens at the same time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.commands.group_members import leave_group, visit_groups
from ingest.commands.learner_groups import (
    GroupCall,
    NewGroup,
    create_group,
    delete_group,
    reactivate_group,
    suspend_group,
    update_group,
)
from ingest.commands.learners import ProfileCall, save_profile
from ingest.jobs.erasure import erase_learner
from loaders.learner_groups import groups_by_id, memberships_of, roster_of
from loaders.session import Session, Shared
from resolvers import learner_groups as reads
from resolvers.group_members import GroupMembersWanted
from resolvers.paging import Asked
from rules.errors import (
    Forbidden,
    GroupSuspended,
    InvalidInput,
    LastAdmin,
    LimitReached,
    NotFound,
    StoreUnavailable,
    Unauthenticated,
)
from rules.group_changes import AddMember, EditMember, ItemError, Kind, MemberChange, OpenGroup, RemoveMember
from rules.learner_groups import Activity, Group, GroupLimits, GroupRole, GroupStatus, Roster
from rules.learners import Learner
from rules.viewers import Role, Viewer
from stores.rows import Equal, Rows
from stores.tables import GROUP_MEMBERS, USER_GROUPS
from stores.topics import GROUP_CHANGES
from tests.conftest import NOW, Instance, examples

COURSE = Activity("course", "Course")
QUIZ = Activity("quiz", "Quiz")


def limited(instance: Instance, user: str, *roles: Role, **limits: int) -> Session:
    """A session of this user where settings say so."""
    shared = replace(instance.shared, group_limits=GroupLimits(**limits))
    return Session(Viewer(user, frozenset(roles or {Role.LEARNER})), shared)


async def made(instance: Instance, *users: str, user: str = "ada", **values: Any) -> Group:
    members = tuple(AddMember(other) for other in users)
    changed = await create_group(instance.session(user), NewGroup("Group", members=members, **values))
    assert changed.item_errors == ()
    return changed.group


async def change(session: Session, group: Group, *members: MemberChange) -> tuple[ItemError, ...]:
    return (await update_group(session, GroupCall(group.group_id, members=members))).item_errors


async def stored(instance: Instance, group: Group) -> Group:
    (found,) = await groups_by_id(instance.stores.rows, [group.group_id])
    assert found is not None
    return found


async def users(instance: Instance, group: Group) -> list[str]:
    return [m.user_id for m in (await roster_of(instance.stores.rows, group.group_id)).active()]


async def groups_of(instance: Instance, user: str) -> list[str]:
    page = await reads.groups_of(instance.session(), user, first=200, after=None)
    return [group.group_id for group, _ in page.members]


async def announced(instance: Instance, group: Group) -> list[int]:
    """The versions of the group that were sent, in their order."""
    values = [
        orjson.loads(record.value)
        async for record in instance.stores.events.read(GROUP_CHANGES.name)
        if record.key == group.group_id
    ]
    assert all(value == {"groupId": group.group_id, "version": value["version"]} for value in values)
    return [value["version"] for value in values]


async def test_whoever_creates_a_group_is_its_admin(course: Instance) -> None:
    group = await made(course, "bob", "ada", activities=(COURSE, QUIZ), description=" all of us ")
    assert (group.name, group.description, group.status) == ("Group", "all of us", GroupStatus.ACTIVE)
    assert (group.activities, group.members_count) == ((COURSE, QUIZ), 1), "bob is invited"
    assert (group.created_by, group.created_on) == ("ada", NOW)
    roster = await roster_of(course.stores.rows, group.group_id)
    assert [(m.user_id, m.role, m.created_by) for m in roster.active()] == [
        ("ada", GroupRole.ADMIN, "ada"),
        ("bob", GroupRole.MEMBER, "ada"),
    ]
    assert await groups_of(course, "ada") == await groups_of(course, "bob") == [group.group_id]
    assert await announced(course, group) == [group.version]


async def test_nobody_creates_a_group_without_a_name_or_a_token(embedded: Instance) -> None:
    with pytest.raises(InvalidInput) as blank:
        await create_group(embedded.session("ada"), NewGroup(" "))
    assert blank.value.field == "name"
    with pytest.raises(Unauthenticated):
        await create_group(Session(Viewer(), embedded.shared), NewGroup("Group"))


async def test_members_come_change_their_role_and_go(cohort: Instance) -> None:
    group, ada = await made(cohort, "bob"), cohort.session("ada")
    versions = [group.version]
    for call, expected in (
        (AddMember("eve"), ["ada", "bob", "eve"]),
        (EditMember("bob", GroupRole.ADMIN), ["ada", "bob", "eve"]),
        (RemoveMember("eve"), ["ada", "bob"]),
        (AddMember("eve"), ["ada", "bob", "eve"]),
        (RemoveMember("ada"), ["bob", "eve"]),
    ):
        assert await change(ada, group, call) == ()
        assert await users(cohort, group) == expected
        now = await stored(cohort, group)
        assert now.members_count == ("ada" in expected), "the others are invited"
        versions.append(now.version)
    assert versions == sorted(set(versions)), "each change has a version of its own, and a higher one"
    with pytest.raises(Forbidden):
        await change(ada, group, AddMember("zoe"))
    assert await groups_of(cohort, "ada") == []
    assert await groups_of(cohort, "eve") == [group.group_id]
    assert await announced(cohort, group) == versions


async def test_a_call_that_is_sent_again_changes_nothing_and_tells_again(cohort: Instance) -> None:
    group, ada = await made(cohort), cohort.session("ada")
    call = GroupCall(group.group_id, {"name": "New"}, (AddMember("bob"),), (QUIZ,), ("gone",))
    first = await update_group(ada, call)
    again = await update_group(ada, call)
    assert again == first
    assert await announced(cohort, group) == [group.version, *[first.group.version] * 2]


async def test_what_one_item_is_refused_for_does_not_touch_the_others(course: Instance) -> None:
    group, ada = await made(course, "bob"), course.session("ada")
    changed = await update_group(
        ada,
        GroupCall(
            group.group_id,
            members=(AddMember("bob", GroupRole.ADMIN), RemoveMember("zoe"), AddMember("eve")),
            add_activities=(Activity("nowhere", "Course"), Activity("a", "Course"), COURSE),
        ),
    )
    assert [(error.kind, error.id, error.code) for error in changed.item_errors] == [
        (Kind.ACTIVITY, "nowhere", "NOT_FOUND"),
        (Kind.ACTIVITY, "a", "NOT_FOUND"),  # a leaf is no course
        (Kind.MEMBER, "bob", "INVALID_INPUT"),
        (Kind.MEMBER, "zoe", "NOT_FOUND"),
    ]
    assert changed.group.activities == (COURSE,)
    assert await users(course, group) == ["ada", "bob", "eve"]


async def test_an_admin_hands_the_group_over_and_leaves_in_one_call(embedded: Instance) -> None:
    group, ada = await made(embedded, "bob"), embedded.session("ada")
    assert await change(ada, group, RemoveMember("ada"), EditMember("bob", GroupRole.ADMIN)) == ()
    assert await users(embedded, group) == ["bob"]


async def test_a_full_group_takes_one_where_one_goes(embedded: Instance) -> None:
    group = await made(embedded, "bob")
    ada = limited(embedded, "ada", members=2)
    assert await change(ada, group, AddMember("eve"), RemoveMember("bob")) == ()
    assert await users(embedded, group) == ["ada", "eve"]
    (refused,) = await change(ada, group, AddMember("bob"))
    assert (refused.id, refused.code) == ("bob", "LIMIT_REACHED")


async def test_the_last_admin_can_not_leave_the_others_alone(embedded: Instance) -> None:
    group, ada = await made(embedded, "bob"), embedded.session("ada")
    with pytest.raises(LastAdmin):
        await leave_group(ada, group.group_id)
    (refused,) = await change(ada, group, EditMember("ada", GroupRole.MEMBER))
    assert refused.code == "LAST_ADMIN"
    await leave_group(embedded.session("bob"), group.group_id)
    assert (await leave_group(ada, group.group_id)).group.members_count == 0


async def test_members_may_leave_but_change_nothing_else(embedded: Instance) -> None:
    group, bob = await made(embedded, "bob", "eve"), embedded.session("bob")
    for call in (
        GroupCall(group.group_id, members=(RemoveMember("eve"),)),
        GroupCall(group.group_id, {"name": "Bob's"}, (RemoveMember("bob"),)),
        GroupCall(group.group_id, add_activities=(QUIZ,)),
    ):
        with pytest.raises(Forbidden):
            await update_group(bob, call)
    for command in (suspend_group, reactivate_group, delete_group):
        with pytest.raises(Forbidden):
            await command(bob, group.group_id)
    with pytest.raises(NotFound):
        await leave_group(embedded.session("stranger"), group.group_id)
    for _ in range(2):
        await leave_group(bob, group.group_id)
        assert await users(embedded, group) == ["ada", "eve"]


async def test_a_suspended_group_is_read_and_left_but_not_changed(cohort: Instance) -> None:
    group, ada = await made(cohort, "bob"), cohort.session("ada")
    assert (await suspend_group(ada, group.group_id)).group.status is GroupStatus.SUSPENDED
    assert (await suspend_group(ada, group.group_id)).group.status is GroupStatus.SUSPENDED
    with pytest.raises(GroupSuspended):
        await change(ada, group, AddMember("eve"))
    assert (await reads.group(cohort.session("bob"), group.group_id)).status is GroupStatus.SUSPENDED
    await leave_group(cohort.session("bob"), group.group_id)
    assert (await reactivate_group(ada, group.group_id)).group.status is GroupStatus.ACTIVE
    assert await change(ada, group, AddMember("eve")) == ()


async def test_a_deleted_group_is_gone_for_everybody(cohort: Instance) -> None:
    group, other = await made(cohort, "bob"), await made(cohort, "bob")
    ada = cohort.session("ada")
    deleted = (await delete_group(ada, group.group_id)).group
    assert (deleted.status, deleted.members_count) == (GroupStatus.INACTIVE, 0)
    assert deleted.version > group.version
    assert await announced(cohort, group) == [group.version, deleted.version]
    assert (await roster_of(cohort.stores.rows, group.group_id)).members == {}
    assert await cohort.stores.rows.partition(USER_GROUPS, ("bob",), columns=["groupid"]) == [
        {"groupid": other.group_id}
    ]
    for command in (reads.group, suspend_group, reactivate_group, leave_group):
        with pytest.raises(NotFound):
            await command(cohort.session("ada", Role.ADMIN), group.group_id)
    with pytest.raises(NotFound):
        await change(ada, group, AddMember("bob"))
    # Sent again by whoever deleted it, for an answer that was lost; nobody else learns that it was there.
    assert (await delete_group(ada, group.group_id)).group.version == deleted.version
    with pytest.raises(NotFound):
        await delete_group(cohort.session("bob"), group.group_id)


@pytest.mark.parametrize("dies_at", [1, 2, 3])
async def test_a_deletion_that_died_is_finished_by_the_same_call(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    group, ada = await made(embedded, "bob", "eve"), embedded.session("ada")
    real, calls = embedded.stores.rows.update_if, 0

    async def dying(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > dies_at:
            raise StoreUnavailable("gone")
        return await real(*args)

    monkeypatch.setattr(embedded.stores.rows, "update_if", dying)
    with pytest.raises(StoreUnavailable):
        await delete_group(ada, group.group_id)
    monkeypatch.undo()
    assert await groups_of(embedded, "eve") == []
    with pytest.raises(NotFound):
        await reads.group(embedded.session(), group.group_id)
    await delete_group(ada, group.group_id)
    assert (await roster_of(embedded.stores.rows, group.group_id)).members == {}
    for user in ("ada", "bob", "eve"):
        assert await embedded.stores.rows.partition(USER_GROUPS, (user,)) == []


async def test_a_creation_that_died_leaves_no_group_and_takes_no_place(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dying(*_: Any) -> Any:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(embedded.stores.rows, "insert_if_absent", dying)
    with pytest.raises(StoreUnavailable):
        await made(embedded, "bob")
    monkeypatch.undo()
    assert await groups_of(embedded, "ada") == await groups_of(embedded, "bob") == []
    assert await memberships_of(embedded.stores.rows, ["ada"]) == {"ada": []}


async def test_a_group_that_was_left_is_not_seen_and_still_found_for_an_erasure(embedded: Instance) -> None:
    group, ada = await made(embedded, "bob"), embedded.session("ada")
    assert await change(ada, group, RemoveMember("bob")) == ()
    assert await groups_of(embedded, "bob") == []
    assert await embedded.stores.rows.partition(USER_GROUPS, ("bob",), columns=["groupid"]) == [
        {"groupid": group.group_id}
    ]
    assert await change(ada, group, RemoveMember("bob")) == ()
    assert await change(ada, group, AddMember("bob")) == ()
    assert await groups_of(embedded, "bob") == [group.group_id]


async def test_a_service_makes_groups_for_others_with_ids_of_its_own(course: Instance) -> None:
    service = course.session()
    new = NewGroup("Region 1", members=(AddMember("bob"),), activities=(COURSE,), group_id="region-1")
    first = await create_group(service, new)
    assert (first.group.group_id, first.group.members_count) == ("region-1", 1)
    assert (await create_group(service, new)).group == first.group
    with pytest.raises(InvalidInput, match="exists and is different"):
        await create_group(service, replace(new, name="Region 2"))
    named = (await create_group(service, NewGroup("Ann's", user_id="ann"))).group
    assert (await roster_of(course.stores.rows, named.group_id)).member("ann") is not None
    assert named.created_by == "ann"
    with pytest.raises(Forbidden):
        await create_group(course.session("eve"), NewGroup("Mine", group_id="region-1"))
    with pytest.raises(Forbidden):
        await create_group(course.session("eve"), NewGroup("Ann's", user_id="ann"))


async def test_too_many_members_or_activities_make_no_group(embedded: Instance) -> None:
    ada = limited(embedded, "ada", members=2, activities=1)
    with pytest.raises(LimitReached) as members:
        await create_group(ada, NewGroup("Group", members=(AddMember("bob"), AddMember("eve"))))
    assert members.value.field == "members"
    with pytest.raises(LimitReached) as activities:
        await create_group(ada, NewGroup("Group", activities=(QUIZ, Activity("other", "Quiz"))))
    assert activities.value.field == "activities"
    assert await groups_of(embedded, "ada") == []


async def test_a_learner_is_in_as_many_groups_as_settings_say(cohort: Instance) -> None:
    ada = limited(cohort, "ada", Role.MENTOR, groups=2)
    groups = [(await create_group(ada, NewGroup(str(n), members=(AddMember("bob"),)))).group for n in (1, 2)]
    with pytest.raises(LimitReached, match="ada is in 2 groups"):
        await create_group(ada, NewGroup("3"))
    eve = limited(cohort, "eve", Role.MENTOR, groups=2)
    third = (await create_group(eve, NewGroup("3"))).group
    (refused,) = await change(eve, third, AddMember("bob"))
    assert (refused.id, refused.code) == ("bob", "LIMIT_REACHED")
    await leave_group(cohort.session("bob"), groups[0].group_id)
    assert await change(eve, third, AddMember("bob")) == ()
    assert await change(eve, third, AddMember("bob")) == (), "who is in it already takes no further place"


@pytest.mark.parametrize(
    ("role", "counted"),
    [
        (Role.LEARNER, ["x"]),
        (Role.CREATOR, ["x"]),
        (Role.REPORTER, ["x"]),
        (Role.MENTOR, ["ann", "x"]),
        (Role.ADMIN, ["ann", "x"]),
        (Role.SERVICE, ["ann"]),
    ],
)
async def test_whom_a_mentor_an_admin_or_a_service_adds_is_a_member_at_once(
    embedded: Instance, role: Role, counted: list[str]
) -> None:
    """Whoever makes the group is one anyway; a service that names nobody makes it for nobody."""
    new = NewGroup("Group", members=(AddMember("ann"),))
    group = (await create_group(embedded.session("x", role), new)).group
    roster = await roster_of(embedded.stores.rows, group.group_id)
    assert [member.user_id for member in roster.counted()] == counted
    assert group.members_count == len(counted)


async def test_an_invitation_takes_a_place_in_the_group_and_none_of_the_learners(embedded: Instance) -> None:
    """Ada, a learner, invites Bob to three groups; he may be in one, and in which is his to say."""
    ada = limited(embedded, "ada", groups=3, members=2)
    groups = []
    for n in range(3):
        changed = await create_group(ada, NewGroup(str(n), members=(AddMember("bob"),)))
        assert changed.item_errors == (), "nobody learns by an invitation how many groups Bob has"
        groups.append(changed.group.group_id)
    assert sorted(await groups_of(embedded, "bob")) == sorted(groups)
    (refused,) = (await update_group(ada, GroupCall(groups[0], members=(AddMember("eve"),)))).item_errors
    assert (refused.id, refused.code) == ("eve", "LIMIT_REACHED"), "the group has two places"
    bob = limited(embedded, "bob", groups=1)
    for wanted in (groups, groups[:2]):
        with pytest.raises(LimitReached, match="as many as a learner may be in") as many:
            await visit_groups(bob, wanted)
        assert many.value.field == "groups"
    await visit_groups(bob, groups[1:2])
    await visit_groups(bob, groups[1:2])
    with pytest.raises(LimitReached):
        await visit_groups(bob, groups[:1])
    with pytest.raises(LimitReached):
        await create_group(bob, NewGroup("Bob's"))
    await leave_group(bob, groups[1])
    await visit_groups(bob, groups[:1])


async def test_a_visit_is_a_change_of_the_group_that_is_told(cohort: Instance) -> None:
    """As who is counted is another one; sent again, the call changes nothing and tells again."""
    group = await made(cohort, "bob", "eve")
    assert group.members_count == 1
    await visit_groups(cohort.session("bob"), [group.group_id])
    now = await stored(cohort, group)
    assert (now.members_count, now.version - group.version) == (2, 1)
    await visit_groups(cohort.session("bob"), [group.group_id])
    assert await stored(cohort, group) == now
    assert await announced(cohort, group) == [group.version, now.version, now.version]
    await change(cohort.session("ada"), group, RemoveMember("eve"))
    assert (await stored(cohort, group)).members_count == 2, "she was counted in none"


async def test_a_whole_class_opens_the_group_at_once(cohort: Instance) -> None:
    pupils = [f"pupil-{n:02}" for n in range(40)]
    group = await made(cohort, *pupils)
    await asyncio.gather(*(visit_groups(cohort.session(pupil), [group.group_id]) for pupil in pupils))
    roster, now = await roster_of(cohort.stores.rows, group.group_id), await stored(cohort, group)
    assert [member.user_id for member in roster.counted()] == ["ada", *pupils]
    assert (now.members_count, now.version - group.version) == (41, 40)


async def test_members_from_before_the_column_are_invited_until_they_open_the_group_or_are_added_again(
    cohort: Instance,
) -> None:
    """Rows as an earlier version wrote them: nothing tells who answered for anybody, nor how many are invited."""
    group = await made(cohort, "bob", "cyd", "eve")
    await visit_groups(cohort.session("bob"), [group.group_id])
    rows = cohort.stores.rows
    for member in (await roster_of(rows, group.group_id)).active():
        old = {"answered_for": None, "invited_count": None}
        await rows.update_if(
            GROUP_MEMBERS, (group.group_id, member.user_id), old, [Equal("status", "active")]
        )
    assert (await stored(cohort, group)).members_count == 2, "Ada, who made it, and Bob"
    mia = cohort.session("mia", Role.ADMIN)
    assert await change(mia, group, AddMember("cyd")) == ()
    roster = await roster_of(rows, group.group_id)
    assert [member.user_id for member in roster.counted()] == ["ada", "bob", "cyd"]
    assert (await stored(cohort, group)).members_count == 3


async def test_activities_have_a_limit_under_concurrent_calls(cohort: Instance) -> None:
    group = await made(cohort)
    ada = limited(cohort, "ada", activities=5)

    async def add(number: int) -> int:
        call = GroupCall(group.group_id, add_activities=(Activity(str(number), "Quiz"),))
        return len((await update_group(ada, call)).item_errors)

    refused = await asyncio.gather(*(add(number) for number in range(8)))
    assert sum(refused) == 3
    assert len((await stored(cohort, group)).activities) == 5


async def test_a_name_and_a_description_change_and_clear(embedded: Instance) -> None:
    group, ada = await made(embedded, description="x"), embedded.session("ada")
    call = GroupCall(group.group_id, {"name": " New ", "description": None})
    changed = (await update_group(ada, call)).group
    assert (changed.name, changed.description, changed.updated_by) == ("New", None, "ada")
    with pytest.raises(InvalidInput):
        await update_group(ada, GroupCall(group.group_id, {"name": None}))


async def test_a_visit_is_kept_until_the_member_is_removed(embedded: Instance) -> None:
    group, bob = await made(embedded, "bob"), embedded.session("bob")
    await visit_groups(bob, [group.group_id])
    member = (await bob.loaders.rosters.load(group.group_id)).member("bob")
    assert member is not None
    assert member.visited
    with pytest.raises(NotFound) as stranger:
        await visit_groups(embedded.session("eve"), [group.group_id])
    assert stranger.value.field == "groupId"


async def test_a_visit_beside_a_change_of_the_role_is_kept(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visit is another process's."""
    group, shared = await made(cohort, "bob"), Shared.of(cohort.stores, cohort.shared.now)
    bob = Session(Viewer("bob", frozenset({Role.LEARNER})), shared)
    real = cohort.stores.rows.update_if

    async def visited_first(*args: Any) -> Any:
        monkeypatch.undo()
        await visit_groups(bob, [group.group_id])
        return await real(*args)

    monkeypatch.setattr(cohort.stores.rows, "update_if", visited_first)
    assert await change(cohort.session("ada"), group, EditMember("bob", GroupRole.ADMIN)) == ()
    member = (await bob.loaders.rosters.load(group.group_id)).member("bob")
    assert member is not None
    assert (member.role, member.visited) == (GroupRole.ADMIN, True)


async def test_a_page_of_members_leaves_former_ones_out_and_knows_names(embedded: Instance) -> None:
    group, ada = await made(embedded, "bob", "cleo", "dan"), embedded.session("ada")
    await update_group(ada, GroupCall(group.group_id, members=(RemoveMember("cleo"),)))
    await save_profile(embedded.session(), ProfileCall(name="Bob", user_id="bob"))
    await save_profile(embedded.session(), ProfileCall(name="Dan", user_id="dan"))
    await visit_groups(embedded.session("bob"), [group.group_id])
    wanted = GroupMembersWanted()
    first = await reads.members_page(ada, group, wanted, Asked(2))
    assert [(p.member.user_id, p.learner.name) for p in first.members] == [("ada", None), ("bob", "Bob")]
    assert first.has_more
    rest = await reads.members_page(ada, group, wanted, Asked(2, wanted.ordering.place(first.members[1])))
    assert [p.learner for p in rest.members] == [Learner("dan")], "who has not opened the group has no name"
    assert not rest.has_more


async def test_only_members_and_those_who_answer_for_learners_read_a_group(embedded: Instance) -> None:
    group = await made(embedded, "bob")
    for session in (
        embedded.session("bob"),
        embedded.session("mo", Role.MENTOR),
        embedded.session("rita", Role.REPORTER),
        embedded.session("root", Role.ADMIN),
        embedded.session(),
    ):
        assert (await reads.group(session, group.group_id)).group_id == group.group_id
    with pytest.raises(Forbidden):
        await reads.group(embedded.session("eve"), group.group_id)
    with pytest.raises(Unauthenticated):
        await reads.group(Session(Viewer(), embedded.shared), group.group_id)
    with pytest.raises(NotFound):
        await reads.group(embedded.session(), "unknown")
    with pytest.raises(Forbidden):
        await reads.groups_of(embedded.session("eve"), "bob", first=10, after=None)


async def test_a_learners_groups_come_page_by_page(cohort: Instance) -> None:
    groups = sorted([(await made(cohort, "bob")).group_id for _ in range(5)])
    await leave_group(cohort.session("bob"), groups[1])
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await reads.groups_of(cohort.session("bob"), "bob", first=2, after=after)
        seen += [group.group_id for group, _ in page.members]
        if not page.has_more:
            break
        after = seen[-1]
    assert seen == [groups[0], *groups[2:]]


async def test_reading_a_group_of_150_members_costs_as_many_statements_as_one_of_2(
    embedded: Instance,
) -> None:
    async def cost(*others: str) -> dict[str, int]:
        group = await made(embedded, *others)
        session = embedded.session("ada")
        with embedded.stores.rows.meter.measure() as spent:
            found = await reads.group(session, group.group_id)
            page = await reads.members_page(session, found, GroupMembersWanted(), Asked(200))
        assert (len(page.members), found.members_count) == (len(others) + 1, 1)
        return dict(spent)

    few = {"select learner_group": 1, "select group_member": 2, "select learner": 1}
    assert await cost("bob") == few
    # Profiles are read by at most 100 keys a statement.
    assert await cost(*(f"learner-{n}" for n in range(149))) == {**few, "select learner": 2}


async def test_a_class_is_added_by_a_write_for_each_fifty(embedded: Instance) -> None:
    """120 with the creator are three writes. The version of the members grows by one for each, as if they came alone."""
    with embedded.stores.rows.meter.measure() as spent:
        group = await made(embedded, *(f"learner-{n}" for n in range(119)))
    assert (spent["conditional batch group_member"], spent["conditional update group_member"]) == (3, 0)
    roster = await roster_of(embedded.stores.rows, group.group_id)
    assert (roster.version, len(roster.active()), len(roster.counted())) == (120, 120, 1)
    found = await memberships_of(embedded.stores.rows, ["learner-0", "learner-118"])
    assert all([g.group_id for g, _ in groups] == [group.group_id] for groups in found.values())


async def test_a_class_is_added_whole_although_others_change_the_group_meanwhile(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process adds one of them, and somebody else, after the roster was read."""
    group = await made(cohort)

    async def and_then(rows: Rows, group_id: str) -> Roster:
        found = await roster_of(rows, group_id)
        monkeypatch.undo()
        elsewhere = Session(Viewer("ada", frozenset({Role.LEARNER})), Shared.of(cohort.stores, lambda: NOW))
        await update_group(elsewhere, GroupCall(group_id, members=(AddMember("fay"), AddMember("bob"))))
        return found

    monkeypatch.setattr("ingest.commands.group_members.roster_of", and_then)
    added = tuple(AddMember(user) for user in ("bob", "cid", "dan"))
    changed = await update_group(cohort.session("ada"), GroupCall(group.group_id, members=added))
    assert changed.item_errors == ()
    roster = await roster_of(cohort.stores.rows, group.group_id)
    assert sorted(roster.members) == ["ada", "bob", "cid", "dan", "fay"]
    assert roster.version == 5


changes = st.lists(
    st.one_of(
        st.builds(AddMember, st.sampled_from("abcdef"), st.sampled_from(GroupRole)),
        st.builds(EditMember, st.sampled_from("abcdef"), st.sampled_from(GroupRole)),
        st.builds(RemoveMember, st.sampled_from("abcdef")),
        st.builds(OpenGroup, st.sampled_from("abcdef")),
    ),
    max_size=8,
)


@settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=changes, second=changes)
async def test_whatever_two_callers_do_at_once_limits_hold_and_versions_grow(
    cohort: Instance, first: list[MemberChange], second: list[MemberChange]
) -> None:
    group = (await create_group(limited(cohort, "a", members=4), NewGroup("Group"))).group

    async def call(caller: Session, sequence: Sequence[MemberChange]) -> None:
        versions = [group.version]
        for item in sequence:
            if isinstance(item, OpenGroup):
                with suppress(NotFound):
                    await visit_groups(limited(cohort, item.user_id, members=4), [group.group_id])
            else:
                with suppress(Forbidden):
                    await update_group(caller, GroupCall(group.group_id, members=(item,)))
            seen = await stored(cohort, group)
            roster = await roster_of(cohort.stores.rows, group.group_id)
            assert len(roster.active()) <= 4
            versions.append(seen.version)
        assert versions == sorted(versions)

    root, fellow = limited(cohort, "root", Role.ADMIN, members=4), limited(cohort, "a", members=4)
    await asyncio.gather(call(root, first), call(fellow, second))
    found, roster = await stored(cohort, group), await roster_of(cohort.stores.rows, group.group_id)
    assert len(roster.active()) <= 4
    assert found.members_count == len(roster.counted())
    for user in "abcdef":
        expected = [group.group_id] if roster.member(user) else []
        assert [g for g in await groups_of(cohort, user) if g == group.group_id] == expected


async def test_members_added_at_once_have_versions_one_each(cohort: Instance) -> None:
    """6 additions by 3 callers at the same time: 6 versions of members above that of the creation."""
    group = await made(cohort)
    service = cohort.session()
    await asyncio.gather(
        *(change(service, group, AddMember(f"u{n}"), AddMember(f"u{n + 3}")) for n in range(3))
    )
    after = await stored(cohort, group)
    assert (after.members_count, after.version - group.version) == (7, 6)


async def test_members_of_a_group_that_is_deleted_meanwhile_leave_nothing_that_outlives_their_erasure(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, rows = await made(embedded), embedded.stores.rows
    others, write_together = [f"user-{number:02d}" for number in range(60)], rows.write_together

    async def after_the_deletion(*asked: Any) -> bool:
        monkeypatch.setattr(rows, "write_together", write_together)
        await delete_group(embedded.session("ada"), group.group_id)
        return await write_together(*asked)

    monkeypatch.setattr(rows, "write_together", after_the_deletion)
    with pytest.raises(NotFound, match="meanwhile"):
        await change(embedded.session("ada"), group, *map(AddMember, others))
    for user in others:
        await erase_learner(embedded.shared, user)
        assert await rows.partition(USER_GROUPS, (user,)) == []


async def _listed(rows: Rows, user: str) -> list[str]:
    return [row["groupid"] for row in await rows.partition(USER_GROUPS, (user,))]


async def _dies(*_: Any) -> Any:
    raise StoreUnavailable("gone")


@pytest.mark.parametrize("added", [("bob",), ("bob", "cid")], ids=["one", "several"])
async def test_an_addition_that_died_halfway_leaves_nothing_that_outlives_an_erasure(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch, added: Sequence[str]
) -> None:
    group, rows = await made(cohort), cohort.stores.rows
    for name in ("update_if", "write_together"):
        monkeypatch.setattr(rows, name, _dies)
    with pytest.raises(StoreUnavailable):
        await change(cohort.session("ada"), group, *map(AddMember, added))
    monkeypatch.undo()
    assert await _listed(rows, "bob") == [group.group_id], "the addition died after its first write"
    await erase_learner(cohort.shared, "bob")
    assert await _listed(rows, "bob") == []
    assert await change(cohort.session("ada"), group, *map(AddMember, added)) == ()
    assert await groups_of(cohort, "bob") == [group.group_id]
    await erase_learner(cohort.shared, "bob")
    assert await _listed(rows, "bob") == []


async def test_a_group_that_never_came_to_be_is_not_left_in_the_index_of_who_was_to_be_in_it(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("update_if", "write_together"):
        monkeypatch.setattr(embedded.stores.rows, name, _dies)
    with pytest.raises(StoreUnavailable):
        await made(embedded, "bob")
    monkeypatch.undo()
    assert len(await _listed(embedded.stores.rows, "ada")) == 1
    await erase_learner(embedded.shared, "ada")
    assert await _listed(embedded.stores.rows, "ada") == []


async def test_who_is_added_while_they_are_erased_is_in_the_group_and_in_the_index_or_in_neither(
    cohort: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure comes between the two writes of the addition, which then begins again."""
    group, rows = await made(cohort), cohort.stores.rows
    write = rows.update_if

    async def after_the_erasure(*asked: Any) -> Any:
        monkeypatch.undo()
        await erase_learner(cohort.shared, "bob")
        return await write(*asked)

    monkeypatch.setattr(rows, "update_if", after_the_erasure)
    assert await change(cohort.session("ada"), group, AddMember("bob")) == ()
    is_member = "bob" in (await roster_of(rows, group.group_id)).members
    assert (await groups_of(cohort, "bob"), await _listed(rows, "bob")) == (
        ([group.group_id], [group.group_id]) if is_member else ([], [])
    )
    await erase_learner(cohort.shared, "bob")
    assert await _listed(rows, "bob") == []
    assert set((await roster_of(rows, group.group_id)).members) == {"ada"}
