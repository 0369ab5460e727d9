"""What was touched since the last run. It is read from the log by a consumer group of its own."""

import logging
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field

from ingest.aggregation.activities import Place
from loaders.learner_groups import memberships_of
from loaders.session import Shared
from rules.errors import InvalidInput, StoreUnavailable, loggable
from rules.identifiers import parse_aggregate_context
from rules.learner_groups import Activity
from rules.triggers import Trigger, TriggerKind, parse_object, parse_trigger, text_of
from stores.events import Consumer, Record
from stores.topics import AGGREGATION_GROUP, GROUP_CHANGES, STATES, TRIGGERS

log = logging.getLogger(__name__)

READ = (STATES.name, GROUP_CHANGES.name, TRIGGERS.name)
"""The topics that are read. Triggers are read for single contents: views tell how learners stand there, and workers
send no state of them."""
BATCH = 5000
"""Records that are taken at a time."""
MOST = 2_000
"""Places (collections with a context) and groups of a portion. A portion is held in memory."""
PATIENCE = 3600.0
"""Seconds that a portion may take."""
MOST_LEARNERS = 50_000
"""Learners whose groups are remembered while a portion is read."""
WAIT = 0.5
SILENCE = 30.0
"""Seconds to wait for records that the log is known to have. It is longer than a dead member keeps its partitions."""


@dataclass(slots=True)
class Touched:
    """What a portion of the log touched.

    - ``activities``: by collection and context, the activities that states name.
    - ``groups``: by group, the activities in which a member did something. None means that the group itself changed.
    - ``last``: the last record of each partition.
    """

    activities: dict[Place, set[str]] = field(default_factory=dict)
    groups: dict[str, set[str] | None] = field(default_factory=dict)
    last: dict[tuple[str, int], Record] = field(default_factory=dict)
    records: int = 0

    @property
    def done(self) -> Collection[Record]:
        """Returns the records to be committed. They stand for themselves and all before them."""
        return self.last.values()

    def __len__(self) -> int:
        return len(self.activities) + len(self.groups)


async def outstanding(shared: Shared) -> dict[str, int]:
    """Returns the number of records by topic that no run has dealt with."""
    return await shared.stores.events.lag(AGGREGATION_GROUP, READ)


async def portions(shared: Shared, consumer: Consumer, records: int) -> AsyncIterator[Touched]:
    """Gives what was touched up to now, in portions. ``records`` is how many are outstanding now.

    What comes meanwhile may be in it or be left to the next run. Raises StoreUnavailable if the log does not hand out
    what it has.
    """
    now = time.time_ns() // 1_000_000
    reader = _Reader(shared)
    async for batch in _batches(consumer, records, now):
        await reader.take(batch)
        if len(reader.touched) >= MOST:
            yield reader.touched
            reader = _Reader(shared)
    if reader.touched.records:
        yield reader.touched


async def pass_over(consumer: Consumer, records: int) -> int:
    """Commits what is outstanding without looking at it. Returns how many records these were.

    Raises StoreUnavailable as ``commit`` does.
    """
    passed = 0
    async for batch in _batches(consumer, records, time.time_ns() // 1_000_000):
        await commit(consumer, batch)
        passed += len(batch)
    return passed


async def commit(consumer: Consumer, records: Collection[Record]) -> None:
    """Commits these records and all before them.

    Raises StoreUnavailable if the log has meanwhile taken the consumer to be dead. Then the records come again, and the
    run must not say that it came to its end.
    """
    if not await consumer.commit(list(records)):
        raise StoreUnavailable(
            f"the log gave {', '.join(READ)} to another consumer of the group {AGGREGATION_GROUP} meanwhile"
        )


async def _batches(consumer: Consumer, records: int, now: int) -> AsyncIterator[Sequence[Record]]:
    """Gives batches until as many records were read as there were, and only later ones come."""
    read, heard = 0, time.monotonic()
    while True:
        batch = await consumer.batch(BATCH, WAIT if read < records else 0.0)
        if not batch:
            if read >= records:
                return
            if time.monotonic() - heard > SILENCE:
                raise StoreUnavailable(
                    f"{records - read} records of {', '.join(READ)} were not handed out within {SILENCE:.0f} s"
                )
            continue
        yield batch
        read, heard = read + len(batch), time.monotonic()
        if read >= records and all(record.appended_at >= now for record in batch):
            return


class _Reader:
    """Turns records into what they touch."""

    def __init__(self, shared: Shared) -> None:
        self.touched = Touched()
        self._shared = shared
        self._memberships: dict[str, list[tuple[str, frozenset[str]]]] = {}

    async def take(self, batch: Sequence[Record]) -> None:
        by_learner: dict[str, set[str] | None] = {}
        for record in batch:
            try:
                self._sort(record, by_learner)
            except (InvalidInput, ValueError) as error:
                # The group queries can't read it either. A later state of the key will be read.
                log.warning(
                    "%s %d/%d is passed over: %s",
                    record.topic,
                    record.partition,
                    record.offset,
                    loggable(error),
                )
            self.touched.last[record.topic, record.partition] = record
        self.touched.records += len(batch)
        await self._remember(by_learner)
        for user_id, activities in by_learner.items():
            for group_id, ids in self._memberships[user_id]:
                there = ids if activities is None else activities & ids
                if there and (touched := self.touched.groups.setdefault(group_id, set())) is not None:
                    touched |= there

    def _sort(self, record: Record, by_learner: dict[str, set[str] | None]) -> None:
        """Sorts one record. ``by_learner`` is what was touched of each learner. None means anything."""
        if record.topic == TRIGGERS.name:
            self._sort_trigger(parse_trigger(record.value), by_learner)
            return
        document = parse_object(record.value)
        if record.topic == GROUP_CHANGES.name:
            self.touched.groups[text_of(document, "groupId")] = None
            return
        activity_id = text_of(document, "activity_id")
        _, context_id = parse_aggregate_context(text_of(document, "context_id"))
        place = (text_of(document, "collection_id"), context_id)
        if (touched := by_learner.setdefault(text_of(document, "user_id"), set())) is not None:
            touched.add(activity_id)
        self.touched.activities.setdefault(place, set()).add(activity_id)

    @staticmethod
    def _sort_trigger(trigger: Trigger, by_learner: dict[str, set[str] | None]) -> None:
        """A trigger for several views names no content: then all of the learner is touched.

        Profile and enrolment triggers are left out: they touch no view.
        """
        if trigger.kind in (TriggerKind.PROFILE, TriggerKind.ENROLMENT):
            return
        if trigger.content_id is None:
            by_learner[trigger.user_id] = None
        elif (touched := by_learner.setdefault(trigger.user_id, set())) is not None:
            touched.add(trigger.content_id)

    async def _remember(self, learners: Collection[str]) -> None:
        """Remembers the groups that count these learners. A group that changes meanwhile says so itself."""
        if len(self._memberships) > MOST_LEARNERS:
            self._memberships.clear()
        unknown = [user_id for user_id in learners if user_id not in self._memberships]
        for user_id, found in (await memberships_of(self._shared.stores.rows, unknown)).items():
            self._memberships[user_id] = [
                (group.group_id, _ids(group.activities)) for group, member in found if member.is_counted
            ]


def _ids(activities: Sequence[Activity]) -> frozenset[str]:
    return frozenset(activity.id for activity in activities)
