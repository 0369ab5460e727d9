"""The start page of `cohort dev`: GraphiQL with ready queries, the sample's variables and a token. Nothing of it comes
from another host, and a Content-Security-Policy holds the browser to that."""

from pathlib import Path
from string import Template

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.development import learner_token
from gateway.settings import Settings
from graph.schema import printed_schema
from ingest import sample

STATIC = Path(__file__).with_name("static")
HEADERS = {
    "Content-Security-Policy": "default-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

_COURSE = {"collection": sample.SAMPLE_COLLECTION}
_ENROLMENT = {**_COURSE, "context": sample.SAMPLE_CONTEXT}
VARIABLES: dict[str, dict[str, str]] = {
    "my_courses": {},
    "course_page": _ENROLMENT,
    "course_tree": _COURSE,
    "my_summary": _ENROLMENT,
    "record_a_view": {"content": sample.SAMPLE_CONTENT, **_ENROLMENT},
    "enrol": {"collection": sample.ENROLABLE_COLLECTION, "context": sample.ENROLABLE_CONTEXT},
}
"""The ready queries, in the order of their tabs: files in static/queries, and what they are run with."""


def start_page(settings: Settings) -> list[BaseRoute]:
    """Its routes."""
    page = Template((STATIC / "start.html").read_text(encoding="utf-8"))
    queries = [{"query": document(name), "variables": variables} for name, variables in VARIABLES.items()]

    async def start(_request: Request) -> Response:
        content = {"user": sample.FIRST_LEARNER, "token": learner_token(settings), "queries": queries}
        safe = orjson.dumps(content).decode().replace("<", "\\u003c")
        return HTMLResponse(page.substitute(start=safe), headers=HEADERS)

    async def schema(_request: Request) -> Response:
        return PlainTextResponse(printed_schema())

    return [
        Route("/", start),
        Route("/schema.graphql", schema),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def document(name: str) -> str:
    return (STATIC / "queries" / f"{name}.graphql").read_text(encoding="utf-8")
