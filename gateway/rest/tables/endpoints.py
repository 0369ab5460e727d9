"""The endpoints of tables of figures. They take what ``activityMetrics`` and ``activityFunnel`` take in GraphQL, and ask
the same resolvers, so access, checks and errors are the same."""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import orjson
from graphql import (
    GraphQLNonNull,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
)
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.costs import bill_of_request
from gateway.http.disconnect import while_connected
from gateway.rest.framework.envelope import Json
from gateway.rest.framework.examples import with_example
from gateway.rest.framework.moments import iso_milliseconds
from gateway.rest.framework.plain import PlainEndpoint, object_in
from gateway.rest.framework.prices import FIGURES
from gateway.rest.tables.answers import (
    ANSWERS,
    FORMAT,
    FORMAT_PARAMETER,
    HEADERS,
    file_answer,
    format_asked,
    format_named,
    table_answer,
)
from graph.json_schemas import components_of, schema_of
from graph.table_requests import (
    ACTIVE,
    ACTIVE_INPUT,
    FUNNEL,
    TABLE,
    TABLE_INPUT,
    Declared,
    active_query,
    funnel_request,
    of_query,
    table_query,
)
from resolvers.active_learners import timeline
from resolvers.funnels import activity_funnel
from resolvers.metric_links import LONGEST_LIFE, USUAL_LIFE, MetricLinks
from resolvers.metric_sheets import (
    Sheet,
    SheetFormat,
    sheet_of_active_learners,
    sheet_of_funnel,
    sheet_of_table,
)
from resolvers.metrics import activity_metrics
from resolvers.nouns import Access, InvalidInput, NotFound, Session, billed_to

log = logging.getLogger(__name__)

_LINKED = "/metrics/links"


async def _sheet(session: Session, asked: Json) -> Sheet:
    """The figures of what is asked: ``{table | activeLearners: {…}}`` or ``{funnel: {collectionId, …}}``."""
    ((kind, values),) = ((kind, asked[kind]) for kind in KINDS if kind in asked)
    session.bill.expect(FIGURES)
    with billed_to(session.bill):
        return await KINDS[kind](session, values)


async def _table_sheet(session: Session, values: Json) -> Sheet:
    query, mode = table_query(values)
    return sheet_of_table(await activity_metrics(session, query, mode=mode))


async def _active_sheet(session: Session, values: Json) -> Sheet:
    return sheet_of_active_learners(await timeline(session, active_query(values)))


async def _funnel_sheet(session: Session, values: Json) -> Sheet:
    others = {name: value for name, value in values.items() if name != "collectionId"}
    funnel = funnel_request(values["collectionId"], others)
    found = await activity_funnel(
        session,
        funnel.collection_id,
        context_ids=funnel.context_ids,
        filter=funnel.filter,
        depth=funnel.depth,
    )
    return sheet_of_funnel(found)


KINDS: Mapping[str, Callable[[Session, Json], Coroutine[Any, Any, Sheet]]] = {
    "table": _table_sheet,
    "funnel": _funnel_sheet,
    "activeLearners": _active_sheet,
}
"""What a link may show, by the name that its maker gives it."""


async def _answered(request: Request, session: Session, asked: Json) -> Response:
    form = format_asked(request)
    sheet = await while_connected(request.receive, _sheet(session, asked))
    return await table_answer(request, sheet, form)


async def _table(request: Request, session: Session) -> Response:
    return await _answered(request, session, {"table": of_query(TABLE, _items(request))})


async def _posted_table(request: Request, session: Session) -> Response:
    for name in request.query_params:
        if name != FORMAT:
            raise InvalidInput(f"{name} belongs in the body; the query has {FORMAT} alone", field=name)
    return await _answered(request, session, {"table": await object_in(request)})


async def _funnel(request: Request, session: Session) -> Response:
    asked = of_query(FUNNEL, _items(request))
    asked["collectionId"] = request.path_params["collectionId"]
    return await _answered(request, session, {"funnel": asked})


async def _active(request: Request, session: Session) -> Response:
    return await _answered(request, session, {"activeLearners": of_query(ACTIVE, _items(request))})


async def _new_link(request: Request, session: Session) -> Response:
    """A link, once it has been seen that what is asked can be answered to whoever has it."""
    links = _links(request)
    session.viewer.known()
    body = await object_in(request)
    for name in body:
        if name not in (*KINDS, FORMAT, "expiresIn"):
            there = ", ".join((*KINDS, FORMAT, "expiresIn"))
            raise InvalidInput(f"{name} is not known here; there are {there}", field=name)
    asked: Json = {kind: body[kind] for kind in KINDS if kind in body}
    if len(asked) != 1 or not isinstance(next(iter(asked.values())), dict):
        raise InvalidInput(f"exactly one of {', '.join(KINDS)} is needed, and is an object", field="table")
    if "funnel" in asked and not isinstance(asked["funnel"].get("collectionId"), str):
        raise InvalidInput("funnel.collectionId must be a text", field="funnel.collectionId")
    life = body.get("expiresIn", USUAL_LIFE)
    if not isinstance(life, int) or isinstance(life, bool):
        raise InvalidInput("expiresIn must be a whole number of seconds", field="expiresIn")
    form = format_named(body.get(FORMAT, SheetFormat.JSON.value))
    link, expires = links.signed(session.viewer, {**asked, FORMAT: form.value}, life)
    tried = links.opened(link).session(request.app.state.cohort.shared)
    bill_of_request(request, tried.bill)
    await _sheet(tried, asked)
    told = {
        "caller": request.app.state.cohort.callers.name(session.viewer.known(), None),
        "expires": iso_milliseconds(expires),
    }
    log.info("a link to figures was made", extra={"fields": told})
    base = request.app.state.cohort.settings.public_url.rstrip("/")
    answer = {"url": f"{base}{_LINKED}/{link}", "expires": iso_milliseconds(expires)}
    return _private(Response(orjson.dumps(answer), media_type="application/json"))


async def _linked(request: Request, _session: Session) -> Response:
    """The figures of a link, counted now: to whoever has it, whatever token they send."""
    linked = _links(request).opened(request.path_params["link"])
    session = linked.session(request.app.state.cohort.shared)
    bill_of_request(request, session.bill)
    sheet = await while_connected(request.receive, _sheet(session, linked.asked))
    return _private(await file_answer(sheet, SheetFormat(linked.asked[FORMAT])))


def _links(request: Request) -> MetricLinks:
    links: MetricLinks | None = request.app.state.cohort.metric_links
    if links is None:
        raise NotFound("there are no links here: the setting metric_links is false")
    return links


def _private(response: Response) -> Response:
    """No cache keeps it, and no other site is told its URL."""
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _items(request: Request) -> list[tuple[str, str]]:
    return [(name, text) for name, text in request.query_params.multi_items() if name != FORMAT]


def _parameters(declared: Declared) -> list[Json]:
    """A parameter for each thing that is declared in the schema. What has fields of its own is JSON."""
    parameters: list[Json] = []
    for name, field in declared.items():
        bare = get_nullable_type(field.type)
        required = isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined
        told: Json = {
            "name": name,
            "in": "query",
            "required": required,
            "description": field.description or "",
        }
        if name == "orderBy":
            told["description"] += " Each is `column` or `column:desc`."
            told |= {"style": "form", "explode": False}
            told["schema"] = {"type": "array", "items": {"type": "string", "minLength": 1}}
        elif is_list_type(bare):
            told |= {"style": "form", "explode": False, "schema": schema_of(field.type, nullable=False)}
        elif is_input_object_type(get_named_type(field.type)):
            told["content"] = {"application/json": {"schema": schema_of(field.type, nullable=False)}}
        else:
            told["schema"] = schema_of(field.type, nullable=False)
        parameters.append(told)
    return [*parameters, FORMAT_PARAMETER]


def _in_path(name: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": with_example(name, {"type": "string", "minLength": 1}),
    }


COMPONENTS: Json = {**components_of(TABLE_INPUT), **components_of(ACTIVE_INPUT)}
"""The schemas that the endpoints refer to."""
_REFERENCE: Json = {"$ref": "#/components/schemas/ActivityMetricsInput"}
_FUNNEL_SCHEMA: Json = {
    "type": "object",
    "required": ["collectionId"],
    "additionalProperties": False,
    "properties": {
        "collectionId": {"type": "string"},
        **{name: schema_of(argument.type) for name, argument in FUNNEL.items()},
    },
}
_LINK_SCHEMA: Json = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "table": _REFERENCE,
        "funnel": _FUNNEL_SCHEMA,
        "activeLearners": {"$ref": "#/components/schemas/ActiveLearnersInput"},
        FORMAT: FORMAT_PARAMETER["schema"],
        "expiresIn": {"type": "integer", "minimum": 1, "maximum": LONGEST_LIFE, "default": USUAL_LIFE},
    },
    "oneOf": [{"required": [kind]} for kind in KINDS],
}
_LINK_ANSWER: Json = {
    "type": "object",
    "required": ["url", "expires"],
    "properties": {"url": {"type": "string"}, "expires": {"type": "string"}},
}

ENDPOINTS: Sequence[PlainEndpoint] = (
    PlainEndpoint(
        *("GET", "/metrics/table", "A table of figures, as `activityMetrics` has it in GraphQL."),
        *(_table, _parameters(TABLE), ANSWERS),
        headers=HEADERS,
        conditional=True,
        access=Access.FIGURES,
    ),
    PlainEndpoint(
        *("POST", "/metrics/table", "The same, asked for in a body: for what is too long for a URL."),
        *(_posted_table, [FORMAT_PARAMETER], ANSWERS),
        body=_REFERENCE,
        headers=HEADERS,
        conditional=True,
        access=Access.FIGURES,
    ),
    PlainEndpoint(
        *("GET", "/metrics/funnel/{collectionId}", "The funnel over a collection's units, a row for each."),
        *(_funnel, [_in_path("collectionId"), *_parameters(FUNNEL)], ANSWERS),
        headers=HEADERS,
        conditional=True,
        access=Access.FIGURES,
    ),
    PlainEndpoint(
        *("GET", "/metrics/active-learners", "How many different learners were active at each date."),
        *(_active, _parameters(ACTIVE), ANSWERS),
        headers=HEADERS,
        conditional=True,
        access=Access.FIGURES,
    ),
    PlainEndpoint(
        *("POST", _LINKED, "A link to a table for a dashboard that can't send a token; it expires."),
        *(_new_link, [], {"application/json": _LINK_ANSWER}),
        body=_LINK_SCHEMA,
        access=Access.FIGURES,
    ),
    PlainEndpoint(
        *(
            "GET",
            f"{_LINKED}/{{link}}",
            "The table of a link, counted now, in the form that the link was made for.",
        ),
        *(_linked, [_in_path("link")], ANSWERS),
        headers=HEADERS,
        access=Access.ANYBODY,
    ),
)
