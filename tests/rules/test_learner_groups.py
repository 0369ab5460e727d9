"""Who may be in a group, with what role, and what it may do together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import (
    CohortError,
    Forbidden,
    GroupSuspended,
    InvalidInput,
    LastAdmin,
    LimitReached,
    NotFound,
)
from rules.group_access import check_active, check_may_change, check_may_read
from rules.group_changes import (
    AddMember,
    Author,
    EditMember,
    MemberChange,
    OpenGroup,
    RemoveMember,
    activities_after,
    check_many,
    checked_activity,
    member_after,
)
from rules.learner_groups import (
    Activity,
    Group,
    GroupLimits,
    GroupRole,
    GroupStatus,
    Member,
    MemberStatus,
    Roster,
    version_of,
)
from rules.texts import checked_description, checked_name
from rules.viewers import Role, Viewer

AT = datetime(2026, 3, 1, tzinfo=UTC)
ADMIN, MEMBER = GroupRole.ADMIN, GroupRole.MEMBER


def roster(**roles: GroupRole) -> Roster:
    return Roster("g", len(roles), {user: Member("g", user, role) for user, role in roles.items()})


def after(of: Roster, change: MemberChange, limits: GroupLimits | None = None) -> Member | None:
    return member_after(of, change, Author("ada", AT), limits or GroupLimits())


def test_one_who_is_added_is_a_member_since_then() -> None:
    assert after(roster(ada=ADMIN), AddMember("bob")) == Member(
        "g", "bob", MEMBER, created_by="ada", created_on=AT
    )


@pytest.mark.parametrize(
    ("member", "invited"),
    [
        (Member("g", "bob", created_by="ada", role=MEMBER), True),
        (Member("g", "bob", created_by="ada", role=ADMIN), True),
        (Member("g", "bob", created_by="ada", role=MEMBER, visited=True), False),
        (Member("g", "bob", created_by="ada", role=MEMBER, answered_for=True), False),
        (Member("g", "bob", created_by="bob", role=MEMBER), False),
        (Member("g", "bob", role=MEMBER), True),
    ],
)
def test_one_is_a_member_who_was_answered_for_or_opened_the_group_or_came_alone(
    member: Member, *, invited: bool
) -> None:
    of = Roster("g", 1, {"bob": member})
    assert member.invited == invited
    assert of.counted() == ([] if invited else [member])
    former = replace(member, status=MemberStatus.INACTIVE)
    assert not former.invited
    assert of.with_member(former).counted() == []
    assert of.with_member(replace(member, visited=True)).version == 2, "who is counted has a version"


def test_who_answers_for_learners_makes_a_member_of_one_who_is_invited() -> None:
    later, of = (
        AT + timedelta(days=1),
        roster(ada=ADMIN).with_member(Member("g", "bob", MEMBER, created_by="ada")),
    )
    mia = Author("mia", later, answers_for_learners=True)
    added = member_after(of, AddMember("bob"), mia, GroupLimits(members=2))
    assert added == Member("g", "bob", MEMBER, created_by="mia", created_on=later, answered_for=True)
    assert added is not None
    assert member_after(of.with_member(added), AddMember("bob"), mia, GroupLimits()) is None
    assert after(of, AddMember("bob")) is None, "a fellow learner changes nothing"


def test_opening_a_group_is_for_members_and_done_once() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    opened = after(of, OpenGroup("bob"))
    assert opened == replace(of.members["bob"], visited=True)
    assert opened is not None
    assert after(of.with_member(opened), OpenGroup("bob")) is None
    left = replace(opened, status=MemberStatus.INACTIVE)
    for without in (of.without("bob"), of.with_member(left)):
        with pytest.raises(NotFound, match="bob is no member") as refused:
            after(without, OpenGroup("bob"))
        assert refused.value.field == "groupId"
    back = after(of.with_member(left), AddMember("bob"))
    assert back is not None
    assert back.invited, "who comes again opens it again"


def test_what_is_so_already_is_no_change() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    former = of.with_member(Member("g", "bob", MEMBER, MemberStatus.INACTIVE))
    assert after(of, AddMember("bob")) is None
    assert after(of, EditMember("bob", MEMBER)) is None
    assert after(former, RemoveMember("bob")) is None


def test_a_role_is_changed_by_editing_not_by_adding() -> None:
    with pytest.raises(InvalidInput, match="edit the member"):
        after(roster(ada=ADMIN, bob=MEMBER), AddMember("bob", ADMIN))


def test_a_former_member_is_remembered_and_may_come_back() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    left = after(of, RemoveMember("bob"))
    assert left is not None
    assert (left.status, left.removed_by, left.removed_on) == (MemberStatus.INACTIVE, "ada", AT)
    without = of.with_member(left)
    assert [member.user_id for member in without.active()] == ["ada"]
    assert without.member("bob") is None
    with pytest.raises(NotFound):
        after(without, EditMember("bob", ADMIN))
    back = after(without, AddMember("bob"))
    assert back is not None
    assert back.is_active
    assert back.removed_on is None


def test_strangers_can_be_neither_edited_nor_removed() -> None:
    for change in (EditMember("eve", ADMIN), RemoveMember("eve")):
        with pytest.raises(NotFound, match="eve is no member"):
            after(roster(ada=ADMIN), change)


def test_a_full_group_takes_nobody() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    assert after(of, AddMember("eve"), GroupLimits(members=3)) is not None
    with pytest.raises(LimitReached, match="at most 2 members"):
        after(of, AddMember("eve"), GroupLimits(members=2))


def test_the_last_admin_stays_while_there_are_others() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    for change in (RemoveMember("ada"), EditMember("ada", MEMBER)):
        with pytest.raises(LastAdmin):
            after(of, change)
    two = roster(ada=ADMIN, bob=ADMIN)
    assert after(two, RemoveMember("ada")) is not None
    assert after(two, EditMember("ada", MEMBER)) is not None


def test_one_who_is_alone_may_leave_but_not_give_up_the_group() -> None:
    assert after(roster(ada=ADMIN), RemoveMember("ada")) is not None
    with pytest.raises(LastAdmin):
        after(roster(ada=ADMIN), EditMember("ada", MEMBER))


def test_members_of_a_group_that_never_had_an_admin_may_leave() -> None:
    assert after(roster(ada=MEMBER, bob=MEMBER), RemoveMember("ada")) is not None


changes = st.one_of(
    st.builds(AddMember, st.sampled_from("abcde"), st.sampled_from(GroupRole)),
    st.builds(EditMember, st.sampled_from("abcde"), st.sampled_from(GroupRole)),
    st.builds(RemoveMember, st.sampled_from("abcde")),
)


@given(st.lists(changes, max_size=30))
def test_no_sequence_of_changes_leaves_a_group_too_large_or_without_an_admin(
    sequence: list[MemberChange],
) -> None:
    of = roster(a=ADMIN)
    for change in sequence:
        try:
            member = after(of, change, GroupLimits(members=3))
        except CohortError:
            continue
        of = of if member is None else of.with_member(member)
        # Once the last one has left, the group is empty, and may be filled again.
        if not of.active():
            return
        assert len(of.active()) <= 3
        assert any(member.role is ADMIN for member in of.active())


def test_activities_keep_their_order_and_are_there_once() -> None:
    course, quiz = Activity("c", "Course"), Activity("q", "Quiz")
    assert activities_after((course,), [quiz, course], [], GroupLimits()) == ((course, quiz), [])
    assert activities_after((course, quiz), [], ["c", "unknown"], GroupLimits()) == ((quiz,), [])
    assert activities_after((course, quiz), [course], ["c"], GroupLimits()) == ((quiz, course), [])


def test_activities_that_can_not_be_are_named_and_the_others_added() -> None:
    course = Activity("c", "Course")
    found, errors = activities_after(
        (course,),
        [Activity("c", "Quiz"), Activity("d", "Course"), Activity("e", "Course")],
        [],
        GroupLimits(activities=2),
    )
    assert found == (course, Activity("d", "Course"))
    assert [(error.id, error.code) for error in errors] == [("c", "INVALID_INPUT"), ("e", "LIMIT_REACHED")]


def test_activities_beyond_a_limit_that_was_lowered_stay() -> None:
    many = tuple(Activity(str(number), "Quiz") for number in range(3))
    assert activities_after(many, [many[0]], [], GroupLimits(activities=1)) == (many, [])


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 31)), min_size=2, max_size=2))
def test_two_states_of_a_group_never_share_a_version(pairs: list[tuple[int, int]]) -> None:
    (changes, members), (later_changes, later_members) = pairs
    assert (version_of(changes, members) == version_of(later_changes, later_members)) == (
        pairs[0] == pairs[1]
    )
    if later_changes >= changes and later_members >= members:
        assert version_of(later_changes, later_members) >= version_of(changes, members)
    assert Group("g", "G", version=version_of(changes, members)).changes == changes


def test_members_and_those_who_answer_for_learners_read_a_group() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    for viewer in (Viewer("bob"), *(Viewer("x", frozenset({r})) for r in (Role.MENTOR, Role.REPORTER))):
        check_may_read(viewer, of)
    for viewer in (Viewer("eve"), Viewer("cleo", frozenset({Role.CREATOR}))):
        with pytest.raises(Forbidden):
            check_may_read(viewer, of)


def test_admins_of_the_group_and_of_the_instance_change_it() -> None:
    of = roster(ada=ADMIN, bob=MEMBER)
    for viewer in (Viewer("ada"), *(Viewer("x", frozenset({r})) for r in (Role.ADMIN, Role.SERVICE))):
        check_may_change(viewer, of)
    for viewer in (Viewer("bob"), Viewer("eve"), Viewer("mo", frozenset({Role.MENTOR}))):
        with pytest.raises(Forbidden):
            check_may_change(viewer, of)


def test_a_suspended_group_is_not_changed() -> None:
    check_active(Group("g", "G"))
    with pytest.raises(GroupSuspended, match="reactivate"):
        check_active(Group("g", "G", status=GroupStatus.SUSPENDED))


def test_a_call_has_at_most_500_items() -> None:
    assert check_many([1] * 500, "members") == [1] * 500
    with pytest.raises(InvalidInput, match="at most 500 items, not 501") as refused:
        check_many([1] * 501, "members")
    assert refused.value.field == "members"


def test_names_are_trimmed_and_checked() -> None:
    assert checked_name(" Class 7 ") == "Class 7"
    assert checked_description("  ") is None
    assert checked_activity(Activity(" c ", " Course ")) == Activity("c", "Course")
    for name in (" ", "x" * 257):
        with pytest.raises(InvalidInput) as refused:
            checked_name(name)
        assert refused.value.field == "name"
    with pytest.raises(InvalidInput) as refused:
        checked_description("x" * 4097)
    assert refused.value.field == "description"
    with pytest.raises(InvalidInput) as refused:
        checked_activity(Activity("c", " "))
    assert refused.value.field == "activities.type"


def test_a_name_is_refused_that_would_not_be_shown_as_it_is() -> None:
    """A bell, a line, an override that turns what follows; a joiner belongs to how words are written in Malayalam."""
    for name in ("Class\a7", "Class\n7", "Class \u202e7", "Class\u20287", "Class \u20667"):
        with pytest.raises(InvalidInput, match="name must not hold control characters") as refused:
            checked_name(name)
        assert refused.value.field == "name"
    for name in ("\u0d28\u0d4d\u200d", "\u05db\u05d9\u05ea\u05d4 7", "caf\u00e9 \u2615"):
        assert checked_name(name) == name


def test_a_description_may_have_lines_and_no_other_control_character() -> None:
    assert checked_description("On Thursdays\r\n\tin the library") == "On Thursdays\r\n\tin the library"
    for text in ("nul\0", "\u202eturned"):
        with pytest.raises(InvalidInput) as refused:
            checked_description(text)
        assert refused.value.field == "description"
