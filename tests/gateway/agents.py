"""Agents as tests have them: the client of the protocol's own library, which asks an application."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

ERAS = ("legacy", "auto")
"""How a client begins: with ``initialize``, as until 2025-11-25, or with ``server/discover``, as since 2026-07-28."""
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def agent(
    app: Any, token: str | None = None, era: str = "auto", **headers: str
) -> AsyncIterator[Client]:
    """A client of the application. ExceptionGroup of MCPError if it can't begin."""
    sent = {**({} if token is None else {"Authorization": f"Bearer {token}"}), **headers}
    async with (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), headers=sent) as http,
        Client(streamable_http_client("http://cohort/mcp", http_client=http), mode=era) as client,
    ):
        yield client


def told(result: CallToolResult) -> dict[str, Any]:
    """What a tool gave, of which its text says the same."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def codes(result: CallToolResult) -> list[str]:
    return [error["extensions"]["code"] for error in told(result).get("errors", [])]


def message(method: str, identifier: int | str | None = 1, **params: Any) -> dict[str, Any]:
    """As it is sent; a notification without ``identifier``."""
    named = {} if identifier is None else {"id": identifier}
    return {"jsonrpc": "2.0", **named, "method": method, "params": params}


def call(tool: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return message("tools/call", name=tool, arguments=arguments or {})


def refused_with(group: BaseException) -> MCPError:
    """The one error that a client was refused with."""
    while isinstance(group, BaseExceptionGroup):
        (group,) = group.exceptions
    assert isinstance(group, MCPError)
    return group
