"""A group's page that was written down once is given again without its members being read, and never to whom or when it
would be wrong."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.learner_groups import GroupCall, update_group
from loaders.responses import KeptResponse, ResponseCache
from loaders.session import Session
from rules.group_changes import RemoveMember
from rules.learner_groups import GroupRole
from rules.plans import QueryPlan, Source, Taken
from rules.viewers import Role
from tests.conftest import NOW, Instance
from tests.graph.conftest import BATCH, ask, record, view_to_end
from tests.graph.test_group_activities import FIGURES, class_of, members

NAMES = """
query Names($group: String!, $first: Int) {
  group(groupId: $group) { activities { activityId members(first: $first) { edges { node { learner { userId } role } } } } }
}
"""


@pytest.fixture
async def class_(embedded: Instance) -> Instance:
    await embedded.publish()
    await embedded.batch()
    return await class_of(embedded)


async def told(session: Session, query: str = FIGURES, **variables: Any) -> tuple[Any, Any]:
    """The activities by id, and where they are from."""
    answer = await ask(session, query, group="g", **variables)
    assert "errors" not in answer, answer["errors"]
    activities = {activity["activityId"]: activity for activity in answer["data"]["group"]["activities"]}
    return activities, answer["extensions"]["plans"]


async def test_a_page_is_given_again_as_it_was_without_reading_its_members(class_: Instance) -> None:
    first, [plan] = await told(class_.session("mo"))
    assert plan["origin"] == "computed"
    with class_.stores.rows.meter.measure() as spent:
        again, [kept] = await told(class_.session("mo"))
    assert again == first
    assert (kept["origin"], kept["source"], kept["path"]) == ("cached", plan["source"], plan["path"])
    # The group, its members' version and count, and that version again: no profile, no aggregate, no member. Which
    # versions are live, and whether something is published by now under the id of the quiz.
    assert dict(spent) == {"select learner_group": 1, "select group_member": 2, "select content": 2}


async def test_it_says_how_old_it_is_and_goes_when_its_time_is_over(class_: Instance) -> None:
    await told(class_.session("mo"))
    class_.sets_clock(NOW + timedelta(seconds=50))
    _, [plan] = await told(class_.session("mo"))
    assert (plan["origin"], plan["age"]) == ("cached", 50)
    class_.sets_clock(NOW + timedelta(seconds=61))
    with class_.stores.rows.meter.measure() as spent:
        await told(class_.session("mo"))
    assert spent["select learner"] == 1


async def test_everybody_is_given_what_they_may_see(class_: Instance) -> None:
    everybody, _ = await told(class_.session("mo"))
    own, _ = await told(class_.session("ada"))
    assert members(everybody["course"]).keys() == {"ada", "bob", "cyd", "mo"}
    assert members(own["course"]).keys() == {"ada"}
    assert (await told(class_.session("mo")))[0] == everybody
    reporter, _ = await told(class_.session("mo", Role.REPORTER))
    assert members(reporter["course"]).keys() == members(everybody["course"]).keys()


async def test_who_has_left_is_gone_at_once(class_: Instance) -> None:
    await told(class_.session("mo"))
    await told(class_.session("bob"))
    await update_group(class_.session("mo"), GroupCall("g", members=(RemoveMember("bob"),)))
    after, _ = await told(class_.session("mo"))
    assert members(after["course"]).keys() == {"ada", "cyd", "mo"}
    refused = await ask(class_.session("bob"), FIGURES, group="g")
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_other_arguments_and_fields_are_another_page(class_: Instance) -> None:
    two, _ = await told(class_.session("mo"), NAMES, first=2)
    one, _ = await told(class_.session("mo"), NAMES, first=1)
    assert [len(members(page["course"])) for page in (two, one)] == [2, 1]
    roles = {user: node["role"] for user, node in members(two["course"]).items()}
    assert roles == {"ada": GroupRole.MEMBER.name, "bob": GroupRole.MEMBER.name}


async def test_a_call_with_a_token_is_never_answered_from_before(class_: Instance) -> None:
    before, _ = await told(class_.session("mo"))
    payload = await record(class_.session("bob"), "Start", contentId="b", **BATCH)
    assert payload["errors"] == []
    await view_to_end(class_, "bob", "b", **BATCH)
    token = (await record(class_.session("bob"), "End", contentId="b", **BATCH))["token"]
    after, [plan] = await told(class_.session("mo"), fresh=token)
    assert plan["origin"] == "computed"
    assert members(after["course"])["bob"] != members(before["course"])["bob"]


def test_pages_that_grow_too_many_make_room() -> None:
    pages = ResponseCache(ttl=60)
    taken = Taken(QueryPlan(Source.ROWS, "few", 1), "computed", 0)
    for number in range(5):
        pages.keep(number, KeptResponse(b"x" * (15 * 1024 * 1024), taken, NOW))
    assert [pages.get(number, NOW) is not None for number in range(5)] == [False, True, True, True, True]
    pages.keep("huge", KeptResponse(b"x" * (65 * 1024 * 1024), taken, NOW))
    assert pages.get("huge", NOW) is None
