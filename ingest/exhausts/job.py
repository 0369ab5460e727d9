"""An exhaust as a job: learners are read in the order of their ids, their rows put aside, and then the file is stored.

Who goes on with a job that was killed begins its file anew, under the same name. Nobody hears of a file before it is whole.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ingest.commands.exhaust_files import ERASED_MEANWHILE, EXHAUST, EXHAUSTS, was_stopped
from ingest.exhausts.files import Spool
from ingest.exhausts.order import ExhaustOrder
from ingest.exhausts.reports import ProgressReport, Report, ResponseReport
from ingest.jobs.plans import Checkpoint, JobKind
from ingest.jobs.runner import SIGN_OF_LIFE
from ingest.writes.expiring_files import count_of
from loaders.archived_questions import ArchivedQuestions
from loaders.context_learners import learners_in
from loaders.session import Shared
from rules.errors import Conflict, InvalidInput, LimitReached
from rules.exhausts import ExhaustKind, ExhaustPlace

STEP = "write"
ENCRYPTED = "zip"
"""The suffix of an encrypted file."""
LIVE_MOST = 20
"""How many files of one context may wait for one viewer at a time."""
LEARNERS_AT_ONCE = 100
"""Learners whose rows are read together."""
OFTEN = 2.0
"""Seconds between two checkpoints, at least."""


class _Exhaust:
    def __init__(self, shared: Shared, arguments: Mapping[str, Any]) -> None:
        self._shared = shared
        self._order = ExhaustOrder.of(arguments)

    def steps(self) -> Sequence[str]:
        return (STEP,)

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        order, shared = self._order, self._shared
        _check_password(order)
        await check_limit(shared, order.context_id, order.by)
        place = await place_of(shared, order.collection_id, order.context_id)
        report = {"learners": await self._count(), "rows": 0, "size": 0}
        yield Checkpoint(STEP, 0, report)
        async with (
            shared.archived_questions.holding() as archive,
            shared.stores.copies.scratch() as folder,
        ):
            source, rows = self._source(place, archive), Spool(folder)
            done, told = 0, time.monotonic()
            async for user_ids in self._learners():
                async for some in source.rows(user_ids):
                    await rows.add(some)
                done += len(user_ids)
                if time.monotonic() - told >= OFTEN:
                    yield Checkpoint(STEP, done, {**report, "rows": rows.rows})
                    told = time.monotonic()
            report |= {"learners": max(report["learners"], done), "rows": rows.rows}
            storing = asyncio.ensure_future(self._store(rows, source))
            try:
                while not storing.done():
                    await asyncio.wait({storing}, timeout=SIGN_OF_LIFE)
                    if not storing.done():
                        yield Checkpoint(STEP, done, report)
                report["size"] = await storing
            finally:
                storing.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({storing})
        await self._withdraw_if_stopped()
        yield Checkpoint(None, done, report)

    def _source(self, place: ExhaustPlace, archive: ArchivedQuestions) -> Report:
        if self._order.kind is ExhaustKind.PROGRESS:
            return ProgressReport(self._shared, place)
        return ResponseReport(self._shared, place, archive)

    async def _store(self, rows: Spool, source: Report) -> int:
        order = self._order
        content = rows.content(
            f"{_stem(order)}.{order.format.value}",
            source.columns,
            order.format,
            written_on=order.at,
            password=order.password,
        )
        return await self._shared.stores.blobs.put(order.file, content)

    async def _withdraw_if_stopped(self) -> None:
        """Deletes the file again if a learner was erased while it was written. Who erases stops the job first, and then
        deletes the files that are there: so whatever the order, none stays."""
        if await was_stopped(self._shared.stores.rows, self._order.job):
            await self._shared.stores.blobs.delete(self._order.file)
            raise Conflict(ERASED_MEANWHILE, field="id")

    async def _learners(self) -> AsyncIterator[Sequence[str]]:
        async for page in self._pages():
            for first in range(0, len(page), LEARNERS_AT_ONCE):
                yield page[first : first + LEARNERS_AT_ONCE]

    async def _count(self) -> int:
        return sum([len(page) async for page in self._pages()])

    def _pages(self) -> AsyncIterator[Sequence[str]]:
        order, shared = self._order, self._shared
        return learners_in(shared.stores.rows, shared.library, order.context_id, order.collection_id)


def _stem(order: ExhaustOrder) -> str:
    return f"{order.kind.value}-{order.at:%Y%m%dT%H%M%S}"


EXHAUSTING = JobKind(EXHAUST, _Exhaust, secret=frozenset({"password"}))


def blob_file_name(order: ExhaustOrder) -> str:
    """Returns the name under which the file is saved."""
    return f"{_stem(order)}.{order.format.value if order.password is None else ENCRYPTED}"


def _check_password(order: ExhaustOrder) -> None:
    """Raises InvalidInput if the file was to be encrypted and nobody knows the password any more: the job has failed before."""
    if order.password is None and order.file.endswith(f".{ENCRYPTED}"):
        raise InvalidInput(
            "the password is forgotten, as the exhaust failed before; ask for it again", field="password"
        )


async def check_limit(shared: Shared, context_id: str, viewer: str) -> None:
    """Deletes the expired exhausts of the context. Raises LimitReached if too many others wait for the viewer."""
    live = await EXHAUSTS.live(shared.stores.blobs, context_id, shared.now())
    if count_of(live, viewer) >= LIVE_MOST:
        raise LimitReached(
            f"{LIVE_MOST} exhausts of this context wait for you; use one, or wait until they expire"
        )


async def place_of(shared: Shared, collection_id: str, context_id: str) -> ExhaustPlace:
    """Returns what the exhaust is of. Raises NotFound."""
    collection = await shared.library.collection(collection_id)
    context = await shared.library.context(context_id)
    return ExhaustPlace(collection_id, collection.name, context_id, context.name)
