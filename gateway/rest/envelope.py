"""The platform's envelope around calls and answers (reference 2.1), and the routes that speak it.

A call is ``{id?, ver?, ts?, params?: {msgid}, request: {…}}``, an answer ``{id, ver, ts, params: {resmsgid, msgid, err,
status, errmsg}, responseCode, result}``. In an error ``err`` and ``status`` are the code, ``errmsg`` says what is wrong.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.conditional import conditional
from gateway.departure import ClientGone, while_connected
from gateway.errors import status_of
from graph.errors import shown
from resolvers.nouns import CohortError, Forbidden, InvalidInput, Session

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Enum)
Json = dict[str, Any]
Codes = Mapping[str | tuple[str, str], str]
"""The platform's codes of one endpoint by ours: by code and field, or by code alone."""

USER_HEADER = "X-Authenticated-User-Token"
"""Goes before the bearer token, so an answer depends on it as well."""

USUAL_CODES: Codes = {
    "UNAUTHENTICATED": "UNAUTHORIZED_USER",
    "FORBIDDEN": "UNAUTHORIZED_USER",
    "NOT_FOUND": "RESOURCE_NOT_FOUND",
    "STORE_UNAVAILABLE": "SERVER_ERROR",
    "DEADLINE_EXCEEDED": "SERVER_ERROR",
    "INTERNAL_ERROR": "INTERNAL_ERROR",
}
"""Where an endpoint has none of its own; any other code of ours stands for itself."""


class Fields:
    """A JSON object of a call, read by type. InvalidInput names the field and what it must be."""

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self._values = values
        self._place = place

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        """One that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise InvalidInput(f"{self._named(name)} is missing", field=self._named(name))
        return value

    def optional_text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{self._named(name)} must be a text", field=self._named(name))
        return value

    def choice(self, name: str, choices: type[E]) -> E | None:
        """By its value; None where it is left out. InvalidInput lists what there is."""
        value = self.optional_text(name)
        known = {choice.value: choice for choice in choices}
        if value is not None and value not in known:
            raise InvalidInput(
                f"{self._named(name)} must be one of {', '.join(known)}", field=self._named(name)
            )
        return None if value is None else known[value]

    def flag(self, name: str) -> bool:
        """False where it is left out."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise InvalidInput(f"{self._named(name)} must be true or false", field=self._named(name))
        return bool(value)

    def object(self, name: str) -> "Fields":
        """An empty one where it is left out."""
        value = self._values.get(name)
        return self._fields({} if value is None else value, self._named(name))

    def objects(self, name: str) -> list["Fields"]:
        return [self._fields(value, f"{self._named(name)}[{i}]") for i, value in enumerate(self._list(name))]

    def texts(self, name: str) -> list[str]:
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise InvalidInput(f"{self._named(name)} must be a list of texts", field=self._named(name))
        return list(values)

    def _list(self, name: str) -> Sequence[Any]:
        values = self._values.get(name)
        if values is not None and not isinstance(values, list):
            raise InvalidInput(f"{self._named(name)} must be a list", field=self._named(name))
        if values and len(values) > MOST_ITEMS:
            message = f"{self._named(name)} must have at most {MOST_ITEMS} items, not {len(values)}"
            raise InvalidInput(message, field=self._named(name))
        return values or []

    @staticmethod
    def _fields(value: Any, place: str) -> "Fields":
        if not isinstance(value, dict):
            raise InvalidInput(f"{place} must be an object", field=place)
        return Fields(value, place)

    def _named(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name


@dataclass(frozen=True, slots=True)
class Call:
    """``request`` is the inner object of the body, empty for a GET; ``path`` and ``query`` are of the URL."""

    request: Fields
    path: Mapping[str, str]
    query: Mapping[str, str]


Handler = Callable[[Session, Call], Coroutine[Any, Any, Json]]
"""Answers with ``result``."""
MaxAge = int | Callable[[Session], int]
"""Seconds; what the request was answered from decides where it is a function."""
MOST_ITEMS = 200
"""In one list of a call."""


def rest_route(
    path: str,
    methods: Sequence[str],
    api_id: str,
    handler: Handler,
    codes: Codes,
    max_age: MaxAge | None = None,
) -> Route:
    """A route that takes and answers envelopes. ``api_id`` is the answer's ``id``, such as ``api.group.read``.

    One that reads ends when its client leaves; one that changes things is finished.

    ``max_age``: for one that reads, seconds that a client may use the answer without asking, 0 if it has to ask
    each time; the answer has the tag of its result then (gateway/conditional.py), without ``extensions``, which tell
    how it came about. None for one that changes things.
    """

    async def endpoint(request: Request) -> Response:
        return await _answered(request, api_id, handler, codes, max_age)

    return Route(path, endpoint, methods=list(methods))


async def _answered(
    request: Request, api_id: str, handler: Handler, codes: Codes, max_age: MaxAge | None
) -> Response:
    """What ``handler`` answers or why it did not, in an envelope."""
    message_id = request.headers.get("x-msgid")
    try:
        body = {} if request.method == "GET" else await _body(request)
        message_id = Fields(body).object("params").optional_text("msgid") or message_id
        call = Call(Fields(body.get("request", {})), request.path_params, request.query_params)
        session = _session(request)
        answering = handler(session, call)
        result = await (answering if max_age is None else while_connected(request.receive, answering))
    except ClientGone:
        return Response()  # to nobody
    except CohortError as error:
        return _refused(api_id, message_id, error, codes)
    except Exception:
        log.exception("internal error at %s", request.url.path)
        return _refused(api_id, message_id, CohortError("something went wrong here; it is logged"), codes)
    params = {"err": None, "status": "success"}
    response = _enveloped(api_id, message_id, HTTPStatus.OK, "OK", params, result)
    if max_age is None:
        return response
    tag_of = orjson.dumps({name: value for name, value in result.items() if name != "extensions"})
    seconds = max_age if isinstance(max_age, int) else max_age(session)
    response.headers.add_vary_header(USER_HEADER)
    return conditional(request, response, tag_of=tag_of, max_age=seconds)


async def _body(request: Request) -> Json:
    """InvalidInput unless it is a JSON object with an object ``request``."""
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise InvalidInput("the body must be JSON", field="request") from None
    if not isinstance(document, dict):
        raise InvalidInput("the body must be a JSON object", field="request")
    if not isinstance(document.get("request"), dict):
        raise InvalidInput("request is missing: the body must be {request: {…}}", field="request")
    return document


def _session(request: Request) -> Session:
    """Of the user's own token, else of the bearer token, which on the platform may be that of an application."""
    cohort = request.app.state.cohort
    token = request.headers.get(USER_HEADER)
    authorization = request.headers.get("authorization") if token is None else f"Bearer {token}"
    return Session(cohort.tokens.viewer(authorization), cohort.shared)


def _refused(api_id: str, message_id: str | None, error: CohortError, codes: Codes) -> Response:
    status = _status(error)
    code = (
        codes.get((error.code, error.field or ""))
        or codes.get(error.code)
        or USUAL_CODES.get(error.code, error.code)
    )
    if status is HTTPStatus.NOT_FOUND:
        response_code = "RESOURCE_NOT_FOUND"
    else:
        response_code = "SERVER_ERROR" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "CLIENT_ERROR"
    params = {"err": code, "status": code, "errmsg": shown(error)}
    return _enveloped(api_id, message_id, status, response_code, params, {})


def _status(error: CohortError) -> HTTPStatus:
    """400 for whatever a client can't have, as on the platform, which also says 401 where others say 403."""
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
    result: Json,
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
    return f"{utc:%Y-%m-%d %H:%M:%S}:{utc.microsecond // 1000:03}+0000"
