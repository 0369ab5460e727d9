"""Deletes what a learner has, in one place or everywhere (issue: summary delete; reference 2.7, 4.7).

In this order, so that a call which died anywhere is finished by the next one:

1. the watermark: from now on calls and profiles of before are refused (loaders/erasures.py);
2. every enrolment gets an entry in the learner's list of scopes, which is what 3 goes by;
3. a page of that list after the other: views, attempts, enrolments, then triggers, then the entries themselves;
4. groups, profile, files for download, finished jobs;
5. a last trigger.

What the workers write they delete, told by the triggers of 3 (ingest/vanishing.py), and by that of 5 they have the log
and the rows' files forget what is left (ingest/forgetting.py). Nothing is read whole.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.exports import delete_exports
from ingest.jobs import Checkpoint, JobRecord, Jobs, OnProgress, Plan, job_kind
from ingest.learner_groups import erase_membership
from ingest.moves import current_key, settled
from ingest.triggers import change_moment, trigger_of
from loaders import touches
from loaders.enrolments import as_read, enrolments_by_key, enrolments_in, row_key
from loaders.erasures import EVERYWHERE, erased_learners
from loaders.session import Session, Shared
from rules.enrolments import Enrolment
from rules.errors import Absent, CohortError, Conflict
from rules.identifiers import ProgressKey, checked_id, optional_id, scope_of
from rules.moments import milliseconds, moment
from rules.moves import current_place
from rules.tracking import TrackingMode
from rules.triggers import Trigger, TriggerKind
from rules.viewers import Role
from stores.columns import Table
from stores.deadline import remaining
from stores.events import Message
from stores.rows import MOST_CHANGES, Change, Equal, Key, Row, Write
from stores.tables import (
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    ENROLMENTS,
    ERASURES,
    GROUP_MEMBERS,
    LEARNER_GROUPS,
    LEARNER_SCOPES,
    LEARNERS,
    USER_GROUPS,
    VIEWS,
)
from stores.topics import TRIGGERS

log = logging.getLogger(__name__)

KIND = "erase"
PAGE = 50
"""Places, groups or attempts that are read and deleted together: well within jobs.ABANDONED_AFTER."""
AT_ONCE = 8
"""Partitions of views that are being emptied."""
ATTEMPTS_AT_A_PAGE = 12
"""How often a page of views is tried against calls that change them, before it is a Conflict."""
LONGEST_PAUSE = 0.1
"""Seconds between these at most."""
PATIENCE = 5.0
"""Seconds that a call waits for the erasure of a whole learner; then it goes on behind its back."""

_STEPS = ("watermark", "list", "places", "groups", "profile", "exports", "jobs", "end")
_PLACE = ("collectionid", "contextid")

Place = tuple[str, str]
"""Collection and context; the collection twice where there was none."""


@dataclass(frozen=True, slots=True)
class ErasureCall:
    """``user_id`` is for admins and services. Without a collection all of the learner; ``context_id`` left out is the
    collection taken by itself."""

    user_id: str | None = None
    collection_id: str | None = None
    context_id: str | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """``purged``: the places where there was something that is deleted; of a whole learner without contents viewed by
    themselves. ``done`` False: there is so much that it goes on; the same call sent again tells when it is done, and
    finishes it should this process end."""

    user_id: str
    purged: Sequence[Place]
    done: bool = True


async def erase(session: Session, call: ErasureCall) -> Erasure:
    """Deletes one enrolment (or a collection or content that was taken by itself) with its views, or all that a learner
    has.

    Views that another active enrolment of the learner shows stay in carry-forward-collection; in carry-forward-full,
    which keeps them by content, they go only with the whole learner. They stay listed then. In move mode the enrolments
    that led to the deleted one are ended: what is sent there from now on is kept there. Where there is nothing, nothing
    happens.

    Forbidden, InvalidInput, Conflict; StoreUnavailable where it may be sent again.
    """
    user_id = session.viewer.acting_for(
        None if call.user_id is None else checked_id(call.user_id, "userId"), Role.ADMIN
    )
    collection_id = optional_id(call.collection_id, "collectionId")
    context_id = optional_id(call.context_id, "contextId")
    erasure = _Eraser(session.shared, user_id, session.now(), change_moment())
    if collection_id is not None:
        key = ProgressKey(user_id, collection_id, context_id or collection_id)
        # In move mode where the progress went as well: deleted by the name that the learner knows it by.
        keys = dict.fromkeys((await current_key(session.shared, key), key))
        purged = [(each.collection_id, each.context_id) for each in keys if await erasure.place(each)]
        session.refresh()
        return Erasure(user_id, purged)
    if context_id is not None:
        raise Absent("contextId needs a collectionId beside it", field="collectionId")
    done = await _within(session, erasure)
    session.refresh()
    return Erasure(user_id, list(erasure.purged), done)


async def sweep(shared: Shared, erased: Mapping[ProgressKey, datetime]) -> None:
    """For the workers, before they look at what is left: views that a call or a copy under way when the erasure began
    has written behind it. Not where there is an enrolment again, which may have brought older views along; in the
    carry-forward modes only behind the erasure of a whole learner, as that of a place keeps views that others show.

    A call that writes even later, behind the workers, leaves its view; then the list of scopes names it again: the
    workers enter that of a collection with its figures, while a content by itself is entered by its next start.
    """
    rows = shared.stores.rows
    if shared.tracking.carries:
        whole = await erased_learners(rows, {key.user_id for key in erased})
        erased = {key: at for key, at in erased.items() if whole.get(key.user_id) == at}
    enrolments = await enrolments_by_key(rows, list(erased))
    keys = [key for key, enrolment in zip(erased, enrolments, strict=True) if enrolment is None]
    places = {shared.tracking.source(key): erased[key] for key in keys}
    await asyncio.gather(
        *(_Eraser(shared, place.user_id, at, 0).views_of_before(place) for place, at in places.items())
    )


async def _within(session: Session, erasure: "_Eraser") -> bool:
    """Whether the erasure of the learner came to its end while the caller waits; it does without the caller too."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def whole() -> None:
        try:
            await erasure.whole()
        except Exception as error:
            if not ended.cancelled():
                ended.set_exception(error)
            elif isinstance(error, CohortError):
                log.warning("the erasure of a learner stopped, to be sent again: %s", error)
            else:
                log.exception("the erasure of a learner broke off")
        else:
            if not ended.cancelled():
                ended.set_result(None)

    session.shared.background.start(whole())
    try:
        async with asyncio.timeout(remaining(PATIENCE)):
            await ended
    except TimeoutError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Report:
    """Of a job: how many places, groups and rows of views were deleted."""

    places: int
    groups: int
    views: int


async def erase_learner(shared: Shared, user_id: str, on_progress: OnProgress | None = None) -> Report:
    """All of a learner, as a job, to its end. Its row has the learner's id until then."""
    arguments = {
        "user_id": checked_id(user_id, "userId"),
        "erased_on": milliseconds(shared.now()),
        "written_on": change_moment(),
    }
    report = report_of(await Jobs(shared).start(KIND, arguments, on_progress))
    await shared.stores.rows.scrub()
    return report


def report_of(job: JobRecord) -> Report:
    reports = [step.checkpoint.report for step in job.steps]
    return Report(*(sum(report.get(name, 0) for report in reports) for name in ("places", "groups", "views")))


@job_kind(KIND, private={"user_id"})
def _plan(shared: Shared, arguments: Mapping[str, Any]) -> Plan:
    user_id, erased_on = arguments["user_id"], moment(arguments["erased_on"])
    return _Job(_Eraser(shared, user_id, erased_on, arguments["written_on"]))


class _Job:
    """An erasure resumes by itself, as what is deleted is not found again: a checkpoint only tells how far it is."""

    def __init__(self, erasure: "_Eraser") -> None:
        self._erasure = erasure

    def steps(self) -> Sequence[str]:
        return _STEPS

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        done, report = start.done, dict(start.report)
        async for counted in self._erasure.step(step):
            done += counted.get("places", 0) + counted.get("groups", 0)
            report = {name: report.get(name, 0) + counted.get(name, 0) for name in {*report, *counted}}
            yield Checkpoint(step, done, report)
        yield Checkpoint(None, done, report)


class _Eraser:
    """Of one learner: ``erased_on`` by the instance's clock, ``written_on`` by the one of unconditional writes."""

    def __init__(self, shared: Shared, user_id: str, erased_on: datetime, written_on: int) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._user_id = user_id
        self._erased_on = moment(milliseconds(erased_on))
        self._written_on = written_on
        self.purged: dict[Place, None] = {}

    async def whole(self) -> None:
        for name in _STEPS:
            async for _ in self.step(name):
                pass

    async def step(self, name: str) -> AsyncIterator[Mapping[str, int]]:
        """What was deleted since the last time, of each kind."""
        match name:
            case "watermark":
                await self._raise_watermark(EVERYWHERE)
            case "list":
                await self._list_enrolments()
            case "places":
                async for counted in self._erase_places():
                    yield counted
            case "groups":
                async for counted in self._leave_groups():
                    yield counted
            case "profile":
                await self._erase_profile()
            case "exports":
                await delete_exports(self._shared.stores.blobs, self._user_id)
            case "jobs":
                await Jobs(self._shared).forget(self._user_id)
            case "end":
                await self._end()

    # --- one place

    async def place(self, key: ProgressKey) -> bool:
        """Whether there was something that is gone now."""
        await self._raise_watermark((key.collection_id, key.context_id))
        pointers = await self._settle_pointers(key)
        scope = await self._rows.get(LEARNER_SCOPES, row_key(key))
        enrolled = await self._erase_enrolments([key])
        views = await self._erase_views_of(key)
        attempts = await self._erase_attempts(key.collection_id, (key.context_id,))
        await self._tell([key, *pointers])
        # Last: as long as they lead here, a call that names one of them finishes this one.
        await self._end_pointers(key)
        listed = scope is not None and not await self._keeps_views(key, scope)
        if listed:
            await self._rows.write(self._gone(LEARNER_SCOPES, row_key(key)))
        for each in (key, *pointers):
            await self._end(each)
        return bool(listed or enrolled or views or attempts)

    async def _keeps_views(self, key: ProgressKey, scope: Row) -> bool:
        """Whether views are still where this entry of the list says. Who goes by the list must find them."""
        if not self._shared.tracking.carries:
            return False
        partition = (self._user_id, scope["scope"] or scope_of(key.collection_id))
        prefix = (key.collection_id, key.context_id)
        return bool(
            await self._rows.partition(VIEWS, partition, prefix=prefix, limit=1, columns=("contentid",))
        )

    async def _leading_to(self, key: ProgressKey) -> list[Enrolment]:
        """In move mode: whose progress has gone here, by whatever way, and where a move to here is under way."""
        if self._shared.tracking.mode is not TrackingMode.MOVE or not key.has_context:
            return []
        found = await enrolments_in(self._rows, key.user_id, key.collection_id)
        by_context = {enrolment.key.context_id: enrolment for enrolment in found}
        return [
            enrolment
            for context_id, enrolment in by_context.items()
            if context_id != key.context_id
            and enrolment.moved_to is not None
            and key.context_id in (enrolment.moved_to, current_place(by_context, context_id))
        ]

    async def _settle_pointers(self, key: ProgressKey) -> list[ProgressKey]:
        """The places that have moved here. What still stood there has come along, to be deleted here; what is sent of
        before is refused there too."""
        pointers = [enrolment.key for enrolment in await self._leading_to(key) if enrolment.has_moved]
        for pointer in pointers:
            await self._raise_watermark((pointer.collection_id, pointer.context_id))
        await settled(self._shared, pointers, ())
        return pointers

    async def _end_pointers(self, key: ProgressKey) -> None:
        """They would have calls write here, where there is no enrolment any more. In one write: by each of their names
        the others are found."""
        for attempt in range(ATTEMPTS_AT_A_PAGE):
            if attempt:
                await asyncio.sleep(LONGEST_PAUSE * random.random())  # noqa: S311
            changes = [_pointer_ended(enrolment) for enrolment in await self._leading_to(key)]
            batches = [changes[at : at + MOST_CHANGES] for at in range(0, len(changes), MOST_CHANGES)]
            if all([await self._rows.write_together(ENROLMENTS, batch) for batch in batches]):
                return
        raise Conflict("the learner's enrolments keep changing; send the call again", field="userId")

    async def _erase_views_of(self, key: ProgressKey) -> int:
        """Those of this place, unless another active enrolment shows them. After its own enrolment is gone."""
        tracking = self._shared.tracking
        if tracking.keeps_by_content:
            return 0
        source = tracking.source(key)
        if source != key or tracking.carries:
            enrolments = await enrolments_in(self._rows, self._user_id, key.collection_id)
            if any(enrolment.active for enrolment in enrolments):
                return 0
        # One that was taken by itself is a collection or a content.
        scopes = [scope_of(source.collection_id)]
        if not key.has_context:
            scopes.append(scope_of(key.collection_id, key.collection_id))
        prefix = (source.collection_id, source.context_id)
        return sum([await self._erase_views((self._user_id, scope), prefix) for scope in scopes])

    async def views_of_before(self, key: ProgressKey) -> None:
        """Deletes those of this place that nobody has touched since."""
        scopes = {scope_of(key.collection_id)}
        if not key.has_context:
            scopes.add(scope_of(key.collection_id, key.collection_id))
        columns = (*VIEWS.key, "status", "last_updated_time", "changed_at")
        for scope in scopes:
            prefix = (key.collection_id, key.context_id)
            rows = await self._rows.partition(VIEWS, (self._user_id, scope), prefix=prefix, columns=columns)
            for row in rows:
                touched = row["last_updated_time"]
                if touched is None or touched < self._erased_on:
                    only = len(rows) == 1 and await self._has_only((self._user_id, scope), prefix, 1)
                    changes = _deletions([row], None if only else change_moment())
                    await self._rows.write_together(VIEWS, changes)

    # --- all of a learner

    async def _list_enrolments(self) -> None:
        """An enrolment that is deleted is found by its entry until its trigger is out."""
        before = self._written_on - 1  # so that the deletion of the list is later
        async for page in self._pages(ENROLMENTS, (self._user_id,), columns=_PLACE):
            await self._rows.write(
                *(
                    Write(LEARNER_SCOPES, (self._user_id, *place), {"scope": scope_of(place[0])}, before)
                    for place in ((row["collectionid"], row["contextid"]) for row in page)
                )
            )

    async def _erase_places(self) -> AsyncIterator[Mapping[str, int]]:
        async for page in self._pages(LEARNER_SCOPES, (self._user_id,)):
            keys = [ProgressKey(self._user_id, row["collectionid"], row["contextid"]) for row in page]
            scopes = {row["scope"] or scope_of(row["collectionid"]) for row in page}
            views = await self._erase_scopes(scopes)
            for collection_id in sorted({key.collection_id for key in keys}):
                await self._erase_attempts(collection_id, ())
            await self._erase_enrolments(keys)
            await self._tell(keys)
            self.purged |= {
                (row["collectionid"], row["contextid"]): None
                for row in page
                if row["scope"] in (None, row["collectionid"])
            }
            await self._rows.write(*(self._gone(LEARNER_SCOPES, row_key(key)) for key in keys))
            yield {"places": len(keys), "views": views}

    async def _erase_scopes(self, scopes: Set[str]) -> int:
        """How many views there were. Where one fails the others come to their end: what was begun is not left."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(scope: str) -> int:
            async with slots:
                return await self._erase_views((self._user_id, scope), ())

        counts = await asyncio.gather(*map(one, sorted(scopes)), return_exceptions=True)
        for count in counts:
            if isinstance(count, BaseException):
                raise count
        return sum(count for count in counts if isinstance(count, int))

    async def _leave_groups(self) -> AsyncIterator[Mapping[str, int]]:
        async for page in self._pages(USER_GROUPS, (self._user_id,)):
            for row in page:
                await erase_membership(self._shared, row["groupid"], self._user_id)
                await self._unname(row["groupid"])
            yield {"groups": len(page)}

    async def _unname(self, group_id: str) -> None:
        """In the rows of a group that the learner was in, and of its members, nobody stands where the learner did."""
        columns = ("created_by", "updated_by", "removed_by")
        for table, rows in (
            (LEARNER_GROUPS, [await self._rows.get(LEARNER_GROUPS, (group_id,), ("groupid", *columns[:2]))]),
            (
                GROUP_MEMBERS,
                await self._rows.partition(GROUP_MEMBERS, (group_id,), columns=("userid", *columns)),
            ),
        ):
            for row in rows:
                named = [column for column in columns if row and row.get(column) == self._user_id]
                if row and named:
                    key = (group_id, row["userid"]) if table is GROUP_MEMBERS else (group_id,)
                    still = [Equal(column, self._user_id) for column in named]
                    await self._rows.update_if(table, key, dict.fromkeys(named), still)

    async def _erase_profile(self) -> None:
        """At its own time, or the erasure's where that is later: what is older stays hidden, what is newer is not."""
        stored = await self._rows.get(LEARNERS, (self._user_id,), ["updated_on"])
        if stored is not None:
            at = max(self._erased_on, stored["updated_on"] or self._erased_on)
            await self._rows.write(Write(LEARNERS, (self._user_id,), {}, _microseconds(at), delete=True))

    # --- the parts

    async def _raise_watermark(self, place: Place) -> None:
        """It only grows."""
        key, values = (self._user_id, *place), {"erased_on": self._erased_on}
        result = await self._rows.insert_if_absent(ERASURES, {**ERASURES.named(key), **values})
        stored = (result.stored or {}).get("erased_on")
        while not result.applied and (stored is None or stored < self._erased_on):
            result = await self._rows.update_if(ERASURES, key, values, [Equal("erased_on", stored)])
            stored = (result.stored or {}).get("erased_on")

    async def _erase_views(self, partition: tuple[str, str], prefix: Key) -> int:
        """How many. Each page in one conditional write, which also says that the partition changed; with its last rows
        the partition is gone, as nothing is left of it that says whose it was."""
        erased = refused = 0
        while True:
            page = await self._rows.partition(
                VIEWS,
                partition,
                prefix=prefix,
                limit=MOST_CHANGES + 1,
                columns=(*VIEWS.key, "status", "changed_at"),
            )
            if not page:
                return erased
            rows = page[:MOST_CHANGES]
            emptied = len(page) <= MOST_CHANGES and await self._has_only(partition, prefix, len(page))
            if await self._rows.write_together(VIEWS, _deletions(rows, None if emptied else change_moment())):
                erased, refused = erased + len(rows), 0
                continue
            refused += 1
            if refused == ATTEMPTS_AT_A_PAGE:
                raise Conflict("the learner's views keep changing; send the call again", field="userId")
            await asyncio.sleep(LONGEST_PAUSE * random.random())  # noqa: S311

    async def _has_only(self, partition: tuple[str, str], prefix: Key, count: int) -> bool:
        if not prefix:
            return True
        rows = await self._rows.partition(VIEWS, partition, limit=count + 1, columns=("contentid",))
        return len(rows) <= count

    async def _erase_enrolments(self, keys: Sequence[ProgressKey]) -> int:
        """How many there were. What the workers wrote of them is theirs to delete."""
        found = await self._rows.get_many(ENROLMENTS, [row_key(key) for key in keys], ["enrolled_on"])
        count = 0
        for key, row in found.items():
            stored: Row | None = row
            while stored is not None and stored["enrolled_on"] is not None:
                result = await self._rows.delete_if(
                    ENROLMENTS, key, [Equal("enrolled_on", stored["enrolled_on"])]
                )
                count += result.applied
                stored = result.stored
        return count

    async def _erase_attempts(self, collection_id: str, prefix: Key) -> int:
        """How many. At the attempt's own time where that is later than the erasure's."""
        count = 0
        for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS):
            columns = (*table.key, "last_attempted_on", "updated_on")
            async for page in self._pages(
                table, (self._user_id, collection_id), prefix=prefix, columns=columns
            ):
                count += len(page)
                await self._rows.write(*(self._attempt_gone(table, row) for row in page))
        return count

    def _attempt_gone(self, table: Table, row: Row) -> Write:
        times = [self._erased_on, row["last_attempted_on"], row["updated_on"]]
        at = max(time for time in times if time is not None)
        key = tuple(row[name] for name in table.key)
        return Write(table, key, {}, _microseconds(at), delete=True)

    async def _tell(self, keys: Sequence[ProgressKey]) -> None:
        """The workers; and whoever reads before they look goes to the rows."""
        source: Callable[[ProgressKey], ProgressKey] = self._shared.tracking.source
        await touches.forget(self._shared.stores.cache, [source(key) for key in keys])
        messages = [trigger_of(TriggerKind.ERASURE, key) for key in keys]
        await self._shared.stores.events.send(TRIGGERS.name, *messages)

    async def _end(self, place: ProgressKey | None = None) -> None:
        """Nothing is written of it any more."""
        where = () if place is None else (place.collection_id, place.context_id)
        trigger = Trigger(TriggerKind.FORGET, self._user_id, *where)
        await self._shared.stores.events.send(TRIGGERS.name, Message(self._user_id, trigger.encode()))

    def _gone(self, table: Table, key: Key) -> Write:
        """What is written after the erasure began is a later one."""
        return Write(table, key, {}, self._written_on, delete=True)

    async def _pages(
        self, table: Table, partition: Key, *, prefix: Key = (), columns: Sequence[str] | None = None
    ) -> AsyncIterator[list[Row]]:
        """The rows of a partition, PAGE at a time, whatever becomes of those already given."""
        after: Key | None = None
        while page := await self._rows.partition(
            table, partition, prefix=prefix, after=after, limit=PAGE, columns=columns
        ):
            yield page
            if len(page) < PAGE:
                return
            after = tuple(page[-1][name] for name in table.clustering)


def _pointer_ended(enrolment: Enrolment) -> Change:
    """Unless another call has changed it."""
    return Change(row_key(enrolment.key), {"moved_to": None}, as_read(enrolment))


def _deletions(rows: Sequence[Row], changed_at: int | None) -> list[Change]:
    """Of views as they were read, in a partition that nobody changed since; ``changed_at`` is what it gets."""
    first, *others = (
        Change(tuple(row[name] for name in VIEWS.key), {}, [Equal("status", row["status"])], delete=True)
        for row in rows
    )
    unchanged = Equal("changed_at", rows[0]["changed_at"])
    return [
        Change(first.key, {"changed_at": changed_at}, [*first.conditions, unchanged], delete=True),
        *others,
    ]


def _microseconds(at: datetime) -> int:
    return milliseconds(at) * 1000
