"""Links to files: the signature is all that is asked for, and nothing else opens them."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.identity import make_token
from gateway.settings import Settings, load_settings
from resolvers import summaries
from rules.viewers import Role
from stores.rows import Write
from stores.tables import ENROLMENTS
from tests.conftest import NOW
from tests.gateway.conftest import KEY, Serving
from tests.stores.test_blobs_contract import pieces

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
        answer = await client.get(link)
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
