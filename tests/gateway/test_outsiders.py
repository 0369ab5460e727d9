"""What an outsider tries with the parts of HTTP that no client of ours uses: what it is told, and what it is not (R-LIMIT-7, R-IDENTITY-1)."""

import asyncio
import base64
import gzip
import json
import re
import time
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest
from starlette.requests import Request

from gateway.downloads import _headers
from gateway.http import queries
from gateway.http.admission import address_of
from gateway.http.fixed import FixedDocument
from gateway.identity import Tokens, make_token
from gateway.settings import Settings
from gateway.wiring import links_of
from rules.errors import InvalidInput, Unauthenticated
from rules.viewers import Role, Viewer
from stores.blobs import checked_name
from stores.engines import Stores
from tests.gateway.conftest import KEY, Serving, http_scope
from tests.gateway.test_connections import HEAD, Start
from tests.gateway.test_connections import start as start
from tests.gateway.test_connections import told as all_told
from tests.gateway.test_head_limits import LAST, sent
from tests.gateway.test_head_limits import port as port
from tests.gateway.test_rates import by_clock, request

ME = {"query": "{ me { userId } }"}


def bearer(settings: Settings, user: str = "ann", *roles: Role) -> str:
    return f"Bearer {make_token(settings, user, roles, timedelta(hours=1))}"


# --- who is asking


@pytest.mark.parametrize("name", ["Authorization", "X-Authenticated-For", "X-Authenticated-User-Token"])
async def test_who_is_asking_is_said_once(settings: Settings, serving: Serving, name: str) -> None:
    """Of two headers a proxy in front may have checked the one that is not believed here."""
    own, admin = bearer(settings), bearer(settings, "root", Role.ADMIN)
    bare = name != "Authorization"
    twice = [(name, own[7:] if bare else own), (name, admin[7:] if bare else admin)]
    others = [("Authorization", own)] if bare else []
    async with serving(settings) as client:
        read = await client.get("/v1/group/read/g", headers=[*others, *twice])
        assert (read.status_code, read.json()["params"]["errmsg"]) == (400, f"{name} must be sent once")
        if name == "X-Authenticated-User-Token":
            return
        for path in ("/graphql", "/learners/ann/summary.csv"):
            headers = [*others, *twice]
            answer = await (
                client.post(path, json=ME, headers=headers)
                if path == "/graphql"
                else client.get(path, headers=headers)
            )
            assert (answer.status_code, f"{name} must be sent once" in answer.text) == (400, True)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


CLAIMS = {"sub": "u", "exp": time.time() + 3600, "iss": "cohort", "aud": "cohort"}


def signed(headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """By who has the key, with whatever is in it."""
    return jwt.api_jws.encode(json.dumps({**CLAIMS, **claims}).encode(), KEY, "HS256", headers=headers)


HEAD_OF, BODY_OF, SIGNATURE = signed().split(".")
REFUSED = {
    "crit that nobody knows": signed({"crit": ["exp"], "exp": 1}),
    "crit that is no list": signed({"crit": "b64"}),
    "an empty crit": signed({"crit": []}),
    "b64 unsaid": f"{part({'alg': 'HS256', 'b64': False})}.{BODY_OF}.{SIGNATURE}",
    "alg in capitals": f"{part({'alg': 'hs256'})}.{BODY_OF}.{SIGNATURE}",
    "alg None": f"{part({'alg': 'None'})}.{BODY_OF}.",
    "no alg": f"{part({'typ': 'JWT'})}.{BODY_OF}.{SIGNATURE}",
    "alg of public keys": f"{part({'alg': 'RS256'})}.{BODY_OF}.{SIGNATURE}",
    "no signature": f"{HEAD_OF}.{BODY_OF}.",
    "two parts": f"{HEAD_OF}.{BODY_OF}",
    "four parts": f"{HEAD_OF}.{BODY_OF}.{SIGNATURE}.{SIGNATURE}",
    "five parts, as of an encrypted one": ".".join([HEAD_OF, BODY_OF, BODY_OF, BODY_OF, SIGNATURE]),
    "a body of another": f"{HEAD_OF}.{part({**CLAIMS, 'sub': 'root'})}.{SIGNATURE}",
    "a key that it brings along": f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': part({})}})}.{BODY_OF}.{SIGNATURE}",
    "issued tomorrow": signed(iat=time.time() + 86_400),
    "not yet": signed(nbf=time.time() + 86_400),
    "for another": signed(aud=["others"]),
    "for nobody": signed(aud=[]),
    "an audience within an object": signed(aud={"cohort": True}),
    "an issuer in a list": signed(iss=["cohort"]),
    "very long": f"{HEAD_OF}.{BODY_OF}.{'A' * 50_000}",
    "not ASCII": f"{HEAD_OF}.{BODY_OF}.é",
    "a nul": f"{HEAD_OF}.{BODY_OF}.\0",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_that_is_bent_does_not_hold(settings: Settings, name: str) -> None:
    with pytest.raises(Unauthenticated, match="the token does not hold"):
        await Tokens.of(settings).viewer(f"Bearer {REFUSED[name]}")


@pytest.mark.parametrize(
    "token",
    [
        signed({"kid": "../../etc/passwd"}),
        signed({"kid": "' OR 1=1 --"}),
        signed({"jku": "https://evil.example/keys", "x5u": "https://evil.example"}),
        signed(aud=["others", "cohort"]),
        signed({"cty": "JWT"}),
        f" {signed()} ",
    ],
)
async def test_what_a_token_says_of_its_key_is_not_looked_at(settings: Settings, token: str) -> None:
    assert await Tokens.of(settings).viewer(f"Bearer {token}") == Viewer("u")


# --- where it comes from


@pytest.mark.parametrize(
    "host", ["unknown", "_hidden", "a:b", "192.0.2.1:x", "::1::", "[::1", "", "1.2.3", "é:é"]
)
def test_what_is_no_address_is_one_caller(host: str) -> None:
    """A proxy passes on whatever stands in a header: it is no fault here, and gives nobody a rate of their own."""
    assert address_of(request(host)) == "address unknown"


@pytest.mark.parametrize("forwarded", ["a:b", "192.0.2.1:x", "::::", "unknown", ",", "\t"])
async def test_whatever_a_proxy_passes_on_is_no_fault(start: Start, forwarded: str) -> None:
    async with start(trusted_proxies=("127.0.0.1",)) as server:
        reader, writer = await server.connect()
        writer.write(HEAD + f"X-Forwarded-For: {forwarded}\r\nConnection: close\r\n\r\n".encode())
        assert (await all_told(reader)).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: -4\r\n",
        b"Content-Length: 4, 4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Transfer-Encoding: identity, chunked, gzip\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
    ],
)
async def test_a_request_whose_end_is_not_clear_is_refused(port: int, head: bytes) -> None:
    """Else a proxy and this server may see two requests where the other sees one."""
    smuggled = b"GET /hidden HTTP/1.1\r\nHost: x\r\n" + LAST
    answer = await sent(port, b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + smuggled)
    assert answer.startswith(b"HTTP/1.1 400"), answer[:200]
    assert answer.count(b"HTTP/1.1") == 1


# --- what is told, and kept


async def test_whatever_an_answer_goes_by_is_named_for_caches(settings: Settings, serving: Serving) -> None:
    query = {"query": "{ tracking { mode } }"}
    asks = {"Authorization": bearer(settings)}
    async with serving(settings) as client:
        plain = await client.get("/graphql", params=query, headers=asks)
        told = {name.strip().lower() for name in plain.headers["Vary"].split(",")}
        assert told >= {"authorization", "accept", "x-authenticated-for", "x-cost"}
        assert plain.headers["Cache-Control"].startswith("private")
        with_cost = await client.get("/graphql", params=query, headers={**asks, "X-Cost": "full"})
        assert "cost" in with_cost.json()["extensions"]
        tag = {"If-None-Match": plain.headers["ETag"]}
        for headers, status in (({**asks, **tag}, 304), (tag, 401)):
            again = await client.get("/graphql", params=query, headers=headers)
            assert again.status_code == status, "a tag is no token"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_whatever_an_answer_goes_by_is_named_once(
    settings: Settings, serving: Serving, encoding: str
) -> None:
    """By every route that answers a GET, also to who has it already: with the layer of compression, and without it."""
    open_to_all = settings.model_copy(
        update={"explorer": "open", "allowed_origins": ("https://app.example",)}
    )
    asks = {"Accept-Encoding": encoding, "Origin": "https://app.example"}
    going_by_encoding = set()
    async with serving(open_to_all) as client:
        app: Any = client.app  # type: ignore[attr-defined]
        for path in {re.sub(r"{[^}]*}", "x", getattr(route, "path", "/")) or "/" for route in app.routes}:
            query = {"query": "{ tracking { mode } }"} if path == "/graphql" else {}
            first = await client.get(path, params=query, headers={**asks, "Authorization": bearer(settings)})
            again = {**asks, "If-None-Match": "*", "Authorization": bearer(settings)}
            for answer in (first, await client.get(path, params=query, headers=again)):
                named = [name.strip().lower() for name in answer.headers.get("Vary", "").split(",")]
                assert sorted(named) == sorted({*named}), (path, answer.status_code)
                if "accept-encoding" in named:
                    going_by_encoding.add((path, answer.status_code))
    assert going_by_encoding >= {
        (path, status) for path in ("/openapi.json", "/schema.graphql") for status in (200, 304)
    }
    assert ("/reference", 200) in going_by_encoding


@pytest.mark.parametrize("given", ["a\tb", 'a"b', "a b", "a" * 129, "", "a\xa0b", "${jndi:ldap://x}", "<b>"])
async def test_a_requests_id_that_is_none_is_not_repeated(
    settings: Settings, serving: Serving, given: str
) -> None:
    async with serving(settings) as client:
        answer = await client.get("/health/live", headers={b"X-Request-Id": given.encode("latin-1")})
        assert answer.headers["X-Request-Id"] != given
        assert answer.headers["X-Request-Id"].isalnum()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "DELETE", "PROPFIND"])
@pytest.mark.parametrize(
    "path", ["/graphql", "/health/live", "/v1/group/read/g", "/metrics/table", "/openapi.json"]
)
async def test_a_method_that_is_not_taken_says_which_are(
    settings: Settings, serving: Serving, method: str, path: str
) -> None:
    async with serving(settings) as client:
        answer = await client.request(method, path)
        if method == "HEAD" and path != "/graphql":
            assert (answer.status_code, answer.content) in ((200, b""), (401, b"")), answer.text
        else:
            assert (answer.status_code, "GET" in answer.headers["Allow"]) == (405, True)


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "exports/..%5c..%5cx",
        "%00",
        "/etc/passwd",
        "a%0d%0aSet-Cookie:%20x=1",
    ],
)
async def test_files_have_no_names_but_those_of_links(
    settings: Settings, serving: Serving, path: str
) -> None:
    async with serving(settings) as client:
        answer = await client.get(f"/blobs/{path}?expires=99999999999&signature=a")
        assert answer.status_code in (403, 404)
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "a//b", "", "/a", "a/", 'a"b', "a\r\nb", "a;b", "é", ".", "..", "a\\b"]
)
def test_a_name_that_would_mean_more_in_a_header_or_a_folder_is_none(settings: Settings, name: str) -> None:
    with pytest.raises(InvalidInput, match="a blob's name"):
        checked_name(name)
    links = links_of(settings)
    assert links is not None
    with pytest.raises(InvalidInput):
        links.url(name, timedelta(minutes=1))


def test_a_download_is_saved_and_never_shown() -> None:
    assert _headers("exports/abc/summary-1.csv") == {
        "Content-Disposition": 'attachment; filename="summary-1.csv"',
        "Cache-Control": "private, no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


# --- what is sent


@pytest.mark.parametrize(
    "body",
    [
        '{"query": "{ __typename }", "variables": {"a": NaN}}',
        '{"query": "{ __typename }", "variables": {"a": Infinity}}',
        '{"query": "{ __typename }", "variables": {"a": 1e999}}',
        '{"query": "\\ud800"}',
        '\ufeff{"query": "{ __typename }"}',
        "{'query': '{ __typename }'}",
        '{"query": "{ __typename }",}',
        '{"query": "{ __typename }"} {}',
        '{"query": "{ __typename }" /* a */}',
    ],
)
async def test_what_is_no_json_is_refused_whatever_others_make_of_it(
    settings: Settings, serving: Serving, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    async with serving(settings) as client:
        answer = await client.post("/graphql", content=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_of_a_name_that_stands_twice_the_last_one_counts_for_all_that_is_checked(
    settings: Settings, serving: Serving
) -> None:
    """One value is checked, priced and executed: not one checked and another executed."""
    headers = {"Content-Type": "application/json", "Authorization": bearer(settings)}
    deep = "{ a" * 30 + " }" * 30
    async with serving(settings) as client:
        for first, last, status in ((deep, "{ __typename }", 200), ("{ __typename }", deep, 400)):
            body = f'{{"query": "{first}", "query": "{last}"}}'
            accepting = {"Accept": "application/graphql-response+json"}
            assert (
                await client.post("/graphql", content=body, headers=headers | accepting)
            ).status_code == status


# --- what needs no token


async def test_however_often_somebody_asks_whether_it_is_ready_stores_are_asked_one_after_the_other(
    settings: Settings, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_answer = 0, asyncio.Event()

    async def ping(_self: Stores) -> dict[str, str | None]:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return {"rows": None}

    async with serving(settings) as client:
        monkeypatch.setattr(Stores, "ping", ping)
        asking = [asyncio.create_task(client.get("/health/ready")) for _ in range(50)]
        leaving = asyncio.create_task(client.get("/health/ready"))
        while not asked:
            await asyncio.sleep(0)
        leaving.cancel()
        may_answer.set()
        assert {(await one).status_code for one in asking} == {200}
        assert asked == 1
        assert (await client.get("/health/ready")).status_code == 200
        assert asked == 2, "who asks later is told what is so then"


async def test_ids_that_look_alike_are_those_of_two_learners(served: Any, settings: Settings) -> None:
    """No id is normalised: what one system takes for another's id, a person never gets to see the data of."""
    composed, apart, cyrillic = "zo\u00eb", "zoe\u0308", "z\u043e\u00eb"
    enrol = 'mutation { enrol(input: {collectionId: "course", contextId: "batch"}) { errors { code } } }'
    mine = "{ me { userId enrolments { totalCount } } }"
    answer = await served.client.post(
        "/graphql", json={"query": enrol}, headers={"Authorization": bearer(settings, composed)}
    )
    assert answer.json() == {"data": {"enrol": {"errors": []}}}
    for user, count in ((composed, 1), (apart, 0), (cyrillic, 0)):
        answer = await served.client.post(
            "/graphql", json={"query": mine}, headers={"Authorization": bearer(settings, user)}
        )
        assert answer.json()["data"]["me"] == {"userId": user, "enrolments": {"totalCount": count}}


async def test_who_registers_a_document_pays_for_it_and_who_sends_its_id_for_what_it_asks(
    settings: Settings, serving: Serving
) -> None:
    text = "query Long { tracking { mode } } #" + "x" * 20_000
    named = {
        "extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text.encode()).hexdigest()}}
    }
    async with serving(settings) as client:
        by_clock(client, points=100)
        ann, bob = bearer(settings), bearer(settings, "bob")
        registers = await client.post(
            "/graphql", json={"query": text, **named}, headers={"Authorization": ann}
        )
        sends = await client.post("/graphql", json=named, headers={"Authorization": bob})
        assert registers.json() == sends.json()
        left = [
            int(answer.headers["RateLimit"].split("r=")[1].split(";")[0]) for answer in (registers, sends)
        ]
        # A point for each 1,000 bytes of what was sent: of ann 20, of bob 1.
        assert left == [100 - 20, 100 - 1]


@pytest.mark.parametrize("path", ["/graphql", "/metrics/table", "/v1/group/read/g", "/health/live"])
async def test_a_query_with_more_parameters_than_any_call_has_is_refused(
    settings: Settings, serving: Serving, path: str
) -> None:
    async with serving(settings) as client:
        refused = await client.get(f"{path}?{'a=1&' * queries.MOST}")
        assert refused.status_code == 400
        assert "a query may have 1,000 parameters" in refused.text
        assert ("errors" in refused.json()) is (path == "/graphql")
        taken = await client.get(f"{path}?{'&'.join(['a=1'] * queries.MOST)}")
        assert "parameters" not in taken.text


async def test_what_changes_with_the_program_alone_is_made_once_however_often_it_is_asked_for(
    settings: Settings, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The description of the calls has 400 KB, and nobody needs a token for it."""
    packed = 0
    compress = gzip.compress

    def counted(*args: Any, **named: Any) -> bytes:
        nonlocal packed
        packed += 1
        return compress(*args, **named)

    monkeypatch.setattr(gzip, "compress", counted)
    document = FixedDocument(lambda: b"x" * 100_000, "text/plain")
    asked = [await document.answer(Request(http_scope("GET", "/", accept_encoding="gzip"))) for _ in range(5)]
    assert packed == 1
    assert {gzip.decompress(bytes(answer.body)) for answer in asked} == {b"x" * 100_000}
    assert asked[0].headers["Vary"] == "Accept-Encoding, Authorization"
    plain = await document.answer(Request(http_scope("GET", "/")))
    assert (plain.body, "Content-Encoding" in plain.headers) == (b"x" * 100_000, False)
    assert plain.headers["ETag"] == asked[0].headers["ETag"]
    async with serving(settings.model_copy(update={"explorer": "open"})) as client:
        for path in ("/openapi.json", "/schema.graphql"):
            first, second = await client.get(path), await client.get(path)
            assert first.headers["Content-Encoding"] == "gzip"
            assert first.content == second.content
            has = {"If-None-Match": first.headers["ETag"]}
            assert (await client.get(path, headers=has)).status_code == 304
