"""Links to files: the signature is all that is asked for, and nothing else opens them."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.identity import make_token
from gateway.settings import Settings, load_settings
from ingest.publishing.package import write_package
from resolvers import summaries
from rules.packages import PackageVariant, package_url
from rules.viewers import Role
from stores.rows import Write
from stores.tables import CONTENTS, ENROLMENTS
from tests.conftest import NOW
from tests.gateway.conftest import KEY, Serving
from tests.stores.test_blobs_contract import pieces, read

MUTATION = "mutation { downloadSummary(input: {format: CSV}) { download { url size } errors { code } } }"


async def test_a_link_opens_the_file_without_a_token_as_a_browser_saves_it(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, public_url="https://cohort.example/api/")
    async with serving(settings) as client:
        token = make_token(settings, "ada", [Role.LEARNER], timedelta(hours=1))
        asked = await client.post(
            "/graphql", json={"query": MUTATION}, headers={"Authorization": f"Bearer {token}"}
        )
        download = asked.json()["data"]["downloadSummary"]["download"]
        assert download["url"].startswith("https://cohort.example/api/blobs/exports/")
        link = download["url"].removeprefix("https://cohort.example/api")
        answer = await client.get(link, headers={"Accept-Encoding": "identity"})
        assert answer.status_code == 200
        assert answer.text.startswith("courseid,batchid,")
        assert len(answer.content) == download["size"]
        headers = {
            "content-type": "text/csv; charset=utf-8",
            "content-length": str(download["size"]),
            "content-disposition": 'attachment; filename="summary.csv"',
            "cache-control": "private, no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }
        assert {name: answer.headers[name] for name in headers} == headers


async def test_a_link_holds_only_as_it_was_given_until_it_expires_and_while_the_file_is_there(
    settings: Settings, serving: Serving
) -> None:
    async with serving(settings) as client:
        blobs = client.app.state.cohort.stores.blobs  # type: ignore[attr-defined]
        await blobs.put("a/one.json", pieces(b"{}"))
        await blobs.put("a/two.json", pieces(b"{}"))
        link = await blobs.link("a/one.json", timedelta(minutes=1))
        assert (await client.get(link)).content == b"{}"
        expires = parse_qs(urlsplit(link).query)["expires"][0]
        over = link.replace(expires, str(int(expires) + 1))
        for other in (
            over,
            link.replace("one", "two"),
            urlsplit(link).path,
            "/blobs/",
            "/blobs/%2e%2e/rows.db",
        ):
            refused = await client.get(other)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN"), other
        await blobs.delete("a/one.json")
        gone = await client.get(link)
        assert (gone.status_code, gone.json()["error"]["message"]) == (404, "this file is gone")


async def test_where_files_are_in_an_object_store_the_gateway_serves_none(serving: Serving) -> None:
    blobs = "s3://key:secret@bucket?endpoint=http://127.0.0.1:9&region=r"
    async with serving(load_settings(jwt_key=KEY, blobs=blobs)) as client:
        assert (await client.get("/blobs/a/one.json")).status_code == 404
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["stores"]["blobs"]) == (200, "away")


async def test_a_small_summary_is_answered_itself_and_of_a_large_one_the_way_to_it(
    settings: Settings, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as client:
        cohort = client.app.state.cohort  # type: ignore[attr-defined]
        row = {"active": True, "enrolled_on": NOW, "changed_at": 1, "seen_changed_at": 1}
        await cohort.stores.rows.write(Write(ENROLMENTS, ("ada", "gone", "gone"), row))
        token = make_token(settings, "ada", [Role.LEARNER], timedelta(hours=1))
        client.headers["Authorization"] = f"Bearer {token}"
        small = await client.get("/learners/ada/summary.csv")
        assert (small.status_code, small.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        assert small.text.splitlines()[1] == "gone,gone,0,0,0,,2026-03-01T12:00:00.000Z,,0"
        assert small.headers["content-disposition"] == 'attachment; filename="summary.csv"'
        as_json = await client.get("/learners/ada/summary.json")
        assert [one["collectionId"] for one in as_json.json()["summary"]] == ["gone"]

        monkeypatch.setattr(summaries, "DIRECT", 0)
        large = await client.get("/learners/ada/summary.csv")
        assert large.status_code == 303
        del client.headers["Authorization"]
        assert (await client.get(large.headers["location"])).text == small.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("ada/summary.csv", 401), ("ada/summary.xls", 404), ("eve/summary.csv", 403)],
)
async def test_who_may_not_have_a_summary_gets_none(
    settings: Settings, serving: Serving, path: str, status: int
) -> None:
    token = make_token(settings, "ada", [Role.LEARNER], timedelta(hours=1))
    headers = {} if status == 401 else {"Authorization": f"Bearer {token}"}
    async with serving(settings) as client:
        assert (await client.get(f"/learners/{path}", headers=headers)).status_code == status


async def packaged(client: httpx.AsyncClient, identifier: str, version: int) -> bytes:
    """A package as a publish writes it."""
    shared = client.app.state.cohort.shared  # type: ignore[attr-defined]
    tree = {"identifier": identifier, "name": "Book", "children": []}
    written = await write_package(shared, identifier, version, tree, {}, PackageVariant.SPINE)
    return await read(shared.stores.blobs, written.name)


async def test_the_url_of_a_package_stays_and_leads_to_a_fresh_link_without_a_token(served: Any) -> None:
    """It stands in the metadata of a collection, and a client gives it to its system's downloader."""
    content = await packaged(served.client, "course", 1)
    stays = package_url("", "course", 1, PackageVariant.SPINE)
    for method in ("GET", "HEAD"):
        led = await served.client.request(method, stays)
        assert (led.status_code, led.headers["cache-control"]) == (302, "no-store")
        assert led.headers["ratelimit"].startswith('"anonymous";'), "whoever asks pays for it"
    found = await served.client.get(led.headers["location"])
    assert (found.status_code, found.content) == (200, content)
    assert found.headers["content-type"] == "application/zip"
    assert found.headers["content-disposition"] == 'attachment; filename="course_1_spine.ecar"'


async def test_an_id_of_any_form_has_such_a_url(served: Any) -> None:
    identifier = "a course/ä ?#"
    await served.publish({"identifier": identifier, "name": "Odd"})
    content = await packaged(served.client, identifier, 1)
    led = await served.client.get(package_url("", identifier, 1, PackageVariant.SPINE), follow_redirects=True)
    assert (led.status_code, led.content) == (200, content)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("course/1/online", "no package of version 1 of course"),
        ("course/2/spine", "no package of version 2 of course"),
        ("unit-1/1/spine", "no package of version 1 of unit-1"),
        ("nobody/1/spine", "no package of version 1 of nobody"),
        ("course/1/full", "one of spine, online"),
        ("course/one/spine", "a whole number"),
        ("course/-1/spine", "a whole number"),
        (f"course/{'9' * 5000}/spine", "a whole number"),
    ],
)
async def test_what_is_no_package_of_a_published_version_is_not_found(
    served: Any, path: str, told: str
) -> None:
    """Also what a publish has written that is not over, or never ended."""
    for version in (1, 2):
        await packaged(served.client, "course", version)
    await packaged(served.client, "unit-1", 1)
    await packaged(served.client, "nobody", 1)
    answer = await served.client.get(f"/content/v1/package/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert told in answer.json()["error"]["message"]


async def test_of_a_retired_collection_there_is_no_package(served: Any) -> None:
    await packaged(served.client, "course", 1)
    cohort = served.client.app.state.cohort
    await cohort.stores.rows.write(Write(CONTENTS, ("course",), {"status": "Retired"}))
    cohort.shared.library.contents.forget("course")
    assert (await served.client.get("/content/v1/package/course/1/spine")).status_code == 404
