"""What a client has already is not sent again (RFC 9110, 13.1.2)."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.conditional import conditional
from tests.conftest import Instance
from tests.graph.conftest import application, client_of

ME = {"query": "{ me { userId } }"}


class Shelf:
    """Serves ``body``; the tag is of all that comes before the first semicolon."""

    def __init__(self) -> None:
        self.body = b"figures"
        self.max_age = 60
        self.headers: dict[str, str] = {}

    async def serve(self, request: Request) -> Response:
        response = Response(self.body, media_type="text/plain", headers=self.headers)
        return conditional(request, response, tag_of=self.body.split(b";")[0], max_age=self.max_age)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def client(shelf: Shelf) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/", shelf.serve, methods=["GET", "POST"])])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cohort")


async def asked(client: httpx.AsyncClient, *tags: str, method: str = "GET") -> httpx.Response:
    return await client.request(method, "/", headers=[("If-None-Match", tag) for tag in tags])


async def test_an_answer_has_a_tag_and_says_how_long_it_holds_and_for_whom(
    client: httpx.AsyncClient,
) -> None:
    answer = await asked(client)
    assert (answer.status_code, answer.content) == (200, b"figures")
    assert answer.headers["etag"].startswith('W/"')
    assert answer.headers["cache-control"] == "private, max-age=60"
    assert answer.headers["vary"] == "Authorization"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_has_it_gets_no_body_but_the_same_headers(client: httpx.AsyncClient, method: str) -> None:
    first = await asked(client, method=method)
    again = await asked(client, first.headers["etag"], method=method)
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert "content-type" not in again.headers
    assert "content-length" not in again.headers


async def test_what_changed_is_sent_with_another_tag(client: httpx.AsyncClient, shelf: Shelf) -> None:
    tag = (await asked(client)).headers["etag"]
    shelf.body = b"other figures"
    changed = await asked(client, tag)
    assert (changed.status_code, changed.content) == (200, b"other figures")
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (["*"], 304),
        (["{tag}"], 304),
        (["W/{tag}"], 304),
        (['"a", {tag}'], 304),
        (['"a,b",W/{tag} , "c"'], 304),
        (['"a"', "{tag}"], 304),
        ([], 200),
        ([""], 200),
        (['"a", W/"b"'], 200),
        (['"*"'], 200),
        (['""'], 200),
        (["{bare}"], 200),
        (["w/ {bare}"], 200),
        (['"{bare}'], 200),
        (['"x{bare}"'], 200),
    ],
)
async def test_tags_are_compared_as_http_has_it(
    client: httpx.AsyncClient, sent: list[str], status: int
) -> None:
    tag = (await asked(client)).headers["etag"]
    answer = await asked(client, *(text.format(tag=tag, bare=tag.strip('"')) for text in sent))
    assert answer.status_code == status


async def test_a_part_that_changes_with_every_call_does_not_count_and_makes_the_tag_weak(
    client: httpx.AsyncClient, shelf: Shelf
) -> None:
    shelf.body = b"figures;call 1"
    first = await asked(client)
    assert first.headers["etag"].startswith('W/"')
    shelf.body = b"figures;call 2"
    assert (await asked(client, first.headers["etag"])).status_code == 304
    shelf.body = b"other figures;call 3"
    assert (await asked(client, first.headers["etag"])).status_code == 200


async def test_what_may_not_be_used_unasked_says_so(client: httpx.AsyncClient, shelf: Shelf) -> None:
    shelf.max_age = 0
    assert (await asked(client)).headers["cache-control"] == "private, no-cache"


async def test_what_the_answer_depends_on_besides_stays_named(
    client: httpx.AsyncClient, shelf: Shelf
) -> None:
    shelf.headers = {"Vary": "Accept", "X-Request": "1"}
    first = await asked(client)
    assert first.headers["vary"] == "Accept, Authorization"
    again = await asked(client, first.headers["etag"])
    assert (again.headers["vary"], again.headers["x-request"]) == ("Accept, Authorization", "1")


async def test_a_query_by_get_need_not_be_sent_twice(embedded: Instance) -> None:
    async with client_of(application(embedded.shared)) as client:
        first = await client.get("/graphql", params=ME)
        assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
        assert first.headers["vary"] == "Accept, X-Authenticated-For, X-Cost, Authorization"
        again = await client.get("/graphql", params=ME, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    async with client_of(application(embedded.shared), "bob") as other:
        theirs = await other.get("/graphql", params=ME, headers={"If-None-Match": first.headers["etag"]})
        assert theirs.json() == {"data": {"me": {"userId": "bob"}}}


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ nothing }",
        "mutation { __typename }",
        '{ me { userId } context(contextId: "nowhere") { name } }',
    ],
)
async def test_an_answer_with_errors_is_never_kept_nor_taken_for_known(
    embedded: Instance, query: str
) -> None:
    async with client_of(application(embedded.shared)) as client:
        answer = await client.get("/graphql", params={"query": query}, headers={"If-None-Match": "*"})
        assert answer.json()["errors"]
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


async def test_a_query_by_post_is_sent_each_time(embedded: Instance) -> None:
    async with client_of(application(embedded.shared)) as client:
        answer = await client.post("/graphql", json=ME, headers={"If-None-Match": "*"})
        assert (answer.status_code, "etag" in answer.headers) == (200, False)
