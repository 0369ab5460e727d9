"""Submitted assessments: what is accepted, and the message for those who compute scores (R-ASSESS-1, P-3.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from typing import Any

import orjson

from rules.errors import InvalidInput
from rules.identifiers import ViewKey, checked_id, optional_id
from rules.moments import milliseconds

MOST_EVENTS = 1000
"""The most events (answers to questions) in one submission."""
LARGEST_EVENTS = 512 * 1024
"""The most bytes that the events may have, serialised. A log takes about a megabyte in one record."""
ASSESS = "ASSESS"
"""The kind of every event in a submission."""

Event = Mapping[str, Any]
"""``{eid: "ASSESS", ets, edata: {item: {id, maxscore, …}, score, pass, resvalues, duration, index}, …}``."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An attempt at an assessment with the answers given in it."""

    key: ViewKey
    attempt_id: str
    attempted_on: datetime
    events: Sequence[Event]


def checked_events(events: object) -> Sequence[Event]:
    """Returns the events. InvalidInput names the first one that is malformed, and what it lacks. A submission without
    events only has the scores computed anew."""
    if not isinstance(events, list):
        raise InvalidInput("events must be a list of ASSESS events", field="events")
    if len(events) > MOST_EVENTS:
        raise InvalidInput(f"events must have at most {MOST_EVENTS} items, not {len(events)}", field="events")
    for place, event in enumerate(events):
        _check_event(event, f"events[{place}]")
    try:
        size = len(orjson.dumps(events))
    except (TypeError, orjson.JSONEncodeError) as error:
        raise InvalidInput(f"events must be JSON: {error}", field="events") from None
    if size > LARGEST_EVENTS:
        raise InvalidInput(f"events must have at most {LARGEST_EVENTS} bytes, not {size}", field="events")
    return events


def attempt_of(key: ViewKey, attempt_id: str | None, attempted_on: datetime) -> str:
    """Returns the id that was given, or one that follows from learner, content and time. So the same submission, sent
    again, is the same attempt (P-4.6)."""
    given = optional_id(attempt_id, "attemptId")
    if given is not None:
        return given
    # A name, not a secret.
    named = f"{key.user_id}|{key.content_id}|{milliseconds(attempted_on)}".encode()
    return md5(named, usedforsecurity=False).hexdigest()


def encoded(submission: Submission) -> bytes:
    """Returns the message of the platform's topic (P-3.1)."""
    key = submission.key
    return orjson.dumps(
        {
            "assessmentTs": milliseconds(submission.attempted_on),
            "batchId": key.context_id,
            "courseId": key.collection_id,
            "userId": key.user_id,
            "attemptId": submission.attempt_id,
            "contentId": key.content_id,
            "events": submission.events,
        }
    )


def _check_event(event: object, place: str) -> None:
    data = _object(event, place)
    if data.get("eid") != ASSESS:
        raise InvalidInput(f"{place}.eid must be {ASSESS}", field=f"{place}.eid")
    if "ets" in data:
        _check_number(data["ets"], f"{place}.ets", least=0)
    answer = _object(data.get("edata"), f"{place}.edata")
    item = _object(answer.get("item"), f"{place}.edata.item")
    question = item.get("id")
    if not isinstance(question, str):
        raise InvalidInput(f"{place}.edata.item.id must be a text", field=f"{place}.edata.item.id")
    checked_id(question, f"{place}.edata.item.id")
    _check_number(item.get("maxscore", 0), f"{place}.edata.item.maxscore", least=0)
    _check_number(answer.get("score", 0), f"{place}.edata.score", least=None)


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{place} must be an object", field=place)
    return value


def _check_number(value: object, place: str, *, least: float | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{place} must be a number", field=place)
    if least is not None and value < least:
        raise InvalidInput(f"{place} must be at least {least}", field=place)
