"""What an author may rely on about icons, and the operator about what is fetched."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from ingest.publishing.icons import fetch_icons
from rules.errors import StoreUnavailable
from rules.web_addresses import FetchRules
from stores.blobs_cloud import CloudBlobs
from stores.web_fetch import SIDE_BY_SIDE
from tests.conftest import Instance
from tests.stores.test_blobs_contract import names, read
from tests.stores.web_server import PNG, WebServer, answered, web_server

JPEG, GIF, WEBP = b"\xff\xd8\xff\xe0jpeg", b"GIF89a gif", b"RIFF\x10\x00\x00\x00WEBPVP8 "


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web_server() as server:
        yield server


def allowing(cohort: Instance, server: WebServer) -> None:
    rules = FetchRules((server.host,), largest=1000, within=5.0, private_addresses=True)
    cohort.shared = replace(cohort.shared, icon_rules=rules)


async def test_icons_are_stored_under_a_name_that_follows_from_their_content(
    cohort: Instance, server: WebServer
) -> None:
    allowing(cohort, server)
    server.answers |= {
        "/a.png": answered(PNG),
        "/same.png": answered(PNG, "image/png; charset=utf-8"),
        "/b": answered(JPEG, "image/jpeg"),
        "/c": answered(GIF, "image/gif"),
        "/d": answered(WEBP, "image/webp"),
        "/called-png": answered(JPEG, "image/png"),
    }
    urls = [server.url(path) for path in server.answers]
    first = await fetch_icons(cohort.shared, [*urls, urls[0]], "do_1", 3)
    assert first.failed == {}
    assert list(first.stored) == urls
    assert [name.rpartition(".")[2] for name in first.stored.values()] == [
        *("png", "png", "jpg", "gif", "webp", "jpg"),
    ]
    assert first.stored[urls[0]] == first.stored[urls[1]]
    blobs = cohort.stores.blobs
    assert await read(blobs, first.stored[urls[0]]) == PNG
    assert await read(blobs, first.stored[urls[4]]) == WEBP
    assert [server.times(path) for path in server.answers] == [1] * 6
    before = await names(blobs, "packages/do_1/3/icons")
    assert len(before) == 4
    assert await fetch_icons(cohort.shared, urls, "do_1", 3) == first
    assert await names(blobs, "packages/do_1/3/icons") == before
    await blobs.delete(*before)


async def test_where_no_host_is_allowed_nothing_is_fetched_and_each_icon_is_told(
    embedded: Instance, server: WebServer
) -> None:
    server.answers["/a.png"] = answered(PNG)
    report = await fetch_icons(embedded.shared, [server.url("/a.png")], "do_1", 3)
    assert report.stored == {}
    assert report.failed == {server.url("/a.png"): f"{server.host} is not among the allowed hosts"}
    assert server.asked == []


async def test_an_icon_that_can_not_be_had_stops_no_other(embedded: Instance, server: WebServer) -> None:
    allowing(embedded, server)
    server.answers |= {
        "/page": answered(b"<html>", "text/html"),
        "/drawing": answered(b"<svg onload='alert(1)'/>", "image/svg+xml"),
        "/untyped": answered(PNG, ""),
        "/liar": answered(b"<html>", "image/png"),
        "/large": answered(PNG + b"x" * 1000),
        "/empty": answered(b""),
        "/a.png": answered(PNG),
    }
    urls = [server.url(path) for path in [*server.answers, "/gone"]]
    report = await fetch_icons(embedded.shared, [*urls, "no url at all"], "do_1", 3)
    assert list(report.stored) == [server.url("/a.png")]
    reasons = {url.removeprefix(server.url("")): reason for url, reason in report.failed.items()}
    assert reasons == {
        "/page": "it is no PNG, JPEG, GIF or WebP, but text/html",
        "/drawing": "it is no PNG, JPEG, GIF or WebP, but image/svg+xml",
        "/untyped": "it is no PNG, JPEG, GIF or WebP, but of no type",
        "/liar": "its content is no PNG, JPEG, GIF or WebP, though it is called image/png",
        "/large": "it has more than 1,000 bytes",
        "/empty": "its content is no PNG, JPEG, GIF or WebP, though it is called image/png",
        "/gone": "the server answered with status 404",
        "no url at all": "only http and https are fetched",
    }


async def test_many_are_fetched_some_at_a_time(embedded: Instance, server: WebServer) -> None:
    allowing(embedded, server)
    server.answers |= {f"/{number}.png": answered(PNG + b"%d" % number) for number in range(40)}
    report = await fetch_icons(embedded.shared, [server.url(path) for path in server.answers], "do_1", 3)
    assert len(set(report.stored.values())) == 40
    assert 1 < server.most_open <= SIDE_BY_SIDE


async def test_a_name_that_leads_to_this_machine_is_told_and_not_asked(
    embedded: Instance, server: WebServer
) -> None:
    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    rules = FetchRules((f"icons.example:{server.port}",))
    shared = replace(embedded.shared, icon_rules=rules)
    url = server.url("/a.png", "icons.example")
    report = await fetch_icons(shared, [url], "do_1", 3, here)
    assert report.failed == {url: "icons.example: its address is of this machine or of a private network"}
    assert server.asked == []


async def test_a_blob_store_that_is_away_is_no_fault_of_an_icon(
    embedded: Instance, server: WebServer
) -> None:
    allowing(embedded, server)
    server.answers |= {f"/{number}.png": answered(PNG) for number in range(9)}
    away = await CloudBlobs.open("s3://k:s@bucket?endpoint=http://127.0.0.1:9&region=r", "test", timeout=1)
    shared = replace(embedded.shared, stores=replace(embedded.stores, blobs=away))
    with pytest.raises(StoreUnavailable):
        await fetch_icons(shared, [server.url(path) for path in server.answers], "do_1", 3)
