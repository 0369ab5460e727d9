"""Errors outside GraphQL: {"error": {"code", "message"}} with the status that fits, never a stack trace."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from graph.errors import shown
from rules.errors import (
    CohortError,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    NotFound,
    StoreUnavailable,
    Unauthenticated,
)

STATUSES: dict[type[CohortError], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
}
"""Any other error of ours says that the request does not fit the state of things: a conflict."""


def status_of(error: CohortError, otherwise: HTTPStatus = HTTPStatus.CONFLICT) -> HTTPStatus:
    """Of its class, or else of the nearest one above that has any."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), otherwise)


_RENAMED = {
    413: "REQUEST_ENTITY_TOO_LARGE",
    414: "REQUEST_URI_TOO_LONG",
    416: "REQUESTED_RANGE_NOT_SATISFIABLE",
    422: "UNPROCESSABLE_ENTITY",
}
"""What clients know these as: Python 3.13 calls them something else."""


def name_of(status: HTTPStatus) -> str:
    """HTTP's name for it, the same on every Python."""
    return _RENAMED.get(status, status.name)


def error_response(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _of_cohort(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CohortError)  # noqa: S101 - registered for it alone
    status = status_of(error)
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    return error_response(status, error.code, shown(error), headers)


async def _of_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = name_of(HTTPStatus(error.status_code))
    return error_response(error.status_code, code, error.detail, dict(error.headers or {}))


async def _of_nobody(_request: Request, _error: Exception) -> Response:
    """Whoever left before their body was whole is not answered, and did no harm that a log should tell of."""
    return Response()


async def _of_anything(_request: Request, _error: Exception) -> JSONResponse:
    """Starlette raises the error again after this answer, so that the server logs it."""
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR, CohortError.code, "something went wrong here; it is logged"
    )


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    CohortError: _of_cohort,
    HTTPException: _of_http,
    ClientDisconnect: _of_nobody,
    Exception: _of_anything,
}
