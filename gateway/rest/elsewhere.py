"""Calls to paths beside those that there are, or by another method: answered in the platform's envelope as well."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.rest.envelope import refused_as

API_ID = "api.error"
OF_PLATFORM = (
    *("action", "api", "certreg", "collection", "content", "course", "data", "framework", "learner", "org"),
    *("questionset", "user"),
)
"""What paths of the platform begin with, whether any of them is taken here or not."""


def routes_elsewhere(routes: Sequence[Route]) -> tuple[Route, ...]:
    """For whatever else begins as these do, or as the platform's calls; they go behind them."""
    elsewhere = _Elsewhere(routes)
    beginnings = sorted({*OF_PLATFORM, *(route.path.split("/")[1] for route in routes)})
    return tuple(Route(f"/{beginning}/{{rest:path}}", elsewhere) for beginning in beginnings)


class _Elsewhere:
    """An ASGI application, as Starlette takes a function for an endpoint of GET alone."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path, message_id = scope["path"], request.headers.get("x-msgid")
        here = [route for route in self._routes if route.path_regex.match(path)]
        if here:
            allowed = ", ".join(sorted({method for route in here for method in route.methods or ()}))
            told = f"{request.method} is not taken here; there is {allowed}"
            response = refused_as(HTTPStatus.METHOD_NOT_ALLOWED, API_ID, message_id, told)
            response.headers["Allow"] = allowed
        else:
            told = "there is no such call; /openapi.json has them all"
            response = refused_as(HTTPStatus.NOT_FOUND, API_ID, message_id, told)
        await response(scope, receive, send)
