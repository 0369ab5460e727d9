"""`cohort documents`, and the gateways that are served by its settings."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.pages.ready_queries import QUERIES
from gateway.settings import Settings, load_settings
from gateway.trusted_documents import load_manifest, read_manifest
from gateway.wiring import running
from graph.documents.known_documents import document_id
from rules.errors import InvalidInput
from rules.viewers import Role
from tests.gateway.conftest import KEY, Serving, copy_data
from tests.gateway.test_cli import cohort

TEXT = "query Me { me { userId } }"
OTHER = "query Batch($id: String!) { context(contextId: $id) { name } }"


def id_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def apollo(*texts: str, **changed: str) -> Mapping[str, Any]:
    operations = [
        {"id": id_of(text), "name": "N", "type": "query", "body": text, **changed} for text in texts
    ]
    return {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}


def write(manifest: Any, name: str = "manifest.json") -> str:
    Path(name).write_text(json.dumps(manifest))
    return name


def listed() -> list[str]:
    """Ids and names, as `list` prints them by name."""
    lines = cohort("documents", "list").stdout.splitlines()
    return [f"{line.split()[0]} {' '.join(line.split()[2:])}" for line in lines]


def test_manifests_of_each_form_are_loaded_listed_and_removed() -> None:
    cohort("init")
    assert cohort("documents", "load", write(apollo(TEXT))).stdout == "1 loaded\n"
    assert cohort("documents", "load", write({id_of(OTHER): OTHER})).stdout == "1 loaded\n"
    Path("pages/inner").mkdir(parents=True)
    Path("pages/inner/me.graphql").write_text("{ me { name } }")
    Path("pages/readme.md").write_text("no document")
    assert cohort("documents", "load", "pages").stdout == "1 loaded\n"
    assert listed() == [
        f"{id_of(OTHER)} Batch",
        f"{id_of(TEXT)} Me",
        f"{id_of('{ me { name } }')} inner/me.graphql",
    ]
    unknown = cohort("documents", "remove", id_of(TEXT), id_of("another"))
    assert (unknown.returncode, "is no trusted document" in unknown.stderr) == (1, True)
    assert cohort("documents", "remove", f"sha256:{id_of(TEXT)}").stdout == "1 removed\n"
    assert cohort("documents", "remove").returncode != 0
    assert cohort("documents", "remove", "--all").stdout == "2 removed\n"
    assert listed() == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (apollo("{ nothing }"), "N: Cannot query field 'nothing'"),
        (apollo("{"), "N: Syntax Error"),
        (
            apollo("{ me { " + " ".join(f"a{n}: name" for n in range(60)) + " } }"),
            "N: the operation has 60 aliases",
        ),
        (apollo("fragment F on Learner { name }"), "N: Fragment 'F' is never used."),
        (apollo("# nothing"), "N: Syntax Error"),
        (apollo(OTHER, id="0" * 64), f"N: its id is not the SHA-256 of its text, which is {id_of(OTHER)}"),
        ({"0cc175b9c0f1b6a831c399e269772661": OTHER}, "64 hexadecimal digits"),  # Relay's default is MD5
        ({}, "has no documents"),
    ],
)
async def test_of_a_manifest_that_does_not_hold_nothing_is_loaded(
    settings: Settings, wrong: Any, told: str
) -> None:
    await copy_data(settings)
    both = (
        {**wrong, "operations": [*apollo(TEXT)["operations"], *wrong["operations"]]}
        if "format" in wrong
        else wrong
    )
    async with running(settings) as instance:
        with pytest.raises(InvalidInput) as refused:
            await load_manifest(instance, Path(write(both)))
        assert told in refused.value.message
        assert await instance.shared.client_documents.all_trusted() == []


async def test_a_manifest_of_a_routers_documents_holds_where_a_router_may_ask() -> None:
    router = "query R($r: [_Any!]!) { _entities(representations: $r) { __typename } }"
    with_router = load_settings(jwt_key=KEY, federation=True)
    await copy_data(with_router)
    async with running(with_router) as instance:
        (loaded,) = await load_manifest(instance, Path(write(apollo(router))))
        assert loaded.id == id_of(router)
    async with running(load_settings(jwt_key=KEY)) as instance:
        with pytest.raises(InvalidInput, match="_entities"):
            await load_manifest(instance, Path(write(apollo(router))))


def token(settings: Settings, *roles: Role) -> dict[str, str]:
    from datetime import timedelta

    from gateway.identity import make_token

    return {"Authorization": f"Bearer {make_token(settings, 'ann', roles, timedelta(hours=1))}"}


def code_of(answer: httpx.Response) -> str | None:
    errors = answer.json().get("errors")
    return errors[0]["extensions"]["code"] if errors else None


async def test_a_server_in_production_loads_its_manifest_and_answers_nothing_else(serving: Serving) -> None:
    manifest = Path(write(apollo(TEXT)))
    settings = load_settings(jwt_key=KEY, documents="trusted", trusted_documents=manifest)
    async with serving(settings) as client:
        ann, admin = token(settings, Role.LEARNER), token(settings, Role.ADMIN)
        known = await client.get(f"/graphql/{id_of(TEXT)}", headers=ann)
        assert known.json() == {"data": {"me": {"userId": "ann"}}}
        other = {"query": OTHER, "variables": {"id": "x"}}
        assert code_of(await client.post("/graphql", json=other, headers=ann)) == "DOCUMENT_NOT_TRUSTED"
        assert code_of(await client.post("/graphql", json=other, headers=admin)) == "NOT_FOUND"


async def test_a_server_does_not_start_with_a_manifest_that_does_not_hold(serving: Serving) -> None:
    manifest = Path(write(apollo("{ nothing }")))
    with pytest.raises(InvalidInput, match="nothing was loaded"):
        async with serving(load_settings(jwt_key=KEY, trusted_documents=manifest)):
            pass


async def test_by_default_the_schema_is_told_to_who_has_a_token(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY)
    question = {"query": "{ __schema { queryType { name } } }"}
    async with serving(settings) as client:
        refused = await client.post("/graphql", json=question)
        assert (refused.status_code, code_of(refused)) == (401, "UNAUTHENTICATED")
        assert (await client.post("/graphql", json={"query": "{ __typename }"})).status_code == 200
        told = await client.post("/graphql", json=question, headers=token(settings, Role.LEARNER))
        assert told.json()["data"]["__schema"]["queryType"] == {"name": "Query"}


async def test_dev_answers_any_document_and_tells_its_schema(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, dev=True, documents="trusted", introspection="off")
    async with serving(settings) as client:
        question = {"query": "{ __schema { queryType { name } } }"}
        assert "errors" not in (await client.post("/graphql", json=question)).json()


def test_the_ready_queries_of_the_pages_are_a_manifest() -> None:
    read = read_manifest(QUERIES)
    assert {one.place for one in read} == {file.name for file in QUERIES.glob("*.graphql")}
    assert all(one.text == (QUERIES / one.place).read_text() for one in read)
    assert len({document_id(one.text) for one in read}) == len(read)
