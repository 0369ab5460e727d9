"""Refreshes what is stored of keys: reads their rows, computes their figures, writes and sends what follows."""

import asyncio
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from datetime import datetime

from ingest.workers.dead_letters import dead_letter
from ingest.workers.figures import Recomputed
from ingest.workers.recompute import recompute
from ingest.workers.rows_and_states import sealing_writes, state_messages, unit_writes
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
from stores.topics import STATES


async def refresh(shared: Shared, keys: Sequence[ProgressKey], work: Work) -> None:
    """What can't be computed becomes a dead letter where a trigger named it."""
    erased = await erased_places(shared.stores.rows, [key for key in keys if key in work.erased])
    await sweep(shared, erased)
    result = await recompute(shared, keys, whole=work.whole, erased=erased)
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
    """Takes away the keys that are gone; of all erased ones the hashes, which never forget a view by themselves."""
    aggregates: dict[AggregateKey, int] = {}
    others: list[Write] = []
    for each in gone:
        record = work.keys[each.key]
        version = each.version(record.appended_at, record.offset)
        aggregates |= dict.fromkeys(each.rows, version)
        others += [unlisting(each, version), cleared_enrolment(each.key, version)]
    await bury(shared, aggregates, *others)
    await touches.forget(shared.stores.cache, [shared.tracking.source(key) for key in erased])


async def _write(
    shared: Shared, done: Sequence[Recomputed], erased: Mapping[ProgressKey, datetime], work: Work
) -> None:
    """Units first, then what marks the change as seen, then the states; hashes are to be filled anew.

    A state goes out when its version is in the rows: were it sent before, and the writing failed, the same trigger
    would give what changed meanwhile the same version.
    """
    stores = shared.stores
    versions = {}
    for item in done:
        record = work.keys[item.key]
        version = item.next_version(record.appended_at, record.offset)
        versions[item.key] = item.versions(version, renew=item.key in work.renewed)
    user_ids = list({item.key.user_id for item in done})
    found, _ = await asyncio.gather(
        learners_by_id(stores.rows, user_ids),
        stores.rows.write(*(w for item in done for w in unit_writes(item, versions[item.key]))),
    )
    learners = dict(zip(user_ids, found, strict=True))
    # Before the root, which marks the new version of the collection as seen: nothing tells of them afterwards.
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


def _scope_writes(item: Recomputed, erased: Container[ProgressKey]) -> Iterator[Write]:
    """The learner's list of scopes, with the first aggregate of a key: a gateway may remember an entry that an erasure
    has deleted since, and without one neither lists nor the next erasure would find the key."""
    first = item.stored[item.root.activity_id] is None or item.key in erased
    if first and (item.enrolment is None or item.root.content_status):
        key = item.key
        place = (key.user_id, key.collection_id, key.context_id)
        yield Write(LEARNER_SCOPES, place, {"scope": scope_of(key.collection_id)})
