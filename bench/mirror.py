"""Tables over every state, by Druid and by the mirror of its states: ``python -m bench mirror [BLOCKS]``, on the real servers;
``python -m bench mirror BLOCKS alone`` without any: the mirror is filled with the states directly.

A block is 250,000 states in 50 activities; without a number there are four, which are 1,000,000 in 200. Druid has them in the
memory of its task and the mirror is filled from there, as it is once in the life of a file. Every answer of the mirror is
compared with Druid's before anything is timed.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import orjson
from rich.console import Console
from rich.table import Table

from bench.population import BLOCKS, Population, send_block, states_of
from druid_specs import ACTIVITY_STATE, DataSource
from rules.errors import StoreUnavailable
from rules.states import encode_state
from stores.druid_scans import ROWS
from stores.duckdb_feed import Event
from stores.events_embedded import EmbeddedEvents
from stores.events_kafka import KafkaEvents
from stores.groups import Figures, Groups, Kind, Lane, Measure, OneOf, Value
from stores.groups_druid import DruidGroups
from stores.groups_duckdb import DuckGroups
from stores.groups_mirrored import MirroredGroups
from stores.topics import TOPICS
from tests.conftest import DRUID, KAFKA, drop_data_sources, drop_topics

PATIENCE = 900.0
OFTEN, SELDOM = 15, 3
"""Times that the mirror and Druid are asked."""
_COUNTS = (
    Measure("enrolled", Kind.COUNT),
    Measure("completed", Kind.COUNT, where=OneOf("status", (2,))),
    Measure("progress", Kind.SUM, "completion_percentage"),
)
_ACTIVE = OneOf("active", (1,))
TABLES = {
    "everybody": Figures(ACTIVITY_STATE, (), _COUNTS, where=_ACTIVE),
    "by activity": Figures(ACTIVITY_STATE, ("activity_id",), _COUNTS, where=_ACTIVE),
    "by district": Figures(ACTIVITY_STATE, ("district",), _COUNTS, where=_ACTIVE),
    "by district, gender and month": Figures(
        ACTIVITY_STATE, ("district", "gender", "enrolled_month"), _COUNTS, where=_ACTIVE
    ),
    "distinct learners": Figures(
        ACTIVITY_STATE, (), (Measure("learners", Kind.DISTINCT, "user_id"),), where=_ACTIVE
    ),
}


async def _ask(groups: Groups, query: Figures, times: int) -> tuple[list[Sequence[Value]], float, float]:
    """The rows; the medians of milliseconds by the clock and of CPU of this process."""
    taken, rows = [], list[Sequence[Value]]()
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = sorted((await groups.query(query, Lane.TABLES)).rows, key=repr)
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = zip(*taken, strict=True)
    return [tuple(row) for row in rows], statistics.median(walls) * 1000, statistics.median(cpus) * 1000


class Stored(DuckGroups):
    """An engine that has the states of the blocks in store."""

    blocks = BLOCKS

    async def stored(self, source: DataSource) -> AsyncIterator[list[Event]]:
        for block in range(self.blocks):
            population = Population(block)
            learners = population.learners()
            for activity in population.activities():
                events = [orjson.loads(encode_state(state)) for state in states_of(activity, learners)]
                for start in range(0, len(events), ROWS):
                    yield events[start : start + ROWS]


async def alone(blocks: int) -> None:
    """Prints what the mirror takes, filled by one process."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        events = await EmbeddedEvents.open(folder / "events.db")
        stack.push_async_callback(events.close)
        await events.init(TOPICS)
        original = await Stored.open(folder / "original.duckdb", events)
        original.blocks = blocks
        path = folder / "mirror.duckdb"
        groups = await MirroredGroups.open(original, events, path, most=1)
        stack.push_async_callback(groups.close)
        made = await _filled(groups, blocks * 250_000)
        table = Table("table", "mirror, ms", "CPU, ms", "rows", title=f"{blocks * 250_000:,} states")
        for what, query in TABLES.items():
            rows, mirrored, cpu = await _ask(groups, query, OFTEN)
            table.add_row(what, f"{mirrored:.1f}", f"{cpu:.1f}", str(len(rows)))
        console = Console()
        console.print(table)
        console.print(f"{made}; its file has {path.stat().st_size / 1e6:.0f} MB")


async def _filled(groups: MirroredGroups, sent: int) -> str:
    """Returns a line about what that took, once the mirror answers for everything."""
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.timeout(PATIENCE):
        while await groups.extent(ACTIVITY_STATE, ()) < sent or not groups.is_current:
            await asyncio.sleep(0.2)
    return f"the mirror was made in {time.perf_counter() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU"


async def main(blocks: int = BLOCKS) -> None:
    console, prefix = Console(), f"bench-{uuid4().hex[:10]}"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.push_async_callback(drop_topics, prefix)
        stack.push_async_callback(drop_data_sources, prefix)
        events = await KafkaEvents.open(f"kafka://{KAFKA}", prefix)
        stack.push_async_callback(events.close)
        await events.init(TOPICS)
        druid = await DruidGroups.open(DRUID, prefix=prefix, events=f"kafka://{KAFKA}", timeout=120)
        await druid.init([ACTIVITY_STATE])
        sent = sum(
            [(await asyncio.to_thread(send_block, KAFKA, prefix, block))[0] for block in range(blocks)]
        )
        async with asyncio.timeout(PATIENCE):
            while await _stored(druid) < sent:
                await asyncio.sleep(1)
        path = folder / "mirror.duckdb"
        groups = await MirroredGroups.open(druid, events, path, most=2 * sent)
        stack.push_async_callback(groups.close)
        made = await _filled(groups, sent)
        table = Table("table", "Druid, ms", "mirror, ms", "CPU, ms", "rows", title=f"{sent:,} states")
        for what, query in TABLES.items():
            own, wall, _ = await _ask(druid, query, SELDOM)
            mine, mirrored, cpu = await _ask(groups, query, OFTEN)
            if own != mine:
                raise RuntimeError(f"{what}: the mirror says otherwise than Druid")
            table.add_row(what, f"{wall:,.0f}", f"{mirrored:.1f}", f"{cpu:.1f}", str(len(own)))
        console.print(table)
        console.print(f"{made}; its file has {path.stat().st_size / 1e6:.0f} MB")


async def _stored(druid: DruidGroups) -> int:
    try:
        return await druid.extent(ACTIVITY_STATE, ())
    except StoreUnavailable:  # a task that just begins
        return 0
