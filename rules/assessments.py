"""Submitted assessments: what is accepted, and the message for those who compute scores (R-ASSESS-1, P-3.1).

``assess_batch.schema.json`` says what a message and its events must be. Whoever takes submissions checks them by it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import md5
from importlib.resources import files
from typing import Any

import orjson

from rules.errors import InvalidInput
from rules.identifiers import ViewKey, checked_id, either, optional_id, view_key
from rules.moments import milliseconds, moment
from rules.triggers import parse_object

SCHEMA: Mapping[str, Any] = orjson.loads(files("rules").joinpath("assess_batch.schema.json").read_bytes())
"""The JSON Schema of a message."""
MOST_EVENTS: int = SCHEMA["definitions"]["events"]["maxItems"]
"""The most events (answers to questions) in one submission."""
LARGEST_EVENTS = 512 * 1024
"""The most bytes that the events may have, serialised. A log takes about a megabyte in one record."""

Event = Mapping[str, Any]
"""``{eid: "ASSESS", ets, edata: {item: {id, maxscore, …}, score, pass, resvalues, duration, index}, …}``."""


@dataclass(frozen=True, slots=True)
class AttemptRules:
    """Which attempts of the topic are taken.

    - ``leaves_only``: only those at a leaf of the collection, or at a content by itself.
    - ``within_total``: only those with as many questions as the content has (``totalQuestions``), or fewer.
    """

    leaves_only: bool = True
    within_total: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """An attempt at an assessment with the answers given in it."""

    key: ViewKey
    attempt_id: str
    attempted_on: datetime
    events: Sequence[Event]


def checked_events(events: object) -> Sequence[Event]:
    """Returns the events. InvalidInput names the first field that is wrong, and what it must be. A submission without
    events only has the scores computed anew."""
    _check(_events_check(), {"events": events})
    assert isinstance(events, list)  # noqa: S101 - by the schema
    for place, event in enumerate(events):
        checked_id(event["edata"]["item"]["id"], f"events[{place}].edata.item.id")
    try:
        size = len(orjson.dumps({"events": events}))  # as deep as ``encoded`` writes them
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


def parse_submission(value: bytes) -> Submission:
    """Returns the submission in these bytes, whoever sent it. InvalidInput says why there is none.

    Ids that are left out get the same defaults as those of a view, the attempt's id as in ``attempt_of``.
    """
    document: dict[str, Any] = parse_object(value)
    _check(_message_check(), document)
    collection_id = either(document.get("collectionId"), document.get("courseId"), "collectionId", "courseId")
    context_id = either(document.get("contextId"), document.get("batchId"), "contextId", "batchId")
    key = view_key(document["userId"], document["contentId"], collection_id, context_id)
    attempted_on = moment(int(document["assessmentTs"]))
    attempt_id = attempt_of(key, document.get("attemptId"), attempted_on)
    return Submission(key, attempt_id, attempted_on, checked_events(document["events"]))


_Check = Callable[[Any], Any]


@cache
def _message_check() -> _Check:
    """Returns the check of a message but for its events. It is compiled once."""
    properties = {**SCHEMA["properties"], "events": {"description": "a list", "type": "array"}}
    return _compiled({**SCHEMA, "properties": properties})


@cache
def _events_check() -> _Check:
    parts = {"type": "object", "properties": {"events": {"$ref": "#/definitions/events"}}}
    return _compiled({**parts, "definitions": SCHEMA["definitions"]})


def _compiled(schema: Mapping[str, Any]) -> _Check:
    # Most commands at a shell can do without it.
    import fastjsonschema

    check: _Check = fastjsonschema.compile(dict(schema))
    return check


def _check(check: _Check, document: Mapping[str, Any]) -> None:
    from fastjsonschema import JsonSchemaValueException

    try:
        check(document)
    except JsonSchemaValueException as error:
        field = (error.name or "").removeprefix("data").removeprefix(".")
        right: Mapping[str, Any] = error.definition
        if error.rule == "required":
            missing = next(name for name in error.rule_definition if name not in error.value)
            field = f"{field}.{missing}".removeprefix(".")
            right = _resolved(right["properties"][missing])
        raise InvalidInput(f"{field} must be {right['description']}", field=field) from None


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    definition: Mapping[str, Any] = SCHEMA["definitions"][reference.rpartition("/")[2]]
    return definition
