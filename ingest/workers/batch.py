"""The way of one batch of records: what it asks for, what the tracking mode adds, the keys, the rest."""

from collections.abc import Sequence

from ingest.modes.moves import Moved
from ingest.modes.strategies import added_by
from ingest.workers.dead_letters import dead_letter
from ingest.workers.handlers import HANDLERS, TOPICS
from ingest.workers.moved_places import active_days_left, remove_figures
from ingest.workers.refresh import refresh
from ingest.workers.work import Work
from ingest.writes.all_ended import all_ended
from loaders.session import Shared
from rules.active_days import NO_DAYS
from rules.errors import InvalidInput
from stores.events import Message, Record
from stores.topics import DEAD_LETTERS

MOST_KEYS = 200
"""Keys of a chunk. A chunk is read, recomputed and written together."""
AT_ONCE = 4
"""Chunks under way. Together with MOST_KEYS it bounds the memory and the statements in flight."""


async def handle(shared: Shared, records: Sequence[Record]) -> Work:
    """Does all that the records ask for, and returns what that was. If it raises, the work may be done again."""
    work = Work()
    for record in records:
        _read(work, record)
    for handler in HANDLERS:
        if handler.prepare is not None:
            await handler.prepare(shared, work)
    mode = added_by(shared.tracking)
    followed = await mode.follow(shared, list(work.keys), work.enrolled, work.viewed)
    work.follow(followed, carried=shared.tracking.carries)
    for key in {*followed, *work.enrolled} if mode.rekeys else ():
        # Attempts may have come along, by this batch or by the call.
        work.assess(key, None, work.keys[key])
    moved = await _settle_moves(shared, work)
    await _refresh(shared, work)
    # The new places have the active days by now, which no row tells.
    for each, record in moved:
        await remove_figures(shared, each, record.appended_at, record.offset)
    await send_dead_letters(shared, work.dead)
    # This comes after the dead letters, because they are to be forgotten too.
    for handler in HANDLERS:
        if handler.finish is not None:
            await handler.finish(shared, work)
    return work


async def send_dead_letters(shared: Shared, letters: Sequence[Message]) -> None:
    if letters:
        await shared.stores.events.send(DEAD_LETTERS.name, *letters)


def _read(work: Work, record: Record) -> None:
    try:
        TOPICS[record.topic](work, record)
    except InvalidInput as error:
        work.dead.append(dead_letter(record, f"{error.code}: {error.message}"))


async def _settle_moves(shared: Shared, work: Work) -> list[tuple[Moved, Record]]:
    """Adds the new places to the keys, with the active days of the places that were left. Returns the latter, whose figures are
    to be taken away, each with its record."""
    found = await added_by(shared.tracking).take_rest(shared, list(work.keys), work.enrolled)
    moved = [(each, work.keys[each.cause]) for each in found]
    left = await active_days_left(shared, found)
    for each, record in moved:
        work.keys.setdefault(each.to, record)
        for place in (each.enrolment.key, each.to):
            work.assess(place, None, record)
        told = left[each.enrolment.key] | work.days(shared.day_zone, each.enrolment.key, None)
        work.brought[each.to] = work.brought.get(each.to, NO_DAYS) | told
    for each in found:
        work.keys.pop(each.enrolment.key, None)
    return moved


async def _refresh(shared: Shared, work: Work) -> None:
    """Refreshes all keys. One chunk computes while others wait for their stores."""
    keys = list(work.keys)
    chunks = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
    for start in range(0, len(chunks), AT_ONCE):
        # All end before one that failed is tried again: two attempts would give two states the same version.
        await all_ended(refresh(shared, chunk, work) for chunk in chunks[start : start + AT_ONCE])
