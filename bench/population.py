"""Whom the group queries are measured on: 20,000 learners, each in 50 of 200 activities; 1,000,000 states."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any
from uuid import UUID

import orjson

from ingest.aggregation.activities import DIMENSIONS
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.learners import profile_write
from loaders.aggregates import aggregate_place
from rules.aggregates import AggregateKey
from rules.contexts import bucket_of
from rules.group_changes import AddMember
from rules.learner_groups import Activity
from rules.learners import Learner
from rules.progress import Status, percentage
from rules.states import State, encode_state
from rules.totals import Tally, Total, cell_key, cell_state
from stores.events import Message
from stores.events_kafka import KafkaEvents
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, LEARNER_SCOPES, VIEWS
from stores.topics import STATES, TOTALS
from tests.conftest import LEAF, Instance

ACTIVITIES, LEARNERS_OF_EACH = 200, 5_000
BLOCKS = 4
"""Learners of a block are in all of its activities, so that those of a group meet in many."""
BATCHES = 2
LEAVES = 40
VERSION = 1_764_000_000_000 << 20
"""Versions are as large as real ones: milliseconds beside 20 bits of an offset."""
NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
VALUES = {
    "state": 8,
    "district": 30,
    "block": 60,
    "school": 100,
    "type": 3,
    "gender": 3,
    "region": 13,
    "education": 5,
    "age_band": 3,
    "deprivation_band": 10,
}
"""Attributes and how many values each has; one in fifty learners has none."""
SENDING = 5_000
WRITING = 2_000
PUBLISHING = 4
"""Collections that are published side by side."""


def activity_id(number: int) -> str:
    return f"do_31{number:017d}"


def batch_id(activity: int, batch: int) -> str:
    return f"batch-{activity:03d}-{batch}"


@dataclass(frozen=True)
class Population:
    """Of one block; the same each time."""

    block: int

    def learners(self) -> list[Learner]:
        chance = random.Random(self.block)
        return [
            Learner(
                str(UUID(int=chance.getrandbits(128))),
                f"Learner {number}",
                {
                    name: f"{name} {chance.randrange(count)}"
                    for name, count in VALUES.items()
                    if chance.random() > 0.02
                },
                NEW_YEAR,
            )
            for number in range(LEARNERS_OF_EACH)
        ]

    def activities(self) -> range:
        each = ACTIVITIES // BLOCKS
        return range(self.block * each, (self.block + 1) * each)


def states_of(activity: int, learners: list[Learner]) -> list[State]:
    """One for each learner, in the batch that follows from the place among them."""
    chance = random.Random(activity)
    identifier = activity_id(activity)
    states = []
    for number, learner in enumerate(learners):
        completed = min(LEAVES, chance.randrange(LEAVES * 5 // 4))
        enrolled = NEW_YEAR + timedelta(minutes=chance.randrange(500_000))
        accessed = enrolled + timedelta(minutes=chance.randrange(100_000)) if completed else None
        done = completed == LEAVES
        states.append(
            State(
                identifier,
                identifier,
                f"cb:{batch_id(activity, number % BATCHES)}",
                learner.user_id,
                VERSION + number,
                tree_version=1,
                status=Status.COMPLETED if done else Status.IN_PROGRESS if completed else Status.NOT_STARTED,
                completed_count=completed,
                required_count=LEAVES,
                completion_percentage=percentage(completed, LEAVES),
                time_spent=completed * 90,
                active=chance.random() > 0.05,
                enrolled_on=enrolled,
                completed_on=accessed if done else None,
                last_accessed_on=accessed,
                attributes=learner.attributes,
            )
        )
    return states


def messages_of(states: list[State]) -> tuple[list[Message], list[Message]]:
    """For the topics of states and of totals: of one activity, the latter as the batch aggregation computes them."""
    cells = []
    for context_id in sorted({state.context_id for state in states}):
        total = Total(states[0].activity_id, states[0].activity_id, context_id, VERSION, NEW_YEAR)
        tally = Tally(DIMENSIONS)
        tally.count(state for state in states if state.context_id == context_id)
        cells += [
            Message(cell_key(total, cell), orjson.dumps(cell_state(total, cell, counts)))
            for cell, counts in tally.cells().items()
        ]
    return [Message(state.key, encode_state(state)) for state in states], cells


def send_all(kafka: str, prefix: str) -> tuple[int, int]:
    """By a process for each core; how many states and cells there are."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        sent = list(pool.map(send_block, *zip(*((kafka, prefix, b) for b in range(BLOCKS)), strict=True)))
    return sum(states for states, _ in sent), sum(cells for _, cells in sent)


def send_block(kafka: str, prefix: str, block: int) -> tuple[int, int]:
    return asyncio.run(_send_block(kafka, prefix, block))


async def _send_block(kafka: str, prefix: str, block: int) -> tuple[int, int]:
    population = Population(block)
    learners = population.learners()
    events = await KafkaEvents.open(f"kafka://{kafka}", prefix, timeout=120)
    sent = [0, 0]
    try:
        for activity in population.activities():
            for place, (topic, messages) in enumerate(
                zip((STATES, TOTALS), messages_of(states_of(activity, learners)), strict=True)
            ):
                for start in range(0, len(messages), SENDING):
                    await events.send(topic.name, *messages[start : start + SENDING])
                sent[place] += len(messages)
    finally:
        await events.close()
    return sent[0], sent[1]


def course(identifier: str, leaves: int) -> dict[str, Any]:
    """To be published: units of 20 leaves."""
    units = [
        {
            "identifier": f"{identifier}-unit-{unit}",
            "name": f"Unit {unit}",
            "children": [
                {"identifier": f"{identifier}-leaf-{leaf}", "name": f"Leaf {leaf}", "mimeType": LEAF}
                for leaf in range(unit * 20, min(leaves, unit * 20 + 20))
            ],
        }
        for unit in range((leaves + 19) // 20)
    ]
    return {"identifier": identifier, "name": identifier, "children": units}


def page_writes(learners: list[Learner], activities: int, tree_version: int) -> Iterator[Write]:
    """What commands and workers would have left in Cassandra of these members in the first activities: profiles,
    enrolments, scopes, the moment of the last change, and aggregates that have seen it."""
    changed_at = 1_764_000_000_000_000
    for learner in learners:
        yield profile_write(learner)
    for number in range(activities):
        for state in states_of(number, learners):
            user, collection, context = state.user_id, state.collection_id, state.context_id.partition(":")[2]
            accessed, updated = state.last_accessed_on, state.last_accessed_on or state.enrolled_on
            enrolled = {"active": state.active, "enrolled_on": state.enrolled_on}
            yield Write(
                ENROLMENTS,
                (user, collection, context),
                {
                    **enrolled,
                    "changed_at": changed_at,
                    "status": int(state.status),
                    "progress": state.completed_count,
                    "completedon": state.completed_on,
                    "lastcontentaccesstime": accessed,
                    "seen_changed_at": changed_at,
                },
            )
            yield Write(ENROLMENTS_BY_CONTEXT, (context, collection, bucket_of(user, 1), user), enrolled)
            yield Write(LEARNER_SCOPES, (user, collection, context), {"scope": collection})
            leaf = f"{collection}-leaf-0"
            view = {"changed_at": changed_at, "status": int(state.status), "last_access_time": accessed}
            yield Write(VIEWS, (user, collection, collection, context, leaf), view)
            yield Write(
                AGGREGATES,
                aggregate_place(AggregateKey(collection, collection, state.context_id, user)),
                {
                    "aggregates": {
                        "completedCount": float(state.completed_count),
                        "requiredCount": float(state.required_count),
                        "timeSpent": float(state.time_spent),
                    },
                    "content_status": {
                        f"{collection}-leaf-{leaf}": 2 for leaf in range(state.completed_count)
                    },
                    "agg_last_updated": {"completedCount": updated},
                    "status": int(state.status),
                    "completed_on": state.completed_on,
                    "last_access_time": accessed,
                    "version": state.version,
                    "seen_changed_at": changed_at,
                    "seen_enrolment": changed_at,
                    "seen_version": tree_version,
                    "active": state.active,
                    "enrolled_on": state.enrolled_on,
                },
                timestamp=state.version,
            )


async def publish_courses(cohort: Instance, count: int) -> int:
    """The first activities as collections, each with its batches; the version of all their trees."""
    numbers = iter(range(count))

    async def lane() -> None:
        for number in numbers:
            await cohort.publish(course(activity_id(number), LEAVES))
            for batch in range(BATCHES):
                await cohort.batch(batch_id(number, batch), activity_id(number))

    await asyncio.gather(*(lane() for _ in range(PUBLISHING)))
    ((_, tree),) = (await cohort.shared.library.published([activity_id(0)])).values()
    assert tree is not None
    return tree.version


async def write_all(cohort: Instance, writes: Sequence[Write]) -> None:
    for start in range(0, len(writes), WRITING):
        await cohort.stores.rows.write(*writes[start : start + WRITING])


async def make_group(cohort: Instance, group_id: str, members: Sequence[Learner], activities: int) -> None:
    """A group of these members, who work on the first activities."""
    new = NewGroup(
        "Everybody",
        members=tuple(AddMember(learner.user_id) for learner in members),
        activities=tuple(Activity(activity_id(number), "Course") for number in range(activities)),
        group_id=group_id,
    )
    made = await create_group(cohort.session(), new)
    assert not made.item_errors, made.item_errors
