"""The platform's calls to an instance that is there already, as a server takes them."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.http.admission import Admission
from gateway.identity import make_token
from gateway.rest.routes import ROUTES
from gateway.settings import Settings
from gateway.wiring import Cohort
from loaders.session import Shared
from rules.viewers import Role
from tests.conftest import Instance
from tests.gateway.conftest import KEY


@cache
def settings_of(data: Path, **urls: str) -> Settings:
    """Of an instance; read once, as that takes longer than a call."""
    return Settings(data=data, jwt_key=KEY, **urls)  # type: ignore[arg-type]


class RestCalls:
    """``shared``: instead of the instance's own, for calls that find nothing warm."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._settings = settings_of(instance.data, **instance.urls)

    async def answer(
        self,
        method: str,
        path: str,
        *,
        user: str = "ada",
        role: Role = Role.LEARNER,
        headers: dict[str, str] | None = None,
        shared: Shared | None = None,
        query: dict[str, str] | None = None,
        **request: Any,
    ) -> httpx.Response:
        """Of whatever status."""
        app = Starlette(routes=list(ROUTES))
        app.state.cohort = Cohort(self._settings, shared or self._instance.shared)
        app.state.admission = Admission()
        token = make_token(self._settings, user, [role], timedelta(hours=1))
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {token}", **(headers or {})}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://cohort", headers=headers
        ) as client:
            has_body = method in ("POST", "PATCH") or (method == "DELETE" and request)
            body = {"request": request} if has_body else None
            return await client.request(method, path, json=body, params=query)

    async def result(self, method: str, path: str, **named: Any) -> dict[str, Any]:
        """Of a call that is not refused; arguments as of ``answer``."""
        answer = await self.answer(method, path, **named)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()["result"]
        return result
