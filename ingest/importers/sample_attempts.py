"""The assessment of the sample: a quiz of five questions in its first course, and who took it when, with what answers.

The quiz is an optional leaf, so that progress says the same with it and without. Everything follows from ids alone.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ingest.commands.assessments import AssessmentCall, submit_assessment
from ingest.importers.sample_learners import number_of
from loaders.session import Session
from rules.moments import milliseconds

SAMPLE_ASSESSMENT = "sky-quiz"
PASS_MARK = 60
"""In percent: three of five."""
QUIZ: dict[str, Any] = {
    "identifier": SAMPLE_ASSESSMENT,
    "name": "Do you know our neighbours?",
    "mimeType": "application/vnd.sunbird.questionset",
    "primaryCategory": "Practice Question Set",
    "totalQuestions": 5,
    "maxScore": 5,
    "passMark": PASS_MARK,
    "relationalMetadata": {"optional": True},
}
_QUESTIONS = (
    ("Which planet shines at dusk?", ("Venus", "Neptune", "Uranus")),
    ("How long does the Moon take around the Earth?", ("A month", "A day", "A year")),
    ("Why does the Moon have phases?", ("We see its lit side from the side", "The Earth's shadow", "Clouds")),
    ("What colour is Mars?", ("Red", "Blue", "Green")),
    ("What made the craters?", ("Impacts", "Rivers", "Wind")),
)
"""The text of each, and its options. The first one is right."""
FIRST_LEARNERS_ANSWERS = ((0, 1, 0, 0, 2), (0, 0, 0, 0, 2))
"""The options that the first learner chose in two attempts: three right, then four."""


def answers_of(user_id: str, *, is_first: bool) -> tuple[tuple[int, ...], ...]:
    """Returns the options that a learner chose, by attempt. One in three never took the quiz, one in three took it
    twice. In a second attempt they choose right more often."""
    if is_first:
        return FIRST_LEARNERS_ANSWERS
    attempts = range(number_of(user_id, SAMPLE_ASSESSMENT) % 3)
    return tuple(
        tuple(_choice(user_id, attempt, place) for place in range(len(_QUESTIONS))) for attempt in attempts
    )


async def submit_attempts(
    session: Session, user_id: str, place: tuple[str, str], since: datetime, *, is_first: bool
) -> None:
    """Submits the learner's attempts in a collection and a context, from a week after ``since`` on. They may be submitted
    again: they are the same attempts."""
    for number, choices in enumerate(answers_of(user_id, is_first=is_first), 1):
        at = since + timedelta(days=7 * number, minutes=number_of(user_id) % 600)
        call = AssessmentCall(
            *(SAMPLE_ASSESSMENT, *place, user_id),
            attempt_id=f"sample-{number}",
            attempted_on=at,
            events=list(_events(choices, at)),
        )
        await submit_assessment(session, call)


def _events(choices: tuple[int, ...], at: datetime) -> Iterator[dict[str, Any]]:
    for index, ((text, options), choice) in enumerate(zip(_QUESTIONS, choices, strict=True), 1):
        item = {
            "id": f"{SAMPLE_ASSESSMENT}-{index}",
            "title": text,
            "type": "mcq",
            "maxscore": 1,
            "params": [{str(number): option} for number, option in enumerate(options, 1)],
        }
        answer = {
            "item": item,
            "index": index,
            "score": int(choice == 0),
            "pass": "No" if choice else "Yes",
            "duration": 10 + choice * 7,
            "resvalues": [{str(choice + 1): options[choice]}],
        }
        yield {"eid": "ASSESS", "ets": milliseconds(at + timedelta(seconds=20 * index)), "edata": answer}


def _choice(user_id: str, attempt: int, place: int) -> int:
    drawn = number_of(user_id, str(attempt), str(place)) % (5 + 3 * attempt)
    return drawn if drawn in (1, 2) else 0
