"""The start page of `cohort dev`: GraphiQL with ready queries, the sample's variables and a token.

Nothing of it comes from another host, and a Content-Security-Policy has the browser refuse other hosts.
"""

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.dev_tokens import learner_token, mentor_token
from gateway.settings import Settings
from graph.schema import printed_schema
from ingest.importers import sample

STATIC = Path(__file__).with_name("static")
QUERIES = STATIC / "queries"
HEADERS = {
    "Content-Security-Policy": "default-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Ready:
    """A tab: a document of static/queries, its variables, a hint above it, and the user whose token it is sent with."""

    name: str
    variables: dict[str, Any]
    hint: str = ""
    by: str = sample.FIRST_LEARNER


_ENROLMENT = {"collection": sample.SAMPLE_COLLECTION, "context": sample.SAMPLE_CONTEXT}
_NEW = {
    "contentId": sample.ENROLABLE_CONTENT,
    "collectionId": sample.ENROLABLE_COLLECTION,
    "contextId": sample.ENROLABLE_CONTEXT,
}
TABS = (
    Ready("my_courses", {"first": 20}, "Ctrl-Enter runs it; the other tabs are ready, too."),
    Ready("course_page", _ENROLMENT),
    Ready("course_tree", {"collection": sample.SAMPLE_COLLECTION}),
    Ready("collection_contexts", {"collection": sample.SAMPLE_COLLECTION}),
    Ready("my_summary", _ENROLMENT),
    Ready("my_assessments", {"collection": sample.SAMPLE_COLLECTION, "first": 20}),
    Ready("catalogue", {"text": "", "first": 20}),
    Ready(
        "find_learners",
        {"text": "ada", "first": 20},
        f"Not for learners: the headers below hold a token of {sample.MENTOR}.",
        by=sample.MENTOR,
    ),
    Ready(
        "record_view",
        {**_NEW, "details": {"page": 3}},
        "Choose Enrol, Start, Update, End with the run button; then look at MyCourses again.",
    ),
    Ready("group_page", {"group": sample.SAMPLE_GROUP, "first": 150}),
    Ready(
        "dashboard",
        {"activity": sample.SAMPLE_COLLECTION},
        f"Not for learners: the headers below hold a token of {sample.MENTOR}, who is a mentor and a reporter.",
        by=sample.MENTOR,
    ),
)
"""The tabs. Their documents are word by word those that clients use."""


def start_page(settings: Settings) -> list[BaseRoute]:
    """The routes of the start page."""
    page = Template((STATIC / "start.html").read_text(encoding="utf-8"))
    queries = [{"query": text(ready), "variables": ready.variables, "user": ready.by} for ready in TABS]

    async def start(_request: Request) -> Response:
        tokens = {sample.FIRST_LEARNER: learner_token(settings), sample.MENTOR: mentor_token(settings)}
        content = {"user": sample.FIRST_LEARNER, "tokens": tokens, "queries": queries}
        safe = orjson.dumps(content).decode().replace("<", "\\u003c")
        return HTMLResponse(page.substitute(start=safe), headers=HEADERS)

    async def schema(_request: Request) -> Response:
        return PlainTextResponse(printed_schema())

    return [
        Route("/", start),
        Route("/schema.graphql", schema),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def text(ready: Ready) -> str:
    """The text in the tab."""
    hint = f"# {ready.hint}\n" if ready.hint else ""
    return hint + (QUERIES / f"{ready.name}.graphql").read_text(encoding="utf-8")
