"""A table as an answer: in the form that was asked for, with what its file can't say in headers."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.conditional import conditional
from gateway.http.media_types import preferred
from gateway.rest.framework.endpoints import USER_HEADER
from gateway.rest.framework.envelope import Json
from resolvers.metric_sheets import MEDIA_TYPES, Sheet, SheetFormat, sheet_file
from resolvers.nouns import InvalidInput

FORMAT = "format"
AS_OF, COMPLETE, SOURCE = "Cohort-As-Of", "Cohort-Complete", "Cohort-Source"
PRIVACY = "Cohort-Privacy"
HEADERS = {
    AS_OF: "What was known by then is in the figures. Not there where no aggregation has run yet.",
    COMPLETE: "`false` where a part of the data was away or not computed yet, `true` otherwise.",
    SOURCE: "What the figures were read from, such as `STATES`.",
    PRIVACY: "The profile by which small cohorts are withheld, and the learners of a cohort, such as `threshold; least=5`. Not "
    "there where figures are told as they are counted.",
}

_SCALAR: Json = {"type": ["string", "number", "boolean", "null", "object"]}
_ROW: Json = {"type": "array", "items": _SCALAR}
TABLE_SCHEMA: Json = {
    "type": "object",
    "required": ["columns", "rows", "totals", "asOf", "complete", "source", "privacy"],
    "properties": {
        "columns": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "kind"],
                "properties": {"name": {"type": "string"}, "kind": {"type": "string"}},
            },
        },
        "rows": {"type": "array", "items": _ROW, "description": "Values in the columns' order."},
        "totals": {
            "anyOf": [_ROW, {"type": "null"}],
            "description": "A row over everything; null unless asked for.",
        },
        "asOf": {"type": ["string", "null"], "description": HEADERS[AS_OF]},
        "complete": {"type": "boolean"},
        "source": {"type": "string"},
        "privacy": {
            "anyOf": [
                {
                    "type": "object",
                    "required": ["profile", "leastCohort", "source"],
                    "properties": {
                        "profile": {"type": "string"},
                        "leastCohort": {"type": "integer"},
                        "source": {
                            "type": "string",
                            "description": "The publication that the profile follows.",
                        },
                    },
                },
                {"type": "null"},
            ],
            "description": "The rule by which small cohorts are withheld; null where figures are told as they are counted.",
        },
    },
}
ANSWERS: dict[str, Json] = {
    MEDIA_TYPES[SheetFormat.JSON]: TABLE_SCHEMA,
    MEDIA_TYPES[SheetFormat.CSV]: {"type": "string"},
    MEDIA_TYPES[SheetFormat.PARQUET]: {"type": "string", "format": "binary"},
}
"""The schema of an answer by media type."""
FORMAT_PARAMETER: Json = {
    "name": FORMAT,
    "in": "query",
    "required": False,
    "description": "The form of the answer. It goes before `Accept`, which may name one of the media types; JSON without both.",
    "schema": {"type": "string", "enum": [form.value for form in SheetFormat]},
}


def format_named(name: str) -> SheetFormat:
    """The format of this name. InvalidInput says which there are."""
    try:
        return SheetFormat(name)
    except ValueError:
        there = ", ".join(form.value for form in SheetFormat)
        raise InvalidInput(f"{FORMAT} must be one of {there}", field=FORMAT) from None


def format_asked(request: Request) -> SheetFormat:
    """The format in the query, or else the one that ``Accept`` likes best, or else JSON."""
    named = request.query_params.getlist(FORMAT)
    if len(named) > 1:
        raise InvalidInput(f"{FORMAT} must be given once", field=FORMAT)
    if named:
        return format_named(named[0])
    forms = {media: form for form, media in MEDIA_TYPES.items()}
    accepted = preferred(",".join(request.headers.getlist("accept")), [*forms])
    return SheetFormat.JSON if accepted is None else forms[accepted]


async def table_answer(request: Request, sheet: Sheet, form: SheetFormat) -> Response:
    """The sheet with its tag, or 304. The tag of a Parquet file is that of its rows."""
    response = await file_answer(sheet, form)
    tag_of = response.body if form is not SheetFormat.PARQUET else await sheet_file(sheet, SheetFormat.CSV)
    response.headers.add_vary_header("Accept")
    response.headers.add_vary_header(USER_HEADER)
    return conditional(request, response, tag_of=form.value.encode() + bytes(tag_of), max_age=0)


async def file_answer(sheet: Sheet, form: SheetFormat) -> Response:
    """The sheet in this form."""
    told = sheet.told()
    headers = {
        COMPLETE: str(sheet.complete).lower(),
        SOURCE: sheet.source,
        "X-Content-Type-Options": "nosniff",
    }
    if told["asOf"] is not None:
        headers[AS_OF] = told["asOf"]
    if sheet.rule is not None:
        headers[PRIVACY] = f"{sheet.rule.profile.name}; least={sheet.rule.least}"
    if form is not SheetFormat.JSON:
        headers["Content-Disposition"] = f'attachment; filename="figures.{form.value}"'
    return Response(await sheet_file(sheet, form), media_type=MEDIA_TYPES[form], headers=headers)
