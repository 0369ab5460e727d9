"""What a learner may rely on when the instance changes its mode: every attempt that a place showed is shown there still."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import permutations

import pytest

from ingest.jobs.learner_change import ModeChangeReport
from ingest.jobs.mode_change import change_mode, survey
from ingest.modes.agreement import agree
from loaders.attempts import attempts_by_key
from rules.attempts import AttemptOrigin
from rules.errors import StoreUnavailable
from rules.identifiers import ProgressKey, ViewKey
from rules.origins import OriginKind
from rules.tracking import Tracking, TrackingMode
from tests.conftest import NOW, Instance
from tests.ingest.interruptions import Interruption, dies
from tests.ingest.kept_attempts import Kept, archive_all, assess, attempts, questions, slim
from tests.ingest.test_modes import COLLECTION, FULL, MOVE, STRICT, goes_over, joins, school
from tests.ingest.test_moves import ALWAYS

__all__ = ["school"]
BATCH, SECOND, ALONE = ("course", "batch"), ("course", "second"), ("course", "course")
MADE = (("a", "batch", "first", 4.0), ("a", "second", "second", 7.0), ("c", "batch", "third", 9.0))
"""Content, context, attempt and score of Ada's attempts in the course. She is enrolled in both batches."""


def _rows(place: tuple[str, str], attempts: Iterable[tuple[str, str, float]]) -> list[Kept]:
    return [(*place, *each) for each in attempts]


FIRST: dict[TrackingMode, list[Kept]] = {
    STRICT: [
        *_rows(BATCH, [("a", "first", 4), ("c", "third", 9)]),
        *_rows(SECOND, [("a", "second", 7)]),
    ],
    COLLECTION: _rows(ALONE, [("a", "first", 4), ("a", "second", 7), ("c", "third", 9)]),
    FULL: [*_rows(("a", "a"), [("a", "first", 4), ("a", "second", 7)]), ("c", "c", "c", "third", 9)],
}
"""Where each mode keeps them."""
EVERYWHERE = [
    *_rows(BATCH, [("a", "first", 4), ("a", "second", 7), ("c", "third", 9)]),
    *_rows(SECOND, [("a", "first", 4), ("a", "second", 7), ("c", "third", 9)]),
]
"""What either batch showed where attempts are carried."""


async def begins(cohort: Instance, mode: TrackingMode) -> None:
    await agree(cohort.stores.rows, mode, NOW)
    cohort.track(mode)
    await joins(cohort)
    await joins(cohort, "second")
    for content, context, attempt, score in MADE:
        to = Tracking(mode).stored(ViewKey("ada", "course", context, content))
        await assess(cohort, "ada", (content, to.collection_id, to.context_id), attempt, score)
    await cohort.drain()


async def shown(cohort: Instance) -> dict[str, set[str]]:
    """The attempts that count in each batch, as readers find them."""
    shared = cohort.shared
    keys = [ProgressKey("ada", *place) for place in (BATCH, SECOND)]
    _, tree = (await shared.library.published(["course"]))["course"]
    assert tree is not None
    found = await attempts_by_key(shared.stores.rows, shared.tracking, keys, {"course": tree})
    return {key.context_id: {one.attempt_id for one in those} for key, those in found.items()}


@pytest.mark.parametrize(("old", "new"), list(permutations((STRICT, FULL, COLLECTION), 2)))
async def test_attempts_are_written_to_where_the_new_mode_keeps_them(
    school: Instance, old: TrackingMode, new: TrackingMode
) -> None:
    """On both engines. Nothing is deleted, and the report counts them. Who goes back finds all, and nothing twice."""
    await begins(school, old)
    assert await attempts(school, "ada") == sorted(FIRST[old])
    before = await shown(school)
    target = EVERYWHERE if new is STRICT else FIRST[new]
    expected = sorted([*FIRST[old], *target])
    promised = await survey(school.shared, old, new)
    assert await attempts(school, "ada") == sorted(FIRST[old]), "who asks what it would do changes nothing"
    report = await goes_over(school, old, new)
    assert report == promised
    assert (report.learners, report.attempts) == (1, len(target))
    assert await attempts(school, "ada") == await questions(school, "ada") == expected
    after = await shown(school)
    assert all(before[context] <= after[context] for context in before)
    assert await goes_over(school, new, old) is not None
    assert await goes_over(school, old, new) is not None
    assert await shown(school) == after
    assert (await survey(school.shared, old, new)).attempts == 0


async def test_what_moved_is_shown_where_it_was_left_too(school: Instance) -> None:
    """Pointers end with move mode, and views do the same."""
    await agree(school.stores.rows, MOVE, NOW)
    school.track(MOVE, ALWAYS)
    await joins(school)
    await assess(school, "ada", ("a", *BATCH), "first", 4)
    await joins(school, "second")
    await school.drain()
    assert await attempts(school, "ada") == _rows(SECOND, [("a", "first", 4)])
    report = await goes_over(school, MOVE, STRICT)
    assert report == ModeChangeReport(learners=1, attempts=1, enrolments=2)
    await school.drain()
    assert await shown(school) == {"batch": {"first"}, "second": {"first"}}


async def test_they_say_why_they_are_there_and_bring_archived_questions(school: Instance) -> None:
    await begins(school, STRICT)
    school.sets_clock(NOW + timedelta(days=1))
    assert await archive_all(school) == 3
    await goes_over(school, STRICT, FULL)
    found = {one.attempt_id: one for one in await slim(school, "ada") if one.key.is_content_alone}
    assert {one.archived_in for one in found.values()} == {None}
    assert found["first"].origin == AttemptOrigin(OriginKind.MODE_CHANGED, BATCH)
    assert found["second"].origin == AttemptOrigin(OriginKind.MODE_CHANGED, SECOND)
    assert await questions(school, "ada") == sorted(FIRST[FULL])


async def test_a_change_cut_off_at_any_step_comes_to_the_same_end(school: Instance) -> None:
    await begins(school, STRICT)
    step, reached = 0, True
    while reached:
        interruption = Interruption(step, dies)
        with suppress(StoreUnavailable):
            await change_mode(interruption.of(school.shared), STRICT, COLLECTION)
        reached = interruption.happened
        step += 1
    assert step > 9
    expected = sorted([*FIRST[STRICT], *FIRST[COLLECTION]])
    assert await attempts(school, "ada") == await questions(school, "ada") == expected
