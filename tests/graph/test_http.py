"""GraphQL over HTTP."""

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Message

from gateway.graphql_http import GRAPHQL_JSON
from gateway.http.media_types import JSON
from graph.schema import build_schema
from loaders.session import Session
from tests.conftest import COURSE, Instance
from tests.graph.conftest import application, client_of, document

ME = {"query": "{ me { userId } }"}
START = 'mutation { startView(input: {contentId: "a"}) { errors { code } } }'


async def test_a_question_and_its_answer(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json=ME)
    assert (response.status_code, response.json()) == (200, {"data": {"me": {"userId": "ann"}}})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    response = await client.get("/graphql", params=ME)
    assert response.json() == {"data": {"me": {"userId": "ann"}}}
    response = await client.get(
        "/graphql",
        params={
            "query": "query ($id: String!) { context(contextId: $id) { name } }",
            "variables": '{"id":"batch"}',
        },
    )
    assert response.json() == {"data": {"context": {"name": "Batch batch"}}}


async def test_a_tree_is_sent_as_it_was_serialised(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/graphql", json={"query": document("course_tree"), "variables": {"collection": "course"}}
    )
    assert orjson.dumps(COURSE) in response.content


async def test_the_media_type_that_was_accepted(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json=ME, headers={"Accept": f"{GRAPHQL_JSON}, {JSON};q=0.9"})
    assert response.headers["content-type"] == f"{GRAPHQL_JSON}; charset=utf-8"


INVALID = [
    {"query": "{"},
    {"query": "{ nothing }"},
    {"query": "query ($id: String!) { context(contextId: $id) { name } }", "variables": {"id": 5}},
    {"query": "query ($id: String!) { context(contextId: $id) { name } }"},
]


@pytest.mark.parametrize("body", INVALID)
async def test_a_request_that_can_not_be_executed_has_no_data(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    for accept, status in ((GRAPHQL_JSON, 400), (JSON, 200)):
        response = await client.post("/graphql", json=body, headers={"Accept": accept})
        assert response.status_code == status
        assert "data" not in response.json()
        assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"BAD_REQUEST"}


async def test_a_request_that_was_executed_has_its_data_whatever_failed(client: httpx.AsyncClient) -> None:
    body = {"query": '{ context(contextId: "nowhere") { name } }'}
    response = await client.post("/graphql", json=body, headers={"Accept": GRAPHQL_JSON})
    assert (response.status_code, response.json()["data"]) == (200, {"context": None})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"{"}, 400),
        ({"content": b"5"}, 400),
        ({"content": b"null"}, 400),
        ({"content": b"[]"}, 400),
        ({"content": b'[{"query": "{ me { userId } }"}]'}, 400),
        ({"content": b"\xff"}, 400),
        ({"content": b"{}"}, 400),
        ({"content": b'{"query": 5}'}, 400),
        ({"content": b'{"query": "{ me { userId } }", "variables": "x"}'}, 400),
        ({"content": b'{"query": "{ me { userId } }", "operationName": 5}'}, 400),
        ({"content": b'{"query": "{ me { userId } }", "operationName": "Other"}'}, 400),
        ({"content": b"{ me }", "headers": {"content-type": "application/graphql"}}, 415),
        ({"content": b"{}", "headers": {"content-type": "text/plain; a=application/json"}}, 415),
        ({"content": b"{}", "headers": {"content-type": "application/json; charset=utf-16"}}, 415),
        ({"content": b"{}", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 415),
    ],
)
async def test_a_body_that_is_no_request(
    client: httpx.AsyncClient, sent: dict[str, Any], status: int
) -> None:
    sent.setdefault("headers", {"content-type": JSON})
    response = await client.post("/graphql", **sent)
    assert response.status_code == status, response.text
    (error,) = response.json()["errors"]
    assert error["message"]
    assert error["extensions"]["code"] == "BAD_REQUEST"


async def test_methods(client: httpx.AsyncClient) -> None:
    mutation = await client.get("/graphql", params={"query": START})
    assert (mutation.status_code, mutation.headers["allow"]) == (405, "POST")
    put = await client.put("/graphql", json=ME)
    assert (put.status_code, put.headers["allow"]) == (405, "GET, POST")
    assert (await client.get("/graphql", headers={"Accept": "text/html"})).status_code == 400


async def test_tokens(embedded: Instance) -> None:
    app = application(embedded.shared)
    async with client_of(app, "broken") as broken, client_of(app, None) as nobody:
        refused = await broken.post("/graphql", json=ME)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.json() == {
            "errors": [
                {
                    "message": "the token does not hold",
                    "extensions": {"code": "UNAUTHENTICATED"},
                }
            ]
        }
        anonymous = await nobody.post("/graphql", json=ME)
        assert anonymous.json()["data"] == {"me": None}
        assert anonymous.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await nobody.post("/graphql", json={"query": "{ __typename }"})).json() == {
            "data": {"__typename": "Query"}
        }


async def test_an_oversized_body_is_refused_before_it_is_parsed(embedded: Instance) -> None:
    async def in_pieces() -> Any:
        for _ in range(20):
            yield b"#" * 100

    async with client_of(application(embedded.shared, largest_body=1_000)) as client:
        announced = await client.post("/graphql", content=b"#" * 1_001, headers={"content-type": JSON})
        assert announced.status_code == 413
        counted = await client.post("/graphql", content=in_pieces(), headers={"content-type": JSON})
        assert counted.status_code == 413
        assert counted.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert (await client.post("/graphql", json=ME)).status_code == 200


async def test_nothing_unexpected_reaches_a_client(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    app = application(embedded.shared)
    monkeypatch.setattr("tests.graph.conftest.session_of_headers", broken)
    async with client_of(app) as client:
        response = await client.post("/graphql", json=ME)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["errors"][0]["extensions"]["errorId"] in caplog.text


async def test_the_work_ends_with_the_client(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(*_: object, **__: object) -> None:
        reached.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    monkeypatch.setattr("resolvers.contexts.context", endless)
    body = orjson.dumps({"query": '{ context(contextId: "batch") { name } }'})
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", JSON.encode()), (b"authorization", b"Bearer ann")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("cohort.test", 80),
        "client": ("127.0.0.1", 1),
    }
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await reached.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(60):
        await application(embedded.shared)(scope, receive, send)
        await cancelled.wait()
    assert sent == []


async def test_no_web_sockets_yet(embedded: Instance) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    from gateway.graphql_http import GraphQLEndpoint

    async def session_of(_: object) -> Session:
        return embedded.session("ann")

    endpoint = GraphQLEndpoint(session_of, schema=build_schema())
    await endpoint({"type": "websocket", "headers": [], "path": "/graphql"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
