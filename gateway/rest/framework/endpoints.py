"""The declaration of a REST endpoint.

Each endpoint is declared once. Its route, the check of its requests and its part of the OpenAPI document
(gateway/rest/framework/openapi.py) follow from that.

A call is ``{id?, ver?, ts?, params?: {msgid}, request: {…}}``, or for a GET the query of its URL.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Generic

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.admission import slot_for
from gateway.http.conditional import conditional, has_already
from gateway.http.costs import bill_of_request
from gateway.http.disconnect import while_connected
from gateway.http.errors import INTERNAL
from gateway.http.on_behalf import FOR_HEADER, managed_token, only
from gateway.http.rates import count_refusal, refusal_counted
from gateway.rest.framework.envelope import (
    LEARNING,
    Codes,
    Envelope,
    Json,
    answered,
    refused,
    refused_as,
)
from gateway.rest.framework.prices import CHANGES, READS, CallPrice
from gateway.rest.framework.requests import R, checked, json_object
from resolvers.nouns import Absent, Access, CohortError, InvalidInput, Session, billed_to
from telemetry.requests import note_error

log = logging.getLogger(__name__)

USER_HEADER = "X-Authenticated-User-Token"
"""The user's own token. It goes before the bearer token, so an answer depends on it as well."""


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One call of an endpoint, with a request that was checked."""

    request: R
    path: Mapping[str, str]
    """The parameters in the URL's path."""
    acting_for: str | None = None
    """The user in FOR_HEADER."""
    for_others: str | None = None
    """As in Endpoint."""


@dataclass(frozen=True, slots=True)
class TimedResult:
    """A result that says itself for how long a client may use it."""

    result: Json
    max_age: int
    """In place of the endpoint's."""


Handler = Callable[[Session, Call[R]], Coroutine[Any, Any, Mapping[str, Any] | TimedResult]]
"""Gives the ``result`` of the answer."""
TagOf = Callable[[Session, Call[R]], Coroutine[Any, Any, bytes | None]]
"""Gives what an answer depends on, such as the version of what is read; None if only the answer itself tells."""


@dataclass(slots=True)
class _Told:
    """What a call has said of itself so far, for its refusal."""

    message_id: str | None
    names: Mapping[str, str] = field(default_factory=dict)
    """As RequestModel.names_sent."""


def prefixes(noun: str, version: int = 1) -> tuple[str, str]:
    """Returns what the paths of a noun begin with: the service's own prefix, and the one that clients use."""
    return f"/v{version}/{noun}", f"/{noun}/v{version}"


@dataclass(frozen=True)
class Endpoint(Generic[R]):
    """One method and path, with what it takes and what it answers.

    A call that reads ends when its client leaves; a call that changes something is always finished. A DELETE that takes
    no body refuses one, and every parameter that it does not know, because what it deletes does not come back.
    """

    method: str
    path: str
    """In Starlette's notation."""
    api_id: str
    """The ``id`` of the answer, such as ``api.group.read``."""
    summary: str
    request: type[R]
    result: Any
    """A type from which the JSON schema of the result follows."""
    handler: Handler[R]
    codes: Codes = field(default_factory=lambda: MappingProxyType({}))
    max_age: int | None = None
    """Seconds that a client may use the answer without asking; 0 if it must ask each time. None if the call changes
    something. The tag of an answer is that of its result without ``extensions``, which tell how it came about
    (gateway/http/conditional.py)."""
    for_others: str | None = None
    """Who may name another user than the caller, in the body or in FOR_HEADER, in words. None if a call has no such user."""
    only_400: bool = False
    """Whether every error in ``codes`` is HTTP 400 CLIENT_ERROR, as the platform's course and viewer calls answer."""
    envelope: Envelope = LEARNING
    tag: TagOf[R] | None = None
    """Is asked before the handler: who has the answer already gets 304, and nobody makes it again."""
    body_optional: bool = False
    """Whether a call without a body is as good as one that asks for nothing in particular."""
    price: CallPrice | None = None
    """What a call costs at most; by its kind without it."""
    deletes_by_body: bool = False
    """Whether a DELETE says in a body what is to be deleted, as the platform's hierarchy calls do."""
    access: Access = field(kw_only=True)
    """Who may call it. What the caller alone tells is checked before the handler, the rest by what the handler asks."""

    @property
    def _price(self) -> CallPrice:
        return self.price or (CHANGES if self.max_age is None else READS)

    @property
    def has_body(self) -> bool:
        return self.deletes_by_body if self.method == "DELETE" else self.method != "GET"

    @cached_property
    def route(self) -> Route:
        return Route(self.path, self._endpoint, methods=[self.method])

    def under(self, path: str) -> "Endpoint[R]":
        """The same endpoint under another path."""
        return replace(self, path=path)

    async def _endpoint(self, request: Request) -> Response:
        """An envelope with the handler's result, or with the reason why there is none."""
        told = _Told(request.headers.get("x-msgid"))
        try:
            return await self._answer(request, told)
        except ClientDisconnect:
            return Response()  # nobody reads it
        except HTTPException as error:  # the body was too large (gateway/http/limits.py)
            count_refusal(request)
            status = HTTPStatus(error.status_code)
            refusal = refused_as(status, self.api_id, told.message_id, error.detail, self.envelope)
            refusal.headers.update(error.headers or {})
            return refusal
        except CohortError as error:
            return self._refused(told, refusal_counted(request, error))
        except Exception:
            log.exception("internal error at %s", self.path)
            return self._refused(told, CohortError(INTERNAL))

    async def _answer(self, request: Request, told: _Told) -> Response:
        document = (
            await _body(request, optional=self.body_optional)
            if self.has_body
            else {"request": dict(request.query_params)}
        )
        if self.method == "DELETE" and not self.has_body:
            await _check_only_query(request)
        told.message_id = _message_id(document) or told.message_id
        session = await session_of_call(request)
        session.viewer.check_before(self.access)
        async with slot_for(request, session.viewer):
            return await self._answer_to(session, request, document, told)

    async def _answer_to(self, session: Session, request: Request, document: Json, told: _Told) -> Response:
        checked_request = checked(self.request, document["request"], strict=self.has_body)
        told.names = checked_request.names_sent()
        acting_for = request.headers.get(FOR_HEADER)
        if managed_token(acting_for) is not None:
            acting_for = session.viewer.user_id
        call = Call(checked_request, request.path_params, acting_for, self.for_others)
        session.bill.expect(self._price.of(checked_request), stops=self.max_age is not None)
        with billed_to(session.bill):
            return await self._handled(request, session, call, told)

    async def _handled(self, request: Request, session: Session, call: Call[R], told: _Told) -> Response:
        tag_of = None if self.tag is None else await self.tag(session, call)
        if tag_of is not None and has_already(request, tag_of):
            return self._conditional(request, Response(), tag_of, self.max_age or 0)
        answering = self.handler(session, call)
        given = await (answering if self.max_age is None else while_connected(request.receive, answering))
        result, max_age = (
            (given.result, given.max_age) if isinstance(given, TimedResult) else (given, self.max_age)
        )
        response = answered(self.envelope, self.api_id, told.message_id, result)
        if max_age is None:
            return response
        if tag_of is None:
            tag_of = orjson.dumps({name: value for name, value in result.items() if name != "extensions"})
        return self._conditional(request, response, tag_of, max_age)

    def _conditional(self, request: Request, response: Response, tag_of: bytes, max_age: int) -> Response:
        response.headers.add_vary_header(USER_HEADER)
        response.headers.add_vary_header(FOR_HEADER)
        return conditional(request, response, tag_of=tag_of, max_age=max_age)

    def _refused(self, told: _Told, error: CohortError) -> Response:
        note_error(error.code)
        return refused(
            *(self.envelope, self.api_id, told.message_id, error, self.codes),
            only_400=self.only_400,
            names_sent=told.names,
        )


async def _check_only_query(request: Request) -> None:
    """InvalidInput if there is a body, or a parameter is given twice."""
    if await request.body():
        raise InvalidInput(
            "request must be in the query of the URL: a DELETE has no body, and this one was not read",
            field="body",
        )
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"{name} must be given once", field=name)


async def _body(request: Request, *, optional: bool) -> Json:
    """The body as JSON. InvalidInput unless it is an object that has an object ``request``; where it is ``optional``,
    either may be left out."""
    document = json_object(await request.body() or (b"{}" if optional else b""), "request")
    if optional and document.get("request") is None:
        document["request"] = {}
    if not isinstance(document.get("request"), dict):
        raise Absent("request is missing: the body must be {request: {…}}", field="request")
    return document


def _message_id(document: Json) -> str | None:
    params = document.get("params")
    if params is None:
        return None
    if not isinstance(params, dict):
        raise InvalidInput("params must be an object", field="params")
    message_id = params.get("msgid")
    if message_id is not None and not isinstance(message_id, str):
        raise InvalidInput("params.msgid must be a text", field="params.msgid")
    return message_id


async def session_of_call(request: Request) -> Session:
    """The session by the user's own token, or else by the bearer token, which on the platform may be an application's; and
    by the token of a managed user, where FOR_HEADER has one."""
    cohort = request.app.state.cohort
    token, bearer = only(request, USER_HEADER), only(request, "Authorization")
    authorization = bearer if token is None else f"Bearer {token}"
    managed = managed_token(only(request, FOR_HEADER))
    session: Session = await cohort.session_by(authorization, managed, request)
    bill_of_request(request, session.bill)
    return session
