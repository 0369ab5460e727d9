"""An attempt has its questions wherever they are by now, in its newest version, once (R-ASSESS-5)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from loaders.archives import archive_values
from loaders.attempts import attempt_key
from loaders.questions import slim_values, whole_attempt_values
from loaders.whole_attempts import Questioned, QuestionsSource, whole_attempts
from rules.attempts import Attempt, Question, WholeAttempt
from rules.errors import StoreUnavailable
from rules.identifiers import ViewKey
from stores.rows import Write
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.archived_files import archive_questions
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance

KEY = ViewKey("ann", "course", "batch", "a")
THERE = ViewKey("ann", "course", "batch-2", "a")
EARLIER, LATER = NOW - timedelta(days=2), NOW - timedelta(days=1)


async def stored(cohort: Instance, key: ViewKey = KEY, attempt_id: str = "t1") -> Attempt:
    asked = [Question(f"q of {attempt_id}", EARLIER, 1.0, 2.0)]
    return await store_attempt(cohort.shared, key, attempt_id, 2.0, 3.0, EARLIER, questions=asked)


async def read(cohort: Instance, *attempts: Attempt) -> list[Any]:
    found = await whole_attempts(cohort.stores.rows, cohort.shared.archived_questions, attempts)
    assert found.keys() == {attempt_key(attempt) for attempt in attempts}
    return [found[attempt_key(attempt)] for attempt in attempts]


def told(questioned: Questioned) -> tuple[list[str], QuestionsSource, str | None]:
    return [question.id for question in questioned.questions], questioned.source, questioned.archive_id


async def test_live_questions_of_a_page_cost_one_statement(cohort: Instance) -> None:
    attempts = [await stored(cohort, attempt_id=f"t{number}") for number in range(20)]
    with cohort.stores.rows.meter.measure() as statements:
        found = await read(cohort, *attempts)
    assert sum(statements.values()) == 1
    assert [told(one) for one in found] == [
        ([f"q of t{number}"], QuestionsSource.LIVE, None) for number in range(20)
    ]


async def test_questions_that_are_archived_after_the_slim_row_was_read_are_found(cohort: Instance) -> None:
    attempt = await stored(cohort)
    archive = await archive_questions(cohort.shared)
    assert attempt.archived_in is None
    (found,) = await read(cohort, attempt)
    assert told(found) == (["q of t1"], QuestionsSource.ARCHIVE, archive.request_id)


async def test_the_newest_version_counts(cohort: Instance) -> None:
    """A newer live row was written before its slim row; an older one is no version of the slim row."""
    attempt = await stored(cohort)
    newer = replace(
        attempt, attempted_on=LATER, score=3.0, content_hash="3", written_at=attempt.written_at + 9
    )
    whole = WholeAttempt(newer, [Question("newer", LATER, 3.0, 3.0)])
    row = attempt_key(attempt)
    await cohort.stores.rows.write(
        Write(ATTEMPTS_WITH_QUESTIONS, row, whole_attempt_values(whole), newer.written_at)
    )
    (found,) = await read(cohort, attempt)
    assert told(found) == (["newer"], QuestionsSource.LIVE, None)
    assert found.whole.attempt.score == 3.0

    newest = replace(newer, attempted_on=NOW, content_hash="4", written_at=newer.written_at + 9)
    slim = slim_values(WholeAttempt(newest, ()))
    await cohort.stores.rows.write(Write(ATTEMPTS, row, slim, newest.written_at))
    (found,) = await read(cohort, newest)
    assert told(found) == ([], QuestionsSource.NONE, None)
    assert found.whole.attempt == newest


async def test_an_archive_that_is_away_hides_only_what_it_has(cohort: Instance) -> None:
    live = await stored(cohort)
    await stored(cohort, THERE)
    archive = await archive_questions(cohort.shared, "batch-2")
    archived = replace(live, key=THERE, archived_in=archive.request_id)
    lost = replace(archive, blob="archived-batches/assessment/nowhere.parquet", checksum=None)
    await cohort.stores.rows.write(Write(ARCHIVES, archive.key, archive_values(lost)))
    of_live, of_archived = await read(cohort, live, archived)
    assert told(of_live) == (["q of t1"], QuestionsSource.LIVE, None)
    assert isinstance(of_archived, StoreUnavailable)
