"""Brings attempts into both forms, ``assessment_attempt`` and ``assessment_aggregator``, USING TIMESTAMP of the
attempt."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ingest.importers.legacy.report import ERASED, TableReport, told
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.writing import Erasures, Migrating, each
from rules.identifiers import ProgressKey, scope_of
from rules.legacy.attempts import LegacyAttempt, LegacyScores, attempt_of_row, scores_of_row
from rules.legacy.tables import ASSESSMENTS, LegacyRow
from rules.moments import milliseconds
from stores.rows import Key, Row, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES

NO_ATTEMPT = "a score that no attempt explains"


async def bring_attempts(
    migrating: Migrating, rows: Sequence[LegacyRow], report: TableReport
) -> dict[ProgressKey, bool]:
    """Brings a page of assessment_aggregator. Returns, by key, whether an attempt was written."""
    columns = ("user_id", "collection_id", "context_id", "content_id", "attempt_id")
    mapped = [one for _, one in report.readable(rows, columns, attempt_of_row)]
    erasures = await Erasures.of(migrating, (one.value.key for one in mapped))
    found: dict[Key, LegacyAttempt] = {}
    for one in mapped:
        attempt = one.value
        name = told(attempt.key, attempt.content_id, attempt.attempt_id)
        if erasures.cover(attempt.key, attempt.at):
            report.skip(ERASED, name)
            continue
        report.note(one.notes, name)
        found[_row_key(attempt)] = attempt
    slim, whole = await asyncio.gather(
        migrating.rows.get_many(ATTEMPTS, list(found)),
        migrating.rows.get_many(ATTEMPTS_WITH_QUESTIONS, list(found)),
    )
    touched: dict[ProgressKey, bool] = {}
    writes: list[Write] = []
    for key, attempt in found.items():
        wanted = {**attempt.figures, "grand_total": attempt.grand_total, "question": attempt.questions}
        differs = not (_has(slim.get(key), attempt.figures) and _has(whole.get(key), wanted))
        touched[attempt.key] = touched.get(attempt.key, False) or differs
        newest = slim.get(key, {}).get("last_attempted_on")
        if not differs:
            report.unchanged += 1
        elif newest is not None and newest > attempt.at:
            report.leave(told(attempt.key, attempt.content_id, attempt.attempt_id))
        else:
            report.written += 1
            at = milliseconds(attempt.at) * 1000
            writes += [
                Write(ATTEMPTS, key, attempt.figures, timestamp=at),
                Write(ATTEMPTS_WITH_QUESTIONS, key, wanted, timestamp=at),
                # All that a learner has is found through their scopes.
                Write(LEARNER_SCOPES, _place(attempt.key), {"scope": _scope(attempt)}),
            ]
    if not migrating.dry_run:
        await migrating.rows.write(*writes)
    return touched


def _has(stored: Row | None, wanted: Any) -> bool:
    return stored is not None and all(stored[name] == value for name, value in wanted.items())


def _row_key(attempt: LegacyAttempt) -> Key:
    key = attempt.key
    return (key.user_id, key.collection_id, key.context_id, attempt.content_id, attempt.attempt_id)


def _place(key: ProgressKey) -> Key:
    return key.user_id, key.collection_id, key.context_id


def _scope(attempt: LegacyAttempt) -> str:
    return scope_of(attempt.key.collection_id, attempt.content_id)


async def explain_scores(
    migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow], report: TableReport
) -> None:
    """Looks through a page of user_activity_agg and notes scores of contents that have no stored attempt.

    Nothing is copied: all figures are computed here.
    """
    scores: list[LegacyScores] = []
    for _, found in report.readable(rows, ("user_id", "activity_id", "context_id"), scores_of_row):
        report.unchanged += 1
        if found is not None:
            scores.append(found)

    async def attempted(one: LegacyScores) -> frozenset[str]:
        key = one.key
        attempts = await platform.rows(
            ASSESSMENTS, user_id=key.user_id, collection_id=key.collection_id, context_id=key.context_id
        )
        return frozenset(attempt["content_id"] for attempt in attempts)

    for one, contents in zip(scores, await each(scores, attempted), strict=True):
        for content_id in sorted(one.content_ids - contents):
            report.note([NO_ATTEMPT], told(one.key, content_id))
