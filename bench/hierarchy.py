"""Reads a large textbook: 400 units and 3,000 leaves, by GraphQL and by a bare Starlette route that sends the same bytes,
from the same server process over a socket. ``scripts/bench hierarchy`` (on the real servers), or ``hierarchy embedded``."""

import asyncio
import os
import sys
import tempfile
import time
import zlib
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson
from rich.console import Console
from rich.table import Table
from starlette.requests import Request
from starlette.responses import Response

from bench.client import KEY
from bench.servers import BIN, until_ready
from gateway.app import app_of_process
from gateway.identity import make_token
from gateway.settings import Settings
from loaders.session import Shared
from loaders.trees import LIVE
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.viewers import Role
from stores.tables import HIERARCHIES
from tests.conftest import LEAF, Instance, embedded_urls, instance_of, real_urls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

CHAPTERS, SECTIONS, LEAVES = 20, 19, 3_000
"""400 units: 20 chapters of 19 sections."""
TURNS, WARM_UP = 40, 10
PORT = 18_510
BOOK, VERSION = "book", 1
MEMORY, CACHE, ROWS = "memory", "cache", "rows"
"""Where the bytes are read from. Before each request the places above it are emptied."""
WHOLE = f'{{ collection(identifier: "{BOOK}") {{ hierarchy }} }}'
UNIT = f'{{ collection(identifier: "{BOOK}") {{ hierarchy(node: "book-1-1") }} }}'
TYPED = f"""{{ collection(identifier: "{BOOK}") {{ name children {{ identifier name kind leafNodesCount
    children {{ identifier name kind leafNodesCount optional }} }} }} }}"""
LEVELS = f'{{ collection(identifier: "{BOOK}") {{ hierarchy(depth: 2) }} }}'


def textbook(identifier: str = BOOK) -> dict[str, Any]:
    """With some 1.2 KB of metadata a node, as the platform's have."""
    sections = CHAPTERS * SECTIONS
    leaves = [described(f"{identifier}-leaf-{number}", f"Leaf {number}", LEAF) for number in range(LEAVES)]

    def section(chapter: int, number: int) -> dict[str, Any]:
        place = chapter * SECTIONS + number
        unit = described(f"{identifier}-{chapter}-{number}", f"Section {number}", COLLECTION_MIME_TYPE)
        return {**unit, "children": leaves[place * LEAVES // sections : (place + 1) * LEAVES // sections]}

    def chapter(number: int) -> dict[str, Any]:
        unit = described(f"{identifier}-{number}", f"Chapter {number}", COLLECTION_MIME_TYPE)
        return {**unit, "children": [section(number, each) for each in range(SECTIONS)]}

    book = described(identifier, "Textbook", COLLECTION_MIME_TYPE)
    return {**book, "children": [chapter(number) for number in range(CHAPTERS)]}


def described(identifier: str, name: str, mime_type: str) -> dict[str, Any]:
    seed = zlib.crc32(identifier.encode())
    return {
        "identifier": identifier,
        "name": name,
        "mimeType": mime_type,
        "appIcon": f"https://example.org/content/{identifier}/artifact/{seed:08x}.thumb.png",
        "artifactUrl": f"https://example.org/content/{identifier}/artifact/{seed**2:016x}.pdf",
        "keywords": [f"word {seed % number}" for number in range(2, 12)],
        "description": " ".join(f"{seed * number % 99_991}" for number in range(1, 121)),
        "gradeLevel": ["Class 5"],
        "medium": ["English"],
        "subject": ["Mathematics"],
        "lastUpdatedOn": "2026-01-31T12:00:00.000+0000",
        "license": "CC BY 4.0",
        "pkgVersion": 3,
        "status": "Live",
    }


# --- the server's side


class BesideBare:
    """The application of Cohort, with a bare route and one that empties what is kept: ``uvicorn --factory``."""

    def __init__(self) -> None:
        self._cohort: ASGIApp = app_of_process()
        self._kept: bytes | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        answer = {"/bare": self._bare, "/empty": self._empty}.get(scope.get("path", ""))
        if answer is None:
            await self._cohort(scope, receive, send)
        else:
            await (await answer(Request(scope, receive)))(scope, receive, send)

    @property
    def _shared(self) -> Shared:
        shared: Shared = self._cohort.state.cohort.shared  # type: ignore[attr-defined]
        return shared

    async def _bare(self, request: Request) -> Response:
        data = self._kept
        if data is None:
            data = self._kept = zlib.decompress(await self._packed(request.query_params["from"]))
        return Response(data, media_type="application/json")

    async def _packed(self, place: str) -> bytes:
        stores = self._shared.stores
        if place != ROWS:
            packed = await stores.cache.get(f"tree:{BOOK}\n{VERSION}\n{BOOK}")
            if packed is not None:
                return packed
        chunks = await stores.rows.partition(HIERARCHIES, (BOOK, LIVE), prefix=(VERSION,))
        return b"".join(chunk["data"] for chunk in chunks)

    async def _empty(self, request: Request) -> Response:
        place = request.query_params["from"]
        if place != MEMORY:
            self._kept = None
            self._shared.library.trees.forget((BOOK, BOOK, VERSION))
        if place == ROWS:
            await self._shared.library.drop_cached_trees(BOOK, [VERSION], [])
        return Response()


# --- the client's side


class Connection:
    """One that is kept. The bytes are read, not looked at."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer, self._token = reader, writer, token

    async def ask(
        self, path: str, query: str | None = None, tag: str = ""
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """POST with a query, GET without one."""
        body = b"" if query is None else orjson.dumps({"query": query})
        head = f"{'GET' if query is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
        head += f"If-None-Match: {tag}\r\n" if tag else ""
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).strip().split(b"\r\n")
        headers = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
        sent = await self._reader.readexactly(int(headers.get(b"content-length", 0)))
        return int(first.split()[1]), headers, sent


async def medians(
    connection: Connection, requests: "Sequence[tuple[str, str | None, str]]", place: str
) -> list[float]:
    """Milliseconds of each request, in turns."""
    taken: list[list[float]] = [[] for _ in requests]
    for _ in range(WARM_UP + TURNS):
        for (path, query, tag), times in zip(requests, taken, strict=True):
            await connection.ask(f"/empty?from={place}")
            began = time.perf_counter()
            status, _, sent = await connection.ask(path, query, tag)
            times.append((time.perf_counter() - began) * 1000)
            if status != (304 if tag else 200) or b'"errors":' in sent[:100]:
                raise RuntimeError(f"{path}: {status} {sent[:300]!r}")
    return [median(times[WARM_UP:]) for times in taken]


@asynccontextmanager
async def served(settings: Settings, urls: dict[str, str]) -> "AsyncIterator[Connection]":
    environment = os.environ | {
        "COHORT_DATA": str(settings.data),
        "COHORT_JWT_KEY": KEY,
        **{f"COHORT_{name.upper()}": value for name, value in urls.items()},
    }
    server = await asyncio.create_subprocess_exec(
        *(
            str(BIN / "uvicorn"),
            "--factory",
            "bench.hierarchy:BesideBare",
            "--no-access-log",
            "--loop",
            "uvloop",
        ),
        *("--http", "httptools", "--log-level", "warning", "--port", str(PORT)),
        env=environment,
    )
    try:
        await until_ready(PORT)
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=1024 * 1024)
        token = make_token(settings, "reader", [Role.LEARNER], timedelta(hours=1))
        yield Connection(reader, writer, token)
        writer.close()
    finally:
        server.terminate()
        await server.wait()


async def measured(connection: Connection) -> list[tuple[str, float | None, float]]:
    """What, the bare route's milliseconds and Cohort's."""
    by_get = f"/graphql?{urlencode({'query': WHOLE}, quote_via=quote)}"
    _, headers, whole = await connection.ask(by_get)
    tag = headers[b"etag"].decode()
    _, _, bare = await connection.ask(f"/bare?from={MEMORY}")
    if bare not in whole:
        raise RuntimeError("the two routes do not send the same bytes")
    figures: list[tuple[str, float | None, float]] = []
    for place in (MEMORY, CACHE, ROWS):
        floor, post, get = await medians(
            connection,
            [(f"/bare?from={place}", None, ""), ("/graphql", WHOLE, ""), (by_get, None, "")],
            place,
        )
        figures += [
            (f"hierarchy, {len(bare) / 1e6:.1f} MB from {place}, POST", floor, post),
            (f"hierarchy, {len(bare) / 1e6:.1f} MB from {place}, GET with ETag", floor, get),
        ]
    rest = [
        ("hierarchy, GET that is answered 304", by_get, None, tag),
        ("hierarchy of one unit", "/graphql", UNIT, ""),
        ("typed tree of the first two levels, 400 units", "/graphql", TYPED, ""),
        ("hierarchy to depth 2", "/graphql", LEVELS, ""),
    ]
    taken = await medians(connection, [(path, query, tag) for _, path, query, tag in rest], MEMORY)
    return [*figures, *((what, None, ms) for (what, *_), ms in zip(rest, taken, strict=True))]


async def main(engines: str = "real") -> None:
    urls = real_urls() if engines == "real" else embedded_urls()
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        instance: Instance = await stack.enter_async_context(instance_of(urls, data))
        await instance.publish(textbook())
        settings = Settings(**instance.urls, data=data, jwt_key=KEY)  # type: ignore[arg-type]
        connection = await stack.enter_async_context(served(settings, instance.urls))
        figures = await measured(connection)
    table = Table("what", "bare, ms", "Cohort, ms", "ratio", title=f"{engines} engines")
    for what, floor, ms in figures:
        ratio = () if floor is None else (f"{ms / floor:.2f}",)
        table.add_row(what, "" if floor is None else f"{floor:.2f}", f"{ms:.2f}", *ratio)
    Console(width=110).print(table)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
