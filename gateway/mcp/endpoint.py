"""The endpoint of the Model Context Protocol: POST alone, no sessions, an answer in JSON for each message (R-MCP-2).

What a request may be, who sends it, and what it may spend is settled here as for every other; the library speaks the protocol.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeGuard

import orjson
from graphql import GraphQLError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.admission import Admission, slot_once_read
from gateway.http.disconnect import while_connected
from gateway.http.errors import REFUSED, headers_of, rpc_error, status_of
from gateway.http.media_types import JSON, is_json
from gateway.http.nesting import TOO_DEEP, is_too_deep
from gateway.http.rates import count_refusal, refusal_counted
from gateway.mcp.calls import FAILED, mcp_server
from gateway.mcp.catalogue import Catalogue
from graph.errors import BAD_REQUEST, presented
from graph.schema import CohortSchema
from loaders.session import Session
from rules.errors import CohortError, Forbidden, Unauthenticated

SMALL = 10_000
"""Bytes of a message that is read only to name it in its refusal."""


class McpEndpoint:
    """An ASGI application for one path, which answers within ``serving``.

    ``session_of`` gives the Session of a request, or raises Unauthenticated. ``admission`` has the slots for requests.
    ``is_allowed``: whether pages of an origin may call. ``challenge``: the value of WWW-Authenticate.
    """

    def __init__(
        self,
        session_of: Callable[[Request], Awaitable[Session]],
        *,
        schema: CohortSchema,
        admission: Admission,
        with_mutations: bool,
        is_allowed: Callable[[str], bool],
        challenge: str = "Bearer",
    ) -> None:
        self._session_of = session_of
        self._admission = admission
        self._is_allowed = is_allowed
        self._challenge = challenge
        self._server = mcp_server(schema, Catalogue(schema, with_mutations=with_mutations))
        self._transport: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers within the body."""
        transport = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        runs, ended = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with transport.run():
                runs.set()
                await ended.wait()

        # A task of its own, as the library wants to end where it began; who serves the application may end it elsewhere.
        running = asyncio.create_task(run(), name="mcp")
        try:
            await runs.wait()
            self._transport = transport
            yield
        finally:
            ended.set()
            await running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = b""
        response: ASGIApp
        try:
            self._check_origin(request)
            async with await slot_once_read(request, self._session_of, self._admission):
                body = await request.body()
                _check_message(request, body)
                response = await while_connected(request.receive, self._answer(scope, body))
            if (error := scope.get(FAILED)) is not None:
                raise error
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - nothing unexpected may reach a client
            response = self._refusal(request, error, body)
        await response(scope, receive, send)

    def _check_origin(self, request: Request) -> None:
        """Forbidden for a page that the settings don't name, even one whose host is this machine by DNS."""
        origin = request.headers.get("origin")
        if origin is not None and not self._is_allowed(origin):
            raise Forbidden("pages of this origin may not call the gateway (allowed_origins)")

    async def _answer(self, scope: Scope, body: bytes) -> "_Answered":
        """What the library answers to the message, whole."""
        assert self._transport is not None  # noqa: S101 - requests come within the lifespan
        answered = _Answered()
        await self._transport.handle_request(scope, _read_again(body), answered.take)
        return answered

    def _refusal(self, request: Request, error: Exception, body: bytes) -> Response:
        """The error as the protocol has it, with the status that it has everywhere."""
        headers: Mapping[str, str] = {}
        code = REFUSED
        match error:
            case _Unspeakable():
                status, code, message, data = error.status, error.code, error.message, {"code": BAD_REQUEST}
            case HTTPException():
                count_refusal(request)
                status, message, data = HTTPStatus(error.status_code), error.detail, {"code": BAD_REQUEST}
                headers = error.headers or {}
            case _:
                if isinstance(error, CohortError):
                    error = refusal_counted(request, error)
                told = presented(GraphQLError("", original_error=error))
                status, message, data = (
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    told.message,
                    dict(told.extensions or {}),
                )
                if isinstance(error, CohortError):
                    status, headers = status_of(error), headers_of(error)
                if isinstance(error, Unauthenticated):
                    headers = {**headers, "WWW-Authenticate": self._challenge}
        return rpc_error(
            status,
            message,
            data,
            {"Cache-Control": "no-store", **headers},
            code=code,
            to=_id_in(body),
        )


class _Unspeakable(Exception):
    """A body that is no message of the protocol."""

    def __init__(self, status: HTTPStatus, message: str, code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class _Answered:
    """An answer that was sent, to be sent on."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
        self._messages.append(message)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        for message in self._messages:
            await send(message)


def _check_message(request: Request, body: bytes) -> None:
    """_Unspeakable where the body is no message, as far as all of them are alike."""
    if not is_json(request.headers.get("content-type")):
        raise _Unspeakable(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {JSON}, in UTF-8")
    try:
        message: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _Unspeakable(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}", PARSE_ERROR) from None
    if is_too_deep(message, body):
        raise _Unspeakable(HTTPStatus.BAD_REQUEST, TOO_DEEP)
    if not isinstance(message, dict):
        raise _Unspeakable(HTTPStatus.BAD_REQUEST, "a request has one message, an object: no list of them")
    if message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        raise _Unspeakable(HTTPStatus.BAD_REQUEST, 'a message needs "jsonrpc": "2.0" and a method, a text')
    if "id" in message and not _is_id(message["id"]):
        raise _Unspeakable(HTTPStatus.BAD_REQUEST, "id must be a text or a whole number")
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise _Unspeakable(HTTPStatus.BAD_REQUEST, "params must be an object")
    if message["method"] == "tools/call":
        if not isinstance(params.get("name"), str):
            raise _Unspeakable(HTTPStatus.BAD_REQUEST, "params.name must be a text", INVALID_PARAMS)
        if not isinstance(params.get("arguments"), dict | None):
            raise _Unspeakable(HTTPStatus.BAD_REQUEST, "params.arguments must be an object", INVALID_PARAMS)


def _id_in(body: bytes) -> str | int | None:
    """What a message that is refused is known by. A large one is not read for it: who sent it may be nobody."""
    try:
        match orjson.loads(body) if len(body) <= SMALL else None:
            case {"id": found} if _is_id(found):
                return found
    except orjson.JSONDecodeError:
        pass
    return None


def _is_id(value: object) -> TypeGuard[str | int]:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _read_again(body: bytes) -> Receive:
    """Gives a body that was read before. Who leaves is noticed elsewhere."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        return await asyncio.Future()

    return receive
