"""Who may see what, act for whom, and at what time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from rules.access import ALL_LEARNERS, Access, Admitted
from rules.errors import Forbidden, InvalidInput, Unauthenticated
from rules.viewers import CLOCK_SKEW, Role, Viewer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAST = datetime(2013, 10, 1, tzinfo=UTC)


def viewer(*roles: Role) -> Viewer:
    return Viewer("ada", frozenset(roles))


@pytest.mark.parametrize("role", Role)
def test_everyone_sees_their_own_and_those_who_answer_for_learners_see_all(role: Role) -> None:
    viewer(role).check_may_see("ada")
    if role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE):
        viewer(role).check_may_see("bob")
    else:
        with pytest.raises(Forbidden) as refused:
            viewer(role).check_may_see("bob")
        assert refused.value.field == "userId"


@pytest.mark.parametrize("role", Role)
def test_only_a_service_acts_for_others_unless_the_command_says_more(role: Role) -> None:
    assert viewer(role).acting_for(None) == "ada"
    assert viewer(role).acting_for("ada") == "ada"
    if role is Role.SERVICE:
        assert viewer(role).acting_for("bob") == "bob"
    else:
        with pytest.raises(Forbidden):
            viewer(role).acting_for("bob")
    if role in (Role.MENTOR, Role.ADMIN, Role.SERVICE):
        assert viewer(role).acting_for("bob", Access.RECOUNTER) == "bob"
    else:
        with pytest.raises(Forbidden, match="only a mentor or an admin or a service may act"):
            viewer(role).acting_for("bob", Access.RECOUNTER)


@pytest.mark.parametrize("role", Role)
def test_only_a_service_acts_at_another_time(role: Role) -> None:
    assert viewer(role).time_of_call(None, NOW) == NOW
    if role is Role.SERVICE:
        assert viewer(role).time_of_call(PAST, NOW) == PAST
    else:
        with pytest.raises(Forbidden) as refused:
            viewer(role).time_of_call(PAST, NOW)
        assert refused.value.field == "at"


def test_no_call_is_of_the_future_beyond_the_skew_of_clocks() -> None:
    service = viewer(Role.SERVICE)
    assert service.time_of_call(NOW + CLOCK_SKEW, NOW) == NOW + CLOCK_SKEW
    for at in (NOW + CLOCK_SKEW + timedelta(milliseconds=1), datetime(2026, 3, 1)):  # noqa: DTZ001
        with pytest.raises(InvalidInput) as refused:
            service.time_of_call(at, NOW)
        assert refused.value.field == "at"


def test_times_are_whole_milliseconds_whatever_their_zone() -> None:
    precise = NOW.astimezone(timezone(timedelta(hours=5, minutes=30))) + timedelta(microseconds=-1)
    assert viewer(Role.SERVICE).time_of_call(precise, NOW) == NOW - timedelta(milliseconds=1)


def test_without_a_token_nothing_is_seen_or_changed() -> None:
    nobody = Viewer()
    for attempt in (
        nobody.known,
        lambda: nobody.check_may_see("ada"),
        lambda: nobody.acting_for(None),
        lambda: nobody.acting_for("ada", Access.PERSON),
        lambda: nobody.check(Access.AUTHORS),
    ):
        with pytest.raises(Unauthenticated):
            attempt()


def test_a_role_that_is_needed_is_named() -> None:
    viewer(Role.LEARNER, Role.CREATOR).check(Access.AUTHORS)
    with pytest.raises(Forbidden, match="creator or admin or service"):
        viewer(Role.LEARNER).check(Access.AUTHORS)


@pytest.mark.parametrize("access", [one for one in Access if one is not Access.ANYBODY])
def test_every_kind_of_access_but_one_needs_a_token(access: Access) -> None:
    for named in (False, True):
        with pytest.raises(Unauthenticated):
            Viewer().check(access, named=named)
    with pytest.raises(Unauthenticated):
        Viewer().check_before(access)
    Viewer().check(Access.ANYBODY)


@pytest.mark.parametrize("access", Access)
def test_before_anything_is_read_only_those_are_refused_whom_nothing_that_is_read_could_admit(
    access: Access,
) -> None:
    """``check_before`` refuses nobody whom ``check`` admits, and of those whom the role alone decides everybody else."""
    for role in Role:
        admitted = {named: _is_admitted(viewer(role), access, named) for named in (False, True)}
        before = _passes(lambda: viewer(role).check_before(access))  # noqa: B023 - called here
        assert before or not any(admitted.values())
        if access.value.by_role_alone:
            assert before == admitted[False]


def _is_admitted(of: Viewer, access: Access, named: bool) -> bool:
    # Who may ask by their role alone is named by nothing.
    return _passes(lambda: of.check(access, named=named and access.value.named is not None))


def _passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except Forbidden:
        return False
    return True


def test_who_is_admitted_is_told_in_words() -> None:
    learner = Admitted(ALL_LEARNERS, "the learner")
    assert learner.words == "the learner, a mentor, a reporter, an admin or a service"
    assert learner.sentence == "The learner; and the roles mentor, reporter, admin, service."
    assert Admitted((Role.ADMIN,), note="At night.").sentence == "The role admin. At night."
    assert Admitted().sentence == "Everybody who has a token."
    assert Admitted(needs_token=False).sentence == "Anybody, without a token."
