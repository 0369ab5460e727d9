"""The platform's envelope around answers.

An answer is ``{id, ver, ts, params: {resmsgid, msgid, err, status, errmsg}, responseCode, result}``. In an error ``err``
is the code, ``errmsg`` says what is wrong. The platform's services differ in the rest (``Envelope``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import orjson
from starlette.responses import Response

from gateway.http.errors import CHALLENGE, headers_of, name_of, status_of
from gateway.rest.framework.moments import iso_milliseconds, iso_moment, moment
from resolvers.errors import client_message
from resolvers.nouns import Absent, CohortError, Forbidden, InvalidInput

Json = dict[str, Any]
Codes = Mapping[str | tuple[str, str], str]
"""The platform's codes of one endpoint, by our code and field, or by our code alone. A field has the name of the call, such
as ``contents[0].contentId``, or the last part of it, ``contentId``."""

USUAL_CODES: Codes = {
    "UNAUTHENTICATED": "UNAUTHORIZED_USER",
    "FORBIDDEN": "UNAUTHORIZED_USER",
    "NOT_FOUND": "RESOURCE_NOT_FOUND",
    "RATE_LIMITED": "RATE_LIMITED",
    "STORE_UNAVAILABLE": "SERVER_ERROR",
    "DEADLINE_EXCEEDED": "SERVER_ERROR",
    "INTERNAL_ERROR": "INTERNAL_ERROR",
}
"""The platform's codes where an endpoint has none of its own. Any other code of ours stands for itself."""
MISSING = "MISSING"
"""In ``Codes``, with a field: the field was left out or is blank. It goes before ``INVALID_INPUT``."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """How one of the platform's services writes its envelopes (P-2.1)."""

    version: str
    succeeded: str
    """``params.status`` of an answer."""
    failed: str | None
    """``params.status`` of a refusal; None for its code."""
    moment: Callable[[datetime], str | None]
    """Gives ``ts``."""
    forbidden: HTTPStatus
    """The status of what the caller may not do or see."""
    lists_messages: bool = False
    """Whether a refused input is told in ``result.messages`` too."""


LEARNING = Envelope("v1", "success", None, moment, HTTPStatus.UNAUTHORIZED)
"""Of courses, learners and groups."""
VIEWING = Envelope("1.0", "successful", None, iso_milliseconds, HTTPStatus.UNAUTHORIZED)
"""Of the viewer's calls of version 2."""
CONTENT = Envelope("3.0", "successful", "failed", iso_moment, HTTPStatus.FORBIDDEN, lists_messages=True)
"""Of contents."""
COLLECTION = replace(CONTENT, version="4.0")
"""Of collections."""


class Refused(CohortError):
    """An error with a code of the platform that neither our code nor the field tells."""

    def __init__(self, error: CohortError, code: str) -> None:
        super().__init__(error.message, field=error.field)
        self.error = error
        self.platform_code = code


def answered(
    envelope: Envelope, api_id: str, message_id: str | None, result: Mapping[str, object]
) -> Response:
    """An answer 200 with this result. What is JSON in it already (orjson.Fragment) is passed on."""
    params = {"err": None, "status": envelope.succeeded}
    return _enveloped(envelope, api_id, message_id, HTTPStatus.OK, "OK", params, result)


def refused(
    envelope: Envelope,
    api_id: str,
    message_id: str | None,
    error: CohortError,
    codes: Codes,
    *,
    only_400: bool = False,
    names_sent: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """The answer to a call that failed: the error's code and status, and a result without what was asked for.

    ``only_400`` is that of Endpoint, ``names_sent`` that of RequestModel.
    """
    mapped = _mapped_code(error, codes)
    status = HTTPStatus.BAD_REQUEST if only_400 and mapped else _status(error, envelope)
    code = platform_code(error, codes)
    if status is HTTPStatus.NOT_FOUND:
        response_code = "RESOURCE_NOT_FOUND"
    else:
        response_code = "SERVER_ERROR" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "CLIENT_ERROR"
    message = message_of(error, names_sent)
    params = {"err": code, "status": envelope.failed or code, "errmsg": message}
    told = envelope.lists_messages and isinstance(error, InvalidInput)
    result = {"messages": [message]} if told else {}
    response = _enveloped(envelope, api_id, message_id, status, response_code, params, result)
    response.headers.update(headers_of(error))
    return response


def refused_as(
    status: HTTPStatus, api_id: str, message_id: str | None, message: str, envelope: Envelope = LEARNING
) -> Response:
    """The answer to a call that HTTP itself refuses. Its code is HTTP's name of the status."""
    not_found = status is HTTPStatus.NOT_FOUND
    code = "RESOURCE_NOT_FOUND" if not_found else name_of(status)
    params = {"err": code, "status": envelope.failed or code, "errmsg": message}
    response_code = "RESOURCE_NOT_FOUND" if not_found else "CLIENT_ERROR"
    return _enveloped(envelope, api_id, message_id, status, response_code, params, {})


def platform_code(error: CohortError, codes: Codes) -> str:
    """The platform's code for an error of ours: by its field, the field's last part, its code alone, or the usual one."""
    return _mapped_code(error, codes) or USUAL_CODES.get(error.code, error.code)


def message_of(error: CohortError, names_sent: Mapping[str, str]) -> str:
    """The error's message. It has the field's name as the caller sent it."""
    message, field = client_message(error), error.field
    if field is not None and field in names_sent and message.startswith(f"{field} "):
        return names_sent[field] + message.removeprefix(field)
    return message


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


def _status(error: CohortError, envelope: Envelope) -> HTTPStatus:
    """The HTTP status. As on the platform it is 400 for most errors."""
    if isinstance(error, Refused):
        return HTTPStatus.BAD_REQUEST
    if type(error) is CohortError:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, Forbidden):
        return envelope.forbidden
    return status_of(error, HTTPStatus.BAD_REQUEST)


def _enveloped(
    envelope: Envelope,
    api_id: str,
    message_id: str | None,
    status: HTTPStatus,
    response_code: str,
    params: Mapping[str, str | None],
    result: Mapping[str, object],
) -> Response:
    named = {"resmsgid": uuid4().hex, "msgid": message_id, "errmsg": None, **params}
    document = {
        "id": api_id,
        "ver": envelope.version,
        "ts": envelope.moment(datetime.now(UTC)),
        "params": named,
        "responseCode": response_code,
        "result": result,
    }
    headers = CHALLENGE if status is HTTPStatus.UNAUTHORIZED else None
    return Response(orjson.dumps(document), status, headers, media_type="application/json")
