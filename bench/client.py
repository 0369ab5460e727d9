"""Calls GraphQL and REST of the application as a server does, without a socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from gateway.app import create_app
from gateway.identity import make_token
from gateway.settings import Settings
from rules.viewers import Role

KEY = "k" * 48


class Client:
    """``role``: the role of every user who asks."""

    def __init__(self, app: Any, settings: Settings, role: Role = Role.LEARNER) -> None:
        self._app = app
        self._settings = settings
        self._role = role
        self._tokens: dict[str, str] = {}

    async def ask(
        self, user: str, query: str, operation: str | None = None, **variables: object
    ) -> dict[str, Any]:
        """The whole answer. RuntimeError where anything was refused."""
        body = orjson.dumps({"query": query, "variables": variables, "operationName": operation})
        answer: dict[str, Any] = orjson.loads(await self.post(user, body))
        payloads = [p for p in (answer.get("data") or {}).values() if isinstance(p, dict)]
        refused = [p["errors"] for p in payloads if p.get("errors")]
        if answer.get("errors") or refused:
            raise RuntimeError(f"{answer.get('errors')} {refused}")
        return answer

    async def post(self, user: str, body: bytes) -> bytes:
        """The bytes of the answer."""
        return (await self.send(user, "POST", "/graphql", body))[1]

    async def answer(self, user: str, body: bytes) -> bytes:
        """The same. RuntimeError where the answer has errors."""
        sent = await self.post(user, body)
        if b'"errors"' in sent:
            raise RuntimeError(f"{sent[:1000]!r}")
        return sent

    async def rest(self, user: str, method: str, url: str, request: object = None) -> dict[str, Any]:
        """The ``result`` of a call of the platform. RuntimeError where any part of it was refused."""
        body = b"" if request is None else orjson.dumps({"request": request})
        status, sent = await self.send(user, method, url, body)
        answer: dict[str, Any] = orjson.loads(sent)
        if status != HTTPStatus.OK or "errors" in answer["result"]:
            raise RuntimeError(f"{status} {sent[:1000]!r}")
        result: dict[str, Any] = answer["result"]
        return result

    async def send(self, user: str, method: str, url: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the bytes of an answer."""
        if user not in self._tokens:
            self._tokens[user] = make_token(self._settings, user, [self._role], timedelta(hours=1))
        path, _, query = url.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"authorization", f"Bearer {self._tokens[user]}".encode()),
            ],
            "app": self._app,
        }
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else await asyncio.Event().wait()  # type: ignore[return-value]

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0]["status"], b"".join(m.get("body", b"") for m in sent)


@asynccontextmanager
async def unlimited_clients(urls: dict[str, str], data: Path) -> AsyncIterator[Callable[[Role], Client]]:
    """Makes the client of a role, of one application over these stores that computes each answer anew: it keeps no table, limits no rate
    and compresses nothing."""
    settings = Settings(
        **urls,  # type: ignore[arg-type]
        data=data,
        jwt_key=KEY,  # type: ignore[arg-type]
        request_timeout=60,
        answers_ttl=0,
        rate_points=0,
        compressed_from=0,
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield lambda role: Client(app, settings, role)
