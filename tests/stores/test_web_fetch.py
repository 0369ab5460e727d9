"""Fetching under URLs that somebody else wrote reaches what it may, and nothing that it may not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from rules.web_addresses import FetchRules
from stores.web_fetch import REDIRECTIONS, SILENT, NotFetched, Resolve, WebFetch, addresses_of
from tests.stores.web_server import PNG, WebServer, answered, moved, web_server


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web_server() as server:
        server.answers["/icon.png"] = answered(PNG, "Image/PNG; charset=x")
        yield server


def rules_for(server: WebServer, *names: str) -> FetchRules:
    hosts = (server.host, *(f"{name}:{server.port}" for name in names))
    return FetchRules(hosts, largest=1000, within=5.0, private_addresses=True)


async def fetched(rules: FetchRules, url: str, resolve: Resolve = addresses_of) -> bytes:
    async with WebFetch.open(rules, resolve) as web:
        return (await web.get(url)).content


async def refusal(rules: FetchRules, url: str, resolve: Resolve = addresses_of) -> str:
    with pytest.raises(NotFetched) as refused:
        await fetched(rules, url, resolve)
    return str(refused.value)


def leading_to(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


async def test_a_file_of_an_allowed_host_is_fetched_with_its_media_type(server: WebServer) -> None:
    async with WebFetch.open(rules_for(server)) as web:
        found = await web.get(server.url("/icon.png"))
    assert (found.content, found.media_type) == (PNG, "image/png")


async def test_of_a_host_that_is_not_allowed_nothing_is_asked(server: WebServer) -> None:
    rules = replace(rules_for(server), hosts=("icons.example",))
    for url in (
        server.url("/icon.png"),
        f"http://ada:pw@{server.host}/icon.png",
        "ftp://icons.example/icon.png",
        "file:///etc/passwd",
        "/icon.png",
        "icon.png",
        "",
        "http://[::1",
        "http://icons.example:99999/",
        "http://" + "a" * 3000,
        "http://ic\x00ons.example/",
    ):
        assert await refusal(rules, url)
    assert server.asked == []


async def test_an_allowed_host_at_a_private_address_is_refused_unless_that_is_set(server: WebServer) -> None:
    rules = replace(rules_for(server, "icons.example"), private_addresses=False)
    assert "this machine or of a private network" in await refusal(rules, server.url("/icon.png"))
    url = server.url("/icon.png", "icons.example")
    assert "private network" in await refusal(rules, url, leading_to("127.0.0.1"))
    assert "not a public one" in await refusal(rules, url, leading_to("::ffff:127.0.0.1"))
    assert server.asked == []


async def test_one_address_that_is_not_allowed_among_others_is_enough_to_refuse(server: WebServer) -> None:
    rules, url = rules_for(server, "icons.example"), server.url("/icon.png", "icons.example")
    assert await fetched(rules, url, leading_to("127.0.0.1")) == PNG
    assert "not a public" in await refusal(rules, url, leading_to("127.0.0.1", "169.254.169.254"))


async def test_a_name_that_leads_elsewhere_the_next_moment_gains_nothing(server: WebServer) -> None:
    """What was checked is what is connected to: a name is looked up once for a connection."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    rules = rules_for(server, "icons.example")
    assert await fetched(rules, server.url("/icon.png", "icons.example"), rebinding) == PNG
    assert asked == ["icons.example"]
    assert server.asked == [("/icon.png", f"icons.example:{server.port}")]
    assert "not a public" in await refusal(rules, server.url("/icon.png", "icons.example"), rebinding)


async def test_the_next_address_is_tried_where_one_does_not_answer(server: WebServer) -> None:
    rules, url = rules_for(server, "icons.example"), server.url("/icon.png", "icons.example")
    assert await fetched(rules, url, leading_to("127.0.0.9", "127.0.0.1")) == PNG
    assert "can't be reached" in await refusal(rules, url, leading_to())


async def test_tls_is_asked_for_the_name_though_the_connection_goes_to_an_address() -> None:
    hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set_result(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        rules = FetchRules((f"icons.example:{port}",), private_addresses=True)
        url = f"https://icons.example:{port}/icon.png"
        assert "can't be reached" in await refusal(rules, url, leading_to("127.0.0.1"))
    assert b"icons.example" in await hello


async def test_redirections_are_followed_and_each_is_checked_like_the_first(server: WebServer) -> None:
    server.answers |= {
        "/a": moved("/b", "301 Moved Permanently"),
        "/b": moved("icon.png", "307 Temporary Redirect"),
        "/machine": moved(f"http://localhost:{server.port}/icon.png"),
        "/address": moved(f"http://[::1]:{server.port}/icon.png"),
        "/cloud": moved("http://169.254.169.254/latest/meta-data"),
        "/file": moved("file:///etc/passwd"),
        "/user": moved(f"http://ada@{server.host}/icon.png"),
        "/loop": moved("/loop"),
        "/nowhere": answered(b"", status="302 Found"),
    }
    rules = rules_for(server)
    assert await fetched(rules, server.url("/a")) == PNG
    assert f"localhost:{server.port} is not among" in await refusal(rules, server.url("/machine"))
    assert "is not among" in await refusal(rules, server.url("/address"))
    assert "169.254.169.254 is not among" in await refusal(rules, server.url("/cloud"))
    assert "only http and https" in await refusal(rules, server.url("/file"))
    assert "a user or a password" in await refusal(rules, server.url("/user"))
    assert "more than 3 redirections" in await refusal(rules, server.url("/loop"))
    assert server.times("/loop") == REDIRECTIONS + 1
    assert "status 302" in await refusal(rules, server.url("/nowhere"))


async def test_what_clouds_tell_their_machines_is_not_fetched_though_everything_allows_it(
    server: WebServer,
) -> None:
    server.answers["/cloud"] = moved("http://169.254.169.254/latest/meta-data")
    rules = replace(rules_for(server), hosts=(server.host, "169.254.169.254"))
    assert "169.254.169.254: its address is not a public one" in await refusal(rules, server.url("/cloud"))


async def test_too_large_a_file_is_left_where_it_is_whatever_its_length_is_said_to_be(
    server: WebServer,
) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(answered(b"", length=False))
        while sent < 100_000_000:
            writer.write(PNG * 1000)
            await writer.drain()
            sent += len(PNG) * 1000

    server.answers |= {
        "/largest": answered(b"x" * 1000),
        "/larger": answered(b"x" * 1001),
        "/lying": answered(b"", length=False).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        + b"400\r\n"
        + b"x" * 1024
        + b"\r\n0\r\n\r\n",
        "/endless": endless,
    }
    rules = rules_for(server)
    assert len(await fetched(rules, server.url("/largest"))) == 1000
    for path in ("/larger", "/lying", "/endless"):
        assert "more than 1,000 bytes" in await refusal(rules, server.url(path)), path
    assert sent < 50_000_000


async def test_a_slow_server_is_not_waited_for_however_often_it_sends_a_byte(server: WebServer) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(answered(b"", length=False))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.answers["/slow"] = slow
    rules = replace(rules_for(server), within=0.3)
    assert await refusal(rules, server.url("/slow")) == f"{server.host} did not answer within 0.3 s"


async def test_a_server_that_does_not_answer_is_given_up_after_some_tries(server: WebServer) -> None:
    async def silent(_writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)

    server.answers["/silent"] = silent
    async with WebFetch.open(replace(rules_for(server), within=0.1)) as web:
        for _ in range(SILENT - 1):
            with pytest.raises(NotFetched, match="did not answer within"):
                await web.get(server.url("/silent"))
        await web.get(server.url("/icon.png"))  # which answers: it is counted anew
        for _ in range(SILENT):
            with pytest.raises(NotFetched, match="did not answer within"):
                await web.get(server.url("/silent"))
        with pytest.raises(NotFetched, match="did not answer before"):
            await web.get(server.url("/icon.png"))
    assert server.times("/silent") == 2 * SILENT - 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answered(b"", status="404 Not Found"), "status 404"),
        (answered(b"", status="500 Oh"), "status 500"),
        (b"", "can't be reached"),
        (b"nonsense\r\n\r\n", "can't be reached"),
        (answered(PNG * 2)[:-3], "can't be reached"),
    ],
)
async def test_a_server_that_answers_wrongly_is_told_as_such(
    server: WebServer, answer: bytes, reason: str
) -> None:
    server.answers["/icon.png"] = answer
    assert reason in await refusal(rules_for(server), server.url("/icon.png"))


async def test_a_server_that_is_not_there_is_told_as_such(server: WebServer) -> None:
    assert "127.0.0.1:1 can't be reached" in await refusal(
        replace(rules_for(server), hosts=("127.0.0.1:1",)), "http://127.0.0.1:1/"
    )

    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    assert "can't be reached" in await refusal(rules_for(server), server.url("/icon.png"), unknown)
