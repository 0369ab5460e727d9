"""A learner sees only their own; who answers for learners sees all; nobody sees anything without a token."""

import pytest

from loaders.session import Session
from rules.viewers import Role, Viewer
from tests.conftest import Instance
from tests.graph.conftest import BATCH, ask, code, data, record, view_to_end

FORBIDDEN = ("FORBIDDEN", "userId")


@pytest.fixture
async def anns(published: Instance) -> Instance:
    await record(published.session("ann"), "Enrol", **BATCH)
    await view_to_end(published, "ann", "a", **BATCH)
    return published


async def global_ids(anns: Instance) -> dict[str, str]:
    me = (
        await data(
            anns.session("ann"),
            """{ me { id
                enrolments { edges { node { id collection { id } context { id } } } }
                views(collectionId: "course", contextId: "batch") { edges { node { id } } } } }""",
        )
    )["me"]
    enrolment = me["enrolments"]["edges"][0]["node"]
    return {
        "Learner": me["id"],
        "Enrolment": enrolment["id"],
        "Collection": enrolment["collection"]["id"],
        "Context": enrolment["context"]["id"],
        "View": me["views"]["edges"][0]["node"]["id"],
    }


async def test_another_learner_is_forbidden(anns: Instance) -> None:
    assert await code(anns.session("bob"), '{ learner(userId: "ann") { userId } }') == FORBIDDEN


async def test_a_global_id_opens_nothing_that_is_not_ones_own(anns: Instance) -> None:
    ids = await global_ids(anns)
    query = "query ($id: ID!) { node(id: $id) { __typename id } }"
    for type_name, global_id in ids.items():
        own = await data(anns.session("ann"), query, id=global_id)
        assert own == {"node": {"__typename": type_name, "id": global_id}}
        if type_name in {"Collection", "Context"}:
            assert await data(anns.session("bob"), query, id=global_id) == own
        else:
            assert await code(anns.session("bob"), query, id=global_id) == FORBIDDEN


@pytest.mark.parametrize("role", [Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE])
async def test_who_answers_for_learners_sees_them(anns: Instance, role: Role) -> None:
    query = '{ learner(userId: "ann") { summary(collectionId: "course", contextId: "batch") { completedCount } } }'
    found = await data(anns.session("someone", role), query)
    assert found["learner"]["summary"] == {"completedCount": 1}


@pytest.mark.parametrize(
    "query",
    [
        "{ me { userId } }",
        '{ learner(userId: "ann") { userId } }',
        '{ collection(identifier: "course") { name } }',
        '{ collections(identifiers: ["course"]) { name } }',
        '{ context(contextId: "batch") { name } }',
    ],
)
async def test_without_a_token_there_is_nothing(anns: Instance, query: str) -> None:
    nobody = Session(Viewer(), anns.shared)
    assert (await code(nobody, query))[0] == "UNAUTHENTICATED"


async def test_without_a_token_nothing_can_be_changed(anns: Instance) -> None:
    nobody = Session(Viewer(), anns.shared)
    payload = await record(nobody, "Start", contentId="a", **BATCH)
    assert [error["code"] for error in payload["errors"]] == ["UNAUTHENTICATED"]


async def test_only_a_service_acts_for_another_or_at_another_time(anns: Instance) -> None:
    query = """mutation ($user: String, $at: DateTime) {
        startView(input: {contentId: "c", collectionId: "course", contextId: "batch", userId: $user, at: $at}) {
            view { startedOn } errors { code field } } }"""
    past = "2026-02-01T10:00:00+01:00"
    for refused, field in (({"user": "ann"}, "userId"), ({"at": past}, "at")):
        payload = (await data(anns.session("bob"), query, **refused))["startView"]
        assert payload == {"view": None, "errors": [{"code": "FORBIDDEN", "field": field}]}
    payload = (await data(anns.session(), query, user="ann", at=past))["startView"]
    assert payload == {"view": {"startedOn": "2026-02-01T09:00:00.000Z"}, "errors": []}


async def test_the_progress_on_a_tree_is_the_viewers_own(anns: Instance) -> None:
    query = '{ collection(identifier: "course") { progress(contextId: "batch") { completedCount } } }'
    assert (await data(anns.session("ann"), query))["collection"]["progress"]["completedCount"] == 1
    assert (await data(anns.session("bob"), query))["collection"]["progress"]["completedCount"] == 0


async def test_profiles_are_ones_own_too(anns: Instance) -> None:
    query = """mutation ($user: String) { updateLearner(input: {userId: $user, name: "X"}) {
        learner { name } errors { code field } } }"""
    answer = await ask(anns.session("bob"), query, user="ann")
    assert answer["data"]["updateLearner"] == {
        "learner": None,
        "errors": [{"code": "FORBIDDEN", "field": "userId"}],
    }
