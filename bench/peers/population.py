"""What the peers are compared over: a learner with 100 enrolments, and a group of 150 members in 20 activities."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bench.population import (
    BATCHES,
    LEAVES,
    Population,
    activity_id,
    batch_id,
    course,
    page_writes,
    states_of,
)
from druid_specs import ACTIVITY_STATE
from ingest.commands.learner_groups import NewGroup, create_group
from loaders import totals
from rules.group_changes import AddMember
from rules.learner_groups import Activity
from rules.learners import Learner
from rules.states import encode_state
from stores.events import Message
from stores.groups import Lane, Rows
from stores.rows import Write
from stores.tables import AGGREGATIONS
from stores.topics import STATES
from tests.conftest import Instance, instance_of, real_urls

MEMBERS, ACTIVITIES, ENROLLED = 150, 20, 100
GROUP, MENTOR, READER = "group", "mentor", "reader"
WRITING = 2_000
PATIENCE = 300.0
AT_ONCE = 4


@dataclass(frozen=True)
class Filled:
    """An instance on the real servers with all of it; ``keyspace`` is where peers read."""

    cohort: Instance

    @property
    def keyspace(self) -> str:
        return self.cohort.urls["rows"].rpartition("/")[2]


@asynccontextmanager
async def filled(data: Path) -> AsyncIterator[Filled]:
    urls = real_urls()
    urls["prefix"] = f"bench-{uuid4().hex[:10]}"
    async with instance_of(urls, data, groups=True) as cohort:
        cohort.sets_clock(datetime.now(UTC))
        await _publish(cohort)
        tree_version = await _tree_version(cohort)
        members = Population(0).learners()[:MEMBERS]
        await _write(cohort, [*page_writes(members, ACTIVITIES, tree_version)])
        await _write(cohort, _writes_of_reader(tree_version))
        await _write(cohort, [Write(AGGREGATIONS, (totals.ACTIVITIES,), {"as_of": datetime.now(UTC)})])
        await _make_group(cohort, members)
        await _send_states(cohort, members)
        yield Filled(cohort)


async def _publish(cohort: Instance) -> None:
    """All courses with their batches."""
    numbers = iter(range(ENROLLED))

    async def lane() -> None:
        for number in numbers:
            await cohort.publish(course(activity_id(number), LEAVES))
            for batch in range(BATCHES):
                await cohort.batch(batch_id(number, batch), activity_id(number))

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


async def _tree_version(cohort: Instance) -> int:
    ((_, tree), *_) = (await cohort.shared.library.published([activity_id(0)])).values()
    assert tree is not None
    return tree.version


def _writes_of_reader(tree_version: int) -> list[Write]:
    """Of somebody who is in every course, in all of them still."""
    reader = replace(Population(1).learners()[0], user_id=READER)
    return [
        replace(write, values={**write.values, "active": True}) if "active" in write.values else write
        for write in page_writes([reader], ENROLLED, tree_version)
    ]


async def _write(cohort: Instance, writes: Sequence[Write]) -> None:
    for start in range(0, len(writes), WRITING):
        await cohort.stores.rows.write(*writes[start : start + WRITING])


async def _make_group(cohort: Instance, members: Sequence[Learner]) -> None:
    new = NewGroup(
        "Everybody",
        members=tuple(AddMember(learner.user_id) for learner in members),
        activities=tuple(Activity(activity_id(number), "Course") for number in range(ACTIVITIES)),
        group_id=GROUP,
    )
    made = await create_group(cohort.session(), new)
    assert not made.item_errors, made.item_errors


async def _send_states(cohort: Instance, members: Sequence[Learner]) -> None:
    """Returns once the groups store has the states of all members."""
    states = [state for number in range(ACTIVITIES) for state in states_of(number, list(members))]
    await cohort.stores.events.send(
        STATES.name, *(Message(state.key, encode_state(state)) for state in states)
    )
    activities = tuple(activity_id(number) for number in range(ACTIVITIES))
    query = Rows(ACTIVITY_STATE, ("user_id",), (("activity_id", activities),), limit=len(states))
    async with asyncio.timeout(PATIENCE):
        while len((await cohort.stores.groups.query(query, Lane.TABLES)).rows) < len(states):
            await asyncio.sleep(0.5)
