"""Attempts from before an erasure. They are not taken, and what was written of them while the erasure ran is deleted."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from ingest.attempts.places import PlacedAttempt
from loaders.erasures import erased_learners, erased_places
from loaders.session import Shared
from rules.attempts import before_write_times_after
from rules.identifiers import ProgressKey, ViewKey
from rules.moments import microseconds, milliseconds
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEARNER_SCOPES


async def without_erased(shared: Shared, placed: Sequence[PlacedAttempt]) -> list[PlacedAttempt]:
    """Returns the attempts that are later than the last erasure of their place. Of the others nothing stays.

    An erasure first writes its watermark, and then deletes what it finds. So whoever has written calls this again. What
    was written before the watermark the erasure finds, and what was written after it is deleted here. If this process
    dies in between, its records come again, and are deleted then.
    """
    places = dict.fromkeys(place for one in placed for place in (one.asked, one.current))
    erased = await erased_places(shared.stores.rows, list(places))
    late = {one for one in placed if _is_erased(one, erased.get(one.asked), erased.get(one.current))}
    if late:
        await _take_away(shared, late, erased)
    return [one for one in placed if one not in late]


def _is_erased(one: PlacedAttempt, *erased: datetime | None) -> bool:
    """Whether one of these erasures was at the time of the attempt or later."""
    told = milliseconds(one.told_on)
    return any(at is not None and told <= milliseconds(at) for at in erased)


async def _take_away(
    shared: Shared, late: Collection[PlacedAttempt], erased: Mapping[ProgressKey, datetime]
) -> None:
    """Deletes what is older than the erasure of the place that the submission names.

    In the modes that carry forward a place shares its attempts with others. They go only with the whole learner.
    """
    if shared.tracking.carries:
        learners = await erased_learners(shared.stores.rows, {one.asked.user_id for one in late})
        erased = {one.asked: learners[user] for one in late if (user := one.asked.user_id) in learners}
    writes: list[Write] = []
    for one in late:
        at, submission = erased.get(one.asked), one.received.submission
        if at is not None and _is_erased(one, at):
            for key in {one.key, shared.tracking.stored(submission.key)}:
                writes += _deletions(key, submission.attempt_id, at)
    await shared.stores.rows.write(*writes)


def _deletions(key: ViewKey, attempt_id: str, erased_on: datetime) -> Iterator[Write]:
    """Of the place's entry in the learner's list what the takers wrote goes, which is of whole milliseconds, and not what an erasure that
    still runs goes by."""
    place, at = (key.user_id, key.collection_id, key.context_id), before_write_times_after(erased_on)
    for table in (ATTEMPTS_WITH_QUESTIONS, ATTEMPTS):
        yield Write(table, (*place, key.content_id, attempt_id), {}, at, delete=True)
    yield Write(LEARNER_SCOPES, place, {}, microseconds(erased_on), delete=True)
