"""Profiles: by mutation and by topic, and whatever the order, the newest wins."""

from datetime import datetime, timedelta

import orjson
import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.learners import ProfileCall, save_profile
from rules.errors import Forbidden, InvalidInput, Unauthenticated
from rules.learners import Learner
from rules.viewers import Role, Viewer
from stores.events import Message
from stores.topics import PROFILES, STATES
from tests.conftest import NOW, Instance


def days_ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def event(name: str, days: int, user: str = "ada", **attributes: str) -> Message:
    profile = {
        "userId": user,
        "name": name,
        "updatedOn": days_ago(days).isoformat(),
        "attributes": attributes,
    }
    return Message(user, orjson.dumps(profile))


async def profile(cohort: Instance, user: str = "ada") -> Learner | None:
    return await cohort.session().loaders.learners.load(user)


async def test_the_newest_profile_wins_whatever_the_order(course: Instance) -> None:
    """Topic and mutation write the same profile. Day 2 (topic) is older than day 1 (mutation), newer than 3 and 4."""
    send, service = course.stores.events.send, course.session()
    await enrol(course.session("ada"), EnrolmentCall("course", "batch"))
    await send(PROFILES.name, event("Day 2", 2, state="Goa", gender="F"), event("Day 4", 4, state="Bihar"))
    await course.drain()
    await send(PROFILES.name, event("Day 3", 3, district="North"))
    await course.drain()
    assert await profile(course) == Learner("ada", "Day 2", {"state": "Goa", "gender": "F"}, days_ago(2))

    late = await save_profile(service, ProfileCall("Late", {"state": "Delhi"}, "ada", days_ago(3)))
    assert (
        late == await profile(course) == Learner("ada", "Day 2", {"state": "Goa", "gender": "F"}, days_ago(2))
    )

    saved = await save_profile(
        service, ProfileCall(None, {"state": "Kerala", "gender": None}, "ada", days_ago(1))
    )
    assert saved == await profile(course) == Learner("ada", "Day 2", {"state": "Kerala"}, days_ago(1))
    await send(PROFILES.name, event("Day 2", 2, state="Goa", gender="F"))
    await course.drain()
    assert await profile(course) == saved

    states = [orjson.loads(record.value) async for record in course.stores.events.read(STATES.name)]
    newest = max((state for state in states if state["activity_id"] == "course"), key=lambda s: s["version"])
    assert (newest["user_id"], newest["state"], newest["gender"], newest["active"]) == (
        "ada",
        "Kerala",
        None,
        1,
    )


async def test_what_a_mutation_leaves_out_stays_and_none_removes(embedded: Instance) -> None:
    moments = iter([3, 2, 1])

    async def save(name: str | None, attributes: dict[str, str | None] | None) -> Learner:
        call = ProfileCall(name, attributes, "ada", days_ago(next(moments)))
        return await save_profile(embedded.session(), call)

    await save("Ada", {"state": "Kerala", "type": "student"})
    assert await save(None, {"type": None}) == Learner("ada", "Ada", {"state": "Kerala"}, days_ago(2))
    assert await save("  ", None) == Learner("ada", None, {"state": "Kerala"}, days_ago(1))
    assert await profile(embedded) == Learner("ada", None, {"state": "Kerala"}, days_ago(1))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (ProfileCall(attributes={"shoe_size": "44"}), "shoe_size"),
        (ProfileCall(attributes={"name": "Ada"}), "name"),
        (ProfileCall(attributes={"state": "x" * 257}), "state"),
        (ProfileCall(name="x" * 257), "name"),
        (ProfileCall(user_id=" "), "userId"),
    ],
)
async def test_a_profile_that_can_not_be_is_refused_by_field(
    embedded: Instance, call: ProfileCall, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await save_profile(embedded.session("ada"), call)
    assert refused.value.field == field
    assert await profile(embedded) is None


async def test_learners_change_their_own_and_admins_all(embedded: Instance) -> None:
    for roles in ((Role.LEARNER,), (Role.MENTOR, Role.CREATOR, Role.REPORTER)):
        with pytest.raises(Forbidden):
            await save_profile(embedded.session("ada", *roles), ProfileCall("Bob", user_id="bob"))
    with pytest.raises(Forbidden):
        await save_profile(embedded.session("root", Role.ADMIN), ProfileCall("Bob", None, "bob", NOW))
    session = embedded.session("ada")
    session.viewer = Viewer()
    with pytest.raises(Unauthenticated):
        await save_profile(session, ProfileCall("Nobody"))
    assert (
        await save_profile(embedded.session("root", Role.ADMIN), ProfileCall("Bob", user_id="bob"))
    ).user_id == "bob"
    assert await profile(embedded, "ada") is None
