"""From the events of an attempt to its questions, its score and what says which version of it this is (R-ASSESS-3,
P-4.5).

The order of the events decides nothing: whoever sends the same answers again, in whatever order, has the same attempt.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b
from typing import Any

import orjson

from rules.assessments import Event
from rules.attempts import Attempt, Question, WholeAttempt
from rules.identifiers import ViewKey
from rules.moments import moment

_CENT = Decimal("0.01")
_HASH_BYTES = 12
VALUE = "value"
"""The name of a choice that has none."""


def scored(key: ViewKey, attempt_id: str, attempted_on: datetime, events: Sequence[Event]) -> WholeAttempt:
    """Returns the attempt with its questions and its score. ``key`` is where it is kept. Whoever stores it adds names,
    times and the write time."""
    questions = questions_of(events)
    score = math.fsum(question.score or 0.0 for question in questions)
    maximum = math.fsum(question.max_score or 0.0 for question in questions)
    named = content_hash(score, maximum, questions)
    attempt = Attempt(key, attempt_id, score, maximum, attempted_on, content_hash=named)
    return WholeAttempt(attempt, questions, grand_total(score, maximum))


def questions_of(events: Sequence[Event]) -> list[Question]:
    """Returns the questions, each once, in the order of the assessment.

    Of several answers to a question the one with the latest time counts. Of answers of the same time the one with the
    highest score counts, then the one whose JSON is the last by its bytes. An answer without a time is older than all.
    """
    latest: dict[str, Event] = {}
    for event in events:
        identifier = event["edata"]["item"]["id"].strip()
        if identifier not in latest or _is_later(event, latest[identifier]):
            latest[identifier] = event
    found = sorted((_place(event), identifier, event) for identifier, event in latest.items())
    return [_question(identifier, event) for _, identifier, event in found]


def grand_total(score: float, maximum: float) -> str:
    """Returns both sums as the platform writes them, such as ``2.0/3.0`` and ``1.33/3.0``: each with one decimal, or two
    where the second is not 0."""
    return f"{_short(score)}/{_short(maximum)}"


def content_hash(score: float | None, maximum: float | None, questions: Sequence[Question]) -> str:
    """Returns a name of what the attempt says: 24 hex digits. Two versions with the same answers have the same."""
    sums = [None if each is None else float(each) for each in (score, maximum)]
    said = _canonical([*sums, list(questions)])
    return blake2b(said, digest_size=_HASH_BYTES).hexdigest()


def _is_later(one: Event, other: Event) -> bool:
    ranks = [(event.get("ets") or 0, _number(event["edata"].get("score")) or 0.0) for event in (one, other)]
    if ranks[0] != ranks[1]:
        return ranks[0] > ranks[1]
    return _canonical(one["edata"]) > _canonical(other["edata"])


def _place(event: Event) -> float:
    index = event["edata"].get("index")
    return math.inf if index is None else index


def _question(identifier: str, event: Event) -> Question:
    answer, ets = event["edata"], event.get("ets")
    item = answer["item"]
    return Question(
        id=identifier,
        assessed_on=None if ets is None else moment(int(ets)),
        score=_number(answer.get("score")),
        max_score=_number(item.get("maxscore")),
        type=item.get("type"),
        title=item.get("title"),
        description=item.get("desc"),
        duration=_number(answer.get("duration")),
        options=_choices(item.get("params")),
        answers=_choices(answer.get("resvalues")),
    )


def _choices(values: Sequence[Any] | None) -> list[dict[str, str]]:
    """Returns the choices as names and texts. What is no text is its JSON, and a choice that has no names is called
    VALUE."""
    return [
        {name: _text(value) for name, value in (one.items() if isinstance(one, Mapping) else [(VALUE, one)])}
        for one in values or ()
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else _canonical(value).decode()


def _number(value: float | str | None) -> float | None:
    """Returns the number. SCORM players say theirs as texts."""
    return None if value is None else float(value)


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _short(number: float) -> str:
    text = str(Decimal(number).quantize(_CENT, ROUND_HALF_EVEN))
    text = text.removesuffix("0")
    return "0.0" if text == "-0.0" else text
