"""The routes of the pages for a browser.

Nothing of them comes from another host, and a Content-Security-Policy has the browser refuse other hosts. The pages
themselves hold no data: who has no token sees their frame alone. With ``explorer = authenticated`` what describes the API
(/schema.graphql, /openapi.json) needs a token, too: a browser sends none with an address, so the page asks for one.
"""

from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.dev_tokens import LEARNER, PEOPLE, token_of
from gateway.http.fixed import FixedDocument
from gateway.pages.ready_queries import STATIC, TABS, tabs
from gateway.rest.framework import openapi
from gateway.rest.routes import DOCUMENT
from gateway.settings import Settings
from graph.schema import printed_schema

DOCS = Path(__file__).parents[2] / "docs"
"""There in a clone, not where Cohort is installed."""
PAGES = {"/": "start", "/graphiql": "graphiql", "/reference": "reference"}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "connect-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # editors place their lines with styles
    "img-src": "'self' data:",
    "font-src": "data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Answer = Callable[[Request], Awaitable[Response]]


def page_routes(settings: Settings) -> list[BaseRoute]:
    """The routes of the pages by these settings, for an instance that has them."""
    closed = not settings.dev and settings.explorer == "authenticated"
    has_docs = DOCS.is_dir()
    frame = Template((STATIC / "page.html").read_text(encoding="utf-8"))

    def page(path: str, name: str) -> Route:
        main = Template((STATIC / f"{name}.html").read_text(encoding="utf-8"))
        body = main.safe_substitute(queries=_queries(), docs=_docs() if has_docs else "")

        async def answer(_request: Request) -> Response:
            content = orjson.dumps(_content(settings, closed)).decode().replace("<", "\\u003c")
            return HTMLResponse(frame.substitute(main=body, content=content), headers=HEADERS)

        return Route(path, answer)

    schema = FixedDocument(lambda: printed_schema().encode(), "text/plain").answer
    document: Answer = DOCUMENT.endpoint
    return [
        *(page(path, name) for path, name in PAGES.items()),
        Route("/schema.graphql", _with_token(schema) if closed else schema),
        *([Route(openapi.PATH, _with_token(document))] if closed else []),
        *([Mount("/docs", StaticFiles(directory=DOCS))] if has_docs else []),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _with_token(answer: Answer) -> Answer:
    """The answer for who has a token that holds; Unauthenticated for others."""

    async def checked(request: Request) -> Response:
        (await request.app.state.cohort.session_of(request)).viewer.known()
        return await answer(request)

    return checked


def _content(settings: Settings, closed: bool) -> dict[str, Any]:
    """What the scripts of a page need."""
    people = [
        {
            "user": person.user,
            "roles": [role.value for role in person.roles],
            "may": person.may,
            "token": token_of(settings, person),
        }
        for person in (PEOPLE if settings.dev else ())
    ]
    return {
        "people": people,
        "user": LEARNER.user if settings.dev else None,
        "closed": closed,
        "queries": tabs(TABS, of_sample=settings.dev),
    }


def _queries() -> str:
    """A link for each ready query."""
    return "\n".join(
        f'<li><a href="graphiql#{one.name}">{escape(one.task)}</a> <code>{one.title}</code></li>'
        for one in TABS
    )


def _docs() -> str:
    return (STATIC / "docs.html").read_text(encoding="utf-8")
