"""Places that a learner has moved on from: what the workers keep of them goes."""

from dataclasses import asdict

from ingest.modes.moves import Moved
from ingest.workers.tombstones import WORKERS_COLUMNS, Vanished, vanishing_messages, vanishing_writes
from loaders.aggregates import aggregates_by_key
from loaders.enrolments import row_key
from loaders.session import Shared
from loaders.standings import aggregate_context_of
from rules.aggregates import AggregateKey
from rules.contexts import bucket_of
from rules.enrolments import Copies
from stores.rows import Write
from stores.tables import ENROLMENTS
from stores.topics import STATES


async def vanish(shared: Shared, moved: Moved, appended_at: int, offset: int) -> None:
    """The states and aggregates of the place that was left, then the mark that its change was seen: at the version of
    the trigger, so that a slow process can't bring them back (ingest/workers/tombstones.py)."""
    enrolment, key = moved.enrolment, moved.enrolment.key
    content, tree = (await shared.library.published([key.collection_id])).get(key.collection_id, (None, None))
    context = await shared.library.contexts.load(key.context_id)
    context_id = aggregate_context_of(key, context)
    activities = tree.collections if tree is not None else (key.collection_id,)
    keys = [AggregateKey(activity, key.collection_id, context_id, key.user_id) for activity in activities]
    ours = [each for each in await aggregates_by_key(shared.stores.rows, keys) if each is not None]
    if not ours and enrolment.seen_changed_at == enrolment.changed_at:
        return
    gone = Vanished(
        key,
        [each.key for each in ours],
        max((each.version for each in ours), default=None),
        bucket_of(key.user_id, context.buckets if context else 1),
    )
    version = gone.version(appended_at, offset)
    await shared.stores.events.send(STATES.name, *vanishing_messages(gone, version))
    # The enrolment's row stays as the pointer.
    others = [write for write in vanishing_writes(gone, version) if write.table is not ENROLMENTS]
    await shared.stores.rows.write(*others)
    copies = Copies.of(content.name if content else None, context)
    seen = asdict(copies) | {"seen_changed_at": enrolment.changed_at, "version": version}
    values = dict.fromkeys(WORKERS_COLUMNS) | seen
    seal = Write(ENROLMENTS, row_key(key), values, timestamp=version, insert=False)
    await shared.stores.rows.write(seal)
