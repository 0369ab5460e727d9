"""No request holds the event loop: long answers come about in turns, and the deadline ends them where they are.

Times are of the CPU of the loop's thread, so that a busy machine does not count, with a margin of five or more.
"""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
import strawberry
from starlette.routing import Route
from strawberry.dataloader import DataLoader

from gateway import health
from graph.execution.planned import Planned, PlansTold
from graph.execution.projection import ProjectingExecutor
from graph.execution.variables import MOST_LISTED
from graph.fields import field
from graph.scalars import CONFIG
from resolvers.nouns import DeadlineExceeded, KeptResponse, QueryPlan, Source, Taken
from stores import turns
from stores.deadline import deadline
from tests.conftest import NOW, Instance
from tests.graph.conftest import application, ask, client_of
from tests.graph.documents.test_costs import course_of
from tests.holding import watched

MANY = 10_000
HOLD = 0.1
"""Seconds of CPU in one turn; without turns each of these takes several times as much."""
TAKEN = Taken(QueryPlan(Source.ROWS, "few", 1), "computed", 0.0)


@pytest.fixture(autouse=True)
def turns_as_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 0.015)


@strawberry.type
class Leaf:
    number: int
    name: str

    @strawberry.field
    def upper(self) -> str:
        return self.name.upper()

    @strawberry.field
    async def loaded(self, info: strawberry.Info) -> int:
        found: int = await info.context.loader.load(self.number)
        return found

    @strawberry.field
    async def fails(self) -> int:
        raise DeadlineExceeded("no time")


@strawberry.type
class Branch:
    leaves: list[Leaf]


def leaves(count: int) -> list[Leaf]:
    return [Leaf(number=number, name=f"leaf {number}") for number in range(count)]


@strawberry.type
class Query:
    @strawberry.field
    def short(self) -> list[Leaf]:
        return leaves(3)

    @strawberry.field
    def long(self, count: int = MANY) -> list[Leaf] | None:
        return leaves(count)

    @strawberry.field
    def branches(self) -> list[Branch] | None:
        return [Branch(leaves=leaves(100)) for _ in range(MANY // 300)]

    @field(description="Planned.", graphql_type=list[Leaf] | None)
    async def planned(self, info: strawberry.Info) -> Planned[list[Leaf]]:
        def keep(completed: Any) -> KeptResponse:
            info.context.kept.append(completed)
            return KeptResponse(orjson.dumps(completed), TAKEN, NOW)

        return Planned(leaves(MANY), TAKEN, NOW, keep=keep)


@strawberry.type
class Mutation:
    @strawberry.mutation
    def long(self) -> list[Leaf]:
        return leaves(MANY // 4)


SCHEMA = strawberry.Schema(
    Query, Mutation, config=CONFIG, execution_context_class=ProjectingExecutor, extensions=[PlansTold]
)
PLAIN = strawberry.Schema(Query, Mutation, config=CONFIG)


@pytest.fixture
def context() -> SimpleNamespace:
    batches: list[int] = []

    async def load(keys: list[int]) -> list[int]:
        batches.append(len(keys))
        return [key * 2 for key in keys]

    return SimpleNamespace(loader=DataLoader(load_fn=load), batches=batches, kept=[])


@pytest.mark.parametrize(
    "document",
    [
        "{ long { number name } }",
        "{ long { number name upper } short { upper } }",
        "{ branches { leaves { number name upper } } }",
        "{ long(count: 2000) { number loaded } }",
        "{ branches { leaves { number loaded } } }",
        "mutation { long { number upper } }",
    ],
)
async def test_a_long_answer_is_the_librarys_and_comes_about_in_turns(
    document: str, context: SimpleNamespace
) -> None:
    for _ in range(3):  # a busy machine takes more CPU for the same, now and then
        async with watched() as holds:
            result = await SCHEMA.execute(document, context_value=context)
        context.loader.clear_all()
        if holds.longest < HOLD:
            break
    assert result.errors is None
    assert result.data == (await PLAIN.execute(document, context_value=context)).data
    assert holds.longest < HOLD


async def test_what_is_loaded_for_a_usual_list_is_one_batch(
    context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is fast enough; on others there may be two."""
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    result = await SCHEMA.execute("{ long(count: 200) { loaded } }", context_value=context)
    assert result.errors is None
    assert context.batches == [200]


async def test_past_the_deadline_a_long_list_is_cut_and_what_was_there_is_answered(
    context: SimpleNamespace,
) -> None:
    with deadline(0.05):
        result = await SCHEMA.execute(
            "{ short { name } long(count: 100000) { number name upper } }", context_value=context
        )
    assert result.data == {"short": [{"name": f"leaf {number}"} for number in range(3)], "long": None}
    (error,) = result.errors or []
    assert isinstance(error.original_error, DeadlineExceeded)
    assert error.path == ["long"]


async def test_what_was_completed_in_turns_is_kept_as_what_was_not(context: SimpleNamespace) -> None:
    result = await SCHEMA.execute("{ planned { number name } }", context_value=context)
    assert result.errors is None
    assert isinstance(result.data, dict)
    assert result.data["planned"].__class__ is orjson.Fragment
    assert context.kept[0] == [{"number": leaf.number, "name": leaf.name} for leaf in leaves(MANY)]


async def test_what_a_resolver_waited_for_is_not_kept(context: SimpleNamespace) -> None:
    result = await SCHEMA.execute("{ planned { number loaded } }", context_value=context)
    assert result.errors is None
    assert context.kept == []


async def test_an_error_in_a_long_list_that_cannot_be_null_is_told_once_and_nothing_is_left_running(
    context: SimpleNamespace,
) -> None:
    result = await SCHEMA.execute("{ long(count: 3000) { loaded fails } }", context_value=context)
    assert result.data == {"long": None}
    assert len(result.errors or ()) == 1
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1


IDS = "query ($ids: [String!]!) { collections(identifiers: $ids) { name } }"
LEAVES = """query ($ids: [String!]!) { collections(identifiers: $ids) { leafNodes(first: 200) { edges { node {
  identifier name mimeType viewerView { status progress } } } } } }"""


@pytest.fixture
async def large(embedded: Instance) -> AsyncIterator[httpx.AsyncClient]:
    await embedded.publish(course_of(4, 100, "large"))
    app = application(embedded.shared)
    app.router.routes.append(Route("/health/live", health.live))
    async with client_of(app) as client:
        yield client


async def test_others_are_answered_while_a_process_writes_60_times_200_leaves(
    large: httpx.AsyncClient,
) -> None:
    """12,000 leaves with the viewer's views of them."""
    asked = {"query": LEAVES, "variables": {"ids": ["large"] * 60}}
    await large.post("/graphql", json={"query": LEAVES, "variables": {"ids": ["large"]}})
    async with watched() as holds:
        heavy = asyncio.create_task(large.post("/graphql", json=asked))
        answered = 0
        while not heavy.done():
            assert (await large.get("/health/live")).json() == {"status": "live"}
            answered += 1
            await asyncio.sleep(0.005)
    answer = orjson.loads((await heavy).content)
    assert "errors" not in answer
    assert [len(one["leafNodes"]["edges"]) for one in answer["data"]["collections"]] == [200] * 60
    assert holds.longest < 2.5 * HOLD
    assert answered >= 3, "one before, one after, and some meanwhile"


@pytest.mark.parametrize("member", ["x", 1])
async def test_variables_that_list_too_much_are_not_looked_at(
    large: httpx.AsyncClient, member: object
) -> None:
    asked = {"query": IDS, "variables": {"ids": [member] * 150_000}}
    content = orjson.dumps(asked)
    async with watched() as holds:
        answer = (
            await large.post("/graphql", content=content, headers={"Content-Type": "application/json"})
        ).json()
    (error,) = answer["errors"]
    assert f"{MOST_LISTED:,} members of lists" in error["message"]
    assert error["extensions"] == {
        "code": "BAD_REQUEST",
        "limit": "members of lists",
        "most": MOST_LISTED,
        "found": 150_000,
    }
    assert holds.longest < 2.5 * HOLD


async def test_lists_within_lists_and_inputs_are_counted_and_json_is_not(published: Instance) -> None:
    """101 conditions of 100 values each are 10,201 members; 99 of 100 are 9,999."""
    query = "query ($asked: ActivityMetricsInput!) { activityMetrics(query: $asked) { rows } }"

    def asked(conditions: int) -> dict[str, object]:
        one = {"dimension": {"dimension": "DISTRICT", "in": ["x"] * 100}}
        return {"metrics": ["ENROLLED_COUNT"], "filter": {"and": [one] * conditions}}

    refused = await ask(published.session(), query, asked=asked(101))
    assert "members of lists" in refused["errors"][0]["message"]
    passed = await ask(published.session(), query, asked=asked(99))
    assert "members of lists" not in str(passed)


async def test_a_request_that_waits_for_what_looks_at_no_deadline_is_over_soon_after_it(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("resolvers.collections.collection", never)
    monkeypatch.setattr("gateway.http.limits.GRACE", 0.05)
    async with client_of(application(published.shared, seconds=0.1)) as client:
        answer = await client.post(
            "/graphql", json={"query": '{ collection(identifier: "course") { name } }'}
        )
    assert answer.status_code == 504
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "DEADLINE_EXCEEDED"
