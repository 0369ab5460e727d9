"""How tests ask: a document with its variables, through the schema or over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from strawberry.http import process_result

from gateway.asked_documents import PATH_ID
from gateway.graphql_http import GraphQLEndpoint
from gateway.http.limits import Deadline, LargestBody
from graph.execution.encoding import encode
from graph.schema import CohortSchema, schema
from loaders.session import Session, Shared
from rules.errors import Unauthenticated
from rules.viewers import Role, Viewer
from tests.conftest import Instance

DOCUMENTS = Path(__file__).parents[2] / "gateway" / "static" / "queries"
Answer = dict[str, Any]


def document(name: str) -> str:
    return (DOCUMENTS / f"{name}.graphql").read_text()


async def ask(
    session: Session, query: str, *, operation: str | None = None, of: CohortSchema = schema, **variables: Any
) -> Answer:
    """The answer as a client gets it."""
    result = await of.execute(query, variables, context_value=session, operation_name=operation)
    answer: Answer = orjson.loads(b"".join(encode(process_result(result)).parts))
    return answer


async def data(session: Session, query: str, **variables: Any) -> Any:
    """Of an answer without errors."""
    answer = await ask(session, query, **variables)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


async def code(session: Session, query: str, **variables: Any) -> tuple[str, str | None]:
    """Code and field of the one error that there is."""
    answer = await ask(session, query, **variables)
    (error,) = answer["errors"]
    return error["extensions"]["code"], error["extensions"].get("field")


RECORD = document("record_view")


async def record(session: Session, operation: str, **variables: Any) -> Any:
    """One of the operations of record_view.graphql; its payload, refused or not."""
    (payload,) = (await data(session, RECORD, operation=operation, **variables)).values()
    return payload


async def view_to_end(instance: Instance, user: str, content: str, **place: str) -> None:
    for operation in ("Start", "End"):
        payload = await record(instance.session(user), operation, contentId=content, **place)
        assert payload["errors"] == []


BATCH = {"collectionId": "course", "contextId": "batch"}


def session_of_headers(shared: Shared, request: Request) -> Session:
    """Stands in for gateway/identity.py: the token is the user's name; ``admin`` is an admin."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token == "broken":
        raise Unauthenticated("the token does not hold")
    roles = {Role.ADMIN} if token == "admin" else {Role.LEARNER}
    return Session(Viewer(token or None, frozenset(roles)), shared)


def application(
    shared: Shared,
    of: CohortSchema = schema,
    *,
    largest_body: int = 1_000_000,
    seconds: float = 10.0,
    **endpoint: Any,
) -> Starlette:
    """``endpoint``: what GraphQLEndpoint takes beside its schema."""

    async def session_of(request: Request) -> Session:
        return session_of_headers(shared, request)

    graphql = GraphQLEndpoint(session_of, schema=of, **endpoint)
    return Starlette(
        routes=[Route("/graphql", graphql), Route(f"/graphql/{{{PATH_ID}}}", graphql)],
        middleware=[Middleware(LargestBody, most=largest_body), Middleware(Deadline, seconds=seconds)],
    )


def client_of(app: Starlette, user: str | None = "ann") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {user}"} if user else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://cohort.test", headers=headers
    )


@pytest.fixture
async def client(published: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """Ann's, of an instance with COURSE and its batch."""
    async with client_of(application(published.shared)) as client:
        yield client
