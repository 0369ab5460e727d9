"""Exhausts over GraphQL: asked for, followed, downloaded, and told why not."""

from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.downloads import download_routes
from gateway.settings import Settings
from resolvers.opaque_texts import encode
from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import ask, code, data
from tests.ingest.exhausts import attempted, enrolled, exhausts_stored, read_csv, run_exhausts

REQUEST = """
mutation ($context: String! = "batch", $format: ExhaustFormat! = CSV, $password: String) {
  requestExhaust(
    input: { kind: RESPONSES, collectionId: "course", contextId: $context, format: $format, password: $password }
  ) {
    exhaust {
      exhaustId kind format collectionId contextId state learners learnersTotal rows startedOn keptUntil
      error { code message } download { url }
    }
    errors { code field message }
  }
}
"""
FOLLOW = """
query ($exhaustId: String!) {
  exhaust(exhaustId: $exhaustId) {
    state learners learnersTotal rows updatedOn error { code message } download { url size expiresOn }
  }
}
"""


async def test_an_exhaust_is_asked_for_followed_and_downloaded(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await enrolled(embedded, "ada", "bob")
    await attempted(embedded, "ada", "one")
    mentor = embedded.session("mo", Role.MENTOR)
    asked = (await data(mentor, REQUEST))["requestExhaust"]
    assert asked["errors"] == []
    assert asked["exhaust"] == {
        "exhaustId": asked["exhaust"]["exhaustId"],
        "kind": "RESPONSES",
        "format": "CSV",
        "collectionId": "course",
        "contextId": "batch",
        "state": "WAITING",
        "learners": 0,
        "learnersTotal": 0,
        "rows": 0,
        "startedOn": "2026-03-01T12:00:00.000Z",
        "keptUntil": "2026-03-08T12:00:00.000Z",
        "error": None,
        "download": None,
    }
    await run_exhausts(embedded)
    found = (await data(mentor, FOLLOW, exhaustId=asked["exhaust"]["exhaustId"]))["exhaust"]
    assert (found["state"], found["learners"], found["learnersTotal"], found["rows"]) == ("DONE", 2, 2, 2)
    assert (found["error"], found["download"]["expiresOn"]) == (None, "2026-03-01T13:00:00.000Z")
    content = await _downloaded(embedded, found["download"]["url"])
    assert len(content) == found["download"]["size"]
    assert [row["Question Id"] for row in read_csv(content)] == ["q1", "q2"]


async def _downloaded(instance: Instance, url: str) -> bytes:
    """What a client gets who follows the link."""
    settings = Settings(jwt_key="k" * 32, blobs="file:///blobs")  # type: ignore[arg-type]
    app = Starlette(routes=[*download_routes(settings)])
    app.state.cohort = instance
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        answer = (await client.get(url)).raise_for_status()
        assert answer.headers["cache-control"] == "private, no-store"
        return answer.content


async def test_a_learner_is_refused_and_told_why(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    learner = embedded.session("ada")
    refused: Any = (await data(learner, REQUEST))["requestExhaust"]
    assert refused["exhaust"] is None
    assert [(error["code"], error["field"]) for error in refused["errors"]] == [("FORBIDDEN", "contextId")]
    asked = (await data(embedded.session("mo", Role.MENTOR), REQUEST))["requestExhaust"]["exhaust"]
    assert await code(learner, FOLLOW, exhaustId=asked["exhaustId"]) == ("FORBIDDEN", "exhaustId")
    found = "query ($id: ID!) { node(id: $id) { id ... on Exhaust { exhaustId state } } }"
    id_ = encode("Exhaust", asked["exhaustId"])
    assert await code(learner, found, id=id_) == ("FORBIDDEN", "exhaustId")
    assert await data(embedded.session("mo", Role.MENTOR), found, id=id_) == {
        "node": {"id": id_, "exhaustId": asked["exhaustId"], "state": "WAITING"}
    }
    assert await code(learner, FOLLOW, exhaustId="none") == ("NOT_FOUND", "exhaustId")


async def test_a_password_is_nowhere_told(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    mentor = embedded.session("mo", Role.MENTOR)
    answer = await ask(mentor, REQUEST, password="never-told-1")
    assert "never-told-1" not in repr(answer)
    wrong = (await data(mentor, REQUEST, password="short-1"))["requestExhaust"]["errors"]
    assert [(error["code"], error["field"]) for error in wrong] == [("INVALID_INPUT", "password")]
    assert "short-1" not in repr(wrong)
    await run_exhausts(embedded)
    assert len(await exhausts_stored(embedded)) == 1


async def test_an_exhaust_that_failed_says_why(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    mentor = embedded.session("mo", Role.MENTOR)
    for _ in range(21):
        asked = (await data(mentor, REQUEST))["requestExhaust"]["exhaust"]
    await run_exhausts(embedded)
    found = (await data(mentor, FOLLOW, exhaustId=asked["exhaustId"]))["exhaust"]
    assert (found["state"], found["error"]["code"], found["download"]) == ("FAILED", "LIMIT_REACHED", None)
    refused = (await data(mentor, REQUEST))["requestExhaust"]["errors"]
    assert [error["code"] for error in refused] == ["LIMIT_REACHED"]
