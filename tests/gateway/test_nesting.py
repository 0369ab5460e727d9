"""However deep the JSON of a request is, it is answered or refused, and costs no more than it is long (R-LIMIT-7)."""

from typing import Any

import pytest
from pydantic import BaseModel

from gateway.http.nesting import DEEPEST, is_too_deep
from gateway.rest.framework.prices import READS, CallPrice
from gateway.settings import Settings
from resolvers.nouns import Price
from tests.gateway.conftest import Serving
from tests.gateway.test_rates import bearer, by_clock


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [1, DEEPEST])
def test_json_may_be_as_deep_as_the_limit(depth: int) -> None:
    text = nested(depth)
    document: Any = []
    for _ in range(depth - 1):
        document = [document]
    assert not is_too_deep(document, text)
    assert not is_too_deep(document, text.encode())


def test_wide_json_is_not_deep() -> None:
    assert not is_too_deep([{}] * 1_000, "{}" * 1_000)


async def test_json_that_is_deeper_is_refused_wherever_it_is_sent(
    settings: Settings, serving: Serving
) -> None:
    deep = nested(DEEPEST + 1)
    async with serving(settings) as client:
        json = {"Content-Type": "application/json"}
        query = "query($x: [String!]!) { collections(identifiers: $x) { name } }"
        mutation = "mutation($x: ID) { startView(input: {contentId: $x}) { errors { code } } }"
        for document in (query, mutation, "{ __schema { description } }"):
            for depth in (DEEPEST + 1, 600):
                body = f'{{"query": "{document}", "variables": {{"x": {nested(depth)}}}}}'
                answer = await client.post("/graphql", content=body, headers={**json, **bearer(settings)})
                assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
                    400,
                    "BAD_REQUEST",
                )
                assert "within each other" in answer.json()["errors"][0]["message"]
        by_url = await client.get(
            "/graphql", params={"query": "{ __typename }", "variables": f'{{"x": {deep}}}'}
        )
        assert by_url.status_code == 400
        submitted = f'{{"request": {{"events": {nested(900)}}}}}'
        answer = await client.post(
            "/v1/assessment/submit", content=submitted, headers={**json, **bearer(settings)}
        )
        assert answer.status_code == 400
        assert "within each other" in answer.text


class Submitted(BaseModel):
    ids: list[Any]


def test_what_stands_in_a_list_is_counted_and_not_printed() -> None:
    price = CallPrice(Price(1, 0, 0), Price(4, 0, 0))
    assert price.of(Submitted(ids=["a", "b", "a", 1])) == Price(1 + 4 * 3, 0, 0)
    assert price.of(Submitted(ids=[{"x": 1}, {"x": 1}])) == Price(1 + 4 * 2, 0, 0), "objects are not compared"
    innermost: list[Any] = []
    for _ in range(DEEPEST - 1):
        innermost = [innermost]
    assert READS.of(Submitted(ids=innermost)).partitions == 10 + 4 * (DEEPEST - 1)


async def test_a_token_that_does_not_hold_gives_nobody_what_is_free(
    settings: Settings, serving: Serving
) -> None:
    """Of a call that needs none, its address pays as that of a call without a token does."""
    async with serving(settings) as client:
        by_clock(client, points=100)
        for headers in ({}, {"Authorization": "Bearer x"}):
            answer = await client.get("/metrics/links/nothing", headers=headers)
            assert "anonymous" in answer.headers["RateLimit"] or "address" in answer.headers["RateLimit"], (
                headers
            )
