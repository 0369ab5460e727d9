"""Compares the scores in the existing platform's aggregates with what Cohort computes from the attempts. Nothing of them is
copied."""

from collections.abc import Sequence
from contextlib import suppress

from ingest.importers.lanes import each
from ingest.importers.legacy.attempts import whole_of
from ingest.importers.legacy.comparison import published
from ingest.importers.legacy.report import ERASED, TableReport, told
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.writing import Erasures, Migrating
from loaders.attempts import attempts_by_key
from rules.attempts import Attempt
from rules.identifiers import ProgressKey
from rules.legacy.attempts import attempt_of_row
from rules.legacy.scores import LegacyScore, LegacyScores, reason_of_scores, scores_of_row
from rules.legacy.tables import ASSESSMENTS, LegacyRow
from rules.legacy.values import Unreadable
from rules.scores import AssessmentScores, scores_by_content
from stores.tables import ATTEMPTS


async def compare_scores(
    migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow], report: TableReport
) -> None:
    """Compares a page of user_activity_agg, each score of it. In a dry run it takes the attempts that would be here.

    It costs one read of the attempts for 100 learners and courses.
    """
    read = list(report.readable(rows, ("user_id", "activity_id", "context_id"), scores_of_row))
    report.unchanged += sum(one is None for _, one in read)
    named = [(name, one) for name, one in read if one is not None]
    erasures = await Erasures.of(migrating, (one.key for _, one in named))
    found: list[LegacyScores] = []
    for name, one in named:
        if erasures.cover(one.key, None):
            report.skip(ERASED, name)
        else:
            report.unchanged += 1
            found.append(one)
    trees = await published(migrating, list({one.key.collection_id for one in found}))
    if migrating.shared.tracking.keeps_by_content:
        # Without the tree nobody knows which contents to look for.
        report.not_compared += sum(len(one.scores) for one in found if one.key.collection_id not in trees)
        found = [one for one in found if one.key.collection_id in trees]
    attempts = await attempts_by_key(
        *(migrating.rows, migrating.shared.tracking, [one.key for one in found], trees),
        tuple(ATTEMPTS.types),
    )

    async def all_of(one: LegacyScores) -> list[Attempt]:
        here = attempts[one.key]
        return await _with_those_to_come(migrating, platform, one.key, here) if migrating.dry_run else here

    for one, those in zip(found, await each(found, all_of), strict=True):
        ours, tree = scores_by_content(those), trees.get(one.key.collection_id)
        for content, score in sorted(one.scores.items()):
            unscored = sum(each.score is None for each in those if each.key.content_id == content)
            reason = reason_of_scores(
                score,
                ours.get(content),
                unscored=unscored,
                is_leaf=tree is None or content in tree.leaf_nodes,
            )
            report.compare(
                reason, told(one.key, content, f"{_there(score)} there;", _here(ours.get(content)))
            )


async def _with_those_to_come(
    migrating: Migrating, platform: Platform, key: ProgressKey, here: Sequence[Attempt]
) -> list[Attempt]:
    rows = await platform.rows(
        ASSESSMENTS, user_id=key.user_id, collection_id=key.collection_id, context_id=key.context_id
    )
    found = {(one.key.content_id, one.attempt_id): one for one in here}
    for row in rows:
        with suppress(Unreadable):
            coming = whole_of(migrating, attempt_of_row(row, migrating.zone).value).attempt
            name = (coming.key.content_id, coming.attempt_id)
            if name not in found or found[name].version < coming.version:
                found[name] = coming
    return list(found.values())


def _there(score: LegacyScore) -> str:
    maximum = "" if score.max_score is None else f"/{score.max_score:g}"
    attempts = "" if score.attempts is None else f" in {score.attempts} attempts"
    return f"{score.score:g}{maximum}{attempts}"


def _here(scores: AssessmentScores | None) -> str:
    if scores is None:
        return "nothing here"
    best = scores.best_score
    return f"{best.score:g}/{best.max_score:g} in {scores.attempts} attempts here"
