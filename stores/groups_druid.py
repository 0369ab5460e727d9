"""The groups port in Druid: native queries over HTTP. Druid's own Kafka supervisors feed the data sources."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Self

from druid_specs import ACTIVITY_STATE, DataSource
from rules.errors import Busy, CohortError, StoreUnavailable
from rules.states import FIRST_DAY
from stores.bills import charge
from stores.deadline import remaining
from stores.druid_http import Address, DruidHttp
from stores.druid_queries import compiled, extent
from stores.druid_scans import Event, batches, events_in, scans
from stores.druid_supervision import Supervision, druid_name
from stores.group_queries import answered
from stores.groups import Answer, Groups, KeyFilter, Lane, Query, source_of
from stores.meter import Meter
from stores.timing import timed

IN_FLIGHT = {Lane.PAGES: 8, Lane.TABLES: 4}
"""Queries that a process has at Druid at a time; the others wait. Fewer than the broker's own lanes take."""
PRIORITY = {Lane.PAGES: 10, Lane.TABLES: 0}
"""Which queries data nodes prefer."""
CANCELLING = 5.0
"""Seconds that telling Druid to stop may take."""
MANY_ROWS = 2_000
"""From so many rows on, they are turned into an answer on a thread, not on the event loop."""
PATIENCE = 1.0
"""Seconds that a query waits for a place in Druid's lane, which other processes share, before it is refused."""
OTHERS = 4
"""Connections for other calls than queries."""
LOADING, LOOK = 120.0, 1.0
"""Seconds that a scan waits for segments to be loaded, as new ones are all the time, and from one look to the next."""
SCANS = 20
"""How often a scan is tried during which a segment was not loaded."""


@timed("groups", Groups, source_of)
class DruidGroups:
    """The Groups port in Druid. Data sources, supervisors and topics carry ``prefix``.

    ``supervision`` manages the data sources, for ``init`` and for `cohort druid`.
    """

    lags = True
    pace = 150_000
    """Keys a second. Measured on one broker and one historical with a core each: a million states take 4 to 8 s."""

    def __init__(self, http: DruidHttp, prefix: str) -> None:
        self.meter = Meter()
        self.supervision = Supervision(http, prefix)
        self._http = http
        self._prefix = prefix
        self._slots = {lane: asyncio.Semaphore(count) for lane, count in IN_FLIGHT.items()}
        self._cancelling: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        prefix: str,
        events: str,
        timeout: float = 10.0,  # noqa: ASYNC109 - of each later call
    ) -> Self:
        """``url`` as Address.parse has it; ``events`` is the URL of the events port. Does not need Druid yet."""
        http = DruidHttp(Address.parse(url, events), timeout, sum(IN_FLIGHT.values()) + OTHERS)
        return cls(http, prefix)

    def pace_of(self, source: DataSource) -> int:
        return self.pace

    async def query(self, query: Query, lane: Lane) -> Answer:
        """``complete`` is False where a segment that Druid knows of could not be read."""
        ready = compiled(query, druid_name(self._prefix, query.source))
        if query.limit == 0:
            return Answer(answered(query), [])
        async with self._slot(lane):
            self.meter.count(query.source.name)
            found, context = await self._ask_patiently(ready.body, lane)
        many = len(found) > MANY_ROWS
        rows = await asyncio.to_thread(ready.rows, found) if many else ready.rows(found)
        charge(druid_rows=len(rows))
        return Answer(answered(query), rows, not context.get("missingSegments"))

    async def extent(self, source: DataSource, keys: KeyFilter) -> int:
        """Counts stored rows: a key has one for each time that it was stored since the last compaction."""
        body = extent(source, druid_name(self._prefix, source), keys)
        async with self._slot(Lane.TABLES):
            self.meter.count(f"extent of {source.name}")
            found, _ = await self._ask_patiently(body, Lane.TABLES)
        return sum(bucket["result"]["keys"] for bucket in found)

    async def stored(self, source: DataSource) -> AsyncIterator[list[Event]]:
        """All that Druid has stored of the source, in portions of some hundred events; of a key possibly several versions.
        StoreUnavailable where a part of it is away: before a scan and after it all must be loaded, since Druid's broker passes
        over what no server says that it has. A portion may come twice."""
        name = druid_name(self._prefix, source)
        for scan in scans(source, name):
            for _ in range(SCANS):
                await self._until_loaded(name)
                self.meter.count(f"scan of {source.name}")
                async for batch in batches(self._http.stream(scan)):
                    yield await asyncio.to_thread(events_in, source, batch)
                if await self.supervision.is_loaded(name):
                    break
            else:
                raise StoreUnavailable("the groups store moves what is read", detail=name)

    async def _until_loaded(self, name: str) -> None:
        """Waits until every segment has a server. StoreUnavailable where that takes long."""
        clock = asyncio.get_running_loop().time
        until = clock() + LOADING
        while not await self.supervision.is_loaded(name):
            if clock() > until:
                raise StoreUnavailable("the groups store loads parts of what it has", detail=name)
            await asyncio.sleep(LOOK)

    async def init(self, sources: Sequence[DataSource]) -> list[str]:
        return await self.supervision.apply(sources)

    async def ping(self) -> None:
        """Sends a query that costs almost nothing, on the way of all others."""
        name = druid_name(self._prefix, ACTIVITY_STATE)
        day = f"{FIRST_DAY:%Y-%m-%d}/P1D"
        await self._ask({"queryType": "timeBoundary", "dataSource": name, "intervals": [day]}, Lane.PAGES)

    async def close(self) -> None:
        await asyncio.gather(*self._cancelling)
        await self._http.close()

    async def _ask_patiently(self, body: dict[str, Any], lane: Lane) -> tuple[Any, Any]:
        """Asks again after a moment where Druid's lane is full; it is seldom full for long."""
        clock = asyncio.get_running_loop().time
        until, pause = clock() + min(PATIENCE, remaining(PATIENCE)), 0.05
        while True:
            try:
                return await self._ask(body, lane)
            except Busy:
                if clock() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause *= 2

    async def _ask(self, body: dict[str, Any], lane: Lane) -> tuple[Any, Any]:
        query_id = f"{self._prefix}-{uuid.uuid4()}"
        context = {
            "queryId": query_id,
            "timeout": max(1, int(remaining(self._http.timeout) * 1000)),
            "lane": lane.value,
            "priority": PRIORITY[lane],
            "resultAsArray": True,
            # Missing segments are then named in the response context, instead of being an error.
            "returnPartialResults": True,
        }
        try:
            return await self._http.ask(body | {"context": context})
        except BaseException:
            # Whatever ended the waiting, Druid would go on until the timeout.
            self._cancel(query_id)
            raise

    def _cancel(self, query_id: str) -> None:
        async def cancel() -> None:
            with contextlib.suppress(CohortError, TimeoutError):
                async with asyncio.timeout(CANCELLING):
                    await self._http.cancel(query_id)

        # In a context of its own: the deadline of this call may have passed.
        task = asyncio.get_running_loop().create_task(cancel(), context=Context())
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    @asynccontextmanager
    async def _slot(self, lane: Lane) -> AsyncIterator[None]:
        slots = self._slots[lane]
        try:
            async with asyncio.timeout(remaining(self._http.timeout)):
                await slots.acquire()
        except TimeoutError as error:
            remaining(self._http.timeout)  # DeadlineExceeded, where it was that
            raise Busy(f"{IN_FLIGHT[lane]} group queries are under way already") from error
        try:
            yield
        finally:
            slots.release()
