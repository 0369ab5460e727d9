"""The pages for a browser: they work offline, their queries answer on the sample, and who may have them is a setting.

tests/browser has them in a real browser.
"""

import hashlib
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.commands.dev import _announce
from gateway.dev_tokens import LEARNER, MENTOR, PEOPLE, Person
from gateway.pages.ready_queries import OPERATION, QUERIES, STATIC, TABS, Ready
from gateway.pages.routes import DOCS, PAGES
from gateway.rest.framework.examples import IDS
from gateway.settings import load_settings
from ingest.importers import sample, sample_attempts
from rules.viewers import Role
from tests.gateway.conftest import KEY, Serving
from tests.test_citations import GLOSSARY

pytestmark = pytest.mark.long

EXTERNAL = re.compile(
    r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
)
OURS = ("*.js", "*.html", "*.css")
"""What is ours below static/ lies there itself; the folders have files of others."""


def content_of(page: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(re.findall(r'id="content">(.*)</script>', page)[0])
    return content


async def linked(client: httpx.AsyncClient, page: str) -> dict[str, httpx.Response]:
    """Whatever a page loads or links to on this host."""
    paths = {unescape(path) for path in re.findall(r'(?:src|href)="([^"#]+)', page)} - {"data:,"}
    return {path: await client.get(f"/{path.removeprefix('./')}") for path in paths}


async def test_they_load_nothing_from_another_host(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        for path in PAGES:
            page = await client.get(path)
            assert page.status_code == 200
            assert not EXTERNAL.search(page.text)
            policy = page.headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} < set(policy)
            assert "<script>" not in page.text
            for name, loaded in (await linked(client, page.text)).items():
                assert loaded.status_code == 200, name
                assert not name.endswith((".css", ".svg")) or not EXTERNAL.search(loaded.text)


def test_our_own_files_name_no_other_host() -> None:
    ours = [path for pattern in OURS for path in STATIC.glob(pattern)]
    assert len(ours) >= 10
    for path in ours:
        text = re.sub(r"(?:^|\s)//.*$", "", path.read_text(), flags=re.MULTILINE)
        assert "//" not in text, path.name


def test_files_of_others_are_as_they_were_made() -> None:
    """`scripts/vendor` makes them, and `gateway/static/vendored.json` says of what."""
    lines = (STATIC / "vendored.sha256").read_text().splitlines()
    hashes = {name: hashed for hashed, name in (line.split("  ") for line in lines)}
    folders = {name.partition("/")[0] for name in hashes}
    there = {f"{folder}/{path.name}" for folder in folders for path in (STATIC / folder).iterdir()}
    assert there == hashes.keys()
    found = {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in there}
    assert found == hashes
    told = (STATIC / "README.md").read_text()
    for vendored in json.loads((STATIC / "vendored.json").read_text()):
        assert vendored["package"] in told


async def test_every_ready_query_answers_on_the_sample(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        await sample.load_sample(client.app.state.cohort.shared)  # type: ignore[attr-defined]
        content = content_of((await client.get("/graphiql")).text)
        tokens = {person["user"]: person["token"] for person in content["people"]}
        assert len(content["queries"]) == len(TABS)
        for ready in content["queries"]:
            headers = {"Authorization": f"Bearer {tokens[ready['by']]}"}
            for operation in OPERATION.findall(ready["query"]):
                body = {"query": ready["query"], "variables": ready["variables"], "operationName": operation}
                answer = (await client.post("/graphql", json=body, headers=headers)).json()
                assert "errors" not in answer, (operation, answer)
                for field in answer["data"].values():
                    assert field, operation
                    assert not field.get("errors"), (operation, answer)


@pytest.mark.parametrize("ready", TABS, ids=lambda ready: str(ready.name))
def test_a_ready_query_has_a_value_for_each_variable_that_it_needs(ready: Ready) -> None:
    declared = dict(re.findall(r"\$(\w+): (\w+!?)", ready.text))
    needed = {name for name, kind in declared.items() if kind.endswith("!")}
    assert needed <= set(ready.variables) <= set(declared)


def test_each_document_has_a_tab_that_shows_it_as_it_is() -> None:
    """They are the documents that clients hold (tests/graph/test_examples.py), so a hint only goes above."""
    assert {ready.name for ready in TABS} == {path.stem for path in QUERIES.glob("*.graphql")}
    for ready in TABS:
        document = (QUERIES / f"{ready.name}.graphql").read_text()
        assert ready.text.endswith(document)
        hint = ready.text.removesuffix(document)
        assert all(line.startswith("# ") for line in hint.splitlines())


def test_a_tab_that_a_learner_may_not_send_has_the_token_of_one_who_may() -> None:
    assert {ready.name: ready.by.user for ready in TABS if ready.by != LEARNER} == {
        "mentor_page": "mira",
        "find_learners": "mira",
        "dashboard": "mira",
        "drafts": "carla",
    }


async def test_there_is_a_token_of_each_role(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        people = content_of((await client.get("/")).text)["people"]
    claims = [jwt.decode(person["token"], KEY, algorithms=["HS256"], audience="cohort") for person in people]
    assert [(one["sub"], set(one["roles"])) for one in claims] == [
        (person.user, {role.value for role in person.roles}) for person in PEOPLE
    ]
    assert {role for person in PEOPLE for role in person.roles} == set(Role)
    assert (LEARNER.user, MENTOR.user) == (sample.FIRST_LEARNER, sample.MENTOR)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: str(person.user))
def test_the_command_makes_the_token_of_each(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_JWT_KEY", KEY)
    printed = CliRunner().invoke(app, ["token", *person.options.split()]).stdout.strip()
    claims = jwt.decode(printed, KEY, algorithms=["HS256"], audience="cohort")
    assert (claims["sub"], set(claims["roles"])) == (person.user, {role.value for role in person.roles})


def test_what_dev_prints_makes_the_tokens_of_a_mentor_and_a_creator(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHORT_JWT_KEY", KEY)
    _announce(load_settings(dev=True), "http://cohort")
    printed = re.findall(r"cohort token (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert printed == ["--user mira --role mentor --role reporter", "--user carla --role creator"]


def test_what_dev_prints_is_found_by_the_shell_of_who_has_just_cloned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`scripts/dev` activates nothing: `cohort` is found in .venv/bin alone."""
    monkeypatch.setenv("COHORT_JWT_KEY", KEY)
    own = tmp_path / ".venv" / "bin" / "cohort"
    own.parent.mkdir(parents=True)
    own.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(own), "dev"])
    monkeypatch.setenv("PATH", "/nowhere")
    _announce(load_settings(dev=True), "http://cohort")
    assert ": .venv/bin/cohort token --user carla" in capsys.readouterr().out
    monkeypatch.setenv("PATH", str(own.parent))
    _announce(load_settings(dev=True), "http://cohort")
    assert ": cohort token --user carla" in capsys.readouterr().out


def test_its_ten_nouns_are_the_glossarys() -> None:
    nouns = re.findall(r"<dt>(\w+)</dt>", (STATIC / "start.html").read_text())
    assert len(nouns) == 10
    assert set(nouns) <= set(re.findall(r"^\| ([^|]+?) \|", GLOSSARY.read_text(), re.MULTILINE))


async def test_the_documents_are_there_to_read(serving: Serving) -> None:
    assert DOCS.is_dir(), "the tests run in a clone"
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        page = await client.get("/docs/glossary.md")
        assert page.headers["content-type"] == "text/markdown; charset=utf-8"
        assert page.text == GLOSSARY.read_text()


def test_the_examples_of_the_reference_are_of_the_sample() -> None:
    assert set(IDS.values()) == {
        sample.FIRST_LEARNER,
        sample.SAMPLE_COLLECTION,
        sample.SAMPLE_CONTEXT,
        sample.SAMPLE_CONTENT,
        sample.SAMPLE_GROUP,
        sample_attempts.SAMPLE_ASSESSMENT,
    }


EVERYTHING = (*PAGES, "/static/start.js", "/schema.graphql")


async def test_in_production_there_are_none_unless_the_setting_says_so(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY)) as client:
        assert [(await client.get(path)).status_code for path in EVERYTHING] == [404] * len(EVERYTHING)


async def test_open_pages_give_nobody_a_token_and_name_nobody(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, explorer="open")) as client:
        assert [(await client.get(path)).status_code for path in EVERYTHING] == [200] * len(EVERYTHING)
        content = content_of((await client.get("/graphiql")).text)
        assert (content["people"], content["user"], content["closed"]) == ([], None, False)
        by_name = {query["name"]: query["variables"] for query in content["queries"]}
        assert by_name["group_page"] == {"group": "", "first": 150}


async def test_where_a_token_is_needed_what_describes_the_api_is_refused_without_one(
    serving: Serving,
) -> None:
    settings = load_settings(jwt_key=KEY, explorer="authenticated")
    async with serving(settings) as client:
        assert content_of((await client.get("/graphiql")).text)["closed"] is True
        claims = {"sub": "ada", "roles": ["learner"], "exp": 4_000_000_000, "iss": "cohort", "aud": "cohort"}
        good = {"Authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}
        bad = {"Authorization": f"Bearer {jwt.encode(claims, 'another' + KEY, 'HS256')}"}
        for path in ("/schema.graphql", "/openapi.json"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers=bad)).status_code == 401
            assert (await client.get(path, headers=good)).status_code == 200
            assert (await client.head(path, headers=good)).status_code == 200
