"""Each caller calls everything as a tool, and is answered or refused as at ``/graphql`` (tests/access_matrix.py)."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gateway.identity import make_token
from gateway.mcp.catalogue import Catalogue
from gateway.served_schema import schema_by
from gateway.settings import Settings, load_settings
from graph.tools import Tool
from ingest.writes.trusted_documents import save_trusted
from rules.client_documents import document_id
from tests.access_matrix import CALLERS, make_school
from tests.conftest import Instance
from tests.gateway.agents import JSON, call
from tests.gateway.conftest import KEY, Serving
from tests.gateway.test_mcp import trusted
from tests.graph.access_entries import CHANGES, Entry, reads
from tests.graph.test_access_matrix import REFUSALS, ids

pytestmark = pytest.mark.long


@pytest.fixture
def wide() -> Settings:
    """With all fields that there may be, and no end to what callers may spend."""
    return load_settings(jwt_key=KEY, mcp="all", federation=True, warn_only=("rate",))


@pytest.fixture
async def school(
    wide: Settings, serving: Serving, tmp_path: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Instance]]:
    async with serving(wide) as client:
        instance = Instance({}, tmp_path)
        instance.shared = client.app.state.cohort.shared  # type: ignore[attr-defined]
        await make_school(instance)
        yield client, instance


class Calls:
    """The calls of all callers, of tools that are made of the entries."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._headers = {
            name: {}
            if viewer.user_id is None
            else {
                "Authorization": f"Bearer {make_token(settings, viewer.user_id, sorted(viewer.roles, key=str), timedelta(hours=1))}"
            }
            for name, viewer in CALLERS.items()
        }
        self._tools: dict[str, Tool] = {}

    async def offer(self, instance: Instance, entries: Iterable[Entry], settings: Settings) -> None:
        texts = {entry.asked_by(caller) for entry in entries for caller in CALLERS}
        await save_trusted(instance.stores.rows, trusted(*texts))
        app: Any = self._client.app  # type: ignore[attr-defined]
        catalogue = Catalogue(schema_by(settings), with_mutations=True)
        tools = await catalogue.tools(app.state.cohort.shared.client_documents)
        self._tools = {tool.document.id: tool for tool in tools.values()}
        assert self._tools.keys() == {document_id(text) for text in texts}

    async def codes(self, entry: Entry, caller: str) -> list[str]:
        """Of all that went wrong."""
        tool = self._tools[document_id(entry.asked_by(caller))]
        sent = {**JSON, **self._headers[caller]}
        answer = await self._client.post("/mcp", json=call(tool.name), headers=sent)
        body = answer.json()
        if "error" in body:
            assert answer.status_code == 401
            return [body["error"]["data"]["code"]]
        assert answer.status_code == 200
        found = body["result"]["structuredContent"]
        codes = [error["extensions"]["code"] for error in found.get("errors", [])]
        for payload in (found["data"] or {}).values() if not tool.reads else ():
            codes += [error["code"] for error in payload["errors"]]
        if entry.keeps is not None and not REFUSALS.isdisjoint(codes):
            assert entry.keeps not in answer.text
        return codes


async def differences(calls: Calls, entries: list[Entry]) -> list[str]:
    """What is otherwise than the documents say. Who is refused asks first, while there is something to refuse."""
    found = []
    for entry in entries:
        answered = []
        for caller in sorted(CALLERS, key=lambda caller: caller in entry.may):
            codes = await calls.codes(entry, caller)
            answered += [] if codes else [caller]
            if REFUSALS.isdisjoint(codes) != (caller in entry.may):
                found.append(f"{entry.name}: {caller} gets {codes}")
        if not answered:
            found.append(f"{entry.name}: nobody gets an answer without an error")
    return found


async def test_who_may_call_which_tool(school: tuple[httpx.AsyncClient, Instance], wide: Settings) -> None:
    client, instance = school
    entries = [*reads(*await ids(instance)), *CHANGES]
    calls = Calls(client, wide)
    await calls.offer(instance, entries, wide)
    assert await differences(calls, entries) == []
