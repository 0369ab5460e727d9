"""Documents by their SHA-256: Apollo's persisted queries as a client speaks them, trusted documents, and both at one store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import httpx
import orjson
import pytest

from gateway.asked_documents import Trust
from gateway.graphql_http import GRAPHQL_JSON
from gateway.http.media_types import JSON
from gateway.routers import Routers
from gateway.settings import SettingsError, load_settings
from graph.documents.limits import Limits
from graph.schema import build_schema
from graph.subgraph import subgraph_of
from ingest.writes.trusted_documents import remove_trusted, save_trusted
from loaders import client_documents
from loaders.client_documents import ClientDocuments
from rules import client_documents as named_documents
from rules.client_documents import TrustedDocument
from telemetry.requests import noting
from tests.conftest import Instance
from tests.graph.conftest import application, client_of

TEXT = "query Me { me { userId } }"
ID = sha256(TEXT.encode()).hexdigest()
BY_ID = "query Context($id: String!) { context(contextId: $id) { name } }"
MISS = {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
ANN = {"data": {"me": {"userId": "ann"}}}


def hashed(identifier: str = ID, version: int = 1) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": version, "sha256Hash": identifier}}}


def id_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def trusted(text: str, name: str = "Me") -> TrustedDocument:
    return TrustedDocument(id_of(text), name, text, datetime(2026, 1, 31, tzinfo=UTC))


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


@pytest.fixture
async def client(published: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """Of a gateway that has just started: it knows no document."""
    async with client_of(application(published.shared, build_schema())) as client:
        yield client


async def test_a_client_registers_a_query_and_then_sends_its_hash_alone(cohort: Instance) -> None:
    async with client_of(application(cohort.shared, build_schema())) as client:
        await _register(client)
    async with client_of(application(cohort.shared, build_schema()), "bob") as elsewhere:
        answer = await elsewhere.post("/graphql", json=hashed())
        assert answer.json() == {"data": {"me": {"userId": "bob"}}}, "another process takes it from the cache"


async def _register(client: httpx.AsyncClient) -> None:
    missed = await client.post("/graphql", json=hashed())
    assert (missed.status_code, missed.json()) == (200, {"errors": [MISS]})
    assert missed.headers["cache-control"] == "no-store"
    registered = await client.post("/graphql", json={"query": TEXT, **hashed()})
    assert registered.json() == ANN
    for _ in range(2):
        assert (await client.post("/graphql", json=hashed())).json() == ANN
    extensions = orjson.dumps(hashed()["extensions"]).decode()
    assert (await client.get("/graphql", params={"extensions": extensions})).json() == ANN


async def test_a_client_of_the_newer_media_type_is_told_of_a_miss_by_400(client: httpx.AsyncClient) -> None:
    for accept, status in ((GRAPHQL_JSON, 400), (f"{GRAPHQL_JSON},{JSON};q=0.9", 400), (JSON, 200)):
        missed = await client.post("/graphql", json=hashed(), headers={"Accept": accept})
        assert (missed.status_code, missed.json()) == (status, {"errors": [MISS]})


@pytest.mark.parametrize(
    "body",
    [
        {"query": TEXT, **hashed(id_of("another"))},
        {"query": TEXT, **hashed("a")},
        {"query": TEXT, **hashed(version=2)},
        {"query": TEXT, "extensions": {"persistedQuery": ID}},
        {"query": TEXT, "extensions": {"persistedQuery": {"version": 1}}},
        {"query": TEXT, "documentId": id_of("another")},
        {"documentId": "sha1:a"},
        {"documentId": ID, **hashed(id_of("another"))},
        {"documentId": 5},
    ],
)
async def test_a_hash_that_is_not_that_of_the_text_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    refused = await client.post("/graphql", json=body)
    assert refused.status_code == 400
    assert codes(refused)[0] in {"INVALID_INPUT", "BAD_REQUEST"}
    assert (await client.post("/graphql", json=hashed())).json() == {"errors": [MISS]}, "nothing was kept"


async def test_only_what_the_limits_let_through_is_registered(published: Instance) -> None:
    wide = "{ me { userId name } }"
    narrow = application(published.shared, build_schema(Limits(most_fields=2)))
    async with client_of(narrow) as client:
        for text in (wide, "{ nothing }", "{", "#" * 40_000):
            assert (await client.post("/graphql", json={"query": text, **hashed(id_of(text))})).json()[
                "errors"
            ]
            assert (await client.post("/graphql", json=hashed(id_of(text)))).json() == {"errors": [MISS]}


async def test_registered_documents_have_no_more_room_than_there_are_slots(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_documents, "SLOTS", 1)
    documents = published.shared.client_documents
    await documents.persist(TEXT)
    assert await documents.persisted(ID) == TEXT
    await documents.persist(BY_ID)
    assert await documents.persisted(id_of(BY_ID)) == BY_ID
    assert await documents.persisted(ID) is None, (
        "the slot is the other's; never is one answered for the other"
    )


async def test_a_trusted_document_is_asked_for_in_all_ways(
    published: Instance, client: httpx.AsyncClient
) -> None:
    await save_trusted(published.stores.rows, [trusted(TEXT), trusted(BY_ID, "Context")])
    for identifier in (ID, f"sha256:{ID}", ID.upper()):
        assert (await client.get("/graphql", params={"documentId": identifier})).json() == ANN
        assert (await client.post("/graphql", json={"documentId": identifier})).json() == ANN
        assert (await client.get(f"/graphql/{identifier}")).json() == ANN
        assert (await client.post(f"/graphql/{identifier}", json={})).json() == ANN
        assert (await client.post("/graphql", json=hashed(identifier))).json() == ANN
    named = {"data": {"context": {"name": "Batch batch"}}}
    path = f"/graphql/{id_of(BY_ID)}"
    assert (await client.get(path, params={"variables": '{"id":"batch"}'})).json() == named
    assert (await client.post(path, json={"variables": {"id": "batch"}})).json() == named


async def test_an_id_that_nobody_knows_is_not_found(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get(f"/graphql/{ID}"),
        await client.get("/graphql", params={"documentId": ID}),
        await client.post("/graphql", json={"documentId": ID}),
    ):
        assert (answer.status_code, codes(answer)) == (404, ["NOT_FOUND"])
    wrong = await client.get("/graphql/me")
    assert (wrong.status_code, codes(wrong)) == (400, ["INVALID_INPUT"])


async def test_only_queries_are_answered_by_get_whatever_they_are_named_by(
    published: Instance, client: httpx.AsyncClient
) -> None:
    mutation = 'mutation Start { startView(input: {contentId: "a"}) { errors { code } } }'
    await save_trusted(published.stores.rows, [trusted(mutation, "Start")])
    refused = await client.get(f"/graphql/{id_of(mutation)}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_a_gateway_of_trusted_documents_answers_no_other(published: Instance) -> None:
    await save_trusted(published.stores.rows, [trusted(TEXT)])
    app = application(published.shared, build_schema(), trust="trusted")
    other = "query Me { me { name } }"
    async with client_of(app) as client, client_of(app, None) as nobody, client_of(app, "admin") as admin:
        assert (await client.post("/graphql", json={"query": TEXT})).json() == ANN, "by its text, too"
        assert (await client.post("/graphql", json=hashed())).json() == ANN
        assert (await client.get(f"/graphql/{ID}")).json() == ANN
        registers = {"query": other, **hashed(id_of(other))}
        for body in ({"query": other}, hashed(id_of(other)), registers, {"documentId": id_of(other)}):
            refused = await client.post("/graphql", json=body)
            assert (refused.status_code, codes(refused)) == (200, ["DOCUMENT_NOT_TRUSTED"])
            refused = await client.post("/graphql", json=body, headers={"Accept": GRAPHQL_JSON})
            assert (refused.status_code, codes(refused)) == (400, ["DOCUMENT_NOT_TRUSTED"])
        assert codes(await nobody.post("/graphql", json={"query": "{ __typename }"})) == [
            "DOCUMENT_NOT_TRUSTED"
        ]
        assert "errors" not in (await admin.post("/graphql", json=registers)).json()
        still = await client.post("/graphql", json=hashed(id_of(other)))
        assert codes(still) == ["DOCUMENT_NOT_TRUSTED"], "what an admin sends is not trusted for others"
        assert (await client.post("/graphql", json={})).status_code == 400


async def test_before_that_documents_that_are_not_trusted_are_answered_and_logged_once(
    published: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    await save_trusted(published.stores.rows, [trusted(TEXT)])
    other = "query Warned { me { userId } }"
    app = application(published.shared, build_schema(), trust="warn")
    async with client_of(app) as client, client_of(app, "admin") as admin:
        assert (await client.post("/graphql", json=hashed())).json() == ANN
        await admin.post("/graphql", json={"query": "query Admins { me { userId } }"})
        for _ in range(2):
            assert (await client.post("/graphql", json={"query": other})).json() == ANN
        assert (await client.post("/graphql", json=hashed(id_of("unknown")))).json() == {"errors": [MISS]}
    told = [record.message for record in caplog.records if "is not trusted" in record.message]
    assert [line.split()[1] for line in told] == [id_of(other)[:12], id_of("unknown")[:12]]


@pytest.mark.parametrize("trust", ["any", "warn", "trusted"])
async def test_what_a_document_is_known_by_is_worked_out_once_a_request(
    published: Instance, monkeypatch: pytest.MonkeyPatch, trust: Trust
) -> None:
    await save_trusted(published.stores.rows, [trusted(TEXT)])
    times = 0

    def counted(text: bytes) -> Any:
        nonlocal times
        times += 1
        return sha256(text)

    monkeypatch.setattr(named_documents, "sha256", counted)
    with noting() as notes:
        async with client_of(application(published.shared, build_schema(), trust=trust)) as client:
            for _ in range(2):  # a document that is new here, and one that is known
                assert (await client.post("/graphql", json={"query": TEXT})).json() == ANN
                assert (await client.get("/graphql", params={"query": TEXT})).json() == ANN
                assert times == 2
                times = 0
            assert (await client.get(f"/graphql/{ID}")).json() == ANN
            assert times == 0, "its client has worked it out"
    assert notes.document == ID[:12]


async def test_a_router_sends_documents_of_its_own_and_its_key_gives_no_access(published: Instance) -> None:
    """Where clients may send trusted documents alone. What it may ask for is what the caller may, whose token it passes on."""
    app = application(
        published.shared, subgraph_of(Limits()), trust="trusted", routers=Routers([b"k" * 32, b"n" * 32])
    )
    own = "query ($of: [_Any!]!) { _entities(representations: $of) { ... on Learner { userId } } }"

    def asked(user: str) -> dict[str, Any]:
        return {"query": own, "variables": {"of": [{"__typename": "Learner", "userId": user}]}}

    async with client_of(app) as ann, client_of(app, None) as nobody, client_of(app, "admin") as admin:
        assert codes(await ann.post("/graphql", json=asked("ann"))) == ["DOCUMENT_NOT_TRUSTED"]
        for key in ("k" * 32, "n" * 32):
            by_router = {"X-Router-Key": key}
            answer = await ann.post("/graphql", json=asked("ann"), headers=by_router)
            assert answer.json() == {"data": {"_entities": [{"userId": "ann"}]}}
        sdl = await ann.post("/graphql", json={"query": "{ _service { sdl } }"}, headers=by_router)
        assert sdl.json()["data"]["_service"]["sdl"].startswith("extend schema")
        assert codes(await ann.post("/graphql", json=asked("bob"), headers=by_router)) == ["FORBIDDEN"]
        assert codes(await nobody.post("/graphql", json=asked("ann"), headers=by_router)) == [
            "UNAUTHENTICATED"
        ]
        for wrong in ("k" * 31, "é" * 32, "", "k" * 32 + "," + "n" * 32):
            refused = await ann.post("/graphql", json=asked("ann"), headers={b"X-Router-Key": wrong.encode()})
            assert (refused.status_code, codes(refused)) == (401, ["UNAUTHENTICATED"])
            assert "k" * 31 not in refused.text
        by_admin = await admin.post("/graphql", json=asked("nobody"))
        assert codes(by_admin) == ["NOT_FOUND"], "who has the role admin or service may send any document"


async def test_without_keys_the_header_of_routers_says_nothing(published: Instance) -> None:
    async with client_of(application(published.shared, build_schema(), trust="trusted")) as client:
        answer = await client.post("/graphql", json={"query": TEXT}, headers={"X-Router-Key": ""})
        assert codes(answer) == ["DOCUMENT_NOT_TRUSTED"]


def test_keys_of_routers_are_taken_where_the_schema_is_a_subgraph() -> None:
    keys = {"router_keys": f"{'k' * 32}, {'n' * 32}"}
    assert Routers.of(load_settings(jwt_key="j" * 32, federation=True, **keys)).keys == [b"k" * 32, b"n" * 32]
    assert Routers.of(load_settings(jwt_key="j" * 32, **keys)).keys == []
    with pytest.raises(SettingsError, match="router_keys"):
        load_settings(jwt_key="j" * 32, router_keys="short")


async def test_a_document_that_was_removed_is_refused_however_well_a_process_knows_it(
    published: Instance,
) -> None:
    """Parsed, validated and priced it stays known, and a client may have registered it: neither is trust."""
    rows, schema = published.stores.rows, build_schema()
    await save_trusted(rows, [trusted(TEXT)])
    async with client_of(application(published.shared, schema)) as client:
        assert (await client.post("/graphql", json={"query": TEXT, **hashed()})).json() == ANN
    await remove_trusted(rows, [ID])
    # What a process remembers of it ends after some seconds, as in one that has remembered nothing yet.
    forgotten = replace(published.shared, client_documents=ClientDocuments(rows, published.stores.cache))
    async with client_of(application(forgotten, schema, trust="trusted")) as client:
        for body in ({"query": TEXT}, hashed(), {"documentId": ID}, {"query": TEXT, **hashed()}):
            assert codes(await client.post("/graphql", json=body)) == ["DOCUMENT_NOT_TRUSTED"]
        assert codes(await client.get(f"/graphql/{ID}")) == ["DOCUMENT_NOT_TRUSTED"]


async def test_an_id_tells_nothing_of_documents_that_others_have_sent(published: Instance) -> None:
    """Who knows an id knows the text: it is executed with their own rights, and no answer has a word of it."""
    secret = 'query Q { learner(userId: "someone-else") { name } }'
    app = application(published.shared, build_schema())
    async with client_of(app, "admin") as admin, client_of(app) as client, client_of(app, None) as nobody:
        await admin.post("/graphql", json={"query": secret})
        known = await client.post("/graphql", json={"documentId": id_of(secret)})
        assert codes(known) == ["FORBIDDEN"]
        assert "someone-else" not in known.text
        assert codes(await nobody.post("/graphql", json={"documentId": id_of(secret)})) == ["UNAUTHENTICATED"]
