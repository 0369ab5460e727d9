"""What a message of a submitted attempt must be (R-ASSESS-1, P-3.1)."""

from datetime import UTC, datetime
from typing import Any

import fastjsonschema
import orjson
import pytest

from rules.assessments import (
    LARGEST_EVENTS,
    MOST_EVENTS,
    SCHEMA,
    Submission,
    attempt_of,
    checked_events,
    encoded,
    parse_submission,
)
from rules.errors import InvalidInput
from rules.identifiers import ViewKey

AT = datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
"""1,600,000,000 seconds after 1970."""
EVENT = {"eid": "ASSESS", "ets": 1, "edata": {"item": {"id": "q1", "maxscore": 1}, "score": 1}}
MESSAGE: dict[str, Any] = {
    "assessmentTs": 1_600_000_000_000,
    "batchId": "batch",
    "courseId": "course",
    "userId": "ada",
    "attemptId": "try-1",
    "contentId": "a",
    "events": [EVENT],
}


def parsed(**more: Any) -> Submission:
    return parse_submission(orjson.dumps({k: v for k, v in {**MESSAGE, **more}.items() if v != "left out"}))


def test_a_message_is_read_as_it_was_written() -> None:
    submission = parsed()
    assert submission == Submission(ViewKey("ada", "course", "batch", "a"), "try-1", AT, [EVENT])
    assert parse_submission(encoded(submission)) == submission
    assert fastjsonschema.validate(dict(SCHEMA), MESSAGE) == MESSAGE


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"batchId": None}, ("course", "course")),
        ({"batchId": "left out", "courseId": "left out"}, ("a", "a")),
        ({"batchId": None, "courseId": None, "collectionId": "c", "contextId": "x"}, ("c", "x")),
    ],
)
def test_ids_have_both_names_and_the_defaults_of_views(more: dict[str, Any], key: tuple[str, str]) -> None:
    found = parsed(**more).key
    assert (found.collection_id, found.context_id) == key


@pytest.mark.parametrize("absent", [None, "left out"])
def test_an_attempt_without_an_id_has_one_that_follows(absent: str | None) -> None:
    one, again, later = (
        parsed(attemptId=absent),
        parsed(attemptId=absent),
        parsed(attemptId=absent, assessmentTs=1),
    )
    assert one.attempt_id == again.attempt_id == attempt_of(one.key, None, AT) != later.attempt_id


@pytest.mark.parametrize(
    ("more", "field", "message"),
    [
        ({"assessmentTs": "left out"}, "assessmentTs", "a number, the milliseconds from 1970 to the attempt"),
        ({"assessmentTs": "soon"}, "assessmentTs", "a number, the milliseconds from 1970 to the attempt"),
        ({"assessmentTs": 10**15}, "assessmentTs", "a number, the milliseconds from 1970 to the attempt"),
        ({"userId": 7}, "userId", "a text, the learner's id"),
        ({"contentId": "left out"}, "contentId", "a text, the assessment's id"),
        ({"courseId": 7}, "courseId", "a text, the collection's id"),
        ({"events": "left out"}, "events", "a list"),
        (
            {"events": [EVENT, EVENT, EVENT, {**EVENT, "edata": {"item": {}}}]},
            "events[3].edata.item.id",
            "a text",
        ),
        ({"events": [{"eid": "ASSESS"}]}, "events[0].edata", "an object, the answer"),
    ],
)
def test_an_error_names_the_field_and_what_it_must_be(more: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parsed(**more)
    assert caught.value.field == field
    assert caught.value.message.startswith(f"{field} must be {message}")


@pytest.mark.parametrize(
    ("value", "message"),
    [(b"{", "not JSON"), (b"[]", "must be a JSON object"), (b'{"userId": "ada"}', "assessmentTs must be")],
)
def test_what_is_no_message_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_submission(value)


def test_a_submission_has_at_most_so_many_events_and_bytes() -> None:
    assert len(checked_events([EVENT] * MOST_EVENTS)) == 1000
    with pytest.raises(InvalidInput, match="events must be a list of at most 1000 ASSESS events"):
        checked_events([EVENT] * (MOST_EVENTS + 1))
    with pytest.raises(InvalidInput, match=f"at most {LARGEST_EVENTS} bytes"):
        checked_events([{**EVENT, "mid": "x" * LARGEST_EVENTS}])


@pytest.mark.parametrize(
    "answer",
    [
        {"item": {"id": "q1"}},
        {"item": {"id": "q1", "maxscore": "5"}, "score": "4.5", "duration": "12"},
        {
            "item": {"id": "q1", "params": [{"1": {"text": "a"}}], "mmc": [], "exlength": 0},
            "resvalues": [{"1": 2}],
        },
        {"item": {"id": "q1", "params": None, "title": None}, "score": None, "resvalues": None, "pass": "No"},
    ],
)
def test_what_players_send_is_taken(answer: dict[str, Any]) -> None:
    events = [{"eid": "ASSESS", "ver": "3.1", "mid": "1", "edata": answer}]
    assert checked_events(events) == events
