"""Thousands of made-up requests: each is answered or refused, none finds a fault, and the process grows no larger (R-LIMIT-7)."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLError

from gateway.identity import make_token
from gateway.mcp.catalogue import Catalogue
from gateway.pages.ready_queries import QUERIES
from gateway.rest.routes import ENDPOINTS
from gateway.settings import Settings, load_settings
from graph.schema import schema
from ingest.writes.trusted_documents import save_trusted
from rules.viewers import Role
from tests.conftest import is_thorough
from tests.gateway.agents import JSON
from tests.gateway.conftest import KEY, Serving, copy_data
from tests.gateway.made_up import Maker
from tests.gateway.test_mcp import trusted

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DOCUMENTS, CALLS = (10_000, 5_000) if is_thorough() else (300, 200)
AT_ONCE = 8
FAULTS = {"INTERNAL_ERROR", "DEADLINE_EXCEEDED"}
GROWTH = 150 * 1024 * 1024
"""Bytes that a process may grow between the first fifth of the requests, when its caches are filling, and the last."""


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def callers(settings: Settings) -> list[dict[str, str]]:
    tokens = [
        make_token(settings, user, [role], timedelta(hours=1))
        for user, role in (("ada", Role.LEARNER), ("s", Role.SERVICE), ("m", Role.ADMIN), ("c", Role.CREATOR))
    ]
    return [
        {},
        {"Authorization": "Bearer a.b.c"},
        *({"Authorization": f"Bearer {token}"} for token in tokens),
    ]


async def flooded(count: int, ask: Callable[[int], Awaitable[httpx.Response]]) -> Counter[int]:
    """Asks so often, some at once. Returns how many answers had which status; fails for a fault."""
    statuses: Counter[int] = Counter()
    sizes: list[int] = []
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        for number, answer in zip(numbers, await asyncio.gather(*map(ask, numbers)), strict=True):
            statuses[answer.status_code] += 1
            told = answer.text
            assert answer.status_code < 500, (number, answer.request.content[:2_000], told[:2_000])
            assert not any(f':"{code}"' in told for code in FAULTS), (
                number,
                answer.request.content[:2_000],
                told[:2_000],
            )
            assert "Traceback" not in told
        if start >= count // 5:
            sizes.append(resident())
    assert sizes[-1] - sizes[0] < GROWTH, "memory is flat"
    return statuses


@pytest.fixture
async def client(serving: Serving, settings: Settings) -> Any:
    wide = (
        load_settings(jwt_key=KEY, warn_only=("rate",))
        if "rate_points" in Settings.model_fields
        else settings
    )
    await copy_data(wide, course=True)
    async with serving(wide) as made:
        yield made


async def test_made_up_documents_are_answered_or_refused(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    who, executed = callers(settings), 0

    async def ask(number: int) -> httpx.Response:
        nonlocal executed
        maker = Maker(number)
        document, headers = maker.document(), maker.chosen(who)
        if number % 10 == 0:
            return await client.get("/graphql", params={"query": document[:4_000]}, headers=headers)
        body: dict[str, Any] = {"query": document}
        if number % 7 == 0:
            body["variables"] = maker.value()
        if number % 11 == 0:
            body["operationName"] = maker.value()
        answer = await client.post("/graphql", json=body, headers=headers)
        executed += '"data":{' in answer.text
        return answer

    await flooded(DOCUMENTS, ask)
    assert executed > DOCUMENTS / 5, "they come further than the parser"


async def test_made_up_calls_are_answered_or_refused(client: httpx.AsyncClient, settings: Settings) -> None:
    who = callers(settings)

    async def ask(number: int) -> httpx.Response:
        maker = Maker(number)
        method, path, asked = maker.call(maker.chosen(ENDPOINTS))
        headers = maker.chosen(who)
        if method == "GET":
            params = {name: str(value) for name, value in asked.items()}
            return await client.get(path, params=params, headers=headers)
        body = {"request": asked} if number % 9 else maker.value()
        return await client.request(method, path, json=body, headers=headers)

    statuses = await flooded(CALLS, ask)
    assert len(statuses) >= 4, "they come to different ends"


async def test_made_up_messages_of_agents_are_answered_or_refused(
    serving: Serving, settings: Settings
) -> None:
    wide = load_settings(jwt_key=KEY, mcp="all", warn_only=("rate",))
    await copy_data(wide, course=True)
    who, executed = callers(settings), 0
    async with serving(wide) as client:
        documents = client.app.state.cohort.shared.client_documents  # type: ignore[attr-defined]
        made = [document for number in range(200) if not _problems(document := Maker(number).document())]
        ready = [file.read_text() for file in QUERIES.glob("*.graphql")]
        await save_trusted(client.app.state.cohort.stores.rows, trusted(*made, *ready))  # type: ignore[attr-defined]
        found = await Catalogue(schema, with_mutations=True).tools(documents)
        tools = {tool.name: [*tool.arguments["properties"]] for tool in found.values()}
        assert len(tools) > 100

        async def ask(number: int) -> httpx.Response:
            nonlocal executed
            maker = Maker(number)
            headers = {**JSON, **maker.chosen(who)}
            if number % 9 == 0:
                headers["MCP-Protocol-Version"] = maker.chosen(
                    ("2025-06-18", "2026-07-28", "1999-01-01", "x")
                )
            body = json.dumps(maker.message(tools)).encode()
            if number % 13 == 0:
                body = body[: len(body) // 2]
            answer = await client.post("/mcp", content=body, headers=headers)
            executed += b'"structuredContent":{' in answer.content
            return answer

        statuses = await flooded(CALLS, ask)
    assert executed > CALLS / 5, "they come further than the protocol"
    assert len(statuses) >= 3, "they come to different ends"


def _problems(document: str) -> object:
    try:
        return schema.known(document).errors
    except GraphQLError as error:
        return error
