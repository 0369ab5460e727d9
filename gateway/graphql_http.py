"""GraphQL over HTTP, with typed errors for all that it refuses.

Strawberry's view for Starlette knows uploads, streams, batches and web sockets, and asks about each of them in every request.

The size of a body and the time of a request are limited for all routes together (gateway/http/limits.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLHTTPResponse
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from gateway.asked_documents import PATH_ID, AskedData, Trust, asked_for, text_of
from gateway.graphql_answers import age_of, codes_in, is_stale, note_document, response_of
from gateway.http.admission import SESSION, Admission, slot_once_read
from gateway.http.conditional import conditional
from gateway.http.costs import HEADER as COST
from gateway.http.costs import bill_noted, bill_of_request, wants_full
from gateway.http.disconnect import while_connected
from gateway.http.errors import CHALLENGE, headers_of, status_of
from gateway.http.heads import text_in, texts_in
from gateway.http.limits import InTime
from gateway.http.media_types import JSON, is_json, preferred
from gateway.http.nesting import TOO_DEEP, is_too_deep
from gateway.http.on_behalf import FOR_HEADER
from gateway.http.rates import count_refusal, refusal_counted
from gateway.routers import Routers
from graph.documents.lifetimes import Lifetimes
from graph.errors import BAD_REQUEST, INTERNAL_ERROR, presented
from graph.execution.encoding import Encoded, encode
from graph.schema import CohortSchema, schema
from loaders.session import Session
from resolvers.nouns import Bill
from rules.errors import CohortError, RateLimited, Unauthenticated
from telemetry.requests import note_error

PARAMETERS: Mapping[str, type] = {
    "query": str,
    "documentId": str,
    "variables": dict,
    "operationName": str,
    "extensions": dict,
}
"""What a request may have, in its body or its query."""
_COST = "cost"
GRAPHQL_JSON = "application/graphql-response+json"
_VARY = (b"vary", f"Accept, {FOR_HEADER}, {COST}".encode())
_ALLOWED = {
    "GET": frozenset(OperationType.from_http("GET")),
    "POST": frozenset(OperationType.from_http("POST")),
}
"""The methods of HTTP that there are, each with the operations that it may execute."""


class Head:
    """What is told in the head of an answer, as far as it is known before the answer is."""

    __slots__ = ("headers", "media_type", "status")

    def __init__(self, request: Request) -> None:
        accept = ",".join(texts_in(request.scope, b"accept"))
        self.media_type = preferred(accept, (JSON, GRAPHQL_JSON)) or JSON
        self.status: int = HTTPStatus.OK
        self.headers: dict[str, str] = {}


class InParts(Response):
    """A response whose body is sent part by part: a tree of some megabytes is not copied."""

    def __init__(self, encoded: Encoded, head: Head) -> None:
        # Starlette's own looks what there is to add; here that is known.
        self.parts, self.tag_of = encoded
        self.status_code, self.background = head.status, None
        self.body = self.parts[0] if len(self.parts) == 1 else b""
        self.raw_headers = [
            _VARY,
            (b"content-length", b"%d" % sum(map(len, self.parts))),
            (b"content-type", b"%s; charset=utf-8" % head.media_type.encode()),
            *(
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in head.headers.items()
            ),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        for number, part in enumerate(self.parts, 1):
            more = number < len(self.parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})


class GraphQLEndpoint:
    """An ASGI application for one path.

    ``session_of`` gives the Session of a request, or raises Unauthenticated for a token that does not hold. ``admission``
    has the slots for requests, shared with REST. ``trust``: which documents are executed. ``routers``: who may send any,
    whatever that says. ``lifetimes``: for how long a client may keep the answer to a query by GET.
    """

    def __init__(
        self,
        session_of: Callable[[Request], Awaitable[Session]],
        *,
        schema: CohortSchema = schema,
        admission: Admission | None = None,
        trust: Trust = "any",
        routers: Routers = Routers(),  # noqa: B008 - it never changes
        lifetimes: Lifetimes = Lifetimes(),  # noqa: B008 - it never changes
    ) -> None:
        self._session_of = session_of
        self._schema = schema
        self._trust = trust
        self._routers = routers
        self._lifetimes = lifetimes
        self._admission = admission or Admission()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close()
            return
        request = Request(scope, receive)
        head = Head(request)
        try:
            async with await slot_once_read(request, self._session_of, self._admission):
                response: Response = await self._answer(request, head)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - nothing unexpected may reach a client
            response = _refusal(request, error)
        if (
            request.method == "GET"
            and isinstance(response, InParts)
            and "cache-control" not in response.headers
        ):
            tag_of = _without_plans(response.tag_of)
            response = conditional(request, response, tag_of=tag_of, max_age=request.state.max_age)
        await response(scope, receive, send)

    async def _answer(self, request: Request, head: Head) -> InParts:
        session: Session = request.scope[SESSION]
        bill_of_request(request, session.bill)
        if request.method not in _ALLOWED:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL only supports GET and POST requests.")
        result = await self._executed(request, await _asked(request), session)
        response = response_of(result)
        if wants_full(request) and (bill := bill_noted(request)) is not None:
            response["extensions"] = {**(response.get("extensions") or {}), _COST: bill}
        return _told(response, head)

    async def _executed(self, request: Request, data: AskedData, session: Session) -> ExecutionResult:
        """The result. It is cancelled if the client disconnects, but commands that have begun are finished (graph/errors.py)."""
        with InTime():
            asked = asked_for(data, request.path_params.get(PATH_ID))
            note_document(asked.text)
            trust = "any" if self._routers.sent(request) else self._trust
            text = await text_of(asked, session, self._schema, trust=trust)
            if asked.text is None:
                note_document(text)
            executing = self._result(request, text, data, session)
            if text is not None and self._schema.is_command(text, data.operation_name):
                result = await executing  # there is nothing to cancel
            else:
                result = await while_connected(request.receive, executing)
        if request.method == "GET":
            request.state.max_age = self._max_age(text, data, result)
        return result

    def _max_age(self, text: str | None, data: AskedData, result: ExecutionResult) -> int:
        if not text or result.errors:
            return 0
        return seconds_left(self._schema.known(text).seconds(data.operation_name, self._lifetimes), result)

    async def _result(
        self, request: Request, text: str | None, data: AskedData, session: Session
    ) -> ExecutionResult:
        try:
            return await self._schema.execute(
                text,
                variable_values=data.variables,
                context_value=session,
                operation_name=data.operation_name,
                allowed_operation_types=_ALLOWED[request.method],
                operation_extensions=data.extensions,
            )
        except CannotGetOperationTypeError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, error.as_http_error_reason()) from error
        except InvalidOperationTypeError as error:
            reason = error.as_http_error_reason("GET" if request.method == "GET" else "POST")
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, reason, {"Allow": "POST"}) from error
        except MissingQueryError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "No GraphQL query found in the request") from error


async def _asked(request: Request) -> AskedData:
    """What the request asks for: one operation, no batches, uploads or streams."""
    if request.method == "GET":
        data: Any = dict(request.query_params)
        for name in ("variables", "extensions"):
            if data.get(name):
                data[name] = _json(data[name])
    elif is_json(text_in(request.scope, b"content-type")):
        data = _json(await request.body())
    else:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {JSON}, in UTF-8")
    if isinstance(data, list):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "a request has one operation")
    for name, kind in PARAMETERS.items():
        given = data.get(name)
        if given is not None and not isinstance(given, kind):
            what = "a text" if kind is str else "an object"
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name} must be {what} or null")
    request_data = AskedData(
        data.get("query"), data.get("variables"), data.get("operationName"), data.get("extensions")
    )
    request_data.document_id = data.get("documentId")
    return request_data


def _json(text: str | bytes) -> Any:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Unable to parse request body as JSON") from error
    if not isinstance(parsed, dict | list | None):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "a JSON object is needed")
    if is_too_deep(parsed, text):
        raise HTTPException(HTTPStatus.BAD_REQUEST, TOO_DEEP)
    return parsed or {}


def _told(response: GraphQLHTTPResponse, head: Head) -> InParts:
    """The answer as it is sent. One with errors must not be kept by caches.

    A request without a token is 401 as one with a broken token is, whatever it could be told without. A request that
    could not be executed is an HTTP error if the client accepts the media type for that; older clients expect 200
    (GraphQL over HTTP, section 6.4).
    """
    was_executed = "data" in response
    if not was_executed and head.status == HTTPStatus.OK:
        if _has_internal_error(response):
            head.status = HTTPStatus.INTERNAL_SERVER_ERROR
        elif head.media_type == GRAPHQL_JSON:
            head.status = HTTPStatus.BAD_REQUEST
    if "errors" in response:
        head.headers["Cache-Control"] = "no-store"
    codes = codes_in(response)
    if not was_executed and RateLimited.code in codes:
        head.status = HTTPStatus.TOO_MANY_REQUESTS
        head.headers.setdefault("Retry-After", _retry_after(response))
    for code in codes:
        note_error(code)
    if head.status == HTTPStatus.OK and Unauthenticated.code in codes:
        head.status = HTTPStatus.UNAUTHORIZED
        head.headers |= CHALLENGE
    return InParts(_encoded(response), head)


def _refusal(request: Request, error: Exception) -> InParts:
    """The error in the shape of a GraphQL response, with an HTTP status."""
    head = Head(request)
    refused: Any
    match error:
        case HTTPException():
            count_refusal(request)
            head.status = error.status_code
            if head.status == HTTPStatus.METHOD_NOT_ALLOWED:
                head.headers["Allow"] = "GET, POST"
            head.headers |= error.headers or {}
            refused = _bad_request(error.detail)
        case CohortError():
            error = refusal_counted(request, error)
            head.status = status_of(error)
            head.headers |= headers_of(error)
            refused = _presented(error)
        case _:
            head.status = HTTPStatus.INTERNAL_SERVER_ERROR
            refused = _presented(error)
    return _told({"errors": [refused]}, head)


def _encoded(response: GraphQLHTTPResponse) -> Encoded:
    """The response as JSON. With its cost, which has the bytes that it would have without that; its tag goes by those alone."""
    extensions = response.get("extensions") or {}
    bill = extensions.pop(_COST, None)
    if not isinstance(bill, Bill):
        return encode(response)
    if not extensions:
        response.pop("extensions", None)
    without = encode(response)
    bill.bytes = sum(map(len, without.parts))
    cost = {"estimate": bill.estimate.told(), "actual": bill.actual.told()}
    return Encoded(encode({**response, "extensions": {**extensions, _COST: cost}}).parts, without.tag_of)


def _presented(error: Exception) -> object:
    return presented(GraphQLError("", original_error=error)).formatted


def _bad_request(message: str) -> dict[str, object]:
    return {"message": message, "extensions": {"code": BAD_REQUEST}}


def seconds_left(seconds: int, result: ExecutionResult) -> int:
    """What is left of the seconds for which an answer holds, as its figures may have been kept for a while already. 0 where
    they are older than they should be."""
    plans = (result.extensions or {}).get("plans") or ()
    return 0 if is_stale(plans) else max(0, int(seconds - age_of(plans)))


def _without_plans(body: bytes) -> bytes:
    """The body without the plans in its extensions: they have the age of a kept answer, which changes with every call."""
    if b'"extensions":{"plans":' not in body:
        return body
    return orjson.dumps({name: part for name, part in orjson.loads(body).items() if name != "extensions"})


def _retry_after(response: GraphQLHTTPResponse) -> str:
    """Of a response that says RATE_LIMITED."""
    errors: list[Any] = list(response.get("errors") or ())
    return next(
        str(error["extensions"]["retryAfter"]) for error in errors if "retryAfter" in error["extensions"]
    )


def _has_internal_error(response: GraphQLHTTPResponse) -> bool:
    errors: list[Any] = response.get("errors") or []
    return any(error.get("extensions", {}).get("code") == INTERNAL_ERROR for error in errors)
