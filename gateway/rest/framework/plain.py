"""Endpoints of Cohort's own, without the platform's envelope: the answer is what was asked for, in the form that was asked
for, or ``{"error": {"code", "message", "field"?}}`` with the status that it has everywhere outside GraphQL."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.admission import slot_for
from gateway.http.rates import charge_begun
from gateway.rest.framework.endpoints import session_of_call
from gateway.rest.framework.envelope import Json
from gateway.rest.framework.requests import json_object
from gateway.rest.framework.told_access import told_access
from resolvers.nouns import Access, Session, Unauthenticated, Viewer

REFUSALS: Mapping[str, str] = {
    "400": "What is asked is wrong: `INVALID_INPUT`; or it costs more than a request may: `TOO_EXPENSIVE`.",
    "401": "No token or one that does not hold: `UNAUTHENTICATED`.",
    "403": "The caller may not see this: `FORBIDDEN`.",
    "404": "Something that is named does not exist: `NOT_FOUND`.",
    "413": "The body is larger than a request may be; it was not read to its end.",
    "429": "The caller has spent what it may in a minute; `Retry-After` says when to come again: `RATE_LIMITED`.",
    "500": "A fault here; it is logged: `INTERNAL_ERROR`.",
    "503": "A store is away, or too many requests are under way (`Retry-After` says when to come again); the call may be "
    "sent again: `STORE_UNAVAILABLE`, `OVERLOADED`.",
    "504": "Time ran out before every store had answered; the call may be sent again: `DEADLINE_EXCEEDED`.",
}


@dataclass(frozen=True)
class PlainEndpoint:
    """One method and path. ``parameters``: as OpenAPI has them. ``body``: the JSON Schema of a body. ``answers``: the JSON
    Schema of the answer by media type. ``headers``: what the answer's headers say. ``access``: who may call it. ``handler`` is given
    the session of the caller; that of nobody for a token that does not hold, where none is needed."""

    method: str
    path: str
    summary: str
    handler: Callable[[Request, Session], Coroutine[Any, Any, Response]]
    parameters: Sequence[Json]
    answers: Mapping[str, Json]
    body: Json | None = None
    headers: Mapping[str, str] | None = None
    conditional: bool = False
    access: Access = field(kw_only=True)


def plain_routes(endpoints: Sequence[PlainEndpoint]) -> tuple[Route, ...]:
    """A route for each path, which takes the methods that there are for it."""
    by_path: dict[str, dict[str, PlainEndpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return tuple(_route(path, methods) for path, methods in by_path.items())


def _route(path: str, methods: Mapping[str, PlainEndpoint]) -> Route:
    async def answer(request: Request) -> Response:
        endpoint = methods["GET" if request.method == "HEAD" else request.method]
        await request.body()  # so that a slow one holds no slot
        session = await _session_of(request, endpoint)
        async with slot_for(request, session.viewer):
            return await endpoint.handler(request, session)

    return Route(path, answer, methods=[*methods])


async def _session_of(request: Request, endpoint: PlainEndpoint) -> Session:
    """The session of the caller, once they may ask."""
    try:
        session = await session_of_call(request)
    except Unauthenticated:
        if endpoint.access.value.needs_token:
            raise
        nobody = Viewer()
        charge_begun(request, nobody)
        return Session(nobody, request.app.state.cohort.shared)
    if endpoint.access.value.needs_token:
        session.viewer.check_before(endpoint.access)
    return session


async def object_in(request: Request) -> Json:
    """The body, which must be a JSON object."""
    return json_object(await request.body(), "body")


def plain_operation(endpoint: PlainEndpoint) -> Json:
    """The endpoint's part of the OpenAPI document."""
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}}
    statuses = {status: told for status, told in REFUSALS.items() if status != "413" or endpoint.body}
    headers = {
        name: {"description": told, "schema": {"type": "string"}}
        for name, told in (endpoint.headers or {}).items()
    }
    responses: Json = {
        "200": {
            "description": "Done.",
            "headers": headers,
            "content": {media: {"schema": schema} for media, schema in endpoint.answers.items()},
        },
        **{status: {"description": told, "content": refused} for status, told in statuses.items()},
    }
    if endpoint.conditional:
        responses["304"] = {"description": "The client has it already."}
    operation: Json = {
        "operationId": f"{endpoint.method} {endpoint.path}",
        "summary": endpoint.summary,
        "tags": [endpoint.path.split("/")[1]],
        **told_access(endpoint.access),
        "parameters": endpoint.parameters,
        "responses": responses,
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": endpoint.body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation
