"""Errors outside GraphQL: {"error": {"code", "message", "field"?}} with an HTTP status, never a stack trace."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler, Scope

from gateway.http.rates import count_refusal, refusal_counted
from resolvers.errors import client_message
from rules.errors import (
    CohortError,
    DeadlineExceeded,
    DocumentNotTrusted,
    DocumentTooLarge,
    Forbidden,
    InvalidInput,
    NotFound,
    Overloaded,
    PersistedQueryNotFound,
    RateLimited,
    StoreUnavailable,
    TooExpensive,
    Unauthenticated,
)
from telemetry.requests import note_error

STATUSES: dict[type[CohortError], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    DocumentTooLarge: HTTPStatus.BAD_REQUEST,
    # As of a document that is not valid: the endpoint of GraphQL makes it a 400 for clients that accept its media type.
    DocumentNotTrusted: HTTPStatus.OK,
    PersistedQueryNotFound: HTTPStatus.OK,
    TooExpensive: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
}
"""The status of each class of errors. Any other error of ours is a conflict with the state of things."""


GRAPHQL_PATH = "/graphql"
MCP_PATH = "/mcp"
REFUSED = -32010
"""The code of what Cohort refuses, where errors are those of JSON-RPC; ``data.code`` says why, as everywhere."""

INTERNAL = "something went wrong here; it is logged"
"""What a client is told of a fault that nobody foresaw."""

CHALLENGE = {"WWW-Authenticate": "Bearer"}
"""The headers of every 401: what would be right (RFC 9110, 15.5.2)."""


def status_of(error: CohortError, otherwise: HTTPStatus = HTTPStatus.CONFLICT) -> HTTPStatus:
    """The status of the error's class, or of the nearest class above that has one."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), otherwise)


def headers_of(error: CohortError) -> dict[str, str]:
    """The headers that an answer with this error has: what would be right, or when to come again."""
    headers = dict(CHALLENGE) if isinstance(error, Unauthenticated) else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers


_RENAMED = {
    413: "REQUEST_ENTITY_TOO_LARGE",
    414: "REQUEST_URI_TOO_LONG",
    416: "REQUESTED_RANGE_NOT_SATISFIABLE",
    422: "UNPROCESSABLE_ENTITY",
}
"""Names that clients know. Python 3.13 has others."""


def name_of(status: HTTPStatus) -> str:
    """HTTP's name of the status, the same on every version of Python."""
    return _RENAMED.get(status, status.name)


def error_response(
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    field: str | None = None,
) -> JSONResponse:
    """An answer with this status whose body is ``{"error": {"code", "message", "field"?}}``."""
    note_error(code)
    named = {} if field is None else {"field": field}
    return JSONResponse({"error": {"code": code, "message": message, **named}}, status, headers)


def rpc_error(
    status: int,
    message: str,
    data: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
    *,
    code: int = REFUSED,
    to: str | int | None = None,
) -> JSONResponse:
    """An answer with this status whose body is an error of JSON-RPC, to the message ``to``. ``data`` has Cohort's own code."""
    note_error(str(data["code"]))
    error = {"code": code, "message": message, "data": data}
    return JSONResponse({"jsonrpc": "2.0", "id": to, "error": error}, status, headers)


def early_refusal(scope: Scope, error: CohortError | HTTPException) -> JSONResponse:
    """The answer to a request that is refused before its endpoint has it, or after the endpoint's time is over: in the shape of
    the path."""
    headers: Mapping[str, str] | None
    if isinstance(error, CohortError):
        status, code, message = status_of(error), error.code, client_message(error)
        headers = headers_of(error)
    else:
        count_refusal(HTTPConnection(scope))
        status = HTTPStatus(error.status_code)
        code, message, headers = name_of(status), error.detail, error.headers
    path = scope["path"]
    if path == MCP_PATH:
        return rpc_error(status, message, {"code": code}, headers)
    if path != GRAPHQL_PATH and not path.startswith(f"{GRAPHQL_PATH}/"):
        return error_response(status, code, message, headers)
    if not isinstance(error, CohortError):
        code = "BAD_REQUEST"  # as the endpoint calls what HTTP refuses
    note_error(code)
    return JSONResponse({"errors": [{"message": message, "extensions": {"code": code}}]}, status, headers)


async def _of_cohort(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CohortError)  # noqa: S101 - registered for it alone
    error = refusal_counted(request, error)
    return error_response(status_of(error), error.code, client_message(error), headers_of(error), error.field)


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    count_refusal(request)
    code = name_of(HTTPStatus(error.status_code))
    return error_response(error.status_code, code, error.detail, dict(error.headers or {}))


async def _of_nobody(_request: Request, _error: Exception) -> Response:
    """A client that left before its body was whole is not answered, and the log need not tell of it."""
    return Response()


async def _of_a_layer(_request: Request, _error: Exception) -> JSONResponse:
    """What Faults (faults.py) does not see. Starlette raises the error again after this answer, so that the server logs it."""
    return internal_error()


def internal_error() -> JSONResponse:
    """The answer to a request that failed as nobody foresaw. Why stands in the log alone."""
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, CohortError.code, INTERNAL)


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    CohortError: _of_cohort,
    HTTPException: _of_http,
    ClientDisconnect: _of_nobody,
    Exception: _of_a_layer,
}
