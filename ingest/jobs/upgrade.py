"""Carries over what earlier schemas kept in tables of another key (stores/former_tables.py). ``cohort init`` runs it.

Until version 3, the figures of a collection shared a row with those of a unit of the same id. Each row says in which
collection its figures were counted, so it goes to the key of that collection. The other one of the two is computed
anew. The workers are told of every key. They send the states of all activities to the data sources of the new keys.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import OnProgress
from ingest.jobs.runner import Jobs, Pace
from ingest.writes.triggers import trigger_of
from loaders.aggregates import aggregate_place
from loaders.session import Shared
from loaders.totals import ACTIVITIES
from rules.aggregates import AggregateKey
from rules.contents import ContentKind
from rules.identifiers import ProgressKey, parse_aggregate_context
from rules.jobs import JobState
from rules.triggers import TriggerKind
from stores.former_tables import AGGREGATES_V1, FORMER_TABLES
from stores.rows import Exists, Row, Write
from stores.tables import AGGREGATES, AGGREGATIONS
from stores.topics import TRIGGERS

RANGES = 16
"""Parts of the ring, each a step."""
PAGE = 200
RATE = 20_000.0
"""Rows a second at most. Only the one who upgrades waits for them."""
_CARRIED = tuple(name for name in AGGREGATES.values if name in AGGREGATES_V1.values)
_LAST = "remove former tables"


async def upgrade(shared: Shared, on_progress: OnProgress | None = None) -> list[str]:
    """Carries the rows over and returns what it did, one line for each thing. Returns nothing if there is no former
    table.

    An upgrade that was broken off goes on. The instance may serve and work meanwhile: if there is no row yet, reads
    compute from views.
    """
    if not any([await shared.stores.rows.exists(table) for table in FORMER_TABLES]):
        return []
    jobs = Jobs(shared)
    begun = [job for job in await jobs.list() if job.kind == UPGRADE.name and job.state is not JobState.DONE]
    job = (
        await jobs.resume(UPGRADE, begun[0].id, on_progress)
        if begun
        else await jobs.start(UPGRADE, {}, on_progress)
    )
    reports = [step.checkpoint.report for step in job.steps]
    carried, told = (sum(report.get(name, 0) for report in reports) for name in ("carried", "told"))
    return [
        f"carried {carried} rows of {AGGREGATES_V1.name} over to {AGGREGATES.name}",
        f"told the workers to compute {told} keys anew: group figures fill as they do",
    ]


def _plan(shared: Shared, _arguments: Mapping[str, Any]) -> JobPlan:
    return _Upgrade(shared)


UPGRADE = JobKind("upgrade", _plan)


class _Upgrade:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._pace = Pace(RATE, PAGE)

    def steps(self) -> Sequence[str]:
        return [*(str(number) for number in range(RANGES)), _LAST]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        if step == _LAST:
            await self._remove()
            yield Checkpoint(None, 0)
            return
        report = {"carried": 0, "told": 0, **start.report}
        if not await self._rows.exists(AGGREGATES_V1):
            yield Checkpoint(None, 0, report)
            return
        token_range = self._rows.ranges(RANGES)[int(step)]
        async for page in self._rows.walk(
            AGGREGATES_V1, token_range, page_size=self._pace.page, resume=start.resume
        ):
            async with self._pace.of(len(page.rows)):
                carried, told = await self._carry(page.rows)
            report["carried"] += carried
            report["told"] += told
            yield Checkpoint(page.resume, report["carried"], report)

    async def _carry(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Carries the rows over, then tells the workers of their keys. Returns how many rows and how many keys.

        The rows go first: a worker that computes a key takes the dates of completion from them.
        """
        known = [row for row in rows if _says_something(row)]
        await self._rows.write(
            *(
                Write(
                    AGGREGATES,
                    aggregate_place(_key(row)),
                    {name: row[name] for name in _CARRIED},
                    timestamp=row["version"],
                )
                for row in known
            )
        )
        keys = await self._concerned(rows)
        messages = [trigger_of(TriggerKind.RECONCILE, key) for key in keys]
        if messages:
            await self._shared.stores.events.send(TRIGGERS.name, *messages)
        return len(known), len(messages)

    async def _concerned(self, rows: Sequence[Row]) -> list[ProgressKey]:
        """Returns the keys whose figures stood in these rows or may have been overwritten there.

        They are of the row's collection, and of its activity if that is a collection of its own.
        """
        activities = list({row["activity_id"] for row in rows})
        contents = await self._shared.library.contents.load_many(activities)
        own = {c.identifier for c in contents if c is not None and c.kind is ContentKind.COLLECTION}
        keys: dict[ProgressKey, None] = {}
        for row in rows:
            _, context_id = parse_aggregate_context(row["context_id"])
            for collection in dict.fromkeys((row["collection_id"], row["activity_id"])):
                if collection is not None and (collection == row["collection_id"] or collection in own):
                    keys[ProgressKey(row["user_id"], collection, context_id)] = None
        return list(keys)

    async def _remove(self) -> None:
        """Removes the former tables, and makes the next aggregation go through everything.

        Until then tables are counted from states.
        """
        await self._rows.delete_if(AGGREGATIONS, (ACTIVITIES,), [Exists()])
        for table in FORMER_TABLES:
            await self._rows.drop(table)


def _says_something(row: Row) -> bool:
    """False for an empty row: a unit that was not begun in the collection had one if it was begun in another
    collection."""
    if row["version"] is None or row["collection_id"] is None:
        return False
    return row["activity_id"] == row["collection_id"] or bool(row["status"])


def _key(row: Row) -> AggregateKey:
    return AggregateKey(row["activity_id"], row["collection_id"], row["context_id"], row["user_id"])
