"""Brings attempts into both forms, ``assessment_attempt`` and ``assessment_aggregator``, USING TIMESTAMP of the attempt."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.importers.legacy.report import ERASED, TableReport, told
from ingest.importers.legacy.writing import Erasures, Migrating, stored_rows
from loaders.attempts import attempt_key, attempt_of
from loaders.questions import slim_values, whole_attempt_values
from rules.attempts import Attempt, WholeAttempt, question_of, write_time
from rules.identifiers import ProgressKey
from rules.legacy.attempts import LegacyAttempt, attempt_of_row, is_newer
from rules.legacy.tables import LegacyRow
from rules.scoring import content_hash
from stores.rows import Key, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES


async def bring_attempts(
    migrating: Migrating, rows: Sequence[LegacyRow], report: TableReport
) -> dict[ProgressKey, bool]:
    """Brings a page of assessment_aggregator. Returns for each key, where attempts are kept, whether one was written."""
    columns = ("user_id", "collection_id", "context_id", "content_id", "attempt_id")
    mapped = [
        one for _, one in report.readable(rows, columns, lambda row: attempt_of_row(row, migrating.zone))
    ]
    erasures = await Erasures.of(migrating, (one.value.key for one in mapped))
    found: list[LegacyAttempt] = []
    for one in mapped:
        if erasures.cover(one.value.key, one.value.at):
            report.skip(ERASED, _name(one.value))
        else:
            report.note(one.notes, _name(one.value))
            found.append(one.value)
    wholes = [(legacy, whole_of(migrating, legacy)) for legacy in found]
    stored = await stored_rows(migrating.rows, ATTEMPTS, [attempt_key(whole.attempt) for _, whole in wholes])
    renamed = await _renamed(migrating, wholes)
    newest = {key: attempt_of(row) for key, row in stored.items()}
    touched: dict[ProgressKey, bool] = {}
    written: dict[Key, tuple[LegacyAttempt, WholeAttempt]] = {}
    # In the order of time: where a mode keeps several places' attempts together, the last one stays.
    for legacy, whole in sorted(wholes, key=lambda each: (each[0].at, each[0].updated_on)):
        attempt, key = whole.attempt, attempt_key(whole.attempt)
        before = newest.get(key)
        newer = is_newer(legacy, attempt.content_hash or "", before)
        newer = True if newer is None and key in renamed else newer
        touched[attempt.key.progress_key] = touched.get(attempt.key.progress_key, False) or bool(newer)
        if newer is None:
            report.unchanged += 1
        elif not newer:
            report.leave(_name(legacy))
        else:
            report.written += 1
            stored_at = None if before is None else before.row_written_at
            at = write_time(legacy.at, stored_at)
            written[key] = legacy, _at(whole, at)
            newest[key] = written[key][1].attempt
    if written and not migrating.dry_run:
        names = await _Names.of(migrating, [legacy for legacy, _ in written.values()])
        await _write(migrating, [names.put_into(whole, legacy.key) for legacy, whole in written.values()])
    return touched


def whole_of(migrating: Migrating, legacy: LegacyAttempt) -> WholeAttempt:
    """Returns the attempt under the key where the instance's mode keeps it. What is null there stays null."""
    questions = [question_of(one) for one in legacy.questions or ()]
    score, maximum = legacy.figures["total_score"], legacy.figures["total_max_score"]
    attempt = Attempt(
        migrating.shared.tracking.stored(legacy.asked),
        legacy.attempt_id,
        score,
        maximum,
        legacy.at,
        legacy.figures["created_on"],
        legacy.figures["updated_on"],
        write_time(legacy.at),
        content_hash(score, maximum, questions),
    )
    return WholeAttempt(attempt, questions, legacy.grand_total)


async def _renamed(migrating: Migrating, wholes: Sequence[tuple[LegacyAttempt, WholeAttempt]]) -> set[Key]:
    """Returns the keys of those that repeat other names of their collection or context than these have now."""
    of_changed = [(legacy, whole) for legacy, whole in wholes if legacy.key.context_id in migrating.contexts]
    if not of_changed:
        return set()
    names = await _Names.of(migrating, (legacy for legacy, _ in of_changed))
    found = {attempt_key(whole.attempt): names.put_into(whole, legacy.key) for legacy, whole in of_changed}
    stored = await stored_rows(migrating.rows, ATTEMPTS_WITH_QUESTIONS, list(found))
    return {
        key
        for key, row in stored.items()
        if (row["collection_name"], row["context_name"])
        != (found[key].collection_name, found[key].context_name)
    }


def _at(whole: WholeAttempt, written_at: int) -> WholeAttempt:
    return replace(whole, attempt=replace(whole.attempt, written_at=written_at))


async def _write(migrating: Migrating, wholes: Sequence[WholeAttempt]) -> None:
    """Writes the learners' lists of scopes, by which all is found, then the questions, then the slim rows."""
    scopes = {whole.attempt.key.progress_key: whole.attempt.key.scope for whole in wholes}
    await migrating.rows.write(
        *(
            Write(LEARNER_SCOPES, (key.user_id, key.collection_id, key.context_id), {"scope": scope})
            for key, scope in scopes.items()
        )
    )
    for table in (ATTEMPTS_WITH_QUESTIONS, ATTEMPTS):
        await migrating.rows.write(
            *(
                Write(
                    table,
                    attempt_key(whole.attempt),
                    {**slim_values(whole), "archived_in": None, "origin": None}
                    if table is ATTEMPTS
                    else whole_attempt_values(whole),
                    whole.attempt.written_at,
                )
                for whole in wholes
            )
        )


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of the collections and contexts that are here, which attempts repeat for reports."""

    collections: Mapping[str, str]
    contexts: Mapping[str, str]

    @classmethod
    async def of(cls, migrating: Migrating, found: Iterable[LegacyAttempt]) -> "_Names":
        keys = {one.key for one in found}
        library = migrating.shared.library
        published, contexts = await asyncio.gather(
            library.published(list({key.collection_id for key in keys})),
            library.contexts.load_many(list({key.context_id for key in keys if key.has_context})),
        )
        return cls(
            {identifier: content.name for identifier, (content, _) in published.items()},
            {context.context_id: context.name for context in contexts if context is not None},
        )

    def put_into(self, whole: WholeAttempt, key: ProgressKey) -> WholeAttempt:
        collection, context = self.collections.get(key.collection_id), self.contexts.get(key.context_id)
        return replace(whole, collection_name=collection, context_name=context)


def _name(attempt: LegacyAttempt) -> str:
    return told(attempt.key, attempt.content_id, attempt.attempt_id)
