"""Takes away what the workers keep of places that a learner has moved on from."""

from collections.abc import Sequence
from dataclasses import asdict

from ingest.modes.moves import Moved
from ingest.workers.tombstones import WORKERS_COLUMNS, Vanished, bury, unlisting
from loaders.aggregates import aggregates_by_key
from loaders.enrolments import row_key
from loaders.session import Shared
from loaders.standings import aggregate_context_of
from rules.active_days import NO_DAYS
from rules.aggregates import AggregateKey
from rules.enrolments import Copies
from rules.identifiers import ProgressKey
from stores.rows import Write
from stores.tables import ENROLMENTS


async def active_days_left(shared: Shared, moved: Sequence[Moved]) -> dict[ProgressKey, frozenset[int]]:
    """Returns the active days that the places which were left still have. They go along: they are of what went along."""
    keys = [each.enrolment.key for each in moved]
    contexts = await shared.library.contexts.load_many([key.context_id for key in keys])
    roots = {
        key: AggregateKey(
            key.collection_id, key.collection_id, aggregate_context_of(key, context), key.user_id
        )
        for key, context in zip(keys, contexts, strict=True)
    }
    found = await aggregates_by_key(shared.stores.rows, list(roots.values())) if roots else []
    return {key: root.active_days if root else NO_DAYS for key, root in zip(roots, found, strict=True)}


async def remove_figures(shared: Shared, moved: Moved, appended_at: int, offset: int) -> None:
    """Takes away the states and aggregates of the place that was left, then marks its change as seen.

    Both happen at the version of the trigger, so that a slow process can't bring them back
    (ingest/workers/tombstones.py).
    """
    enrolment, key = moved.enrolment, moved.enrolment.key
    content, tree = (await shared.library.published([key.collection_id])).get(key.collection_id, (None, None))
    context = await shared.library.contexts.load(key.context_id)
    context_id = aggregate_context_of(key, context)
    activities = tree.collections if tree is not None else (key.collection_id,)
    keys = [AggregateKey(activity, key.collection_id, context_id, key.user_id) for activity in activities]
    ours = [each for each in await aggregates_by_key(shared.stores.rows, keys) if each is not None]
    if not ours and not enrolment.is_unseen:
        return
    gone = Vanished.of(key, ours, context)
    version = gone.version(appended_at, offset)
    await bury(shared, dict.fromkeys(gone.rows, version), unlisting(gone, version), days=gone.days)
    # The enrolment's row stays as the pointer.
    copies = Copies.of(content.name if content else None, context)
    seen = asdict(copies) | {"seen_changed_at": enrolment.changed_at, "version": version}
    values = dict.fromkeys(WORKERS_COLUMNS) | seen
    seal = Write(ENROLMENTS, row_key(key), values, timestamp=version, insert=False)
    await shared.stores.rows.write(seal)
