"""While two versions work side by side, the older one reads what the newer one sends (docs/upgrade.md): of an event it passes over
the fields that it does not know."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from ingest.attempts.taking import take
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.learners import parse_profile
from ingest.commands.views import start_view
from ingest.jobs.asked_for import _job_of
from rules.assessments import AttemptRules, parse_submission
from rules.moments import milliseconds
from rules.triggers import Trigger, TriggerKind, parse_trigger
from stores.events import Message, Record
from stores.topics import STATES, TRIGGERS
from tests.conftest import NOW, Instance
from tests.graph.test_figures_survive import recounted, told
from tests.ingest.test_assessments import event

LATER = {"fromALaterVersion": {"of": ["anything", 1]}}
ATTEMPT = {
    "userId": "ann",
    "attemptId": "first",
    "courseId": "course",
    "batchId": "batch",
    "contentId": "a",
    "assessmentTs": milliseconds(NOW),
    "events": [event()],
}


def record(value: bytes) -> Record:
    return Record("topic", 0, 0, milliseconds(NOW), "key", value, {"x-of-later": "1"})


@pytest.mark.parametrize(
    ("known", "read"),
    [
        (
            orjson.loads(Trigger(TriggerKind.VIEW, "ann", "course", "batch", "a", (1,)).encode()),
            parse_trigger,
        ),
        (
            {"userId": "ann", "updatedOn": "2026-01-31T12:00:00Z", "name": "Ann"},
            lambda value: parse_profile(value, milliseconds(NOW)),
        ),
        (ATTEMPT, parse_submission),
        ({"job": "1"}, lambda value: _job_of(record(value))),
    ],
    ids=["trigger", "profile", "submission", "request for a job"],
)
def test_a_field_that_is_not_known_changes_nothing(
    known: dict[str, Any], read: Callable[[bytes], Any]
) -> None:
    assert read(orjson.dumps({**known, **LATER})) == read(orjson.dumps(known))


async def test_events_of_a_newer_version_are_worked_on_and_figures_are_those_of_the_rows(
    course: Instance,
) -> None:
    """Each event that was sent comes once more as a newer version would send it: none becomes a dead letter."""
    await enrol(course.session("ann"), EnrolmentCall("course", "batch"))
    await start_view(course.session("ann"), ViewCall("a", "course", "batch"))
    await course.drain()
    for topic in (TRIGGERS, STATES):
        again = [
            Message(one.key, orjson.dumps({**orjson.loads(one.value), **LATER}), {**one.headers, "x": "1"})
            async for one in course.stores.events.read(topic.name)
        ]
        assert again
        await course.stores.events.send(topic.name, *again)
    await course.drain()
    taking = await take(course.shared, [record(orjson.dumps({**ATTEMPT, **LATER}))], AttemptRules())
    assert (taking.written, taking.dead) == (1, [])
    await course.arrived()
    assert await told(course) == await recounted(course)
