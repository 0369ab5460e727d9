"""What figures of activities are grouped and filtered by: the columns of druid_specs. One that is added there is one here."""

from collections.abc import Iterator
from enum import Enum, EnumMeta
from typing import Any

from druid_specs import ACTIVITY_STATE, OWN_COLUMNS
from graph import enums
from resolvers import nouns

_ENROLMENT = {
    "collection": "The collection: its identifier.",
    "unit": "The unit: its identifier. Figures are those of units then, not of collections.",
    "context": "The context: its id; null where a collection was taken by itself.",
}


_HAPPENED = {
    "enrolled_on": "enrolled",
    "completed_on": "completed",
    "last_accessed_on": "was last active",
}
_SCORES = {
    "score": "Points: the best scores of all assessments that the learner attempted, added up.",
    "max_score": "The maxima of these best attempts, added up.",
    "score_percentage": "score of maxScore, rounded down, from 0 to 100; null where nothing was scored.",
    "attempts_count": "The learner's attempts at all assessments.",
    "assessed_count": "Assessments that the learner attempted.",
    "right_first_count": "Those of them that were right at the first attempt.",
    "passable_count": "Those of them that have a pass mark.",
    "passed_count": "Those of them that the best attempt passed.",
}


def _dimensions() -> Iterator[tuple[str, str]]:
    """The dimensions with their descriptions."""
    yield from _ENROLMENT.items()
    yield "status", "How far the learner is: a value of `ProgressStatus`."
    for column, (moment, period) in ACTIVITY_STATE.periods.items():
        example = nouns.PERIOD_EXAMPLES[nouns.PeriodUnit(period)]
        yield (
            column,
            f"The {period} in which the learner {_HAPPENED[moment]}, in `zone`, such as `{example}`; null for none.",
        )
    for column, kind in ACTIVITY_STATE.latest.items():
        if kind == "string" and column not in OWN_COLUMNS:
            yield column, f"The learner's {_words(column)}; null where it is not known."


def _measures() -> Iterator[tuple[str, str]]:
    for column, kind in ACTIVITY_STATE.latest.items():
        if kind != "string" and column not in (*OWN_COLUMNS, *ACTIVITY_STATE.moments, "status"):
            yield column, _SCORES.get(column) or f"The enrolment's {_words(column)}."


def _moments() -> Iterator[tuple[str, str]]:
    for moment in ACTIVITY_STATE.moments:
        yield moment, f"When the learner {_HAPPENED[moment]}; null for never."


def _words(column: str) -> str:
    return column.replace("_", " ")


def _enum(name: str, description: str, columns: Iterator[tuple[str, str]]) -> Any:
    meanings = dict(columns)
    made = EnumMeta.__call__(Enum, name, {column.upper(): column for column in meanings})
    return enums.described(made, name, description, {value: meanings[value.value] for value in made})


ActivityDimension: Any = _enum(
    "ActivityDimension", "What figures may be grouped and filtered by.", _dimensions()
)
ActivityMeasure: Any = _enum("ActivityMeasure", "Numbers that enrolments may be filtered by.", _measures())
ActivityMoment: Any = _enum("ActivityMoment", "Moments that enrolments may be filtered by.", _moments())
