"""Deletes rows of a learner so that calls which died half way, or write at the same time, can be made good."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime

from ingest.commands.archived_rows import erase_archived
from ingest.writes.retrying import Attempts
from ingest.writes.triggers import trigger_of
from loaders import touches
from loaders.attempts import SCORE_COLUMNS, attempt_of
from loaders.enrolments import row_key
from loaders.session import Shared
from rules.attempts import STEP
from rules.errors import Conflict
from rules.identifiers import ProgressKey, scope_of
from rules.moments import microseconds, milliseconds, moment
from rules.origins import OriginKind
from rules.triggers import Trigger, TriggerKind
from stores.columns import Table
from stores.events import Message
from stores.rows import MOST_CHANGES, Change, Equal, Key, Row, Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, ENROLMENTS, ERASURES, VIEWS
from stores.topics import TRIGGERS

PAGE = 50
"""Places, groups or attempts that are read and deleted together. It takes far less than ABANDONED_AFTER
(ingest/writes/leases.py)."""

_REST_OF_MILLISECOND = 999
"""Microseconds. An attempt of that millisecond may have been written, archived and restored within it."""

_LISTS = 2
"""Microseconds before ``written_on`` in which the learner's list is written anew: what was in it, and enrolments."""

Place = tuple[str, str]
"""Collection and context. If there was no context, it is the collection twice."""


class ErasedRows:
    """The rows of one learner that are deleted.

    - ``erased_on``: the time of the erasure by the instance's clock.
    - ``written_on``: its time by the clock of unconditional writes. What the takers of attempts delete of a place that is erased
      is older than what the erasure writes into the learner's list (ingest/attempts/erased.py), which is some microseconds
      before this.
    """

    def __init__(self, shared: Shared, user_id: str, erased_on: datetime, written_on: int) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self.user_id = user_id
        self.erased_on = moment(milliseconds(erased_on))
        self.written_on = max(written_on, microseconds(self.erased_on) + _LISTS + 1)

    @property
    def listed_on(self) -> int:
        """The last of the times at which the learner's list is written anew: after the takers' deletions, before the erasure's."""
        return self.written_on - 1

    async def raise_watermark(self, place: Place) -> None:
        """Raises the watermark of the place. It only grows. Raises Conflict if other erasures keep raising it."""
        self._shared.written_views.forget(self.user_id)
        key, values = (self.user_id, *place), {"erased_on": self.erased_on}
        result = await self._rows.insert_if_absent(ERASURES, {**ERASURES.named(key), **values})
        if result.applied:
            return
        async for _ in Attempts():
            stored = (result.stored or {}).get("erased_on")
            if stored is not None and stored >= self.erased_on:
                return
            result = await self._rows.update_if(ERASURES, key, values, [Equal("erased_on", stored)])
            if result.applied:
                return
        raise Conflict("the learner is being erased by others too; send the call again", field="userId")

    async def delete_views(self, partition: tuple[str, str], prefix: Key) -> int:
        """Deletes the views, a page at a time. Returns how many there were."""
        erased = 0
        while deleted := await self._delete_page(partition, prefix):
            erased += deleted
        return erased

    async def _delete_page(self, partition: tuple[str, str], prefix: Key) -> int:
        """Deletes one page of views in one conditional write and updates `changed_at`. Returns how many.

        It returns 0 if no view is left. With its last rows the partition is gone: nothing is left that says whose it
        was.
        """
        async for _ in Attempts():
            page = await self._rows.partition(
                VIEWS,
                partition,
                prefix=prefix,
                limit=MOST_CHANGES + 1,
                columns=(*VIEWS.key, "status", "changed_at"),
            )
            if not page:
                return 0
            rows = page[:MOST_CHANGES]
            emptied = len(page) <= MOST_CHANGES and await self.has_only(partition, prefix, len(page))
            if await self._rows.write_together(
                VIEWS, _deletions(rows, None if emptied else self._shared.change_moment())
            ):
                return len(rows)
        raise Conflict("the learner's views keep changing; send the call again", field="userId")

    async def has_only(self, partition: tuple[str, str], prefix: Key, count: int) -> bool:
        if not prefix:
            return True
        rows = await self._rows.partition(VIEWS, partition, limit=count + 1, columns=("contentid",))
        return len(rows) <= count

    async def delete_enrolments(self, keys: Sequence[ProgressKey]) -> int:
        """Deletes the enrolments that exist, and returns how many. The workers delete their own columns of them."""
        found = await self._rows.get_many(ENROLMENTS, [row_key(key) for key in keys], ["enrolled_on"])
        return sum([await self._delete_enrolment(key, row["enrolled_on"]) for key, row in found.items()])

    async def _delete_enrolment(self, key: Key, enrolled_on: datetime | None) -> bool:
        """Deletes the enrolment, even if it is made anew meanwhile. Returns True if there was one."""
        async for _ in Attempts():
            if enrolled_on is None:
                return False
            result = await self._rows.delete_if(ENROLMENTS, key, [Equal("enrolled_on", enrolled_on)])
            if result.applied:
                return True
            enrolled_on = (result.stored or {}).get("enrolled_on")
        raise Conflict("the learner's enrolments keep changing; send the call again", field="userId")

    async def delete_attempts(
        self, collection_id: str, prefix: Key, contexts: Collection[str] = (), left: Collection[str] = ()
    ) -> int:
        """Deletes the attempts and returns how many rows these were. ``contexts``: where there may be some, beside those
        that rows name. ``left``: where attempts may have been before they moved here."""
        files = {(collection_id, context) for context in contexts}
        was_in, ids = {(collection_id, context) for context in left}, set[Key]()
        columns = (*SCORE_COLUMNS, "origin")
        async for page in self.pages(ATTEMPTS, (self.user_id, collection_id), prefix=prefix, columns=columns):
            for attempt in map(attempt_of, page):
                files.add((collection_id, attempt.key.context_id))
                ids.add((attempt.key.content_id, attempt.attempt_id))
                if attempt.origin is not None and not prefix:
                    files.add(attempt.origin.place)
                elif attempt.origin is not None and attempt.origin.kind is OriginKind.MOVED:
                    was_in.add(attempt.origin.place)  # What was copied stays there, with its place.
        # Files of the archive come first: by the rows the next call finds the contexts again.
        for of_collection, context in sorted(files):
            await erase_archived(self._shared, self.user_id, [context], of_collection)
        for of_collection, context in sorted(was_in - files):
            # What the rules left behind there stays.
            await erase_archived(
                *(self._shared, self.user_id, [context], of_collection),
                goes=lambda row: (row["content_id"], row["attempt_id"]) in ids,
            )
        count = 0
        async for rows in self._attempt_rows(collection_id, prefix):
            count += await self._delete_attempt_rows(*rows)
        return count

    async def delete_attempts_of_before(self, key: ProgressKey) -> int:
        """Deletes the attempts of this place that were written before the erasure, and returns how many rows these
        were. Later ones stay, also in the archive."""
        count = 0
        before = milliseconds(self.erased_on)
        async for table, page in self._attempt_rows(key.collection_id, (key.context_id,)):
            gone = [row for row in page if row["updated_on"] is None or row["updated_on"] < self.erased_on]
            if gone and table is ATTEMPTS:
                await erase_archived(
                    *(self._shared, self.user_id, [key.context_id], key.collection_id),
                    goes=lambda row: row["updated_on"] is None or row["updated_on"] < before,
                )
            count += await self._delete_attempt_rows(table, gone)
        return count

    async def _attempt_rows(self, collection_id: str, prefix: Key) -> AsyncIterator[tuple[Table, list[Row]]]:
        for table in (ATTEMPTS, ATTEMPTS_WITH_QUESTIONS):
            columns = (*table.key, "last_attempted_on", "updated_on", "written_at")
            async for page in self.pages(
                table, (self.user_id, collection_id), prefix=prefix, columns=columns
            ):
                yield table, page

    async def _delete_attempt_rows(self, table: Table, rows: Sequence[Row]) -> int:
        # Questions go where there are none too: a restoration may be about to write them.
        await self._rows.write(*(self._attempt_gone(ATTEMPTS_WITH_QUESTIONS, row) for row in rows))
        if table is ATTEMPTS:
            await self._rows.write(*(self._attempt_gone(ATTEMPTS, row) for row in rows))
        return len(rows)

    def _attempt_gone(self, table: Table, row: Row) -> Write:
        """Returns the deletion of an attempt: at the erasure's time, or later if the row was written later.

        A second version of the same millisecond is written some microseconds after it, and what the archive adds to a
        row one more (rules/attempts.py).
        """
        times = [self.erased_on, row["last_attempted_on"], row["updated_on"]]
        at = microseconds(max(time for time in times if time is not None)) + _REST_OF_MILLISECOND
        key = tuple(row[name] for name in table.key)
        return Write(table, key, {}, max(at, (row["written_at"] or 0) + STEP), delete=True)

    async def tell_workers(self, keys: Sequence[ProgressKey]) -> None:
        """Sends the triggers, and makes readers go to the rows.

        The second is for whoever reads before the workers look.
        """
        source: Callable[[ProgressKey], ProgressKey] = self._shared.tracking.source
        await touches.forget(self._shared.stores.cache, [source(key) for key in keys])
        messages = [trigger_of(TriggerKind.ERASURE, key) for key in keys]
        await self._shared.stores.events.send(TRIGGERS.name, *messages)

    async def forget(self, place: ProgressKey | None = None) -> None:
        """Sends the last trigger of an erasure. After it nothing is written about the place, or about the learner if
        there is no ``place``."""
        where = () if place is None else (place.collection_id, place.context_id)
        trigger = Trigger(TriggerKind.FORGET, self.user_id, *where)
        await self._shared.stores.events.send(TRIGGERS.name, Message(self.user_id, trigger.encode()))

    def deletion(self, table: Table, key: Key) -> Write:
        """Returns the deletion of this row. What is written after the erasure began has a later time and stays."""
        return Write(table, key, {}, self.written_on, delete=True)

    async def pages(
        self, table: Table, partition: Key, *, prefix: Key = (), columns: Sequence[str] | None = None
    ) -> AsyncIterator[list[Row]]:
        """Gives the rows of a partition, PAGE at a time, whatever becomes of those already given."""
        after: Key | None = None
        while page := await self._rows.partition(
            table, partition, prefix=prefix, after=after, limit=PAGE, columns=columns
        ):
            yield page
            if len(page) < PAGE:
                return
            after = tuple(page[-1][name] for name in table.clustering)

    async def delete_views_of_before(self, key: ProgressKey) -> None:
        """Deletes the views of this place that nobody has touched since the erasure."""
        scopes = {scope_of(key.collection_id)}
        if not key.has_context:
            scopes.add(scope_of(key.collection_id, key.collection_id))
        columns = (*VIEWS.key, "status", "last_updated_time", "changed_at")
        for scope in scopes:
            prefix = (key.collection_id, key.context_id)
            rows = await self._rows.partition(VIEWS, (self.user_id, scope), prefix=prefix, columns=columns)
            for row in rows:
                touched = row["last_updated_time"]
                if touched is None or touched < self.erased_on:
                    only = len(rows) == 1 and await self.has_only((self.user_id, scope), prefix, 1)
                    changes = _deletions([row], None if only else self._shared.change_moment())
                    await self._rows.write_together(VIEWS, changes)


def _deletions(rows: Sequence[Row], changed_at: int | None) -> list[Change]:
    """Returns the deletions of views as they were read, if nobody has changed the partition since.

    ``changed_at`` is what the partition gets.
    """
    first, *others = (
        Change(tuple(row[name] for name in VIEWS.key), {}, [Equal("status", row["status"])], delete=True)
        for row in rows
    )
    unchanged = Equal("changed_at", rows[0]["changed_at"])
    return [
        Change(first.key, {"changed_at": changed_at}, [*first.conditions, unchanged], delete=True),
        *others,
    ]
