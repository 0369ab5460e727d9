"""Refreshes what is stored of keys: reads their rows, computes their figures, writes and sends the results."""

import asyncio
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from datetime import datetime

from ingest.workers.dead_letters import dead_letter
from ingest.workers.figures import Recomputed
from ingest.workers.recompute import recompute
from ingest.workers.rows_and_states import day_messages, sealing_writes, state_messages, unit_writes
from ingest.workers.sweeping import sweep
from ingest.workers.tombstones import Vanished, bury, cleared_enrolment, unlisting
from ingest.workers.work import Work
from loaders import touches
from loaders.erasures import erased_places
from loaders.learners import learners_by_id
from loaders.session import Shared
from rules.aggregates import AggregateKey
from rules.identifiers import ProgressKey, scope_of
from stores.rows import Write
from stores.tables import LEARNER_SCOPES
from stores.topics import ACTIVE_DAYS, STATES


async def refresh(shared: Shared, keys: Sequence[ProgressKey], work: Work) -> None:
    """Refreshes these keys. If a key can't be computed and a trigger named it, the trigger becomes a dead letter."""
    erased = await erased_places(shared.stores.rows, [key for key in keys if key in work.erased])
    await sweep(shared, erased)
    days = {key: work.days(shared.day_zone, key, erased.get(key)) for key in keys}
    result = await recompute(shared, keys, whole=work.whole, erased=erased, days=days)
    if erased:
        await _let_go(shared, erased, result.gone, work)
    for key, error in result.failed.items():
        if key in work.named:
            work.dead.append(dead_letter(work.keys[key], f"{error.code}: {error.message}"))
    if result.done:
        await _write(shared, result.done, erased, work)


async def _let_go(
    shared: Shared, erased: Collection[ProgressKey], gone: Sequence[Vanished], work: Work
) -> None:
    """Takes away the keys that are gone. Also takes away the hashes of all erased keys: a hash never forgets a view by
    itself."""
    aggregates: dict[AggregateKey, int] = {}
    days: dict[AggregateKey, frozenset[int]] = {}
    others: list[Write] = []
    for each in gone:
        record = work.keys[each.key]
        version = each.version(record.appended_at, record.offset)
        aggregates |= dict.fromkeys(each.rows, version)
        days |= each.days
        others += [unlisting(each, version), cleared_enrolment(each.key, version)]
    await bury(shared, aggregates, *others, days=days)
    await touches.forget(shared.stores.cache, [shared.tracking.source(key) for key in erased])


async def _write(
    shared: Shared, done: Sequence[Recomputed], erased: Mapping[ProgressKey, datetime], work: Work
) -> None:
    """Writes units and sends days, then writes root and enrolment, then sends states. Marks the hashes as to be filled anew.

    - If units were written last, a crash would leave them unwritten although the root marks the change as seen.
    - If a state were sent before its version is in the rows and the writing then failed, the same trigger would give
      the same version to a later, different state.
    """
    stores = shared.stores
    new, versions = {}, {}
    for item in done:
        record = work.keys[item.key]
        new[item.key] = item.next_version(record.appended_at, record.offset)
        versions[item.key] = item.versions(new[item.key], renew=item.key in work.renewed)
    user_ids = list({item.key.user_id for item in done})
    found, *_ = await asyncio.gather(
        learners_by_id(stores.rows, user_ids),
        stores.rows.write(
            *(
                write
                for item in done
                for write in unit_writes(
                    item, versions[item.key], new[item.key], enrolled=item.key in work.enrolled
                )
            )
        ),
        _send_days(shared, done, versions, work.again),
    )
    learners = dict(zip(user_ids, found, strict=True))
    # The dropped units go before the root is written. The root marks the new version of the collection as seen: after
    # that nothing tells of them.
    if dropped := {
        item.aggregate_key(activity): versions[item.key][item.root.activity_id]
        for item in done
        for activity in item.dropped
    }:
        await bury(shared, dropped)
    await asyncio.gather(
        stores.rows.write(
            *(w for item in done for w in sealing_writes(item, versions[item.key])),
            *(w for item in done for w in _scope_writes(item, erased)),
        ),
        touches.distrust(stores.cache, [shared.tracking.source(item.key) for item in done]),
    )
    messages = [
        message
        for item in done
        for message in state_messages(item, versions[item.key], learners[item.key.user_id])
    ]
    await stores.events.send(STATES.name, *messages)


async def _send_days(
    shared: Shared,
    done: Sequence[Recomputed],
    versions: Mapping[ProgressKey, Mapping[str, int]],
    again: Container[ProgressKey],
) -> None:
    messages = [
        message
        for item in done
        for message in day_messages(item, versions[item.key][item.root.activity_id], again=item.key in again)
    ]
    if messages:
        await shared.stores.events.send(ACTIVE_DAYS.name, *messages)


def _scope_writes(item: Recomputed, erased: Container[ProgressKey]) -> Iterator[Write]:
    """Lists the scope again at a key's first aggregate, because an erasure may have deleted the entry.

    A gateway may still remember the deleted entry, so it does not write it. Without an entry neither lists nor the next
    erasure would find the key.
    """
    first = item.stored[item.root.activity_id] is None or item.key in erased
    if first and (item.enrolment is None or item.root.content_status or item.root.score.assessed):
        key = item.key
        place = (key.user_id, key.collection_id, key.context_id)
        # As old as the change that it lists: an erasure that began since has deleted that change, and its entry is not to come back.
        time = None if key in erased else item.changed_at
        yield Write(LEARNER_SCOPES, place, {"scope": scope_of(key.collection_id)}, time)
