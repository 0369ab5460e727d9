"""A run of the batch aggregation. It covers what was touched since the last run, or everything."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from druid_specs import ACTIVITY_TOTALS
from ingest.aggregation import static_files
from ingest.aggregation.activities import Place, aggregate_place, let_vanish
from ingest.aggregation.groups import aggregate_groups
from ingest.aggregation.lease import AggregationLease, leased
from ingest.aggregation.touched import PATIENCE, READ, Touched, commit, outstanding, pass_over, portions
from ingest.aggregation.turn import AggregationReport, Sent, Turn
from ingest.phases import OnProgress, quiet
from loaders.session import Shared
from loaders.totals import ACTIVITIES, OF_GROUP, activity_results
from rules.errors import StoreUnavailable
from rules.moments import milliseconds
from stores.events import Consumer
from stores.files import Files
from stores.groups import Lane, Rows
from stores.tables import ACTIVITY_AGGREGATES, AGGREGATIONS, ENROLMENTS_BY_CONTEXT, LEARNER_GROUPS
from stores.topics import AGGREGATION_GROUP, TOPICS

log = logging.getLogger(__name__)

PAGE = 500
PARTS = 16
"""Parts of the ring in which groups are counted, one after the other: by these is told how far it is."""
AT_ONCE = 4
"""Places that are counted side by side: while one waits for its rows, others count. It bounds the memory, with what one
place holds (activities.MOST_ROWS)."""
REMEMBERED = timedelta(days=min(t.retention_days or 36_500 for t in TOPICS if t.name in READ)) * 0.9
"""If the last run is longer ago than this, the log may have forgotten what was touched since."""
SHOWN_WITHIN, LOOK_AGAIN = 30.0, 0.25
"""Seconds that the groups store has to show what was sent, and seconds from one look to the next."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far the aggregation is.

    - ``as_of``: when the last finished run began.
    - ``owner``: who is at it now.
    - ``lag``: records by topic that no run has dealt with.
    """

    as_of: datetime | None
    owner: str | None
    lag: dict[str, int]


async def aggregation_status(shared: Shared) -> Status:
    row = await shared.stores.rows.get(AGGREGATIONS, (ACTIVITIES,)) or {}
    expires_on = row.get("expires_on")
    is_held = expires_on is not None and expires_on > shared.now()
    return Status(row.get("as_of"), row.get("owner") if is_held else None, await outstanding(shared))


async def aggregate(
    shared: Shared, *, static: Path | None = None, everything: bool = False, on_progress: OnProgress = quiet
) -> AggregationReport:
    """Does one run, the only one at a time. It covers what was touched since the last run. It covers everything:

    - if ``everything`` is set
    - if there was no run yet
    - if the last one was broken off while it went through everything
    - if the last one is longer ago than the log remembers

    ``static`` is the directory for static files. ``on_progress`` is told the ``records`` of what was touched that are done, or of
    everything the ``places`` and the ``groups``, these in parts of the ring. Raises Conflict if another process is at it. Raises StoreUnavailable
    if a store is away: then the next run does what this one left.
    """
    began, as_of = time.monotonic(), shared.now()
    files = Files(static) if static is not None else None
    async with leased(shared) as lease:
        is_known = lease.complete and lease.as_of is not None and as_of - lease.as_of < REMEMBERED
        report = AggregationReport(everything or not is_known)
        run = _Run(shared, lease, files, report, on_progress)
        if report.everything:
            await run.aggregate_everything()
        else:
            await run.aggregate_touched()
        if files is not None:
            await _write_index(files, as_of)
        await run.wait_until_shown()
        await lease.finish(as_of)
    report.seconds = time.monotonic() - began
    return report


class _Run:
    def __init__(
        self,
        shared: Shared,
        lease: AggregationLease,
        files: Files | None,
        report: AggregationReport,
        on_progress: OnProgress,
    ) -> None:
        self._shared = shared
        self._lease = lease
        self._files = files
        self._report = report
        self._on_progress = on_progress
        self._sent = Sent()

    async def aggregate_touched(self) -> None:
        """Aggregates what was touched since the last run.

        A portion is committed once it is sent and written. So wherever the run is killed, the rest still counts as
        touched.
        """
        records = sum((await outstanding(self._shared)).values())
        if not records:
            return
        async with self._consumer() as consumer:
            async for portion in portions(self._shared, consumer, records):
                await self._aggregate(portion)
                await commit(consumer, portion.done)
                self._report.records += portion.records
                self._on_progress("records", min(self._report.records, records), records)

    async def aggregate_everything(self) -> None:
        """Aggregates all there is.

        What the log has is passed over first, so what happens meanwhile is left to the next run. From then to the end
        everything is owed, whatever becomes of this process.
        """
        await self._lease.owe()
        records = sum((await outstanding(self._shared)).values())
        if records:
            async with self._consumer() as consumer:
                self._report.records = await pass_over(consumer, records)
        turn = await self._begin_turn()
        places = await self._places()
        await self._aggregate_side_by_side(turn, self._told(places))
        self._on_progress("places", len(places), len(places))
        await self._aggregate_groups(turn)
        await self._remove_leftovers(turn)

    async def _aggregate(self, portion: Touched) -> None:
        turn = await self._begin_turn()
        await self._aggregate_side_by_side(turn, _each(portion.activities))
        await aggregate_groups(turn, portion.groups)

    async def _begin_turn(self) -> Turn:
        as_of = self._shared.now()
        version = await self._lease.next_version()
        return Turn(
            self._shared, version, as_of, self._report.everything, self._files, self._report, self._sent
        )

    async def wait_until_shown(self) -> None:
        """Returns once the groups store has the cells that were sent last, or after SHOWN_WITHIN.

        These cells are in each partition of the topic. The run must not say that it is finished while tables lack what
        it counted.

        If the store can't be asked or is slower, the run ends all the same, as rows and files are right. Its report
        says so.
        """
        total, cells = self._sent.total, {(name, value or "") for name, value in self._sent.cells}
        if total is None or not self._shared.stores.groups.lags:
            return
        keys = tuple(
            (column, (getattr(total, column),)) for column in ("activity_id", "collection_id", "context_id")
        )
        query = Rows(ACTIVITY_TOTALS, ("dimension", "value", "as_of"), keys)
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                while True:
                    answer = await self._shared.stores.groups.query(query, Lane.TABLES)
                    rows = cast("Sequence[tuple[str, str | None, int]]", answer.rows)
                    if cells <= {(d, v or "") for d, v, at in rows if at >= milliseconds(total.as_of)}:
                        return
                    await asyncio.sleep(LOOK_AGAIN)
        except (StoreUnavailable, TimeoutError) as error:
            self._report.shown = False
            log.warning("the groups store does not show yet what was aggregated: %r", error)

    async def _aggregate_side_by_side(self, turn: Turn, named: AsyncIterator[tuple[Place, Set[str]]]) -> None:
        """Aggregates places, with the activities that are named of each. The first failure ends them all, which does what a
        kill does."""
        taking = asyncio.Lock()

        async def go_on() -> None:
            while True:
                async with taking:
                    found = await anext(named, None)
                if found is None:
                    return
                self._lease.check()
                await aggregate_place(turn, *found)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(go_on())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _places(self) -> list[Place]:
        """Every collection and context that somebody is or was enrolled in."""
        rows, columns = self._shared.stores.rows, ("contextid", "collectionid")
        found: dict[Place, None] = {}
        for token_range in rows.ranges(1):
            async for page in rows.walk(ENROLMENTS_BY_CONTEXT, token_range, columns=columns, page_size=PAGE):
                self._lease.check()
                found.update(((row["collectionid"], row["contextid"]), None) for row in page.rows)
        return [*found]

    async def _told(self, places: Sequence[Place]) -> AsyncIterator[tuple[Place, Set[str]]]:
        """Gives the places, and names no activity of them. One that is taken has others under way beside it."""
        for index, place in enumerate(places):
            self._on_progress("places", max(0, index - AT_ONCE + 1), len(places))
            yield place, frozenset()

    async def _aggregate_groups(self, turn: Turn) -> None:
        rows = self._shared.stores.rows
        parts = rows.ranges(PARTS)
        for done, token_range in enumerate(parts, 1):
            async for page in rows.walk(LEARNER_GROUPS, token_range, columns=("groupid",), page_size=PAGE):
                self._lease.check()
                await aggregate_groups(turn, {row["groupid"]: None for row in page.rows})
            self._on_progress("groups", done, len(parts))

    async def _remove_leftovers(self, turn: Turn) -> None:
        """Removes rows of what is gone. All others have this version. Rows of groups are removed with the groups."""
        rows, columns = self._shared.stores.rows, (*ACTIVITY_AGGREGATES.key, "version")
        for token_range in rows.ranges(1):
            async for page in rows.walk(ACTIVITY_AGGREGATES, token_range, columns=columns, page_size=PAGE):
                old = [
                    (row["activity_id"], row["collection_id"], row["context_id"])
                    for row in page.rows
                    if row["collection_id"] != OF_GROUP and (row["version"] or 0) < turn.version
                ]
                for stored in (await activity_results(rows, old)).values():
                    if stored is not None:
                        self._lease.check()
                        await let_vanish(turn, stored)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Consumer]:
        events = self._shared.stores.events
        consumer = await events.consumer(AGGREGATION_GROUP, READ, patience=PATIENCE)
        try:
            yield consumer
        finally:
            await consumer.close()


async def _each(named: Mapping[Place, Set[str]]) -> AsyncIterator[tuple[Place, Set[str]]]:
    for found in named.items():
        yield found


async def _write_index(files: Files, as_of: datetime) -> None:
    counts = {kind: await files.count(kind) for kind in static_files.KINDS}
    await files.write(static_files.INDEX, static_files.index_file(as_of, counts))
