"""The HTTP application."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import health
from gateway.cross_origin import cross_origin
from gateway.dev_tokens import with_development_key
from gateway.downloads import download_routes
from gateway.gc_tuning import collect_rarely
from gateway.graphql_http import GraphQLEndpoint
from gateway.http.costs import CostHeader
from gateway.http.errors import HANDLERS
from gateway.http.limits import Deadline, LargestBody
from gateway.http.request_ids import RequestIds
from gateway.identity import check_identity
from gateway.logs import log_to_stderr
from gateway.rest.routes import ROUTES
from gateway.settings import Settings, load_settings
from gateway.wiring import document_limits, running, warn_of_settings
from graph.schema import schema_of
from loaders.session import Session
from rules.errors import CohortError

PACKED = ("application/vnd.apache.parquet", "application/octet-stream")
"""Types of files that are compressed in themselves, beside those that Starlette knows."""


def create_app(settings: Settings) -> Starlette:
    """The application. It opens its stores when it starts and closes them when it stops.

    SettingsError if there is no key to check tokens with.
    """
    if settings.dev:
        settings = with_development_key(settings)
    check_identity(settings)
    warn_of_settings(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running(settings, worker=settings.dev) as cohort:
            app.state.cohort = cohort
            yield

    routes: list[BaseRoute] = [
        Route("/graphql", GraphQLEndpoint(session_of, schema=schema_of(document_limits(settings)))),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        *download_routes(settings),
        *_pages(settings),
        *ROUTES,  # behind the others: they answer whatever else begins as the platform's paths do
    ]
    middleware = [
        Middleware(StartupFailureInALine),
        Middleware(RequestIds),
        *cross_origin(settings.allowed_origins, this_machine=settings.dev),
        *compression(settings.compressed_from),
        Middleware(LargestBody, most=settings.largest_body),
        Middleware(Deadline, seconds=settings.request_timeout),
        Middleware(CostHeader),
    ]
    app = Starlette(routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers=HANDLERS)
    # Starlette would send a path with a slash too many on to the host that the client named.
    app.router.redirect_slashes = False
    return app


def _pages(settings: Settings) -> list[BaseRoute]:
    """The pages for a browser, where the settings have any. What they need takes long to import."""
    if not settings.dev and settings.explorer == "off":
        return []
    from gateway.pages.routes import page_routes

    return page_routes(settings)


def app_of_process() -> Starlette:
    """The application by the settings of this process.

    It is for servers that make one in each of their processes: `uvicorn --factory gateway.app:app_of_process`.
    """
    settings = load_settings()
    log_to_stderr(settings.log_level)
    app = create_app(settings)
    collect_rarely()
    return app


def compression(least: int) -> list[Middleware]:
    """What compresses answers of ``least`` bytes or more, in a thread where they are large; nothing for 0."""
    if least == 0:
        return []
    packed = (*DEFAULT_EXCLUDED_CONTENT_TYPES, *PACKED)
    return [
        Middleware(GZipMiddleware, minimum_size=least, compresslevel=5, exclude_content_types=packed),
    ]


class StartupFailureInALine:
    """Has the server print one line if a store is away or the settings are wrong. Starlette itself sends a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_a_line(message: Message) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed":
                if isinstance(error, CohortError | OSError):
                    message = {**message, "message": f"can't start: {error}"}
                elif isinstance(error, asyncio.CancelledError):
                    message = {**message, "message": "was ended while it started"}
            await send(message)

        await self._app(scope, receive, send_in_a_line if scope["type"] == "lifespan" else send)


async def session_of(request: HTTPConnection) -> Session:
    """The session of a request, by its tokens."""
    session: Session = await request.app.state.cohort.session_of(request)
    return session
