"""What who submits an assessment may rely on (R-ASSESS-1, P-3.1, P-4.6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from ingest.commands.assessments import AssessmentCall, submit_assessment
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.session import Session
from rules.assessments import LARGEST_EVENTS, MOST_EVENTS
from rules.errors import (
    CohortError,
    ContextClosed,
    Erased,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthenticated,
)
from rules.viewers import Viewer
from stores.rows import Write
from stores.tables import ERASURES
from stores.topics import ASSESSMENTS
from tests.conftest import NOW, Instance

HOUR = timedelta(hours=1)
NOW_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z: 20,513.5 days of 86,400,000 ms."""


def event(question: str = "q1", **answer: Any) -> dict[str, Any]:
    """As the platform's clients send it (P-3.1)."""
    item = {"id": question, "maxscore": 2, "type": "mcq", "params": [], "title": "One", "desc": ""}
    return {
        "eid": "ASSESS",
        "ets": NOW_MS,
        "ver": "3.1",
        "mid": "ASSESS:1",
        "actor": {"id": "ada", "type": "User"},
        "edata": {
            "item": item,
            "index": 1,
            "pass": "Yes",
            "score": 2,
            "resvalues": [],
            "duration": 7,
            **answer,
        },
    }


def call(**more: Any) -> AssessmentCall:
    named: dict[str, Any] = {
        "content_id": "a",
        "collection_id": "course",
        "context_id": "batch",
        "events": [event()],
    }
    return AssessmentCall(**named | more)


async def submitted(cohort: Instance) -> list[tuple[str, Any]]:
    return [
        (record.key, orjson.loads(record.value))
        async for record in cohort.stores.events.read(ASSESSMENTS.name)
    ]


async def test_a_submission_is_in_the_log_as_the_platform_has_it_before_it_is_acknowledged(
    course: Instance,
) -> None:
    await submit_assessment(course.session("ada"), call(attempt_id="try-1", attempted_on=NOW - HOUR))
    assert await submitted(course) == [
        (
            "ada",
            {
                "assessmentTs": NOW_MS - 3_600_000,
                "batchId": "batch",
                "courseId": "course",
                "userId": "ada",
                "attemptId": "try-1",
                "contentId": "a",
                "events": [event()],
            },
        )
    ]


async def test_the_same_submission_is_the_same_attempt_and_another_time_another(published: Instance) -> None:
    session = published.session("ada")
    ids = [
        (await submit_assessment(session, call(attempted_on=at))).attempt_id for at in (NOW, NOW, NOW - HOUR)
    ]
    assert ids[0] == ids[1] != ids[2]
    other = await submit_assessment(published.session("bob"), call(attempted_on=NOW))
    assert other.attempt_id != ids[0]


async def test_ids_left_out_default_as_those_of_a_view(published: Instance) -> None:
    await submit_assessment(published.session("ada"), call(context_id=None, events=[]))
    ((_, told),) = await submitted(published)
    assert (told["courseId"], told["batchId"], told["events"]) == ("course", "course", [])


@pytest.mark.parametrize(
    ("more", "error", "field"),
    [
        ({"content_id": " "}, InvalidInput, "contentId"),
        ({"content_id": "nothing"}, NotFound, "contentId"),
        ({"context_id": "nowhere"}, NotFound, "contextId"),
        ({"context_id": "ended"}, ContextClosed, "contextId"),
        ({"user_id": "bob"}, Forbidden, "userId"),
        ({"attempt_id": ""}, InvalidInput, "attemptId"),
        ({"attempted_on": NOW.replace(tzinfo=None)}, InvalidInput, "attemptedOn"),
        ({"events": [7]}, InvalidInput, "events[0]"),
        ({"events": [event(), {"eid": "START", "edata": {}}]}, InvalidInput, "events[1].eid"),
        ({"events": [event(item=[])]}, InvalidInput, "events[0].edata.item"),
        ({"events": [event(item={"id": 7})]}, InvalidInput, "events[0].edata.item.id"),
        ({"events": [event(item={"id": " "})]}, InvalidInput, "events[0].edata.item.id"),
        ({"events": [event(resvalues="all")]}, InvalidInput, "events[0].edata.resvalues"),
        ({"events": [{"eid": "ASSESS"}]}, InvalidInput, "events[0].edata"),
        ({"events": [event(item={})]}, InvalidInput, "events[0].edata.item.id"),
        (
            {"events": [event(item={"id": "q", "maxscore": -1})]},
            InvalidInput,
            "events[0].edata.item.maxscore",
        ),
        ({"events": [event(score="two")]}, InvalidInput, "events[0].edata.score"),
        ({"events": [event(score=True)]}, InvalidInput, "events[0].edata.score"),
        ({"events": [{**event(), "ets": -1}]}, InvalidInput, "events[0].ets"),
        ({"events": [event()] * (MOST_EVENTS + 1)}, InvalidInput, "events"),
        ({"events": [event(resvalues=["x" * LARGEST_EVENTS])]}, InvalidInput, "events"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_sent(
    published: Instance, more: dict[str, Any], error: type[CohortError], field: str
) -> None:
    await published.batch("ended", end_date=NOW - HOUR)
    with pytest.raises(error) as caught:
        await submit_assessment(published.session("ada"), call(**more))
    assert caught.value.field == field
    assert await submitted(published) == []


async def test_a_service_submits_for_others_and_of_the_past(published: Instance) -> None:
    await published.batch("ended", end_date=NOW - HOUR)
    old = call(context_id="ended", user_id="ada", attempted_on=NOW - 2 * HOUR)
    assert (await submit_assessment(published.session(), old)).key.user_id == "ada"
    with pytest.raises(Unauthenticated):
        await submit_assessment(Session(Viewer(), published.shared), call())
    with pytest.raises(InvalidInput) as future:
        await submit_assessment(published.session(), call(user_id="ada", attempted_on=NOW + HOUR))
    assert future.value.field == "attemptedOn"


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (datetime(1970, 1, 2, tzinfo=UTC), NOW - 48 * HOUR),
        (NOW - 49 * HOUR, NOW - 48 * HOUR),
        (NOW - 47 * HOUR, NOW - 47 * HOUR),
        (NOW + HOUR, NOW),
        (datetime(2099, 1, 1, tzinfo=UTC), NOW),
    ],
)
async def test_an_attempt_counts_between_the_enrolment_and_now_whatever_the_device_says(
    published: Instance, told: datetime, counted: datetime
) -> None:
    """Ada enrolled two days ago. Sent again, it is the same attempt."""
    await enrol(published.session(), EnrolmentCall("course", "batch", "ada", NOW - 48 * HOUR))
    session = published.session("ada")
    first, again = [await submit_assessment(session, call(attempted_on=told)) for _ in range(2)]
    assert (first.attempted_on, first.attempt_id) == (counted, again.attempt_id)
    millisecond = timedelta(milliseconds=1)
    another = await submit_assessment(session, call(attempted_on=told - millisecond))
    assert another.attempt_id != first.attempt_id


async def test_an_attempt_of_before_a_deletion_is_refused_whoever_submits_it(published: Instance) -> None:
    """Of the place or of all that the learner has; one of now needs no look at deletions."""
    for place, at in ((("course", "batch"), NOW - 2 * HOUR), (("", ""), NOW - HOUR)):
        await published.stores.rows.write(Write(ERASURES, ("ada", *place), {"erased_on": at}))
        for session in (published.session("ada"), published.session()):
            with pytest.raises(Erased):
                await submit_assessment(session, call(user_id="ada", attempted_on=at))
    assert await submitted(published) == []
    await submit_assessment(published.session("ada"), call(attempted_on=NOW - HOUR + timedelta(minutes=1)))
    with published.stores.rows.meter.measure() as cost:
        await submit_assessment(published.session("ada"), call())
    assert f"select {ERASURES.name}" not in cost
    assert len(await submitted(published)) == 2
