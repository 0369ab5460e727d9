"""Erasing takes attempts and scores away, whatever time they were written at, and what others show stays."""

from datetime import timedelta

import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.erasures import ErasureCall, erase
from loaders.attempts import attempt_key
from loaders.scores import scores_of_learner
from rules.attempts import Attempt, write_time
from rules.identifiers import ViewKey
from rules.scores import NO_SCORE
from rules.tracking import TrackingMode
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES, SCORES
from tests.conftest import LEAF, NOW, Instance
from tests.ingest.test_erasure import last_states
from tests.ingest.test_erasure import rows_of as rows_of_learner
from tests.ingest.test_sample import rows_of
from tests.ingest.test_scores import BATCH, aggregate, attempted, known, minute, view

OF_ATTEMPTS = (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, SCORES)


async def left(cohort: Instance, user: str = "ada") -> dict[str, list[str]]:
    """The contents of the rows of attempts and scores, by table."""
    return {
        table.name: sorted(
            row["assessment_id" if table is SCORES else "content_id"]
            for row in await rows_of(cohort.shared, table)
            if row["user_id"] == user
        )
        for table in OF_ATTEMPTS
    }


NOTHING: dict[str, list[str]] = {table.name: [] for table in OF_ATTEMPTS}


async def test_erasing_a_place_takes_its_scores_and_leaves_those_of_others(course: Instance) -> None:
    """The view and the scores of her other batch stay; so do Bob's."""
    await course.batch("second")
    for place in (BATCH, ("course", "second")):
        await enrol(course.session("ada"), EnrolmentCall(*place))
        await attempted(course, "a", (2, 3), place=place)
    await view(course, "a")
    await attempted(course, "a", (1, 3), user="bob")
    await course.drain()
    await erase(course.session("ada"), ErasureCall(None, *BATCH))
    await course.drain()
    assert await aggregate(course) is None
    other = await aggregate(course, context="cb:second")
    assert other is not None
    assert other.score.score == 2
    assert [each.key.context_id for each in await scores_of_learner(course.stores.rows, "ada")] == ["second"]
    assert (await known(course, user="bob")).score.score == 1
    assert len(await scores_of_learner(course.stores.rows, "bob")) == 1
    if course.urls["events"] == "embedded:":
        assert {place[1] for place in await last_states(course, "ada")} == {"cb:second"}


async def test_erasing_a_learner_takes_all_scores_also_of_a_content_by_itself(course: Instance) -> None:
    await course.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    await attempted(course, "a", (2, 3))
    await attempted(course, "alone", (1, 1), place=("alone", "alone"))
    await course.drain()
    assert len(await scores_of_learner(course.stores.rows, "ada")) == 2
    assert (await erase(course.session("ada"), ErasureCall())).done
    await course.drain()
    assert await left(course) == NOTHING
    assert {table for table, _ in await rows_of_learner(course, "ada")} == {"erasure"}


async def test_who_is_assessed_again_after_an_erasure_has_only_the_new_score(course: Instance) -> None:
    """The erasure is at NOW. The new attempt is a minute later."""
    await attempted(course, "a", (3, 3), (2, 3))
    await attempted(course, "b", (1, 1))
    await course.drain()
    await erase(course.session("ada"), ErasureCall(None, *BATCH))
    course.sets_clock(NOW + timedelta(minutes=2))
    later = 24 * 60 + 1
    await attempted(course, "a", (1, 3), first=later)
    await course.drain()
    found = await known(course)
    assert (found.score.score, found.score.attempts, found.score.assessed) == (1, 1, 1)
    assert await aggregate(course, "unit-2") is None
    (scores,) = await scores_of_learner(course.stores.rows, "ada")
    assert (scores.best, scores.attempts, scores.updated_on) == (1.0, 1, minute(later))
    places = await course.stores.rows.partition(LEARNER_SCOPES, ("ada",))
    assert [(row["collectionid"], row["contextid"]) for row in places] == [BATCH]


@pytest.mark.parametrize("archived", [False, True])
async def test_an_attempt_of_the_very_millisecond_of_the_erasure_goes_however_late_in_it_it_was_written(
    course: Instance, archived: bool
) -> None:
    """Versions of one millisecond are written up to 998 microseconds after it, and the archive notes one later where the
    questions are."""
    key = ViewKey("ada", *BATCH, "a")
    written_at = write_time(NOW, write_time(NOW) + 998)
    assert written_at == round(NOW.timestamp() * 1_000_000) + 998
    attempt = Attempt(key, f"late-{archived}", 1.0, 2.0, NOW, NOW, NOW, written_at, "hash")
    values = {
        "total_score": 1.0,
        "total_max_score": 2.0,
        "last_attempted_on": NOW,
        "updated_on": NOW,
        "written_at": written_at,
    }
    row = attempt_key(attempt)
    await course.stores.rows.write(
        Write(LEARNER_SCOPES, ("ada", *BATCH), {"scope": "course"}, written_at - 2_000_000),
        Write(ATTEMPTS_WITH_QUESTIONS, row, values, written_at),
        Write(ATTEMPTS, row, values, written_at),
    )
    if archived:
        await course.stores.rows.write(Write(ATTEMPTS, row, {"archived_in": "request"}, written_at + 1))
    assert (await left(course))[ATTEMPTS.name] == ["a"]
    await erase(course.session("ada"), ErasureCall(None, *BATCH))
    assert await left(course) == NOTHING


async def test_what_an_attempt_taker_wrote_while_an_erasure_ran_goes_before_the_workers_look(
    course: Instance,
) -> None:
    """It had read that nothing is erased, and was slow: its rows came after the deletion, of a minute before it."""
    await attempted(course, "a", (2, 3))
    await course.drain()
    await erase(course.session("ada"), ErasureCall(None, *BATCH))
    await attempted(course, "b", (1, 3), first=24 * 60 - 1)
    await course.drain()
    assert await left(course) == NOTHING
    assert await aggregate(course) is None


async def test_erasing_a_place_keeps_carried_attempts_that_others_show_and_takes_them_with_the_last(
    embedded: Instance,
) -> None:
    """Under carry forward within a collection: both batches show what is kept at the course."""
    embedded.track(TrackingMode.CARRY_FORWARD_COLLECTION)
    await embedded.publish()
    places = (BATCH, ("course", "second"))
    for place in places:
        await embedded.batch(place[1])
        await enrol(embedded.session("ada"), EnrolmentCall(*place))
    await attempted(embedded, "a", (2, 3), place=("course", "course"))
    await embedded.drain()
    await erase(embedded.session("ada"), ErasureCall(None, *BATCH))
    await embedded.drain()
    assert await aggregate(embedded) is None
    other = await aggregate(embedded, context="cb:second")
    assert other is not None
    assert other.score.score == 2
    assert (await left(embedded))[SCORES.name] == ["a"]
    await erase(embedded.session("ada"), ErasureCall(None, *places[1]))
    await embedded.drain()
    assert await left(embedded) == NOTHING


async def test_erasing_a_content_by_itself_keeps_attempts_that_collections_show(embedded: Instance) -> None:
    """Under full carry forward, as its views stay (P-4.7); the erasure of the learner takes them."""
    embedded.track(TrackingMode.CARRY_FORWARD_FULL)
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session("ada"), EnrolmentCall(*BATCH))
    await attempted(embedded, "a", (2, 3), place=("a", "a"))
    await embedded.drain()
    await erase(embedded.session("ada"), ErasureCall(None, "a"))
    await embedded.drain()
    assert (await known(embedded)).score.score == 2
    await erase(embedded.session("ada"), ErasureCall())
    await embedded.drain()
    assert await left(embedded) == NOTHING
    assert await aggregate(embedded) is None


async def test_who_left_keeps_the_score(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session("ada"), EnrolmentCall(*BATCH))
    await attempted(embedded, "a", (2, 3))
    await unenrol(embedded.session("ada"), EnrolmentCall(*BATCH))
    await embedded.drain()
    found = await known(embedded)
    assert (found.active, found.score.score) == (False, 2)
    assert found.score != NO_SCORE
