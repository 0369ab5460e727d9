"""Where agents find Cohort: the endpoint of the protocol, and what it says of the identity server whose tokens it takes."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from gateway.cross_origin import is_allowed
from gateway.http.admission import Admission
from gateway.http.errors import MCP_PATH
from gateway.served_schema import schema_by
from gateway.settings import Settings, SettingsError
from loaders.session import Session

log = logging.getLogger(__name__)

LIBRARY = "mcp"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
"""Where a client looks for what it needs to get a token (RFC 9728, 3)."""


class Agents(NamedTuple):
    """The routes for agents; they answer within ``serving``."""

    routes: Sequence[BaseRoute] = ()
    serving: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


def agents_of(
    settings: Settings, session_of: Callable[[Request], Awaitable[Session]], admission: Admission
) -> Agents:
    """What agents are offered by these settings. SettingsError if they want it and the library is not there."""
    if settings.mcp == "off" and not settings.dev:
        return Agents()
    if find_spec(LIBRARY) is None:
        problem = "mcp needs a package that is not there: pip install 'cohort[mcp]'"
        if settings.mcp != "off":
            raise SettingsError(problem, field="mcp")
        log.warning("%s", problem)
        return Agents()
    from gateway.mcp.endpoint import McpEndpoint  # takes long to import

    told = protected_resource(settings)
    where = "" if told is None else f' resource_metadata="{_base(settings)}{WELL_KNOWN}{MCP_PATH}"'
    endpoint = McpEndpoint(
        session_of,
        schema=schema_by(settings),
        admission=admission,
        with_mutations=settings.dev or settings.mcp == "all",
        is_allowed=partial(is_allowed, origins=settings.allowed_origins, this_machine=settings.dev),
        challenge=f"Bearer{where}",
    )
    routes: list[BaseRoute] = [Route(MCP_PATH, endpoint, methods=["POST"])]
    if told is not None:

        async def metadata(_request: Request) -> JSONResponse:
            return JSONResponse(told, headers={"Cache-Control": "max-age=3600"})

        routes += [Route(path, metadata, methods=["GET"]) for path in (f"{WELL_KNOWN}{MCP_PATH}", WELL_KNOWN)]
    return Agents(routes, endpoint.serving)


def protected_resource(settings: Settings) -> dict[str, object] | None:
    """What a client needs to know to get a token for ``/mcp`` (RFC 9728); None where no identity server makes tokens, or the
    settings don't say where clients reach the gateway."""
    issuer = settings.jwt_issuer
    if settings.jwks_url is None or not settings.public_url or not issuer.startswith("https://"):
        return None
    return {
        "resource": f"{_base(settings)}{MCP_PATH}",
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "Cohort",
    }


def _base(settings: Settings) -> str:
    return settings.public_url.rstrip("/")
