"""Whom the schema tells about itself: by the setting ``introspection``, and by who asks."""

from typing import Any, get_args

import pytest
from graphql import get_introspection_query

from graph.documents.limits import Introspection, Limits
from graph.schema import CohortSchema, build_schema
from loaders.session import Session
from rules.viewers import Viewer
from tests.conftest import Instance
from tests.graph.conftest import ask

SCHEMAS: dict[str, CohortSchema] = {
    mode: build_schema(Limits(introspection=mode)) for mode in get_args(Introspection)
}
QUESTIONS = [
    "{ __schema { queryType { name } } }",
    '{ __type(name: "Learner") { name } }',
    "query Both { me { userId } ...Asks } fragment Asks on Query { __schema { types { name } } }",
    get_introspection_query(),
]


def nobody(instance: Instance) -> Session:
    return Session(Viewer(), instance.shared)


def codes(answer: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


@pytest.mark.parametrize("query", QUESTIONS)
async def test_the_schema_is_told_to_whom_the_setting_says(embedded: Instance, query: str) -> None:
    ann = embedded.session("ann")
    for mode, of_nobody, of_ann in (
        ("open", set(), set()),
        ("authenticated", {"UNAUTHENTICATED"}, set()),
        ("off", {"FORBIDDEN"}, {"FORBIDDEN"}),
    ):
        asked = await ask(nobody(embedded), query, of=SCHEMAS[mode])
        if mode == "open" and "me {" in query:
            of_nobody = {"UNAUTHENTICATED"}  # of `me`; the schema is told beside it
            assert asked["data"]["__schema"]["types"]
        assert codes(asked) == of_nobody
        assert codes(await ask(ann, query, of=SCHEMAS[mode])) == of_ann


@pytest.mark.parametrize("mode", SCHEMAS)
async def test_the_name_of_a_type_is_told_to_everybody(embedded: Instance, mode: str) -> None:
    assert await ask(nobody(embedded), "{ __typename }", of=SCHEMAS[mode]) == {
        "data": {"__typename": "Query"}
    }


async def test_an_answer_that_is_kept_for_those_with_a_token_is_not_given_to_others(
    embedded: Instance,
) -> None:
    of = SCHEMAS["authenticated"]
    for _ in range(2):
        assert (await ask(embedded.session("ann"), QUESTIONS[0], of=of))["data"]["__schema"]
        assert codes(await ask(nobody(embedded), QUESTIONS[0], of=of)) == {"UNAUTHENTICATED"}


NEARLY: list[tuple[str, dict[str, Any], str]] = [
    ("{ me { userIdd } }", {}, "'userId'"),
    ("{ me { ... on Learnr { userId } } }", {}, "'Learner'"),
    ('{ context(contextIdd: "a") { name } }', {}, "'contextId'"),
    ('{ collection(identifier: "a", mode: LIV) { name } }', {}, "LIVE"),
    (
        "query ($a: ActivityMetricsInput!) { activityMetrics(query: $a) { rows } }",
        {"a": {"metrics": [], "modee": "QUERY"}},
        "'mode'",
    ),
    (
        'query ($a: HierarchyMode!) { collection(identifier: "a", mode: $a) { name } }',
        {"a": "LIV"},
        "LIVE",
    ),
]


@pytest.mark.parametrize(("query", "variables", "meant"), NEARLY, ids=range(len(NEARLY)))
async def test_what_may_have_been_meant_is_told_to_those_alone_who_may_read_the_schema(
    embedded: Instance, query: str, variables: dict[str, Any], meant: str
) -> None:
    def messages(answer: dict[str, Any]) -> str:
        return "\n".join(error["message"] for error in answer["errors"])

    for session, modes in (
        (nobody(embedded), ["open"]),
        (embedded.session("ann"), ["open", "authenticated"]),
    ):
        for mode, of in SCHEMAS.items():
            answer = await ask(session, query, of=of, **variables)
            assert codes(answer) == {"BAD_REQUEST"}
            assert (meant in messages(answer)) == (mode in modes), messages(answer)
            assert ("Did you mean" in messages(answer) or "It has" in messages(answer)) == (mode in modes)


async def test_half_a_suggestion_is_told_to_nobody(embedded: Instance) -> None:
    """Long messages are cut in the middle: here at every place of what may have been meant."""
    for session in (nobody(embedded), embedded.session("ann")):
        for length in range(150, 460, 10):
            query = f'{{ activityMetrics(query: {{metrcs: "{"?" * length}"}}) {{ rows }} }}'
            answer = await ask(session, query, of=SCHEMAS["authenticated"])
            told = [error["message"] for error in answer["errors"]]
            assert all(" Did you mean 'metrics'?" in one or "Did you" not in one for one in told)
            assert all(len(one) < 450 for one in told)
            if session.viewer.user_id is None:
                assert not any("Did you" in one for one in told)
