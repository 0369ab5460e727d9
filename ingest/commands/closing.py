"""Forced end: views that were started and never ended are completed after nobody has touched them for long (R-VIEW-6).

They end at their last access, with the reason as their origin. Condition, mark and trigger are those of an end that the
learner's device sends, so a view that is used again meanwhile is left alone. A completed view stays as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.calls.acknowledgement import acknowledge
from ingest.writes.announcement import Announcement
from ingest.writes.triggers import trigger_of
from loaders.session import Session, Shared
from loaders.views import key_of
from rules.access import Access
from rules.errors import InvalidInput
from rules.identifiers import ProgressKey, checked_id, scope_of
from rules.moments import milliseconds, moment
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.triggers import TriggerKind
from rules.views import View
from stores.rows import Equal, Row
from stores.tables import LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS

RANGES = 16
"""Parts of the ring, each a step."""
PAGE = 200
AT_ONCE = 16
"""Conditional writes under way at the same time."""
SHORTEST = timedelta(minutes=1)

COLUMNS = (*VIEWS.key, "status", "last_access_time", "last_updated_time", "origin")


class Closer:
    """Closes idle views. ``at`` is when the closing began. A view last touched ``idle`` before that, or earlier, is
    closed."""

    def __init__(self, shared: Shared, idle: timedelta, at: datetime, *, dry_run: bool) -> None:
        self._shared = shared
        self._stores = shared.stores
        self._until = at - idle
        self._at = moment(milliseconds(at))
        self._origin = Origin(OriginKind.CLOSED, None, f"idle for {_words(idle)}", self._at)
        self._dry_run = dry_run

    async def close(self, rows: Sequence[Row]) -> int:
        """Closes the idle ones of these views and sends a trigger for each. Returns how many were closed."""
        idle = [row for row in rows if self._is_idle(row)]
        if self._dry_run:
            return len(idle)
        by_key: dict[ProgressKey, list[Row]] = {}
        for row in idle:
            by_key.setdefault(key_of(row).progress_key, []).append(row)
        # These were closed before the job died, perhaps without their trigger.
        before = [key_of(row) for row in rows if row["origin"] == self._origin.encode()]
        slots = asyncio.Semaphore(AT_ONCE)
        closed = await asyncio.gather(*(self._close_of(key, of, slots) for key, of in by_key.items()))
        again = [trigger_of(TriggerKind.VIEW, key.progress_key, key.content_id) for key in before]
        await self._stores.events.send(TRIGGERS.name, *again)
        return sum(closed) + len(before)

    def _is_idle(self, row: Row) -> bool:
        touched = row["last_access_time"]
        return bool(row["status"] == Status.IN_PROGRESS and touched is not None and touched <= self._until)

    async def _close_of(self, key: ProgressKey, rows: Sequence[Row], slots: asyncio.Semaphore) -> int:
        """Closes these views as a call that ends them would do (ingest/calls/acknowledgement.py)."""
        announcement = Announcement(self._shared)
        async with announcement.writing([key]):
            found = await asyncio.gather(*(self._end(row, slots) for row in rows))
        views = [view for view in found if view is not None]
        await acknowledge(self._shared, announcement, views, {})
        return len(views)

    async def _end(self, row: Row, slots: asyncio.Semaphore) -> View | None:
        """Ends the view. Returns None if somebody has touched it since it was read."""
        key, accessed = key_of(row), row["last_access_time"]
        values = {
            "status": int(Status.COMPLETED),
            "progress": 100,
            "last_completed_time": accessed,
            "last_updated_time": self._at,
            "origin": self._origin.encode(),
            "changed_at": self._shared.change_moment(),
        }
        conditions = [Equal(name, row[name]) for name in ("status", "last_access_time", "last_updated_time")]
        place = tuple(row[name] for name in VIEWS.key)
        async with slots:
            applied = await self._stores.rows.update_if(VIEWS, place, values, conditions)
        if not applied.applied:
            return None
        return View(key, Status.COMPLETED, 100, last_accessed_on=accessed, completed_on=accessed)


async def _views_of(shared: Shared, user_id: str) -> AsyncIterator[list[Row]]:
    """Gives every view of a learner, a page at a time."""
    rows, after = shared.stores.rows, None
    seen: set[str] = set()
    while places := await rows.partition(LEARNER_SCOPES, (user_id,), after=after, limit=PAGE):
        for scope in {row["scope"] or scope_of(row["collectionid"]) for row in places} - seen:
            seen.add(scope)
            place = None
            while page := await rows.partition(
                VIEWS, (user_id, scope), after=place, limit=PAGE, columns=COLUMNS
            ):
                yield page
                place = tuple(page[-1][name] for name in VIEWS.clustering)
        after = (places[-1]["collectionid"], places[-1]["contextid"])


def checked_idle(idle: timedelta) -> timedelta:
    if idle < SHORTEST:
        raise InvalidInput("a view is idle after a minute at the least", field="idle")
    return idle


def _words(idle: timedelta) -> str:
    for unit, one in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, rest = divmod(int(idle.total_seconds()), one)
        if not rest:
            return f"{count} {unit}{'s' * (count != 1)}"
    return str(idle)


@dataclass(frozen=True, slots=True)
class Closing:
    """How many views were ``looked_at``, and how many of them were idle: ``closed``, or to be closed in a dry run."""

    looked_at: int
    closed: int


async def close_own_idle_views(session: Session, idle: timedelta, user_id: str | None = None) -> Closing:
    """Closes idle views of one learner: the caller, or the one whom an admin or a service names.

    Nothing is read whole. If a call runs out of time, it goes on when it is sent again. Raises InvalidInput, Forbidden,
    StoreUnavailable.
    """
    user_id = session.viewer.acting_for(
        None if user_id is None else checked_id(user_id, "userId"), Access.PERSON
    )
    closing = Closer(session.shared, checked_idle(idle), session.now(), dry_run=False)
    looked_at = closed = 0
    async for page in _views_of(session.shared, user_id):
        looked_at += len(page)
        closed += await closing.close(page)
    session.refresh()
    return Closing(looked_at, closed)
