"""The HTTP application."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import health
from gateway.asked_documents import PATH_ID
from gateway.cross_origin import cross_origin
from gateway.dev_tokens import with_development_key
from gateway.downloads import download_routes
from gateway.gc_tuning import collect_rarely
from gateway.graphql_http import GraphQLEndpoint
from gateway.http.admission import Admission, look_at_the_loop
from gateway.http.answer_heads import AnswerHeads
from gateway.http.compression import Compressed
from gateway.http.costs import tell_cost
from gateway.http.errors import GRAPHQL_PATH, HANDLERS
from gateway.http.faults import Faults
from gateway.http.limits import Deadline, LargestBody
from gateway.http.queries import FewParameters
from gateway.http.rates import tell_rate
from gateway.http.request_ids import RequestIds
from gateway.http.watched import Watched
from gateway.identity import check_identity
from gateway.logs import log_to_stderr
from gateway.mcp.routes import agents_of
from gateway.rest.routes import ROUTES
from gateway.routers import Routers
from gateway.served_schema import schema_by
from gateway.settings import Settings, load_settings
from gateway.starting import started
from gateway.stopping import Stopping
from gateway.watching import metrics
from gateway.wiring import rates_of, warn_of_settings
from graph.documents.lifetimes import Lifetimes
from loaders.session import Session
from rules.errors import CohortError

log = logging.getLogger(__name__)


def create_app(settings: Settings, *, owns_process: bool = False, has_parent: bool = False) -> Starlette:
    """The application. It opens its stores when it starts and closes them when it stops.

    ``owns_process``: it handles the signals that stop the process, before its server does. ``has_parent``: another process
    ends this one if it shall end at once. SettingsError if there is no key to check tokens with.
    """
    if settings.dev:
        settings = with_development_key(settings)
    check_identity(settings)
    warn_of_settings(settings)

    admission = Admission(settings.most_at_once, unready_after=settings.unready_after)
    rates = rates_of(settings, lambda: app.state.cohort.stores.cache)
    stopping = Stopping()

    def fail(error: Exception) -> None:
        log.error("can't start: %s", error)
        app.state.failure = error
        if owns_process:
            signal.raise_signal(signal.SIGTERM)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Mapping[str, object]]:
        looking = asyncio.create_task(look_at_the_loop(admission))
        try:
            async with AsyncExitStack() as stack:
                if owns_process:
                    stack.enter_context(_drained(stopping, settings.drain, at_once=not has_parent))
                await stack.enter_async_context(started(app, settings, fail))
                await stack.enter_async_context(rates.settling())  # ends before the cache is closed
                await stack.enter_async_context(agents.serving())
                yield {"stopping": stopping}
        finally:
            looking.cancel()

    graphql = graphql_endpoint(settings, admission)
    agents = agents_of(settings, session_of, admission)
    routes: list[BaseRoute] = [
        Route(GRAPHQL_PATH, graphql),
        Route(f"{GRAPHQL_PATH}/{{{PATH_ID}}}", graphql),
        *agents.routes,
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        *([Route("/metrics", metrics)] if settings.dev else []),
        *download_routes(settings),
        *_pages(settings),
        *ROUTES,  # behind the others: they answer whatever else begins as the platform's paths do
    ]
    app = Starlette(
        routes=routes,
        middleware=_middleware(settings, routes),
        lifespan=lifespan,
        exception_handlers=HANDLERS,
    )
    # Starlette would send a path with a slash too many on to the host that the client named.
    app.router.redirect_slashes = False
    app.state.admission, app.state.rates, app.state.looks = admission, rates, health.Looks()
    app.state.stopping, app.state.failure = stopping, None
    return app


def _middleware(settings: Settings, routes: Sequence[BaseRoute]) -> list[Middleware]:
    """What stands around every route, from outside to inside."""
    return [
        Middleware(StartupFailureInALine),
        Middleware(RequestIds),
        Middleware(Watched, routes=routes, slow=settings.slow_request),
        *cross_origin(settings.allowed_origins, this_machine=settings.dev),
        Middleware(Faults),
        *([Middleware(Compressed, least=settings.compressed_from)] if settings.compressed_from else []),
        Middleware(AnswerHeads, told=(tell_cost, tell_rate)),
        Middleware(LargestBody, most=settings.largest_body),
        Middleware(FewParameters),
        Middleware(Deadline, seconds=settings.request_timeout),
    ]


def graphql_endpoint(settings: Settings, admission: Admission) -> GraphQLEndpoint:
    """The endpoint of GraphQL by these settings."""
    return GraphQLEndpoint(
        session_of,
        schema=schema_by(settings),
        admission=admission,
        trust="any" if settings.dev else settings.documents,
        routers=Routers.of(settings),
        lifetimes=Lifetimes(published=settings.published_ttl, figures=int(settings.answers_ttl)),
    )


def _drained(stopping: Stopping, seconds: float, *, at_once: bool) -> AbstractContextManager[None]:
    """Handles signals in the body: the server is told of the first one ``seconds`` later, when nobody sends requests here
    any more."""
    server: Any = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    return stopping.by_signals(
        lambda: loop.call_later(seconds, server, signal.SIGTERM, None), at_once=at_once
    )


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
    log_to_stderr(settings.log_level, settings.log_format)
    app = create_app(settings, owns_process=True, has_parent=True)
    collect_rarely()
    return app


class StartupFailureInALine:
    """Has the server print one line if a store is away or the settings are wrong. Starlette itself sends a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "lifespan":
            return self._app(scope, receive, send)

        async def send_in_a_line(message: Message) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed":
                if isinstance(error, CohortError | OSError):
                    message = {**message, "message": f"can't start: {error}"}
                elif isinstance(error, asyncio.CancelledError):
                    message = {**message, "message": "was ended while it started"}
            await send(message)

        return self._app(scope, receive, send_in_a_line)


async def session_of(request: HTTPConnection) -> Session:
    """The session of a request, by its tokens."""
    session: Session = await request.app.state.cohort.session_of(request)
    return session
