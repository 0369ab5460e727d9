"""Writes views that follow from others: copies and moves.

All writes are conditional, so they lower nothing and may run beside commands. Several views go in one write, as they
are in one partition.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.writes.announcement import Announcement
from ingest.writes.retrying import Attempts
from loaders.session import Shared
from loaders.views import as_read, row_key, view_values
from rules.errors import StoreUnavailable
from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.views import View
from stores.rows import MOST_CHANGES, Change, Equal, Row, Write
from stores.tables import LEARNER_SCOPES, VIEWS


@dataclass(frozen=True, slots=True)
class Step:
    """A view to be written and all changes that are written for it at once. ``view`` is None if something is only
    deleted."""

    view: View | None
    changes: Sequence[Change]


async def transfer(shared: Shared, key: ProgressKey, plan: Callable[[], Awaitable[list[Step]]]) -> int:
    """Writes what ``plan`` asks for into the views of ``key``. Returns how many views were written.

    One write has up to MOST_CHANGES rows. If a write is refused because someone else was faster, the plan is made anew.
    The hash of ``key`` is marked and settled as a call does it (loaders/touches.py), so reads see the views at once.

    Raises StoreUnavailable also if the rows change so often that no write succeeds. It may then be tried again.
    """
    announcement, written = Announcement(shared), dict[str, View]()
    async for _ in Attempts():
        steps = await plan()
        if any(step.view for step in steps):
            await enter_scope(shared, key, scope_of(key.collection_id))
            await announcement.mark(key)
        for batch in _batches(steps):
            changes = [change for step in batch for change in step.changes]
            if not await shared.stores.rows.write_together(VIEWS, changes):
                break
            written |= {step.view.key.content_id: step.view for step in batch if step.view}
        else:
            announcement.settle(written.values())
            return len(written)
    raise StoreUnavailable("the learner's views are being changed by others; try again")


async def enter_scope(shared: Shared, key: ProgressKey, scope: str) -> None:
    """Writes this scope into the learner's list of scopes, before the scope has its first row."""
    await enter_scopes(shared, {key: scope})


async def enter_scopes(shared: Shared, scopes: Mapping[ProgressKey, str]) -> None:
    """Does what ``enter_scope`` does for the scopes of several keys, in one write."""
    if (entering := entering_of(shared, scopes)) is not None:
        await entering


def entering_of(shared: Shared, scopes: Mapping[ProgressKey, str]) -> Coroutine[Any, Any, None] | None:
    """Returns what ``enter_scopes`` does. None if they are entered."""
    known = shared.entered_scopes
    # Another process may have erased an entry that this one remembers. The workers write the entry of a collection
    # again. They write none for a content by itself, so that one is always written here.
    entries = {
        place: scope
        for key, scope in scopes.items()
        if (place := (key.user_id, key.collection_id, key.context_id)) not in known
        or scope != key.collection_id
    }
    return _enter(shared, entries) if entries else None


async def _enter(shared: Shared, entries: Mapping[tuple[str, str, str], str]) -> None:
    writes = (Write(LEARNER_SCOPES, place, {"scope": scope}) for place, scope in entries.items())
    await shared.stores.rows.write(*writes)
    shared.entered_scopes.update(dict.fromkeys(entries))


def put(view: View, stored: Row | None, changed_at: int) -> Change:
    """Returns the change that puts the whole view in place of the stored one, if that is still as it was read."""
    values = {**view_values(view), "changed_at": changed_at}
    if stored is None or stored["status"] is None:
        return Change(row_key(view.key), values, [Equal("status", None)])
    return Change(row_key(view.key), values, as_read(stored))


def taken_away(key: ViewKey, stored: Row, changed_at: int) -> Change:
    return Change(row_key(key), {"changed_at": changed_at}, as_read(stored), delete=True)


def _batches(steps: Sequence[Step]) -> list[list[Step]]:
    """Groups the steps into writes. The changes of one step stay in one write."""
    batches: list[list[Step]] = []
    size = MOST_CHANGES
    for step in steps:
        if size + len(step.changes) > MOST_CHANGES:
            batches.append([])
            size = 0
        batches[-1].append(step)
        size += len(step.changes)
    return batches
