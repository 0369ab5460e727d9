"""An application of all routes on an instance that is there already, watched as `cohort serve` has it."""

from datetime import timedelta
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from gateway.app import session_of
from gateway.graphql_http import GraphQLEndpoint
from gateway.http.admission import Admission
from gateway.http.errors import HANDLERS
from gateway.http.request_ids import RequestIds
from gateway.http.watched import Watched
from gateway.identity import make_token
from gateway.mcp.routes import agents_of
from gateway.rest.routes import ROUTES
from gateway.settings import Settings
from gateway.wiring import Cohort
from rules.viewers import Role
from tests.conftest import Instance
from tests.gateway.agents import JSON, call
from tests.gateway.conftest import KEY


class WatchedCalls:
    """``slow``: seconds from which on a request is told in the log."""

    def __init__(self, instance: Instance, slow: float = 0) -> None:
        self._settings = Settings(**instance.urls, data=instance.data, jwt_key=KEY, mcp="all")  # type: ignore[arg-type]
        self._agents = agents_of(self._settings, session_of, Admission())
        routes = [Route("/graphql", GraphQLEndpoint(session_of)), *self._agents.routes, *ROUTES]
        middleware = [Middleware(RequestIds), Middleware(Watched, routes=routes, slow=slow)]
        app = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)
        app.state.cohort = Cohort(self._settings, instance.shared)
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def token(self, user: str, role: Role = Role.LEARNER) -> str:
        return make_token(self._settings, user, [role], timedelta(hours=1))

    async def call(self, method: str, path: str, token: str | None = None, **given: Any) -> httpx.Response:
        headers = {
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
            **given.pop("headers", {}),
        }
        async with httpx.AsyncClient(transport=self._transport, base_url="http://cohort") as client:
            return await client.request(method, path, headers=headers, **given)

    async def ask(self, query: str, token: str | None = None, **given: Any) -> httpx.Response:
        variables = given.pop("variables", {})
        return await self.call(
            "POST", "/graphql", token, json={"query": query, "variables": variables}, **given
        )

    async def call_tool(self, name: str, token: str | None = None, **arguments: Any) -> httpx.Response:
        async with self._agents.serving():
            return await self.call("POST", "/mcp", token, json=call(name, arguments), headers=JSON)
