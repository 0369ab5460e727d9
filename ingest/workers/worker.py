"""The workers: one consumer group, the only writer of aggregates (R-AGG-1, R-AGG-2).

A batch of triggers is turned into the set of keys they are about; each key is recomputed once, from rows read after
the last of its triggers. Offsets are committed after the writes and the sends, so a worker killed anywhere leaves
nothing behind but work that is done again to the same end.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ingest.commands.learners import parse_profile, profile_write
from ingest.modes.strategies import added_by
from ingest.workers.dead_letters import dead_letter
from ingest.workers.forgetting import forget
from ingest.workers.moved_places import vanish
from ingest.workers.recompute import (
    Recomputation,
    Recomputed,
    recompute,
    sealing_writes,
    state_messages,
    unit_writes,
    vanished_messages,
    vanished_writes,
)
from ingest.workers.sweeping import sweep
from ingest.workers.tombstones import vanishing_messages, vanishing_writes
from loaders import touches
from loaders.erasures import erased_learners, erased_places
from loaders.learners import learners_by_id
from loaders.session import Shared
from rules.errors import InvalidInput, StoreUnavailable
from rules.identifiers import ProgressKey, scope_of
from rules.triggers import Trigger, TriggerKind, parse_trigger
from stores.events import Consumer, Message, Record
from stores.rows import Write
from stores.tables import ENROLMENTS, LEARNER_SCOPES
from stores.topics import DEAD_LETTERS, PROFILES, STATES, TRIGGERS, WORKER_GROUP

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_KEYS = 200
"""Keys of a chunk, which is read, recomputed and written together."""
AT_ONCE = 4
"""Chunks under way; with MOST_KEYS it bounds the memory and the statements in flight."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds between attempts while a store is away."""


class _Stopped(Exception):
    pass


@dataclass(slots=True)
class _Work:
    """What a batch asks for.

    ``keys`` with the last record of each; those a trigger ``named`` itself; those ``renewed`` by a profile; those to be
    looked at ``whole``; those ``erased``; those ``enrolled`` in or out of; the contents ``viewed`` of each, None for any;
    ``users`` whose profile changed; what to write of ``profiles``; which erasures are to be ``forgotten``; what is
    ``dead``.
    """

    keys: dict[ProgressKey, Record] = field(default_factory=dict)
    named: set[ProgressKey] = field(default_factory=set)
    renewed: set[ProgressKey] = field(default_factory=set)
    whole: set[ProgressKey] = field(default_factory=set)
    erased: set[ProgressKey] = field(default_factory=set)
    enrolled: set[ProgressKey] = field(default_factory=set)
    viewed: dict[ProgressKey, set[str] | None] = field(default_factory=dict)
    users: dict[str, Record] = field(default_factory=dict)
    profiles: list[Write] = field(default_factory=list)
    forgotten: list[Trigger] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)


class Worker:
    """One member of the group. ``run`` until ``stop``; several may run in one process or in many.

    ``most``: records of a batch, ``wait``: seconds to wait for them.
    """

    def __init__(
        self, shared: Shared, *, most: int = 2000, wait: float = 0.1, group: str = WORKER_GROUP
    ) -> None:
        self._shared = shared
        self._most = most
        self._wait = wait
        self._group = group
        self._stopping = asyncio.Event()
        self.processed = 0
        """Records done since the start."""
        self.dead = 0
        """Of these, put away as dead letters."""
        self.ignored = 0
        """Of these, profiles from before an erasure of their learners."""

    def stop(self) -> None:
        """The batch at hand is finished and committed, then ``run`` returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Waits out stores that are away; ends by ``stop`` or cancellation, either way leaving the group."""
        try:
            consumer = await self._patiently(self._join)
        except _Stopped:
            return
        try:
            while not self._stopping.is_set():
                await self._turn(consumer)
        except _Stopped:
            pass
        finally:
            await consumer.close()

    async def _join(self) -> Consumer:
        return await self._shared.stores.events.consumer(self._group, [TRIGGERS.name, PROFILES.name])

    async def _turn(self, consumer: Consumer) -> None:
        records = await self._patiently(lambda: consumer.batch(self._most, self._wait))
        if not records:
            return
        await self._patiently(lambda: self._process(records))
        await self._patiently(lambda: consumer.commit(records))
        self.processed += len(records)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Again and again, with growing pauses, while a store is away. Nothing is read meanwhile: back-pressure."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except StoreUnavailable as error:
                log.warning("a store is away, trying again in %.1f s: %s", pause, error)
            try:
                await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.8, 1.2))  # noqa: S311
            except TimeoutError:
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                raise _Stopped

    async def _process(self, records: Sequence[Record]) -> None:
        """A record that breaks a batch is found by processing each alone, and put away."""
        try:
            await self._handle(records)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(records) == 1:
                log.exception("could not process %s", records[0])
                await self._put_away([dead_letter(records[0], f"internal error: {error!r}")])
                return
            for record in records:
                await self._process([record])

    async def _handle(self, records: Sequence[Record]) -> None:
        work = _Work()
        for record in records:
            self._sort(record, work)
        stores = self._shared.stores
        if work.profiles:
            await stores.rows.write(*await self._of_today(work.profiles))
        await self._expand(work)
        follow = added_by(self._shared.tracking).follow
        for key, source in (await follow(self._shared, list(work.keys), work.enrolled, work.viewed)).items():
            work.keys.setdefault(key, work.keys[source])
        await self._settle_moves(work)
        keys = list(work.keys)
        chunks = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
        # One chunk computes while others wait for their stores.
        for start in range(0, len(chunks), AT_ONCE):
            await asyncio.gather(*(self._recompute(c, work) for c in chunks[start : start + AT_ONCE]))
        await self._put_away(work.dead)
        # Last, and before the records are committed: they are to be forgotten too.
        await forget(self._shared, work.forgotten)

    def _sort(self, record: Record, work: _Work) -> None:
        try:
            if record.topic == PROFILES.name:
                learner = parse_profile(record.value, record.appended_at)
                work.profiles.append(profile_write(learner))
                work.users[learner.user_id] = record
                return
            trigger = parse_trigger(record.value)
        except InvalidInput as error:
            work.dead.append(dead_letter(record, f"{error.code}: {error.message}"))
            return
        key = trigger.progress_key
        if trigger.kind is TriggerKind.FORGET:
            work.forgotten.append(trigger)
            return
        if trigger.kind is TriggerKind.PROFILE or key is None:
            work.users[trigger.user_id] = record
            return
        work.keys[key] = record
        work.named.add(key)
        if trigger.kind in (TriggerKind.RECONCILE, TriggerKind.ERASURE):
            work.whole.add(key)
        if trigger.kind is TriggerKind.ERASURE:
            work.erased.add(key)
        if trigger.kind in (TriggerKind.RECONCILE, TriggerKind.ENROLMENT):
            work.enrolled.add(key)
        if trigger.kind in (TriggerKind.RECONCILE, TriggerKind.VIEW):
            contents = work.viewed.setdefault(key, set())
            if contents is None or trigger.content_id is None:
                work.viewed[key] = None
            else:
                contents.add(trigger.content_id)

    async def _of_today(self, profiles: Sequence[Write]) -> list[Write]:
        """Without those from before their learners were erased: a late replay brings nothing back."""
        users = list({write.key[0] for write in profiles})
        erased = await erased_learners(self._shared.stores.rows, users)
        kept = [w for w in profiles if w.key[0] not in erased or w.values["updated_on"] > erased[w.key[0]]]
        if ignored := len(profiles) - len(kept):
            self.ignored += ignored
            log.info("%d profiles are from before their learners were erased, and were ignored", ignored)
        return kept

    async def _expand(self, work: _Work) -> None:
        """A changed profile is in the state of everything that the learner has, each unit included."""
        users = [(user,) for user in work.users]
        if not users:
            return
        rows = self._shared.stores.rows
        columns = ("userid", "collectionid", "contextid")
        for table in (LEARNER_SCOPES, ENROLMENTS):
            found = await rows.partitions(table, users, columns)
            for (user,), places in found.items():
                for place in places:
                    key = ProgressKey(user, place["collectionid"], place["contextid"])
                    work.keys.setdefault(key, work.users[user])
                    work.renewed.add(key)
                    work.whole.add(key)

    async def _settle_moves(self, work: _Work) -> None:
        """A place that was left has no figures of its own any more; those of the new one are due."""
        take_rest = added_by(self._shared.tracking).take_rest
        moved = await take_rest(self._shared, list(work.keys), work.enrolled)
        for each in moved:
            record = work.keys[each.cause]
            await vanish(self._shared, each, record.appended_at, record.offset)
            work.keys.setdefault(each.to, record)
        for each in moved:
            work.keys.pop(each.enrolment.key, None)

    async def _recompute(self, keys: Sequence[ProgressKey], work: _Work) -> None:
        """Units first, then what marks the change as seen, then the states; hashes are to be filled anew.

        A state goes out when its version is in the rows: were it sent before, and the writing failed, the same trigger
        would give what changed meanwhile the same version.
        """
        stores = self._shared.stores
        erased = await erased_places(stores.rows, [key for key in keys if key in work.erased])
        await sweep(self._shared, erased)
        result = await recompute(self._shared, keys, whole=work.whole, erased=erased)
        await self._let_go(list(erased), result, work)
        for key, error in result.failed.items():
            if key in work.named:
                work.dead.append(dead_letter(work.keys[key], f"{error.code}: {error.message}"))
        if not result.done:
            return
        versions = {}
        for item in result.done:
            record = work.keys[item.key]
            version = item.next_version(record.appended_at, record.offset)
            versions[item.key] = item.versions(version, renew=item.key in work.renewed)
        user_ids = list({item.key.user_id for item in result.done})
        found, _ = await asyncio.gather(
            learners_by_id(stores.rows, user_ids),
            stores.rows.write(*(w for item in result.done for w in unit_writes(item, versions[item.key]))),
        )
        learners = dict(zip(user_ids, found, strict=True))
        await self._let_vanish([item for item in result.done if item.dropped], versions)
        await asyncio.gather(
            stores.rows.write(
                *(w for item in result.done for w in sealing_writes(item, versions[item.key])),
                *(w for item in result.done for w in _scope_writes(item, erased)),
            ),
            touches.distrust(stores.cache, [self._shared.tracking.source(item.key) for item in result.done]),
        )
        messages = [
            message
            for item in result.done
            for message in state_messages(item, versions[item.key], learners[item.key.user_id])
        ]
        await stores.events.send(STATES.name, *messages)

    async def _let_go(self, erased: Sequence[ProgressKey], result: Recomputation, work: _Work) -> None:
        """Of the keys that are gone states, then rows; of all erased ones the hashes, which never forget a view by
        themselves."""
        if not erased:
            return
        stores = self._shared.stores
        versions = {
            gone.key: gone.version(work.keys[gone.key].appended_at, work.keys[gone.key].offset)
            for gone in result.gone
        }
        messages = [m for gone in result.gone for m in vanishing_messages(gone, versions[gone.key])]
        await stores.events.send(STATES.name, *messages)
        await stores.rows.write(*(w for g in result.gone for w in vanishing_writes(g, versions[g.key])))
        await touches.forget(stores.cache, [self._shared.tracking.source(key) for key in erased])

    async def _let_vanish(
        self, items: Sequence[Recomputed], versions: Mapping[ProgressKey, Mapping[str, int]]
    ) -> None:
        """The states of dropped units, then their rows: as long as a row is there, it is found again. A state that
        goes out twice says the same."""
        if not items:
            return
        messages = [m for item in items for m in vanished_messages(item, versions[item.key])]
        await self._shared.stores.events.send(STATES.name, *messages)
        await self._shared.stores.rows.write(
            *(w for item in items for w in vanished_writes(item, versions[item.key]))
        )

    async def _put_away(self, letters: Sequence[Message]) -> None:
        if letters:
            await self._shared.stores.events.send(DEAD_LETTERS.name, *letters)
            self.dead += len(letters)


def _scope_writes(item: Recomputed, erased: Container[ProgressKey]) -> Iterator[Write]:
    """The learner's list of scopes, with the first aggregate of a key: a gateway may remember an entry that an erasure
    has deleted since, and without one neither lists nor the next erasure would find the key."""
    first = item.stored[item.root.activity_id] is None or item.key in erased
    if first and (item.enrolment is None or item.root.content_status):
        key = item.key
        place = (key.user_id, key.collection_id, key.context_id)
        yield Write(LEARNER_SCOPES, place, {"scope": scope_of(key.collection_id)})
