"""The start page: it works offline, and its queries answer on the sample."""

import json
import re
from html import unescape

import jwt
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.commands.dev import _announce
from gateway.settings import load_settings
from gateway.start_page import QUERIES, STATIC, TABS, Ready, text
from ingest.importers.sample import FIRST_LEARNER, MENTOR, load_sample
from tests.gateway.conftest import KEY, Serving

pytestmark = pytest.mark.long

EXTERNAL = re.compile(
    r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
)


async def test_it_loads_nothing_from_another_host(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert not EXTERNAL.search(page.text)
        assert page.headers["content-security-policy"].startswith("default-src 'self' data:;")
        for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            if path != "data:,":
                loaded = await client.get(f"/{unescape(path)}")
                assert loaded.status_code == 200, path
                assert not path.endswith((".css", ".svg")) or not EXTERNAL.search(loaded.text)


def test_our_own_script_calls_no_other_host() -> None:
    assert "//" not in re.sub(r"^\s*//.*$", "", (STATIC / "start.js").read_text(), flags=re.MULTILINE)


async def test_every_ready_query_answers_on_the_sample(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        await load_sample(client.app.state.cohort.shared)  # type: ignore[attr-defined]
        page = (await client.get("/")).text
        start = json.loads(re.findall(r'id="start">(.*)</script>', page)[0])
        assert len(start["queries"]) == len(TABS)
        for ready in start["queries"]:
            headers = {"Authorization": f"Bearer {start['tokens'][ready['user']]}"}
            for operation in re.findall(r"^(?:query|mutation) (\w+)", ready["query"], re.MULTILINE):
                body = {"query": ready["query"], "variables": ready["variables"], "operationName": operation}
                answer = (await client.post("/graphql", json=body, headers=headers)).json()
                assert "errors" not in answer, (operation, answer)
                for field in answer["data"].values():
                    assert field, operation
                    assert not field.get("errors"), (operation, answer)


@pytest.mark.parametrize("ready", TABS, ids=lambda ready: str(ready.name))
def test_a_ready_query_has_a_value_for_each_variable_that_it_needs(ready: Ready) -> None:
    declared = dict(re.findall(r"\$(\w+): (\w+!?)", text(ready)))
    needed = {name for name, kind in declared.items() if kind.endswith("!")}
    assert needed <= set(ready.variables) <= set(declared)


def test_each_document_has_a_tab_that_shows_it_as_it_is() -> None:
    """They are the documents that clients hold (tests/graph/test_examples.py), so a hint only goes above."""
    assert {ready.name for ready in TABS} == {path.stem for path in QUERIES.glob("*.graphql")}
    for ready in TABS:
        document = (QUERIES / f"{ready.name}.graphql").read_text()
        assert text(ready).endswith(document)
        hint = text(ready).removesuffix(document)
        assert all(line.startswith("# ") for line in hint.splitlines())


async def test_a_tab_that_a_learner_may_not_send_has_the_token_of_one_who_may(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY, dev=True)) as client:
        page = (await client.get("/")).text
        start = json.loads(re.findall(r'id="start">(.*)</script>', page)[0])
        claims = {
            user: jwt.decode(token, KEY, algorithms=["HS256"]) for user, token in start["tokens"].items()
        }
        assert {user: (of["sub"], of["roles"]) for user, of in claims.items()} == {
            FIRST_LEARNER: (FIRST_LEARNER, ["learner"]),
            MENTOR: (MENTOR, ["mentor", "reporter"]),
        }
        senders = dict(
            zip([ready.name for ready in TABS], [tab["user"] for tab in start["queries"]], strict=True)
        )
        assert start["user"] == FIRST_LEARNER
        assert {name for name, user in senders.items() if user == MENTOR} == {"dashboard", "find_learners"}


def test_what_dev_prints_makes_the_tokens_of_a_mentor_and_a_creator(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHORT_JWT_KEY", KEY)
    _announce(load_settings(dev=True), "http://cohort")
    printed = re.findall(r"cohort token (.+)$", capsys.readouterr().out, re.MULTILINE)
    tokens = [CliRunner().invoke(app, ["token", *line.split()]).stdout.strip() for line in printed]
    claims = [jwt.decode(token, KEY, algorithms=["HS256"]) for token in tokens]
    assert [(one["sub"], one["roles"]) for one in claims] == [
        (MENTOR, ["mentor", "reporter"]),
        ("carla", ["creator"]),
    ]


async def test_outside_of_dev_there_is_none(serving: Serving) -> None:
    async with serving(load_settings(jwt_key=KEY)) as client:
        for path in ("/", "/static/start.js", "/schema.graphql"):
            assert (await client.get(path)).status_code == 404
