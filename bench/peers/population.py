"""What the peers are compared over: a learner with 100 enrolments, and a group of 150 members in 20 activities."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bench.population import (
    Population,
    activity_id,
    make_group,
    page_writes,
    publish_courses,
    states_of,
    write_all,
)
from druid_specs import ACTIVITY_STATE
from loaders import totals
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
PATIENCE = 300.0


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
        tree_version = await publish_courses(cohort, ENROLLED)
        members = Population(0).learners()[:MEMBERS]
        await write_all(cohort, [*page_writes(members, ACTIVITIES, tree_version)])
        await write_all(cohort, writes_of_reader(tree_version))
        await write_all(cohort, [Write(AGGREGATIONS, (totals.ACTIVITIES,), {"as_of": datetime.now(UTC)})])
        await make_group(cohort, GROUP, members, ACTIVITIES)
        await _send_states(cohort, members)
        yield Filled(cohort)


def writes_of_reader(tree_version: int) -> list[Write]:
    """Of somebody who is in every course, in all of them still."""
    reader = replace(Population(1).learners()[0], user_id=READER)
    return [
        replace(write, values={**write.values, "active": True}) if "active" in write.values else write
        for write in page_writes([reader], ENROLLED, tree_version)
    ]


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
