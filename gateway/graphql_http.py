"""GraphQL over HTTP: Strawberry's view for Starlette, with typed errors for all that it refuses.

The size of a body and the time of a request are limited for all routes together (gateway/http/limits.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from graphql import GraphQLError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types import ExecutionResult

from gateway.asked_documents import PATH_ID, AskedData, Trust, asked_for, text_of
from gateway.graphql_answers import age_of, codes_in, is_stale, note_document, response_of
from gateway.http.admission import SESSION, Admission, slot_once_read
from gateway.http.conditional import conditional
from gateway.http.costs import HEADER as COST
from gateway.http.costs import bill_noted, bill_of_request, wants_full
from gateway.http.disconnect import while_connected
from gateway.http.errors import CHALLENGE, headers_of, status_of
from gateway.http.limits import InTime
from gateway.http.media_types import JSON, is_json, preferred
from gateway.http.nesting import TOO_DEEP, is_too_deep
from gateway.http.on_behalf import FOR_HEADER
from gateway.http.rates import refusal_counted
from gateway.routers import Routers
from graph.encoding import Encoded, encode
from graph.errors import BAD_REQUEST, INTERNAL_ERROR, presented
from graph.lifetimes import Lifetimes
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


class InParts(Response):
    """A response whose body is sent part by part: a tree of some megabytes is not copied."""

    def __init__(self, encoded: Encoded, status: int, headers: Mapping[str, str], media_type: str) -> None:
        self.parts, self.tag_of = encoded
        super().__init__(self.parts[0] if len(self.parts) == 1 else b"", status, headers, media_type)
        self.headers["content-length"] = str(sum(map(len, self.parts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        for number, part in enumerate(self.parts, 1):
            more = number < len(self.parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})


class GraphQLEndpoint(GraphQL[Session, None]):
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
        super().__init__(schema, graphql_ide=None, subscription_protocols=())
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
        try:
            async with await slot_once_read(request, self._session_of, self._admission):
                response: Response = await self.run(request)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - nothing unexpected may reach a client
            response = await self._refusal(request, error)
        if (
            isinstance(response, InParts)
            and request.method == "GET"
            and "cache-control" not in response.headers
        ):
            tag_of = _without_plans(response.tag_of)
            response = conditional(request, response, tag_of=tag_of, max_age=request.state.max_age)
        await response(scope, receive, send)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Session:
        assert isinstance(request, Request)  # noqa: S101 - __call__ turns web sockets away
        session: Session = request.scope[SESSION]
        bill_of_request(request, session.bill)
        return session

    async def get_sub_response(self, request: Request | WebSocket) -> Response:
        """The response to fill. Here it learns from the request which media type the client accepts."""
        response = await super().get_sub_response(request)
        accepted = ",".join(request.headers.getlist("accept"))
        response.media_type = preferred(accepted, (JSON, GRAPHQL_JSON)) or JSON
        response.headers["Vary"] = f"Accept, {FOR_HEADER}, {COST}"
        return response

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: Response
    ) -> Response:
        """The response. One with errors must not be kept by caches.

        A request without a token is 401 as one with a broken token is, whatever it could be told without. A request that
        could not be executed is an HTTP error if the client accepts the media type for that; older clients expect 200
        (GraphQL over HTTP, section 6.4).
        """
        assert isinstance(response_data, dict)  # noqa: S101 - there is no batching
        status = sub_response.status_code or HTTPStatus.OK
        if "data" not in response_data and status == HTTPStatus.OK:
            if _has_internal_error(response_data):
                status = HTTPStatus.INTERNAL_SERVER_ERROR
            elif sub_response.media_type == GRAPHQL_JSON:
                status = HTTPStatus.BAD_REQUEST
        headers = dict(sub_response.headers)
        if "errors" in response_data:
            headers["Cache-Control"] = "no-store"
        codes = codes_in(response_data)
        if "data" not in response_data and RateLimited.code in codes:
            status = HTTPStatus.TOO_MANY_REQUESTS
            headers.setdefault("retry-after", _retry_after(response_data))  # as Starlette writes names
        for code in codes:
            note_error(code)
        if status == HTTPStatus.OK and Unauthenticated.code in codes:
            status = HTTPStatus.UNAUTHORIZED
            headers |= CHALLENGE
        return InParts(_encoded(response_data), status, headers, f"{sub_response.media_type}; charset=utf-8")

    def should_render_graphql_ide(self, request: object) -> bool:
        """False: GraphiQL has a page of its own."""
        return False

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def parse_json(self, data: str | bytes) -> Any:
        parsed = super().parse_json(data)
        if not isinstance(parsed, dict | list | None):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a JSON object is needed")
        if is_too_deep(parsed, data):
            raise HTTPException(HTTPStatus.BAD_REQUEST, TOO_DEEP)
        return parsed or {}

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        """One operation: no batches, uploads or streams."""
        if request.method == "GET":
            data: Any = self.parse_query_params(request.query_params)
        elif is_json(request.content_type):
            data = self.parse_json(await request.get_body())
        else:
            raise HTTPException(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {JSON}, in UTF-8"
            )
        if isinstance(data, list):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a request has one operation")
        for name, kind in PARAMETERS.items():
            if not isinstance(data.get(name), kind | None):
                what = "a text" if kind is str else "an object"
                raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name} must be {what} or null")
        request_data = AskedData(
            data.get("query"), data.get("variables"), data.get("operationName"), data.get("extensions")
        )
        request_data.document_id = data.get("documentId")
        return request_data

    async def execute_operation(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """The result. It is cancelled if the client disconnects, but commands that have begun are finished (graph/errors.py)."""
        data: AskedData = kwargs["request_data"]
        async with InTime():
            asked = asked_for(data, request.path_params.get(PATH_ID))
            note_document(asked.text)
            trust = "any" if self._routers.sent(request) else self._trust
            text = data.query = await text_of(asked, kwargs["context"], self._schema, trust=trust)
            if asked.text is None:
                note_document(text)
            executing = self.execute_single(request, *args, **kwargs)
            if text is not None and self._schema.is_command(text, data.operation_name):
                result = await executing  # there is nothing to cancel
            else:
                result = await while_connected(request.receive, executing)
        request.state.max_age = 0
        if request.method == "GET" and data.query and not result.errors:
            known = self._schema.known(data.query)
            request.state.max_age = seconds_left(known.seconds(data.operation_name, self._lifetimes), result)
        return result

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """The result as JSON, without ``data`` if the request was never executed."""
        response = response_of(result)
        if wants_full(request) and (bill := bill_noted(request)) is not None:
            response["extensions"] = {**(response.get("extensions") or {}), _COST: bill}
        return response

    async def _refusal(self, request: Request, error: Exception) -> Response:
        """The error in the shape of a GraphQL response, with an HTTP status."""
        refusal = await self.get_sub_response(request)
        refused: Any
        match error:
            case HTTPException():
                by_method = isinstance(error.__cause__, InvalidOperationTypeError)
                refusal.status_code = HTTPStatus.METHOD_NOT_ALLOWED if by_method else error.status_code
                if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                    refusal.headers["Allow"] = "POST" if by_method else "GET, POST"
                refused = _bad_request(error.reason)
            case StarletteHTTPException():
                refusal.status_code = error.status_code
                refusal.headers.update(error.headers or {})
                refused = _bad_request(error.detail)
            case CohortError():
                error = refusal_counted(request, error)
                refusal.status_code = status_of(error)
                refusal.headers.update(headers_of(error))
                refused = _presented(error)
            case _:
                refusal.status_code = HTTPStatus.INTERNAL_SERVER_ERROR
                refused = _presented(error)
        return self.create_response({"errors": [refused]}, refusal)


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
