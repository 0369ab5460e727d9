"""REST calls of learners, each answer checked against what is declared of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from pydantic import TypeAdapter

from gateway.identity import make_token
from gateway.rest.routes import ENDPOINTS
from gateway.settings import Settings
from gateway.wiring import OPERATOR
from ingest.commands.contexts import NewContext, create_context
from ingest.publishing.direct import publish_collection
from loaders.session import Session
from rules.identifiers import ContextType
from rules.viewers import Role, Viewer
from tests.conftest import COURSE, Instance

RESULTS = {(endpoint.method, endpoint.api_id): TypeAdapter(endpoint.result) for endpoint in ENDPOINTS}


@dataclass(frozen=True)
class Calls:
    """``await calls.result("POST", "/v1/view/start", contentId="a")`` is Ada's call."""

    client: httpx.AsyncClient
    settings: Settings

    @property
    def shared(self) -> Any:
        return self.client.app.state.cohort.shared  # type: ignore[attr-defined]

    def session(self, user: str = "ada", *roles: Role) -> Session:
        return Session(Viewer(user, frozenset(roles or {Role.LEARNER})), self.shared)

    async def answer(
        self,
        method: str,
        path: str,
        *,
        by: str | None = "ada",
        roles: tuple[Role, ...] = (Role.LEARNER,),
        headers: dict[str, str] | None = None,
        **request: Any,
    ) -> httpx.Response:
        sent = dict(headers or {})
        if by is not None:
            sent["Authorization"] = f"Bearer {make_token(self.settings, by, roles, timedelta(hours=1))}"
        body = None if method in ("GET", "DELETE") else {"request": request}
        answer = await self.client.request(method, path, json=body, headers=sent)
        envelope = answer.json()
        if answer.status_code == 200:
            assert (envelope["responseCode"], envelope["params"]["err"]) == ("OK", None)
            RESULTS[method, envelope["id"]].validate_python(envelope["result"])
        else:
            assert envelope["params"]["err"] == envelope["params"]["status"]
            assert envelope["result"] == {}
        return answer

    async def result(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.answer(method, path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def refusal(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Status and code."""
        answer = await self.answer(method, path, **more)
        return answer.status_code, answer.json()["params"]["err"]


async def prepare(instance: Instance) -> None:
    """COURSE, a batch that is open, one that has ended, one that starts later."""
    operator = Session(OPERATOR, instance.shared)
    await publish_collection(operator, COURSE)
    now, day = instance.shared.now(), timedelta(days=1)
    batches: dict[str, dict[str, Any]] = {
        "batch": {},
        "ended": {"end_date": now - day},
        "later": {"start_date": now + day},
        "full": {"enrolment_end_date": now - day},
    }
    for name, dates in batches.items():
        new = NewContext(ContextType.BATCH, name, ("course",), name, **dates)
        await create_context(operator, new)
