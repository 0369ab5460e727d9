"""The scores in the existing platform's aggregates, and why Cohort computes others from the attempts (P-4.5)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rules.identifiers import ContextType, ProgressKey, parse_aggregate_context
from rules.legacy.comparison import UNEXPLAINED
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Unreadable, ids_in
from rules.scores import AssessmentScores

_DIGITS = 6
"""Decimals that sums of floats are compared by."""


@dataclass(frozen=True, slots=True)
class LegacyScore:
    """What the platform keeps of one assessment: of the best attempt, and how many there are. None where it keeps nothing.

    ``whole``: it is from the column ``agg``, whose numbers have no decimals.
    """

    score: float
    max_score: float | None = None
    attempts: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class LegacyScores:
    """A row of user_activity_agg: its scores by content, under one batch."""

    key: ProgressKey
    scores: Mapping[str, LegacyScore]


_SCORE, _MAX, _ATTEMPTS = "score:", "max_score:", "attempts_count:"


def scores_of_row(row: LegacyRow) -> LegacyScores | None:
    """The scores in a row; None if it has none, as rows of units. Unreadable if its context is no batch."""
    old, new = row.get("agg") or {}, row.get("aggregates") or {}
    figures = {**old, **new}
    scored = {name.removeprefix(_SCORE): name not in new for name in figures if name.startswith(_SCORE)}
    if not scored:
        return None
    user_id, collection_id, context = ids_in(row, "user_id", "activity_id", "context_id")
    try:
        kind, context_id = parse_aggregate_context(context)
    except ValueError:
        raise Unreadable("a context that is no cb:<batchId>") from None
    if kind is not ContextType.BATCH or not context_id:
        raise Unreadable("a context that is no cb:<batchId>")
    scores = {
        content: LegacyScore(
            figures[f"{_SCORE}{content}"],
            figures.get(f"{_MAX}{content}"),
            None if (count := figures.get(f"{_ATTEMPTS}{content}")) is None else int(count),
            whole,
        )
        for content, whole in scored.items()
    }
    return LegacyScores(ProgressKey(user_id, collection_id, context_id), scores)


NO_ATTEMPT = "a score that no attempt explains"
NO_LEAF = "no content of the course any more: Cohort counts no score of it there"
MORE_HERE = "attempts that the platform had not counted, or that were made here since"
MORE_THERE = "attempts that the platform counted and does not have any more"
UNSCORED = "attempts without a score: the platform counts them"
OTHER_BEST = "another best score: an attempt was answered again or corrected after the platform had computed"
OTHER_MAXIMUM = "another maximum: of equal attempts Cohort takes the one with the higher maximum"


def reason_of_scores(
    there: LegacyScore, here: AssessmentScores | None, *, unscored: int, is_leaf: bool
) -> str | None:
    """The reason why both show different scores of an assessment; None if they show the same. ``unscored``: how many
    attempts without a score are here. ``is_leaf``: of the course as it is published here."""
    if here is None:
        return UNSCORED if unscored else NO_ATTEMPT
    if not is_leaf:
        return NO_LEAF
    best = here.best_score
    same_score = _same(best.score, there.score, there.whole)
    same_maximum = there.max_score is None or _same(best.max_score, there.max_score, there.whole)
    if there.attempts is not None and there.attempts != here.attempts:
        if there.attempts == here.attempts + unscored and same_score:
            return UNSCORED
        return MORE_HERE if here.attempts > there.attempts else MORE_THERE
    if same_score:
        return None if same_maximum else OTHER_MAXIMUM
    # The platform computes when an attempt comes. It never looks again at those that it has computed.
    return (
        OTHER_BEST if there.attempts is not None else MORE_HERE if best.score > there.score else UNEXPLAINED
    )


def _same(ours: float, theirs: float, whole: bool) -> bool:
    if whole:
        return math.floor(round(ours, _DIGITS)) == theirs
    return round(ours - theirs, _DIGITS) == 0
