"""Calls that no endpoint takes, by their path or method. They are answered in the platform's envelope as well."""

import re
from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.http.rates import count_refusal
from gateway.rest.framework.envelope import refused_as

API_ID = "api.error"
OF_PLATFORM = (
    *("action", "api", "certreg", "collection", "content", "course", "data", "framework", "learner", "org"),
    *("questionset", "user"),
)
"""First parts of the platform's paths, whether Cohort takes any call under them or not."""


def unmatched_routes(endpoints: Sequence[Route]) -> tuple[Route, ...]:
    """Routes for all other paths that begin as these do, or as the platform's. They must stand behind these routes."""
    unmatched = _Unmatched(endpoints)
    beginnings = sorted({*OF_PLATFORM, *(route.path.split("/")[1] for route in endpoints)})
    routes = tuple(Route(f"/{beginning}/{{rest:path}}", unmatched) for beginning in beginnings)
    for route in routes:  # a path may have the end of a line in it, which the others do not take
        route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
    return routes


class _Unmatched:
    """An ASGI application: a function would be taken by Starlette for an endpoint of GET alone."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        count_refusal(request)
        path, message_id = scope["path"], request.headers.get("x-msgid")
        same_path = [route for route in self._routes if route.path_regex.match(path)]
        if same_path:
            allowed = ", ".join(sorted({method for route in same_path for method in route.methods or ()}))
            message = f"{request.method} is not taken here; there is {allowed}"
            response = refused_as(HTTPStatus.METHOD_NOT_ALLOWED, API_ID, message_id, message)
            response.headers["Allow"] = allowed
        else:
            message = "there is no such call; /openapi.json has them all"
            response = refused_as(HTTPStatus.NOT_FOUND, API_ID, message_id, message)
        await response(scope, receive, send)
