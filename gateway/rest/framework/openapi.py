"""The OpenAPI 3.1 document of the REST endpoints, /openapi.json. It follows from their declarations."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from starlette.routing import Route

from gateway.http.fixed import FixedDocument
from gateway.http.on_behalf import FOR_HEADER
from gateway.rest.framework.endpoints import USER_HEADER, Endpoint
from gateway.rest.framework.envelope import LEARNING, USUAL_CODES, Envelope, Json
from gateway.rest.framework.examples import with_example
from gateway.rest.framework.plain import PlainEndpoint, plain_operation
from gateway.rest.framework.told_access import told_access

PATH = "/openapi.json"

_STATUSES: dict[HTTPStatus, tuple[str, tuple[str, ...]]] = {
    HTTPStatus.BAD_REQUEST: ("What is asked is wrong or can't be, for the reason in `params.errmsg`.", ()),
    HTTPStatus.UNAUTHORIZED: ("No token or one that does not hold.", ("UNAUTHENTICATED",)),
    HTTPStatus.NOT_FOUND: ("Something that is named does not exist.", ("NOT_FOUND",)),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "The caller has spent what it may in a minute; `Retry-After` says when to come again.",
        ("RATE_LIMITED",),
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("A fault here; it is logged.", ("INTERNAL_ERROR",)),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "A store is away; the call may be sent again.",
        ("STORE_UNAVAILABLE",),
    ),
    HTTPStatus.GATEWAY_TIMEOUT: (
        "Time ran out before every store had answered; the call may be sent again.",
        ("DEADLINE_EXCEEDED",),
    ),
}
"""Each status of a refusal with its description and our codes that have it. Every other code is a 400."""
NO_MORE: Json = {}
_MAY_NOT = ("The caller may not do or see this.", ("FORBIDDEN",))
"""The status of this depends on the envelope."""


def document_route(
    endpoints: Sequence[Endpoint[Any]], plain: Sequence[PlainEndpoint] = (), components: Json = NO_MORE
) -> Route:
    """The route of the document about these endpoints, with ``components`` that the plain ones refer to."""
    document = FixedDocument(lambda: orjson.dumps(openapi(endpoints, plain, components)), "application/json")
    return Route(PATH, document.answer)


def openapi(
    endpoints: Sequence[Endpoint[Any]], plain: Sequence[PlainEndpoint] = (), components: Json = NO_MORE
) -> Json:
    """The document about these endpoints."""
    schemas, of_endpoints = _schemas(endpoints)
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        path = re.sub(r"{(\w+):\w+}", r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    for one in plain:
        paths.setdefault(one.path, {})[one.method.lower()] = plain_operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cohort",
            "version": version("cohort"),
            "description": "The calls of the platform that Cohort takes over from, and the viewer's. The GraphQL API "
            "at `/graphql` has all of it and more. Names in what is asked are taken in any case: `collectionid` is "
            "`collectionId`. What is not known is passed over, but not in a body where something known may be meant, "
            "nor an unknown id where ids may be left out: that is refused by its name.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                **of_endpoints,
                **components,
                **{_refusal_name(one): _refusal(one) for one in {each.envelope: None for each in endpoints}},
                "Refused": _REFUSED,
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "userToken": {"type": "apiKey", "in": "header", "name": USER_HEADER},
            },
        },
    }


_Schemas = dict[tuple[int, str], Json]


def _schemas(endpoints: Sequence[Endpoint[Any]]) -> tuple[_Schemas, Json]:
    """The schemas of each endpoint's request and result, and the components that they refer to."""
    inputs: list[Any] = []
    for place, endpoint in enumerate(endpoints):
        inputs.append(((place, "request"), "validation", TypeAdapter(endpoint.request)))
        inputs.append(((place, "result"), "serialization", TypeAdapter(endpoint.result)))
    found, shared = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=GenerateJsonSchema
    )
    by_endpoint = {(id(endpoints[place]), what): schema for ((place, what), _), schema in found.items()}
    return by_endpoint, {name: _cleaned(schema) for name, schema in shared.get("$defs", {}).items()}


def _cleaned(schema: Any) -> Any:
    """The schema without the titles that pydantic makes up, and without the description of enums, which is for us alone."""
    if isinstance(schema, list):
        return [_cleaned(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"description", "title"} if "enum" in schema else {"title"}
    return {
        name: {field: with_example(field, _cleaned(one)) for field, one in value.items()}
        if name == "properties"
        else _cleaned(value)
        for name, value in schema.items()
        if name not in dropped
    }


def _operation(endpoint: Endpoint[Any], schemas: _Schemas) -> Json:
    result = schemas[id(endpoint), "result"]
    parameters = [_parameter(name, "path") for name in re.findall(r"{(\w+)(?::\w+)?}", endpoint.path)]
    if endpoint.for_others is not None and "{user_id" not in endpoint.path:
        parameters.append(_for_header(endpoint.for_others))
    if not endpoint.has_body:
        parameters += _query(endpoint.request)
    operation: Json = {
        "operationId": f"{endpoint.method} {endpoint.path}",
        "summary": endpoint.summary,
        "tags": [endpoint.api_id.rpartition(".")[0]],
        **told_access(endpoint.access),
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "Done.",
                "content": {
                    "application/json": {"schema": _enveloped(endpoint.envelope, endpoint.api_id, result)}
                },
            },
            **_refusals(endpoint),
        },
    }
    if endpoint.max_age is not None:
        operation["responses"]["304"] = {"description": "The client has it already."}
    if endpoint.has_body:
        operation["requestBody"] = {
            "required": not endpoint.body_optional,
            "content": {
                "application/json": {"schema": _request_body(endpoint, schemas[id(endpoint), "request"])}
            },
        }
    return operation


def _refusals(endpoint: Endpoint[Any]) -> Json:
    """A response for each status, with the codes that it may have."""
    statuses = _statuses(endpoint.envelope)
    codes: dict[HTTPStatus, dict[str, None]] = {status: {} for status in statuses}
    refusal = {"$ref": f"#/components/schemas/{_refusal_name(endpoint.envelope)}"}
    usual = {ours: platform for ours, platform in USUAL_CODES.items() if isinstance(ours, str)}
    named: dict[Any, str] = {**usual, **endpoint.codes}
    for ours, platform in named.items():
        code = ours if isinstance(ours, str) else ours[0]
        status = next((s for s, (_, of) in statuses.items() if code in of), HTTPStatus.BAD_REQUEST)
        if endpoint.only_400 and ours in endpoint.codes:
            status = HTTPStatus.BAD_REQUEST
        codes[status][platform] = None
    refusals: Json = {}
    for status, (description, _) in statuses.items():
        listed = ", ".join(f"`{code}`" for code in codes[status])
        refusals[str(int(status))] = {
            "description": f"{description} {listed}".strip(),
            "content": {"application/json": {"schema": refusal}},
        }
    if endpoint.has_body:
        refusals["413"] = {
            "description": "The body is larger than a request may be; it was not read to its end.",
            "content": {
                "application/json": {"schema": {"anyOf": [{"$ref": "#/components/schemas/Refused"}, refusal]}}
            },
        }
    return refusals


def _statuses(envelope: Envelope) -> dict[HTTPStatus, tuple[str, tuple[str, ...]]]:
    """The statuses of refusals in this envelope."""
    told, ours = _MAY_NOT
    if envelope.forbidden not in _STATUSES:
        return {**_STATUSES, envelope.forbidden: _MAY_NOT}
    description, others = _STATUSES[envelope.forbidden]
    return {**_STATUSES, envelope.forbidden: (f"{description} {told}", (*others, *ours))}


def _parameter(name: str, place: str) -> Json:
    schema = with_example(name, {"type": "string", "minLength": 1})
    return {"name": name, "in": place, "required": True, "schema": schema}


def _for_header(who: str) -> Json:
    told = f"The user that the call is for, where that is not the caller. Only {who} may name another."
    return {"name": FOR_HEADER, "in": "header", "description": told, "schema": {"type": "string"}}


def _query(request: type[BaseModel]) -> list[Json]:
    """A parameter for each field. Lists are written ``a,b``."""
    schema: Json = request.model_json_schema()
    parameters: list[Json] = []
    for name, value in schema.get("properties", {}).items():
        kind: Json = {key: each for key, each in value.items() if key not in ("title", "description")}
        while "anyOf" in kind:  # null is for bodies: in a query there is none
            (kind,) = [one for one in kind["anyOf"] if one != {"type": "null"}]
        if "$ref" in kind:
            kind = _cleaned(schema["$defs"][str(kind["$ref"]).rpartition("/")[2]])
        parameter: Json = {"name": name, "in": "query", "schema": with_example(name, kind)}
        parameter["required"] = name in schema.get("required", ())
        if "description" in value:
            parameter["description"] = value["description"]
        if kind.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        parameters.append(parameter)
    return parameters


def _request_body(endpoint: Endpoint[Any], request: Json) -> Json:
    if endpoint.body_optional:
        request = {"anyOf": [request, {"type": "null"}]}
    return {
        "type": "object",
        "required": [] if endpoint.body_optional else ["request"],
        "properties": {
            "params": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"msgid": {"type": ["string", "null"], "description": "Given back."}},
                    },
                    {"type": "null"},
                ]
            },
            "request": request,
        },
    }


_TEXT: Json = {"type": "string"}
_NULLABLE: Json = {"type": ["string", "null"]}


def _enveloped(envelope: Envelope, api_id: str, result: Json) -> Json:
    """The schema of an answer."""
    params = {"err": {"type": "null"}, "status": {"const": envelope.succeeded}, "errmsg": {"type": "null"}}
    return _document(envelope, {"const": api_id}, params, {"const": "OK"}, result)


def _refusal(envelope: Envelope) -> Json:
    """The schema of a refusal."""
    status = _TEXT if envelope.failed is None else {"const": envelope.failed}
    params = {"err": _TEXT, "status": status, "errmsg": _TEXT}
    codes = {"enum": ["CLIENT_ERROR", "RESOURCE_NOT_FOUND", "SERVER_ERROR"]}
    result: Json = {"type": "object"}
    if envelope.lists_messages:
        result["properties"] = {"messages": {"type": "array", "items": _TEXT}}
    return _document(envelope, _TEXT, params, codes, result)


def _refusal_name(envelope: Envelope) -> str:
    return "Refusal" if envelope is LEARNING else f"Refusal{envelope.version.partition('.')[0]}"


def _document(envelope: Envelope, api_id: Json, params: Json, code: Json, result: Json) -> Json:
    now = envelope.moment(datetime(2026, 1, 31, 12, tzinfo=UTC))
    return {
        "type": "object",
        "required": ["id", "ver", "ts", "params", "responseCode", "result"],
        "properties": {
            "id": api_id,
            "ver": {"const": envelope.version},
            "ts": {"type": "string", "examples": [now]},
            "params": {
                "type": "object",
                "required": ["resmsgid", "msgid", "err", "status", "errmsg"],
                "properties": {"resmsgid": _TEXT, "msgid": _NULLABLE, **params},
            },
            "responseCode": code,
            "result": result,
        },
    }


_REFUSED: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": "string"},
            },
        }
    },
}
"""The schema of what is refused before it reaches an endpoint, and by endpoints without an envelope."""
