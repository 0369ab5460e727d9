"""The budget of a request: refused before anything is read, ended once it has really cost too much, told in a header."""

import logging
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from starlette.middleware import Middleware
from strawberry.http import process_result

from gateway.http.answer_heads import AnswerHeads
from gateway.http.costs import tell_cost
from gateway.pages.ready_queries import TABS, Ready
from graph.execution.encoding import encode
from graph.schema import schema
from ingest.importers.sample import load_sample
from loaders.session import Session, Shared
from rules.prices import Budget, Price
from rules.viewers import Role, Viewer
from tests.conftest import Instance
from tests.graph.conftest import application, ask, client_of, data, document

MOST = Budget().most
TREE = "leafNodes(first: 100) { edges { node { identifier name kind mimeType view { status } } } }"
F2 = {
    "a collection 200 times under 45 aliases": (
        "query ($ids: [String!]!) {"
        + " ".join(f"a{n}: collections(identifiers: $ids) {{ {TREE} }}" for n in range(45))
        + "}",
        {"ids": ["course"] * 200},
    ),
    "trees as JSON under 12 aliases": (
        "query ($ids: [String!]!) {"
        + " ".join(f"a{n}: collections(identifiers: $ids) {{ hierarchy }}" for n in range(12))
        + "}",
        {"ids": ["course"] * 200},
    ),
    "members of groups and what each is enrolled in": (
        "{ me {"
        + " ".join(
            f"a{n}: groups(first: 50) {{ edges {{ node {{ members(first: 200) {{ edges {{ node {{ learner {{"
            " enrolments { edges { node { status } } } } } } } } } }"
            for n in range(3)
        )
        + "} }",
        {},
    ),
    "50 counts of active learners": (
        "{"
        + " ".join(
            f'a{n}: activeLearners(query: {{from: "2026-01-01", to: "2026-02-{1 + n % 28:02}"}}) {{ rows }}'
            for n in range(50)
        )
        + "}",
        {},
    ),
    "50 tables of figures": (
        "{"
        + " ".join(
            f'a{n}: activityMetrics(query: {{metrics: [ENROLLED_COUNT], activityIds: ["c{n}"]}}) {{ rows }}'
            for n in range(50)
        )
        + "}",
        {},
    ),
}


def actual_bytes(result: Any) -> int:
    return sum(map(len, encode(process_result(result)).parts))


@pytest.mark.parametrize(("query", "variables"), F2.values(), ids=list(F2))
async def test_what_blocked_a_process_is_refused_before_a_statement_is_sent(
    published: Instance, query: str, variables: dict[str, Any]
) -> None:
    session, stores = published.session("ann", Role.LEARNER, Role.REPORTER), published.stores
    with stores.rows.meter.measure() as statements, stores.groups.meter.measure() as queries:
        answer = await ask(session, query, **variables)
    assert answer["data"] is None
    (error,) = answer["errors"]
    told = error["extensions"]
    assert told["code"] == "TOO_EXPENSIVE"
    assert told["most"] == MOST.told()
    assert any(told["cost"][measure] > most for measure, most in MOST.told().items())
    assert error["message"].startswith("the request would cost ")
    assert (statements, queries) == ({}, {})
    assert session.bill.actual == Price()


async def test_the_same_id_200_times_is_read_once(published: Instance) -> None:
    """The answer has it 200 times, and its bytes are counted as often."""
    query = f"query ($ids: [String!]!) {{ collections(identifiers: $ids) {{ {TREE} }} }}"

    async def cost_of(ids: list[str]) -> tuple[Price, Price, int]:
        session = Session(Viewer("ann", frozenset({Role.LEARNER})), Shared.of(published.stores))
        with published.stores.rows.meter.measure() as statements:
            await data(session, query, ids=ids)
        return session.bill.estimate, session.bill.actual, statements.total()

    await cost_of(["course"])  # the cache has its tree from then on
    once, again = await cost_of(["course"]), await cost_of(["course"] * 5)
    assert again[0].partitions == once[0].partitions
    assert again[1].partitions == once[1].partitions > 0
    assert again[2] == once[2]
    assert again[0].bytes > 4 * once[0].bytes


def names_of(ready: Ready) -> list[str | None]:
    return ["Enrol", "Start", "Update", "End"] if ready.name == "record_view" else [None]


async def test_no_document_of_clients_costs_more_than_was_said(embedded: Instance) -> None:
    """On the sample, with nothing kept in memory, and with short and long pages."""
    await load_sample(embedded.shared)
    for ready in TABS:
        for changed in ({}, {"first": 1}, {"first": 100}):
            for operation in names_of(ready):
                roles = frozenset({Role.LEARNER, Role.MENTOR, Role.REPORTER, Role.CREATOR})
                session = Session(
                    Viewer(ready.by.user, roles), Shared.of(embedded.stores, embedded.shared.now)
                )
                variables = {**ready.variables, **{n: v for n, v in changed.items() if n in ready.variables}}
                name = operation or ("Draft" if ready.name == "drafts" else None)
                result = await schema.execute(
                    ready.text, variables, context_value=session, operation_name=name
                )
                assert result.data is not None, (ready.name, result.errors)
                estimate, actual = session.bill.estimate, session.bill.actual
                assert estimate.partitions >= actual.partitions, (ready.name, estimate, actual)
                assert estimate.druid_rows >= actual.druid_rows, (ready.name, estimate, actual)
                assert estimate.bytes >= actual_bytes(result), (ready.name, estimate, actual_bytes(result))


# --- what shows only while it is answered


def bounded(instance: Instance, most: Price, *, enforced: bool = True) -> Session:
    shared = replace(instance.shared, budget=Budget(most, enforced=enforced))
    return Session(Viewer("ann", frozenset({Role.LEARNER})), shared)


def large(count: int) -> dict[str, Any]:
    """A course of so many leaves, each with a long description."""
    leaves = [
        {
            "identifier": f"l{n}",
            "name": f"Leaf {n}",
            "mimeType": "video/mp4",
            "description": "x" * 5_000,
            "status": "Live",
        }
        for n in range(count)
    ]
    return {
        "identifier": "large",
        "name": "Large",
        "mimeType": "application/vnd.ekstep.content-collection",
        "status": "Live",
        "children": leaves,
    }


async def test_trees_that_are_larger_than_trees_usually_are_end_the_request(embedded: Instance) -> None:
    """Each has 100 leaves of 5 KB, 500 KB in all, and is taken for 100 KB: 12 were taken for 1.2 MB, and would be 6 MB."""
    await embedded.publish(large(100))
    aliases = " ".join(f'a{n}: collection(identifier: "large") {{ hierarchy }}' for n in range(12))
    session = bounded(embedded, Price(1_000, 1_000, 2_000_000))
    answer = await ask(session, f"{{ {aliases} }}")
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "TOO_EXPENSIVE"
    # Twice the budget is 4 MB, so the eighth or ninth tree ended it, and no more of it was made.
    assert 4_000_000 < error["extensions"]["cost"]["bytes"] < 5_100_000
    assert error["message"].startswith("the request has cost ")
    assert session.bill.estimate.bytes < 2_000_000


async def test_a_list_of_many_members_ends_the_request_while_it_is_made(embedded: Instance) -> None:
    """30 lists of 200 leaves with two fields, 120 KB by what fields take at least; the budget is half of the half of that."""
    await embedded.publish(large(200))
    aliases = " ".join(
        f'a{n}: collection(identifier: "large") {{ children {{ identifier name }} }}' for n in range(30)
    )
    session = bounded(embedded, Price(1_000, 1_000, 30_000))
    answer = await ask(session, f"{{ {aliases} }}")
    (error,) = answer["errors"]
    assert (answer["data"], error["extensions"]["code"]) == (None, "TOO_EXPENSIVE")


async def test_reads_beyond_twice_the_budget_end_the_request(published: Instance) -> None:
    session = bounded(published, Price(3, 1_000, 1_000_000))
    session.bill.partitions = 7  # as if so many had been read by other fields
    session.bill.budget = Budget(Price(3, 1_000, 1_000_000))
    answer = await ask(session, "{ me { name } }")
    assert answer["errors"][0]["extensions"]["code"] == "TOO_EXPENSIVE"


async def test_what_changes_something_is_never_ended_in_its_middle(published: Instance) -> None:
    session = bounded(published, Price(100, 1_000, 1_000_000))
    session.bill.partitions = 10_000
    answer = await ask(
        session,
        document("record_view"),
        operation="Enrol",
        collectionId="course",
        contextId="batch",
    )
    assert answer["data"]["enrol"]["errors"] == []
    assert session.bill.partitions > 10_000


async def test_warn_only_lets_through_what_is_over_the_budget_and_logs_it(
    published: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    session = bounded(published, Price(1, 1, 10), enforced=False)
    with caplog.at_level(logging.WARNING):
        answer = await ask(session, '{ collection(identifier: "course") { children { name } } }')
    assert len(answer["data"]["collection"]["children"]) > 0
    (record,) = [record for record in caplog.records if "over the budget" in record.message]
    assert "bytes of answer" in record.message
    assert session.bill.over is not None


# --- what clients are told


def costly(client_app: Any) -> httpx.AsyncClient:
    return client_of(client_app)


@pytest.fixture
def app(published: Instance) -> Any:
    found = application(published.shared)
    found.user_middleware.append(Middleware(AnswerHeads, told=(tell_cost,)))
    return found


COURSE = '{ collection(identifier: "course") { name } }'


async def test_the_header_tells_estimate_and_actual_in_points(app: Any) -> None:
    async with costly(app) as client:
        answer = await client.post("/graphql", json={"query": COURSE})
        # One partition, and less than 10,000 bytes: 2 points, rounded up.
        assert answer.headers["X-Cost"].startswith("estimate=2; actual=")
        assert "extensions" not in answer.json()


async def test_who_asks_for_it_is_told_all_of_the_cost(app: Any) -> None:
    async with costly(app) as client:
        plain = await client.get("/graphql", params={"query": COURSE})
        full = await client.get("/graphql", params={"query": COURSE}, headers={"X-Cost": "full"})
        # 20 for the collection: its name and 10; 51 for the name in it: 4, 7 and 40.
        cost = full.json()["extensions"]["cost"]
        assert cost["estimate"] == {
            "partitions": 1,
            "druidRows": 0,
            "bytes": 20 + 51,
            "points": 2,
        }
        assert cost["actual"]["bytes"] == len(plain.content)
        assert full.json()["data"] == plain.json()["data"]
        assert full.headers["ETag"] == plain.headers["ETag"]
        again = await client.get(
            "/graphql",
            params={"query": COURSE},
            headers={"X-Cost": "full", "If-None-Match": plain.headers["ETag"]},
        )
        assert again.status_code == 304
        assert again.headers["X-Cost"].startswith("estimate=2; ")


async def test_a_refusal_is_told_with_the_status_of_a_bad_request(app: Any) -> None:
    query, variables = F2["trees as JSON under 12 aliases"]
    async with costly(app) as client:
        answer = await client.post(
            "/graphql",
            content=orjson.dumps({"query": query, "variables": variables}),
            headers={"Accept": "application/graphql-response+json", "Content-Type": "application/json"},
        )
    assert answer.status_code == 400
    assert "data" not in answer.json()
    assert answer.headers["X-Cost"].startswith("estimate=")
