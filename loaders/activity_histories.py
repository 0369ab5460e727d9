"""What runs of the batch aggregation kept of an activity, day by day."""

from collections.abc import Mapping, Sequence

from loaders.contexts import contexts_whole
from loaders.library import Library
from loaders.totals import ActivityPlace
from rules.activity_histories import RecordedDay, kept_counts
from rules.aggregates import activity_type
from rules.identifiers import ContextType, aggregate_context
from rules.metrics import Counts
from rules.totals import Total
from stores.rows import Row, Rows, Write
from stores.tables import ACTIVITY_HISTORIES


def history_write(total: Total, day: int, counts: Counts | None) -> Write:
    """Returns the write that keeps the counts of a run under its day. ``counts`` is None for an activity that is gone.

    Its write time is the run's version. So of several runs on a day the last one counts, and a process that lost its lease
    can't overwrite what is newer.
    """
    key = (*_partition((total.activity_id, total.collection_id, total.context_id)), -day)
    values = {"counts": None if counts is None else kept_counts(counts)}
    return Write(ACTIVITY_HISTORIES, key, values, timestamp=total.version)


async def recorded_days(
    rows: Rows, places: Sequence[ActivityPlace], *, last: int, most: int
) -> list[list[RecordedDay]]:
    """The recorded days of each place up to ``last``, the latest ``most`` of them, in a statement for each hundred contexts."""
    keys = [_partition(place) for place in places]
    found = await rows.partitions(ACTIVITY_HISTORIES, keys, after=(-last - 1,), limit=most)
    return [[_recorded(row) for row in found[key]] for key in keys]


async def contexts_with(rows: Rows, library: Library, collection_id: str, *, most: int) -> list[str] | None:
    """The contexts of a collection as aggregate rows write them, the collection by itself first. None for more than
    ``most``."""
    contexts = await contexts_whole(rows, library, collection_id, after=None, most=most - 1)
    if contexts is None:
        return None
    named = [aggregate_context(context.type, context.context_id) for context in contexts]
    return [aggregate_context(ContextType.COLLECTION, collection_id), *named]


def _partition(place: ActivityPlace) -> tuple[str, str, str, str]:
    activity_id, collection_id, context_id = place
    return activity_type(activity_id, collection_id), activity_id, collection_id, context_id


def _recorded(row: Row) -> RecordedDay:
    counts: Mapping[str, int] | None = row["counts"]
    return RecordedDay(-row["back"], counts)
