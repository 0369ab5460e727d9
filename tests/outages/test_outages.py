"""Each server stopped, slowed, cut off in the middle of a request, and silent: all ends as docs/outages.md says, in time, and
nothing that was acknowledged is lost."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.asked_documents import PATH_ID
from gateway.rest.routes import ENDPOINTS
from gateway.settings import load_settings
from stores.blob_links import PATH
from tests.conftest import times_as_served
from tests.gateway.conftest import KEY
from tests.graph.access_entries import CHANGES
from tests.outages.comparison import cell, differences
from tests.outages.page import PAGE, read, written
from tests.outages.proxies import STORES, Fault, Proxy
from tests.outages.questions import LINES, PACKAGE, asked_to_read, changes_something
from tests.outages.recount import missing
from tests.outages.watching import ACKNOWLEDGED, ANSWERS, NOT_REACHED, Outages, lines_of, outages

WITHOUT_A_LINE = {
    *("/graphql", f"/graphql/{{{PATH_ID}}}"),  # their fields have lines
    "/openapi.json",  # needs no store
    f"{PATH}/{{name:path}}",  # files of a directory: an object store serves its own
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def instance(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outages]:
    with pytest.MonkeyPatch.context() as patched:
        times_as_served(patched)
        async with outages(tmp_path_factory.mktemp("outages")) as found:
            yield found


@pytest.mark.stack
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("store", STORES)
async def test_what_is_asked_ends_as_the_page_says_while_this_server_is_away(
    instance: Outages, store: str
) -> None:
    page, acknowledged, told = read(PAGE.read_text()), [], []
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(str(context)))
    for fault in Fault:
        found, looks = await differences(instance, store, fault, page)
        told += found
        acknowledged += [one for seen in looks for one in seen.acknowledged]
    assert told == [], "\n".join(told)
    gc.collect()
    assert unheard == [], "errors that nobody has heard of: " + "\n".join(unheard)
    assert await missing(instance.instance, acknowledged) == []


def test_the_page_has_a_line_for_every_field_and_call_and_no_other() -> None:
    """A new root field, a new field that may read a store, a new route: `python -m tests.outages --write`."""
    cells = read(PAGE.read_text())
    assert cells.keys() == {(store, fault, line) for store in STORES for fault in Fault for line in LINES}
    assert written(cells) == PAGE.read_text()


def test_everything_that_has_a_line_is_asked() -> None:
    every = asked_to_read("exhaust", "publication", "link")
    asked = {name for one in every for name in lines_of(one)} | {f"Mutation.{one.name}" for one in CHANGES}
    of_payloads = {"EnrolmentPayload.enrolment", "GroupPayload.itemNotes"}
    assert {line for line in LINES if " " not in line or not changes_something(line)} - asked == of_payloads


def test_every_route_has_a_line(tmp_path: Path) -> None:
    app = create_app(load_settings(jwt_key=KEY, data=tmp_path))
    routes = {route.path for route in app.routes if not route.path.endswith("/{rest:path}")}  # type: ignore[attr-defined]
    lines = {line.partition(" ")[2] for line in LINES if " " in line}
    lines |= {endpoint.path for endpoint in ENDPOINTS}  # each has a line under the first of its paths
    assert routes - lines - WITHOUT_A_LINE == set()
    assert PACKAGE.partition(" ")[2] in routes


def test_a_slow_server_is_answered_for_in_full() -> None:
    """Where all is there, only later, nothing may be missing."""
    cells = read(PAGE.read_text())
    assert {end for (_, fault, _), end in cells.items() if fault is Fault.SLOWED} <= {
        *(ANSWERS, ACKNOWLEDGED, "200 ready")
    }


def test_a_line_is_told_by_the_documents_that_reach_it() -> None:
    assert cell({ANSWERS, NOT_REACHED}) == ANSWERS
    assert cell({NOT_REACHED}) == NOT_REACHED
    assert cell({"null at once", ANSWERS}) == "answers or null at once"
    assert cell([]) == NOT_REACHED


# --- the proxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        HEARD.append(line)
        writer.write(line)
    writer.close()


HEARD: list[bytes] = []


@pytest.fixture
async def echo() -> AsyncIterator[Proxy]:
    HEARD.clear()
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, Proxy(*server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy


async def _heard(line: bytes) -> None:
    async with asyncio.timeout(30):
        while line not in HEARD:
            await asyncio.sleep(0.01)


async def _closes(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_proxy_is_away_in_each_way_and_well_again(echo: Proxy) -> None:
    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", echo.port)

    reader, writer = await connect()
    writer.write(b"well\n")
    assert await reader.readline() == b"well\n"

    await echo.becomes(Fault.SLOWED)
    writer.write(b"slow\n")
    assert await reader.readline() == b"slow\n"

    await echo.becomes(Fault.SILENT)
    writer.write(b"silent\n")
    await _heard(b"silent\n")
    late = asyncio.create_task(reader.readline())
    await asyncio.sleep(0)
    assert not late.done()
    await echo.becomes(None)
    assert await late == b"silent\n"

    await echo.becomes(Fault.CUT)
    writer.write(b"cut\n")
    assert await _closes(reader)
    await _heard(b"cut\n")
    writer.close()

    await echo.becomes(Fault.STOPPED)
    with pytest.raises(ConnectionRefusedError):
        await connect()
    await echo.becomes(None)
    reader, writer = await connect()
    writer.write(b"again\n")
    assert await reader.readline() == b"again\n"
    writer.close()
