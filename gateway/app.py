"""The HTTP application."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import health, rest
from gateway.blobs import blob_routes
from gateway.development import with_development_key
from gateway.errors import HANDLERS
from gateway.graphql_http import GraphQLEndpoint
from gateway.limits import Deadline, LargestBody
from gateway.logs import log_to_stderr
from gateway.memory import collect_rarely
from gateway.settings import Settings, load_settings
from gateway.wiring import running, warn_of_settings
from loaders.session import Session
from rules.errors import CohortError


def create_app(settings: Settings) -> Starlette:
    """Opens its stores when it starts and closes them when it stops. SettingsError where it could check no token."""
    if settings.dev:
        settings = with_development_key(settings)
    _ = settings.signing_key
    warn_of_settings(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running(settings, worker=settings.dev) as cohort:
            app.state.cohort = cohort
            yield

    routes: list[BaseRoute] = [
        Route("/graphql", GraphQLEndpoint(session_of)),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        *rest.ROUTES,
        *blob_routes(settings),
    ]
    if settings.dev:
        from gateway.start_page import start_page

        routes += start_page(settings)
    middleware = [
        Middleware(TellsWhyItCannotStart),
        Middleware(LargestBody, most=settings.largest_body),
        Middleware(Deadline, seconds=settings.request_timeout),
    ]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers=HANDLERS)


def app_of_process() -> Starlette:
    """For servers that make the application in each of their processes: `uvicorn --factory gateway.app:app_of_process`."""
    settings = load_settings()
    log_to_stderr(settings.log_level)
    app = create_app(settings)
    collect_rarely()
    return app


class TellsWhyItCannotStart:
    """In a line, where a store is away or the settings are wrong; Starlette would tell the server with a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(error, CohortError | OSError):
                message = {**message, "message": f"can't start: {error}"}
            await send(message)

        await self._app(scope, receive, told if scope["type"] == "lifespan" else send)


def session_of(request: HTTPConnection) -> Session:
    session: Session = request.app.state.cohort.session_of(request)
    return session
