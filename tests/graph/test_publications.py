"""Publishing over GraphQL: asked for, followed step by step, and told why it failed."""

from typing import Any

import pytest

from ingest.publishing.job import STEPS
from loaders.session import Session
from resolvers.opaque_texts import encode
from rules.viewers import Role, Viewer
from stores.rows import Write
from stores.tables import DRAFTS
from tests.conftest import Instance
from tests.graph.conftest import ask, code, data
from tests.ingest.drafts import save_collection
from tests.ingest.publications import CREATOR, book, run_publishers

PUBLISH = """
mutation ($identifier: String!, $unlisted: Boolean! = false, $key: String) {
  publish(input: { identifier: $identifier, unlisted: $unlisted, versionKey: $key }) {
    publication { publicationId identifier version state steps { name state done } error { code } startedOn }
    errors { code field }
  }
}
"""
FOLLOW = """
query ($publicationId: String!) {
  publication(publicationId: $publicationId) {
    version state steps { name state done report } error { code message field } updatedOn
  }
}
"""


def author(instance: Instance) -> Session:
    return Session(CREATOR, instance.shared)


async def asked(instance: Instance, identifier: str = "book", **how: Any) -> dict[str, Any]:
    answer = await data(author(instance), PUBLISH, identifier=identifier, **how)
    assert answer["publish"]["errors"] == []
    publication: dict[str, Any] = answer["publish"]["publication"]
    return publication


async def test_a_publication_is_asked_for_and_followed(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    publication = await asked(embedded)
    assert (publication["identifier"], publication["version"]) == ("book", None)
    assert (publication["state"], publication["error"]) == ("WAITING", None)
    assert publication["steps"] == [{"name": name, "state": "WAITING", "done": 0} for name in STEPS]

    await run_publishers(embedded)
    done = (await data(author(embedded), FOLLOW, publicationId=publication["publicationId"]))["publication"]
    assert (done["version"], done["state"], done["error"]) == (1, "DONE", None)
    assert [step["name"] for step in done["steps"]] == list(STEPS)
    reports = {step["name"]: (step["done"], step["report"]) for step in done["steps"]}
    # Ten nodes: the book, three units, six leaves. Three units below the book, one of them with an icon.
    assert reports["validate"][0] == 10
    assert reports["collect"] == (3, {"collections": 3, "icons": 1})
    assert reports["status"] == (10, {"status": "Live", "units": 3, "leafNodesCount": 6})
    assert reports["contents"] == (9, {"written": 9})
    course = await data(embedded.session("ada"), '{ collection(identifier: "book") { name leafNodesCount } }')
    assert course["collection"] == {"name": "Book", "leafNodesCount": 6}


async def test_a_publication_that_fails_says_why(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    await embedded.stores.rows.write(Write(DRAFTS, ("book-e",), {}, delete=True))
    publication = await asked(embedded)
    await run_publishers(embedded)
    failed = (await data(author(embedded), FOLLOW, publicationId=publication["publicationId"]))["publication"]
    assert (failed["state"], failed["version"]) == ("FAILED", None)
    assert failed["error"]["code"] == "INVALID_INPUT"
    assert "book-e" in failed["error"]["message"]
    # It is the first step that reads the draft and its leaves; the others were never begun.
    states = {step["name"]: step["state"] for step in failed["steps"]}
    assert states == {name: "FAILED" if name == "validate" else "WAITING" for name in STEPS}


async def test_a_call_that_is_refused_makes_no_publication(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    answer = (await data(author(embedded), PUBLISH, identifier="book", key="another"))["publish"]
    assert answer == {"publication": None, "errors": [{"code": "CONFLICT", "field": "versionKey"}]}
    answer = (await data(author(embedded), PUBLISH, identifier="nothing"))["publish"]
    assert answer["errors"] == [{"code": "NOT_FOUND", "field": "identifier"}]


@pytest.mark.parametrize("role", [Role.LEARNER, Role.MENTOR, Role.REPORTER])
async def test_learners_neither_publish_nor_follow(embedded: Instance, role: Role) -> None:
    await save_collection(embedded.stores.rows, book())
    publication = await asked(embedded)
    session = Session(Viewer("ada", frozenset({role})), embedded.shared)
    answer = (await data(session, PUBLISH, identifier="book"))["publish"]
    assert answer["errors"] == [{"code": "FORBIDDEN", "field": None}]
    followed = await ask(session, FOLLOW, publicationId=publication["publicationId"])
    assert [error["extensions"]["code"] for error in followed["errors"]] == ["FORBIDDEN"]
    found = "query ($id: ID!) { node(id: $id) { id ... on Publication { publicationId } } }"
    id_ = encode("Publication", publication["publicationId"])
    assert await code(session, found, id=id_) == ("FORBIDDEN", None)
    assert await data(author(embedded), found, id=id_) == {
        "node": {"id": id_, "publicationId": publication["publicationId"]}
    }


async def test_a_publication_that_nobody_asked_for_is_not_found(embedded: Instance) -> None:
    answer = await ask(author(embedded), FOLLOW, publicationId="unknown")
    assert answer["data"] == {"publication": None}
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
