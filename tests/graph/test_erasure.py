"""Deletion and forced end by GraphQL: what the payloads tell, and what every read says afterwards."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import start_view
from rules.viewers import Role
from tests.conftest import NOW, Instance
from tests.graph.conftest import BATCH, data, view_to_end

DELETE = """
mutation ($input: DeleteSummaryInput!) {
  deleteSummary(input: $input) { purged { collectionId contextId } done errors { code field } }
}
"""
ERASE = """
mutation ($input: EraseLearnerInput!) {
  eraseLearner(input: $input) { purged { collectionId contextId } done errors { code field } }
}
"""
CLOSE = """
mutation ($input: CloseIdleViewsInput!) {
  closeIdleViews(input: $input) { lookedAt closed token errors { code field } }
}
"""
READ = """
{
  me {
    enrolments(first: 10) { edges { node { contextId active completedCount } } }
    name
  }
  collection(identifier: "course") {
    progress(contextId: "batch") { completedCount requiredCount }
  }
}
"""


async def called(session: Any, mutation: str, **values: Any) -> Any:
    (payload,) = (await data(session, mutation, input=values)).values()
    return payload


async def test_a_deleted_enrolment_is_gone_from_every_read_at_once(course: Instance) -> None:
    await course.batch("batch-2")
    for context in ("batch", "batch-2"):
        await enrol(course.session("ann"), EnrolmentCall("course", context))
        await view_to_end(course, "ann", "a", collectionId="course", contextId=context)
    payload = await called(course.session("ann"), DELETE, **BATCH)
    assert payload == {
        "purged": [{"collectionId": "course", "contextId": "batch"}],
        "done": True,
        "errors": [],
    }
    for _ in range(2):
        read = await data(course.session("ann"), READ)
        assert [edge["node"]["contextId"] for edge in read["me"]["enrolments"]["edges"]] == ["batch-2"]
        assert read["collection"]["progress"] == {"completedCount": 0, "requiredCount": 3}
        await course.drain()
    again = await called(course.session("ann"), DELETE, **BATCH)
    assert (again["purged"], again["errors"]) == ([], [])


async def test_a_learner_deletes_all_that_is_theirs(published: Instance) -> None:
    await enrol(published.session("ann"), EnrolmentCall("course", "batch"))
    await view_to_end(published, "ann", "a", **BATCH)
    payload = await called(published.session("ann"), ERASE)
    assert payload["done"]
    assert payload["purged"] == [{"collectionId": "course", "contextId": "batch"}]
    read = await data(published.session("ann"), READ)
    assert read["me"] == {"enrolments": {"edges": []}, "name": None}


async def test_others_may_not_and_calls_of_before_are_refused(published: Instance) -> None:
    for mutation in (DELETE, ERASE, CLOSE):
        values = BATCH if mutation is DELETE else {"idleDays": 30} if mutation is CLOSE else {}
        payload = await called(published.session("eve", Role.MENTOR), mutation, userId="ann", **values)
        assert payload["errors"] == [{"code": "FORBIDDEN", "field": "userId"}]
    assert (await called(published.session("root", Role.ADMIN), ERASE, userId="ann"))["done"]
    start = "mutation ($input: StartViewInput!) { startView(input: $input) { errors { code field } } }"
    late = {"contentId": "a", "userId": "ann", "at": (NOW - timedelta(days=1)).isoformat(), **BATCH}
    payload = await called(published.session(), start, **late)
    assert payload["errors"] == [{"code": "ERASED", "field": "at"}]


async def test_idle_views_are_completed_and_say_why(published: Instance) -> None:
    call = ViewCall("a", "course", "batch", "ann", NOW - timedelta(days=31))
    await start_view(published.session(), call)
    await start_view(published.session(), replace(call, content_id="b", at=NOW - timedelta(days=29)))
    payload = await called(published.session("ann"), CLOSE, idleDays=30)
    assert payload.pop("token")
    assert payload == {"lookedAt": 2, "closed": 1, "errors": []}
    asked = """{ me { view(contentId: "a", collectionId: "course", contextId: "batch") {
        status completedOn origin { kind reason at }
    } } }"""
    assert (await data(published.session("ann"), asked))["me"]["view"] == {
        "status": "COMPLETED",
        "completedOn": "2026-01-29T12:00:00.000Z",
        "origin": {"kind": "CLOSED", "reason": "idle for 30 days", "at": "2026-03-01T12:00:00.000Z"},
    }
    wrong = await called(published.session("ann"), CLOSE, idleDays=0)
    assert wrong["errors"] == [{"code": "INVALID_INPUT", "field": "idleDays"}]
