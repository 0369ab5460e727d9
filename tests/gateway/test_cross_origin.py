"""Pages of other origins, compressed answers, and the id of a request (R-HTTP-1, R-HTTP-2)."""

import gzip
import logging
from datetime import timedelta

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from gateway.http.compression import Compressed
from gateway.identity import make_token
from gateway.logs import log_to_stderr
from gateway.settings import Settings, SettingsError, load_settings
from rules.viewers import Role
from tests.gateway.conftest import KEY, Serving
from tests.gateway.test_metrics import grown, own

APP = "https://app.example"
ME = {"query": "{ me { userId } }"}
SCHEMA = {"query": "{ __schema { types { name description fields { name description } } } }"}


def preflight(
    origin: str, method: str = "POST", headers: str = "authorization,content-type"
) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


def bearer(settings: Settings) -> dict[str, str]:
    token = make_token(settings, "ada", [Role.LEARNER], timedelta(hours=1))
    return {"Authorization": f"Bearer {token}"}


async def test_a_page_of_an_allowed_origin_may_ask_and_read_what_it_needs(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, allowed_origins=(APP,))
    async with serving(settings) as client:
        allowed = await client.options(
            "/graphql", headers=preflight(APP, headers="authorization,content-type,if-none-match")
        )
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == APP
        assert allowed.headers["access-control-max-age"] == "7200"
        answer = await client.post("/graphql", json=ME, headers={"Origin": APP, **bearer(settings)})
        assert answer.json() == {"data": {"me": {"userId": "ada"}}}
        assert answer.headers["access-control-allow-origin"] == APP
        exposed = set(answer.headers["access-control-expose-headers"].lower().split(", "))
        assert {"etag", "retry-after", "x-request-id"} <= exposed
        assert "access-control-allow-credentials" not in answer.headers, "no cookie is ever looked at"
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("path", ["/graphql", "/v1/group/read/g", "/v1/content/state/update"])
async def test_a_refusal_can_be_read_by_the_page_as_well(serving: Serving, path: str) -> None:
    async with serving(load_settings(jwt_key=KEY, allowed_origins=(APP,))) as client:
        refused = await client.post(path, json={}, headers={"Origin": APP, "Authorization": "Bearer broken"})
        assert refused.status_code >= 400
        assert refused.headers["access-control-allow-origin"] == APP


async def test_other_origins_are_refused_and_in_production_all_are(
    serving: Serving, settings: Settings
) -> None:
    async with serving(load_settings(jwt_key=KEY, allowed_origins=(APP,))) as client:
        assert (
            await client.options("/graphql", headers=preflight("https://evil.example"))
        ).status_code == 400
        answer = await client.post("/graphql", json=ME, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers
    async with serving(settings) as client:
        for origin in (APP, "http://localhost:3000"):
            refused = await client.options("/graphql", headers=preflight(origin))
            assert refused.status_code == 405
            assert "access-control-allow-origin" not in refused.headers


async def test_in_development_pages_of_this_machine_may_ask(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        for origin in (
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "http://[::1]:8080",
            "https://localhost",
        ):
            allowed = await client.options("/graphql", headers=preflight(origin))
            assert allowed.headers["access-control-allow-origin"] == origin
        for origin in ("http://localhost.evil.example", "https://app.example", "null"):
            assert (await client.options("/graphql", headers=preflight(origin))).status_code == 400


async def test_a_form_of_another_site_changes_nothing(serving: Serving) -> None:
    """A browser sends "simple" requests without a preflight. None of them can be a mutation."""
    settings = load_settings(jwt_key=KEY, allowed_origins=("*",))
    start = 'mutation { startView(input: {contentId: "a"}) { errors { code } } }'
    async with serving(settings) as client:
        headers = {"Origin": "https://evil.example", **bearer(settings)}
        by_url = await client.get("/graphql", params={"query": start}, headers=headers)
        assert by_url.status_code == 405
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            sent = await client.post("/graphql", content=start, headers={**headers, "Content-Type": kind})
            assert sent.status_code in (400, 415), kind


@pytest.mark.parametrize(
    "origin",
    [
        "app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://App.example",
        "ftp://a.b",
        "",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_with_what_would_be_right(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"such as https://app\.example"):
        load_settings(jwt_key=KEY, allowed_origins=(APP, origin))


async def test_a_large_answer_is_compressed_for_who_accepts_it(serving: Serving, settings: Settings) -> None:
    async with serving(settings) as client:
        plain = await client.post(
            "/graphql", json=SCHEMA, headers={"Accept-Encoding": "identity", **bearer(settings)}
        )
        assert "content-encoding" not in plain.headers
        assert len(plain.content) == int(plain.headers["content-length"])
        async with client.stream(
            "POST", "/graphql", json=SCHEMA, headers={"Accept-Encoding": "gzip", **bearer(settings)}
        ) as packed:
            sent = b"".join([part async for part in packed.aiter_raw()])
        assert packed.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["vary"]
        assert gzip.decompress(sent) == plain.content
        assert len(sent) < len(plain.content) / 4
        small = await client.post("/graphql", json={"query": "{ __typename }"})
        assert "content-encoding" not in small.headers


async def test_an_answer_is_compressed_by_the_length_that_it_announces() -> None:
    """One that announces nothing comes in parts, and may be of any length."""

    async def sent(*headers: tuple[bytes, bytes], body: bytes) -> dict[bytes, bytes]:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [*headers]})
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def nothing() -> Message:
            raise AssertionError

        messages: list[Message] = []

        async def kept(message: Message) -> None:
            messages.append(message)

        scope = {"type": "http", "headers": [(b"accept-encoding", b"br, gzip")]}
        await Compressed(app, least=100)(scope, nothing, kept)
        found = dict(messages[0]["headers"])
        whole = b"".join(message.get("body", b"") for message in messages)
        assert (gzip.decompress(whole) if b"content-encoding" in found else whole) == body
        return found

    assert b"content-encoding" not in await sent((b"content-length", b"99"), body=b"a" * 99)
    assert (await sent((b"content-length", b"100"), body=b"a" * 100))[b"content-encoding"] == b"gzip"
    assert (await sent(body=b"a" * 10))[b"content-encoding"] == b"gzip"
    assert b"content-encoding" not in await sent((b"content-type", b"image/png"), body=b"a" * 1000)


async def test_a_proxy_in_front_may_compress_instead(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, compressed_from=0)
    async with serving(settings) as client:
        headers = {"Accept-Encoding": "gzip", **bearer(settings)}
        answer = await client.post("/graphql", json=SCHEMA, headers=headers)
        assert "errors" not in answer.json()
        assert "content-encoding" not in answer.headers


async def test_who_has_a_compressed_answer_gets_304(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, allowed_origins=(APP,))
    async with serving(settings) as client:
        headers = {"Origin": APP, "Accept-Encoding": "gzip", **bearer(settings)}
        first = await client.get("/graphql", params=SCHEMA, headers=headers)
        assert (first.status_code, first.headers["content-encoding"]) == (200, "gzip")
        assert first.headers["etag"].startswith('W/"'), "the same tag names the compressed and the plain form"
        again = await client.get(
            "/graphql", params=SCHEMA, headers={**headers, "If-None-Match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("path", ["/graphql", "/health/live", "/v1/group/read/g", "/nowhere"])
async def test_every_answer_has_the_id_of_its_request(
    serving: Serving, settings: Settings, path: str
) -> None:
    async with serving(settings) as client:
        given = await client.get(path, headers={"X-Request-Id": "proxy:7.a-b"})
        assert given.headers["x-request-id"] == "proxy:7.a-b"
        made = {(await client.get(path)).headers["x-request-id"] for _ in range(2)}
        assert len(made) == 2
        for unsound in ("a b", "x" * 129, 'a"; drop'):
            assert (await client.get(path, headers={"X-Request-Id": unsound})).headers[
                "x-request-id"
            ] != unsound


async def test_a_fault_is_logged_with_the_id_that_its_client_got(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also a page of another origin may read it, and it is counted as an answer."""

    words = f"a fault of {'ada'}"  # so that the line of the traceback does not have them

    async def fail(request: Request) -> Response:
        raise RuntimeError(words)

    before = own()
    kept = logging.getLogger().handlers[:]
    try:
        async with serving(load_settings(jwt_key=KEY, allowed_origins=(APP,))) as client:
            app = client.app  # type: ignore[attr-defined]
            app.router.routes.insert(0, Route("/fail", fail))
            log_to_stderr("info")
            answer: httpx.Response = await client.get("/fail", headers={"X-Request-Id": "r-1", "Origin": APP})
            assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
            assert answer.headers["x-request-id"] == "r-1"
            assert answer.headers["access-control-allow-origin"] == APP
            logging.getLogger("tests").error("of no request")
    finally:
        logging.getLogger().handlers[:] = kept
    lines = capsys.readouterr().err.splitlines()
    (told,) = (number for number, line in enumerate(lines) if line.endswith("[r-1]: internal error"))
    of_no_request = next(
        number for number, line in enumerate(lines) if line.endswith("ERROR tests: of no request")
    )
    traceback = "\n".join(lines[told:of_no_request])
    assert "in fail" in traceback
    assert "RuntimeError" in traceback
    assert "a fault of ada" not in traceback
    assert grown(before, "cohort_requests_total", route="none", status="500") == 1, (
        "the route is the test's own"
    )


async def test_no_token_and_a_broken_one_are_refused_alike(serving: Serving, settings: Settings) -> None:
    view = 'mutation { startView(input: {contentId: "a"}) { errors { code } } }'
    async with serving(settings) as client:
        for path, body in (
            ("/graphql", ME),
            ("/graphql", {"query": view}),
            ("/v1/group/list", {"request": {"filters": {"userId": "ada"}}}),
        ):
            for headers in ({}, {"Authorization": "Bearer broken"}):
                refused = await client.post(path, json=body, headers=headers)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
        assert (await client.post("/graphql", json={"query": "{ __typename }"})).status_code == 200
