"""The REST endpoints' declaration: each is declared once, and from that follow its route, the check of what is asked, and
its part of the OpenAPI document (gateway/rest/openapi.py).

A call is ``{id?, ver?, ts?, params?: {msgid}, request: {…}}``, or for a GET the query of its URL.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.conditional import conditional
from gateway.departure import while_connected
from gateway.rest.envelope import Codes, Json, answered, refused, refused_as
from gateway.rest.names import NOT_KNOWN, Names
from resolvers.nouns import Absent, CohortError, InvalidInput, Session

log = logging.getLogger(__name__)

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

USER_HEADER = "X-Authenticated-User-Token"
"""Goes before the bearer token, so an answer depends on it as well."""
FOR_HEADER = "X-Authenticated-For"
"""The user that a call is for, where that is not the caller (P-2.1)."""
MOST_ITEMS = 200
"""In one list of a call."""

MaxAge = int | Callable[[Session], int]
"""Seconds; what the request was answered from decides where it is a function."""
TIME = "time"
"""Beside the type of a field: a time, which is as good as left out where it is blank or "null"."""
ByValue = Field(strict=False)
"""For an enum of texts, which JSON has by its value."""
MANY_VIEWERS = "an admin, a mentor, a reporter or a service"
"""Who may read what is of others."""
ONLY_A_SERVICE = "a service"


class Asked(BaseModel):
    """What a call asks for, by the platform's names (gateway/rest/names.py). A null is as good as left out, and so is a
    time that is blank. What is not known is ignored, as on the platform, whose clients send more than is asked; but not
    in a body what may be meant for something that is known: the call would mean something else without it."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore", frozen=True)

    passed_over: ClassVar[frozenset[str]] = frozenset()
    """Ids that the platform's clients send beside what is asked, and that change nothing."""

    def names_sent(self) -> Mapping[str, str]:
        """Of what the resolvers know under another name than the caller gave: theirs, and the caller's."""
        return {}

    @classmethod
    def names(cls) -> Names:
        """Those of its fields."""
        if cls not in _NAMES:
            fields = {field.alias or name: field for name, field in cls.model_fields.items()}
            _NAMES[cls] = Names.of(
                fields,
                optional=[name for name, field in fields.items() if not field.is_required()],
                times=[name for name, field in fields.items() if _is_time(field)],
                passed_over=cls.passed_over,
            )
        return _NAMES[cls]

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, Mapping):
            return values
        given = {name: value for name, value in values.items() if value is not None}
        return cls.names().understood(given, strict=info.context is not None and info.context["strict"])

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        required = schema.get("required", ())
        for name, value in schema.get("properties", {}).items():
            if name not in required and {"type": "null"} not in value.get("anyOf", ()):
                told = {key: value.pop(key) for key in ("description", "title", "default") if key in value}
                schema["properties"][name] = {**told, "anyOf": [value, {"type": "null"}]}
        return schema


_NAMES: dict[type[Asked], Names] = {}


def _is_time(field: FieldInfo) -> bool:
    """Also one that may be null."""
    kinds = [getattr(kind, "__metadata__", ()) for kind in get_args(field.annotation)]
    return any(TIME in metadata for metadata in (field.metadata, *kinds))


def _split(value: Any) -> Any:
    """A list in a query: ``a,b``."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Texts = Annotated[list[str], Field(max_length=MOST_ITEMS)]
"""A list of texts in a body."""
Commas = Annotated[list[str], BeforeValidator(_split), Field(max_length=MOST_ITEMS)]
"""A list of texts in a query, separated by commas."""

A = TypeVar("A", bound=Asked)


@dataclass(frozen=True, slots=True)
class Call(Generic[A]):
    """``path``: the parameters in the URL's path; ``acting_for``: the user in FOR_HEADER."""

    request: A
    path: Mapping[str, str]
    acting_for: str | None = None
    for_others: str | None = None
    """As in Endpoint."""


Handler = Callable[[Session, Call[A]], Coroutine[Any, Any, Mapping[str, Any]]]
"""Answers with ``result``."""


@dataclass(frozen=True)
class Endpoint(Generic[A]):
    """``api_id`` is the answer's ``id``, such as ``api.group.read``; ``result`` a type that JSON is described by.

    One that reads ends when its client leaves; one that changes things is finished. ``max_age``: for one that reads,
    seconds that a client may use the answer without asking, 0 if it has to ask each time; the answer has the tag of its
    result then (gateway/conditional.py), without ``extensions``, which tell how it came about. None for one that
    changes things.

    ``path`` in Starlette's notation. ``for_others``: who may name another user than the caller in the body or in
    FOR_HEADER, in words; None where the call has no such user. ``only_400``: what ``codes`` has is HTTP 400 CLIENT_ERROR
    whatever it is, as the platform's courses and viewer answer (P-2.1).

    A DELETE takes nothing that it does not know, and no body: what it deletes doesn't come back.
    """

    method: str
    path: str
    api_id: str
    summary: str
    request: type[A]
    result: Any
    handler: Handler[A]
    codes: Codes = field(default_factory=lambda: MappingProxyType({}))
    max_age: MaxAge | None = None
    for_others: str | None = None
    only_400: bool = False

    @property
    def has_body(self) -> bool:
        return self.method not in ("GET", "DELETE")

    @cached_property
    def route(self) -> Route:
        return Route(self.path, self._endpoint, methods=[self.method])

    def under(self, path: str) -> "Endpoint[A]":
        """The same one under another path."""
        return replace(self, path=path)

    async def _endpoint(self, request: Request) -> Response:
        """What the handler answers or why it did not, in an envelope."""
        message_id = request.headers.get("x-msgid")
        names: Mapping[str, str] = {}
        try:
            document = await _body(request) if self.has_body else {"request": dict(request.query_params)}
            if self.method == "DELETE":
                await _check_only_query(request)
            message_id = _message_id(document) or message_id
            session = _session(request)
            asked = checked(self.request, document["request"], strict=self.has_body)
            names = asked.names_sent()
            call = Call(asked, request.path_params, request.headers.get(FOR_HEADER), self.for_others)
            answering = self.handler(session, call)
            result = await (
                answering if self.max_age is None else while_connected(request.receive, answering)
            )
        except ClientDisconnect:
            return Response()  # to nobody
        except HTTPException as error:  # a body that turned out too large (gateway/limits.py)
            told = refused_as(HTTPStatus(error.status_code), self.api_id, message_id, error.detail)
            told.headers.update(error.headers or {})
            return told
        except CohortError as error:
            return refused(
                self.api_id, message_id, error, self.codes, only_400=self.only_400, names_sent=names
            )
        except Exception:
            log.exception("internal error at %s", request.url.path)
            fault = CohortError("something went wrong here; it is logged")
            return refused(self.api_id, message_id, fault, self.codes)
        response = answered(self.api_id, message_id, result)
        if self.max_age is None:
            return response
        tag_of = orjson.dumps({name: value for name, value in result.items() if name != "extensions"})
        seconds = self.max_age if isinstance(self.max_age, int) else self.max_age(session)
        response.headers.add_vary_header(USER_HEADER)
        response.headers.add_vary_header(FOR_HEADER)
        return conditional(request, response, tag_of=tag_of, max_age=seconds)


def checked(asked: type[A], values: object, *, strict: bool = True) -> A:
    """InvalidInput names the first field that is missing or wrong, and what it must be. Not ``strict``: numbers and
    booleans may be texts, as in a query."""
    try:
        return asked.model_validate(values, strict=None if strict else False, context={"strict": strict})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = _place(first["loc"])
        kind = Absent if first["type"] == "missing" else InvalidInput
        told = _told(first, place)
        if first["type"] == NOT_KNOWN:
            place = _place((*first["loc"], first["ctx"]["name"]))
            told = f"{place} {first['ctx']['told']}"
        if first["type"] == "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in asked.model_fields.items())
            told = f"{place} is not known here; there are {known}"
        raise kind(told, field=place) from None


def _place(loc: Sequence[int | str]) -> str:
    """``contents[0].contentId``."""
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place or "request"


_MUST_BE = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "model_type": "an object",
    "dict_type": "an object",
}


def _told(error: ErrorDetails, place: str) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"{place} is missing"
    if kind in _MUST_BE:
        return f"{place} must be {_MUST_BE[kind]}"
    match kind:
        case "too_long":
            most, given = context["max_length"], context["actual_length"]
            return f"{place} must have at most {most} items, not {given}"
        case "enum" | "literal_error":
            there_is = context["expected"].replace(" or ", ", ").replace("'", "")
            return f"{place} must be one of {there_is}"
        case "greater_than_equal":
            return f"{place} must be at least {context['ge']}"
        case "less_than_equal":
            return f"{place} must be at most {context['le']}"
        case "value_error":
            return f"{place} must be {context['error']}"
    return f"{place} is wrong: {error['msg'].lower()}"


async def _check_only_query(request: Request) -> None:
    """InvalidInput where there is a body, or a parameter that is given twice."""
    if await request.body():
        raise InvalidInput(
            "request must be in the query of the URL: a DELETE has no body, and this one was not read",
            field="body",
        )
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"{name} must be given once", field=name)


async def _body(request: Request) -> Json:
    """InvalidInput unless it is a JSON object with an object ``request``."""
    try:
        document = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise InvalidInput("the body must be JSON", field="request") from None
    if not isinstance(document, dict):
        raise InvalidInput("the body must be a JSON object", field="request")
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


def _session(request: Request) -> Session:
    """Of the user's own token, else of the bearer token, which on the platform may be that of an application."""
    cohort = request.app.state.cohort
    token = request.headers.get(USER_HEADER)
    authorization = request.headers.get("authorization") if token is None else f"Bearer {token}"
    return Session(cohort.tokens.viewer(authorization), cohort.shared)
