"""Deletes what a learner has in one place."""

from collections.abc import Sequence

from ingest.commands.erased_rows import ErasedRows
from ingest.commands.exhaust_files import delete_exhausts
from ingest.modes.strategies import added_by
from ingest.writes.retrying import Attempts
from loaders.enrolments import as_read, enrolments_in, row_key
from loaders.session import Shared
from rules.enrolments import Enrolment
from rules.errors import Conflict
from rules.identifiers import ProgressKey, scope_of
from rules.moves import current_place
from rules.tracking import TrackingMode
from stores.rows import MOST_CHANGES, Change, Row
from stores.tables import ATTEMPTS, ENROLMENTS, LEARNER_SCOPES, VIEWS


class PlaceErasure:
    """The erasure of one place of one learner."""

    def __init__(self, shared: Shared, erased: ErasedRows) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._user_id = erased.user_id
        self._erased = erased

    async def erase(self, key: ProgressKey) -> bool:
        """Erases the place. Returns True if there was something that is gone now."""
        await self._erased.raise_watermark((key.collection_id, key.context_id))
        pointers = await self._settle_pointers(key)
        scope = await self._rows.get(LEARNER_SCOPES, row_key(key))
        enrolled = await self._erased.delete_enrolments([key])
        shown = await self._is_shown_elsewhere(key)
        views = 0 if shown else await self._erase_views_of(key)
        attempts = await self._erase_attempts_of(key, pointers, shown)
        await delete_exhausts(self._shared, {each.context_id for each in (key, *pointers)})
        await self._erased.tell_workers([key, *pointers])
        # This comes last: as long as they lead here, a call that names one of them finishes this one.
        await self._end_pointers(key)
        listed = scope is not None and not await self._keeps_rows(key, scope)
        if listed:
            await self._rows.write(self._erased.deletion(LEARNER_SCOPES, row_key(key)))
        for each in (key, *pointers):
            await self._erased.forget(each)
        return bool(listed or enrolled or views or attempts)

    async def _keeps_rows(self, key: ProgressKey, scope: Row) -> bool:
        """True if there are still views or attempts where this entry of the list says. Whoever goes by the list must find
        them."""
        if not self._shared.tracking.carries:
            return False
        kept_in = (
            (VIEWS, scope["scope"] or scope_of(key.collection_id), (key.collection_id, key.context_id)),
            (ATTEMPTS, key.collection_id, (key.context_id,)),
        )
        found = [
            await self._rows.partition(
                table, (self._user_id, part), prefix=prefix, limit=1, columns=table.key
            )
            for table, part, prefix in kept_in
        ]
        return any(found)

    async def _leading_to(self, key: ProgressKey) -> list[Enrolment]:
        """Returns the enrolments that lead here in move mode: their progress has come here, by whatever way, or is
        moving here."""
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
        """Brings along what is left at the places that have moved here, and returns these places.

        What is brought along is deleted here. What is sent there and is older than the erasure is refused there too.
        """
        pointers = [enrolment.key for enrolment in await self._leading_to(key) if enrolment.has_moved]
        for pointer in pointers:
            await self._erased.raise_watermark((pointer.collection_id, pointer.context_id))
        await added_by(self._shared.tracking).take_rest(self._shared, pointers, ())
        return pointers

    async def _end_pointers(self, key: ProgressKey) -> None:
        """Clears these pointers: they lead to an enrolment that is deleted.

        All are cleared in one write, since each of their names finds the others.
        """
        async for _ in Attempts():
            changes = [_pointer_ended(enrolment) for enrolment in await self._leading_to(key)]
            batches = [changes[at : at + MOST_CHANGES] for at in range(0, len(changes), MOST_CHANGES)]
            if all([await self._rows.write_together(ENROLMENTS, batch) for batch in batches]):
                return
        raise Conflict("the learner's enrolments keep changing; send the call again", field="userId")

    async def _erase_views_of(self, key: ProgressKey) -> int:
        """Deletes the views that count for this place."""
        source = self._shared.tracking.source(key)
        # A key without a context is a collection or a content taken by itself.
        scopes = [scope_of(source.collection_id)]
        if not key.has_context:
            scopes.append(scope_of(key.collection_id, key.collection_id))
        prefix = (source.collection_id, source.context_id)
        return sum([await self._erased.delete_views((self._user_id, scope), prefix) for scope in scopes])

    async def _erase_attempts_of(
        self, key: ProgressKey, pointers: Sequence[ProgressKey], shown_elsewhere: bool
    ) -> int:
        """Deletes the attempts that count for this place, unless they are shown elsewhere. Those of an enrolment itself
        always go: if attempts are carried, they are of an earlier mode, and nothing shows them. What has moved here by
        these pointers may be in the archive of each of them."""
        places = {key} if key.has_context else set()
        if not shown_elsewhere:
            places |= {key, self._shared.tracking.source(key)}
        return sum(
            [
                await self._erased.delete_attempts(
                    *(place.collection_id, (place.context_id,), [place.context_id]),
                    [pointer.context_id for pointer in pointers],
                )
                for place in sorted(places)
            ]
        )

    async def _is_shown_elsewhere(self, key: ProgressKey) -> bool:
        """True if what counts for this place counts for other places too: for other collections, or for another active
        enrolment. The own enrolment must be gone before."""
        tracking = self._shared.tracking
        if tracking.keeps_by_content:
            return True
        if not tracking.carries:
            return False
        enrolments = await enrolments_in(self._rows, self._user_id, key.collection_id)
        return any(enrolment.active for enrolment in enrolments)


def _pointer_ended(enrolment: Enrolment) -> Change:
    """Returns the change that ends a pointer, unless another call has changed it."""
    return Change(row_key(enrolment.key), {"moved_to": None}, as_read(enrolment))
