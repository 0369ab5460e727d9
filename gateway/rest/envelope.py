"""The platform's envelope around answers (P-2.1).

An answer is ``{id, ver, ts, params: {resmsgid, msgid, err, status, errmsg}, responseCode, result}``. In an error ``err``
and ``status`` are the code, ``errmsg`` says what is wrong.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import orjson
from starlette.responses import Response

from gateway.errors import name_of, status_of
from graph.errors import shown
from resolvers.nouns import Absent, CohortError, Forbidden

Json = dict[str, Any]
Codes = Mapping[str | tuple[str, str], str]
"""The platform's codes of one endpoint by ours: by code and field, or by code alone. A field is named as the call has it,
or by the last part of that: ``contents[0].contentId``, ``contentId``."""

USUAL_CODES: Codes = {
    "UNAUTHENTICATED": "UNAUTHORIZED_USER",
    "FORBIDDEN": "UNAUTHORIZED_USER",
    "NOT_FOUND": "RESOURCE_NOT_FOUND",
    "STORE_UNAVAILABLE": "SERVER_ERROR",
    "DEADLINE_EXCEEDED": "SERVER_ERROR",
    "INTERNAL_ERROR": "INTERNAL_ERROR",
}
"""Where an endpoint has none of its own; any other code of ours stands for itself."""
MOMENT_FORMAT = "yyyy-MM-dd HH:mm:ss:SSSZ"
"""As the platform writes and reads moments."""


MISSING = "MISSING"
"""In ``Codes``, with a field: it was left out or is blank. Goes before ``INVALID_INPUT``."""


class Refused(CohortError):
    """An error that the platform has a code of its own for, which neither our code nor the field tells."""

    def __init__(self, error: CohortError, code: str) -> None:
        super().__init__(error.message, field=error.field)
        self.error = error
        self.platform_code = code


def answered(api_id: str, message_id: str | None, result: Mapping[str, object]) -> Response:
    """200 with this result."""
    params = {"err": None, "status": "success"}
    return _enveloped(api_id, message_id, HTTPStatus.OK, "OK", params, result)


def refused(
    api_id: str,
    message_id: str | None,
    error: CohortError,
    codes: Codes,
    *,
    only_400: bool = False,
    names_sent: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """The error with its code and status, and an empty result. ``only_400`` as in Endpoint, ``names_sent`` as in
    Asked."""
    mapped = _mapped_code(error, codes)
    status = HTTPStatus.BAD_REQUEST if only_400 and mapped else _status(error)
    code = platform_code(error, codes)
    if status is HTTPStatus.NOT_FOUND:
        response_code = "RESOURCE_NOT_FOUND"
    else:
        response_code = "SERVER_ERROR" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "CLIENT_ERROR"
    params = {"err": code, "status": code, "errmsg": told_of(error, names_sent)}
    return _enveloped(api_id, message_id, status, response_code, params, {})


def refused_as(status: HTTPStatus, api_id: str, message_id: str | None, told: str) -> Response:
    """What HTTP itself refuses, with HTTP's name for it as the code."""
    not_found = status is HTTPStatus.NOT_FOUND
    code = "RESOURCE_NOT_FOUND" if not_found else name_of(status)
    params = {"err": code, "status": code, "errmsg": told}
    response_code = "RESOURCE_NOT_FOUND" if not_found else "CLIENT_ERROR"
    return _enveloped(api_id, message_id, status, response_code, params, {})


def platform_code(error: CohortError, codes: Codes) -> str:
    """The platform's code for an error of ours: that of the field, of its last part, of the code, or the usual one."""
    return _mapped_code(error, codes) or USUAL_CODES.get(error.code, error.code)


def told_of(error: CohortError, names_sent: Mapping[str, str]) -> str:
    """What is wrong, about the field under the name that the caller gave it."""
    told, field = shown(error), error.field
    if field is not None and field in names_sent and told.startswith(f"{field} "):
        return names_sent[field] + told.removeprefix(field)
    return told


def _mapped_code(error: CohortError, codes: Codes) -> str | None:
    if isinstance(error, Refused):
        return error.platform_code
    field = error.field or ""
    name = field.rpartition(".")[2]
    return (
        (codes.get((MISSING, name)) if isinstance(error, Absent) else None)
        or codes.get((error.code, field))
        or codes.get((error.code, name))
        or codes.get(error.code)
    )


def _status(error: CohortError) -> HTTPStatus:
    """400 for whatever a client can't have, as on the platform, which also says 401 where others say 403."""
    if isinstance(error, Refused):
        return HTTPStatus.BAD_REQUEST
    if type(error) is CohortError:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, Forbidden):
        return HTTPStatus.UNAUTHORIZED
    return status_of(error, HTTPStatus.BAD_REQUEST)


def _enveloped(
    api_id: str,
    message_id: str | None,
    status: HTTPStatus,
    response_code: str,
    params: Mapping[str, str | None],
    result: Mapping[str, object],
) -> Response:
    named = {"resmsgid": uuid4().hex, "msgid": message_id, "errmsg": None, **params}
    envelope = {
        "id": api_id,
        "ver": "v1",
        "ts": moment(datetime.now(UTC)),
        "params": named,
        "responseCode": response_code,
        "result": result,
    }
    return Response(orjson.dumps(envelope), status, media_type="application/json")


def moment(value: datetime | None) -> str | None:
    """As the platform writes it: ``2026-01-31 12:00:00:000+0000``."""
    if value is None:
        return None
    utc = value.astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(' ', 'seconds')}:{utc.microsecond // 1000:03}+0000"


def parse_moment(text: str) -> datetime:
    """The inverse of ``moment``, of any offset, in UTC; ValueError where it is of another form."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S:%f%z").astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None
