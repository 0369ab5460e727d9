"""How many learners started and completed a collection and its units, by one query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from druid_specs import ACTIVITY_STATE
from loaders.answers import AnswerOrigin, Answers
from loaders.metrics.grounds import Ground, Named, context_keys, outdated_in, where_of
from loaders.metrics.queries import Counted, counted, figures_in, key_of
from rules.aggregates import COLLECTION_TYPE, UNIT_TYPE
from rules.funnels import Reached
from rules.metric_filters import Filter
from rules.progress import Status
from stores.engines import Stores
from stores.groups import Any as AnyOf
from stores.groups import Between, Kind, Measure, OneOf

_STARTED = AnyOf((Between("status", least=int(Status.IN_PROGRESS)), Between("last_accessed_on", least=0)))
"""A view of anything below counts, also of what is not required."""
_MEASURES = (
    Measure("completed", Kind.COUNT, where=OneOf("status", (int(Status.COMPLETED),))),
    Measure("enrolled", Kind.COUNT),
    Measure("started", Kind.COUNT, where=_STARTED),
)


@dataclass(frozen=True, slots=True)
class FunnelCounts:
    """Of each activity that has a state. The rest is as ``loaders.metrics.tables.Answered`` has it."""

    reached: Mapping[str, Reached]
    as_of: datetime
    complete: bool


async def funnel_counts(
    stores: Stores,
    answers: Answers,
    collection_id: str,
    unit_ids: Sequence[str],
    since: int,
    context_ids: Sequence[str],
    filter: Filter | None,  # noqa: A002
) -> FunnelCounts:
    """Counts the active enrolments in the collection and in these units of it. ``since``: the first version whose figures
    are those of the live one. StoreUnavailable."""
    keys = {
        "activity_id": tuple(sorted({collection_id, *unit_ids})),
        "activity_type": tuple(sorted((COLLECTION_TYPE, UNIT_TYPE))),
        "collection_id": (collection_id,),
        **context_keys(context_ids),
    }
    ground = Ground(
        ACTIVITY_STATE,
        tuple(sorted(keys.items())),
        () if filter is None else (where_of(filter, ACTIVITY_STATE),),
        outdated=outdated_in(Named({}, frozenset(), {collection_id: since})),
    )
    asked = figures_in(ground, frozenset({"activity_id"}), _MEASURES)

    async def computed() -> bytes:
        return (await counted(stores, asked)).encode()

    answer = await answers.answer(key_of(asked), computed)
    found = Counted.decode(answer.value)
    reached = {
        activity: Reached(enrolled=enrolled, started=started, completed=completed)
        for activity, completed, enrolled, started, *_ in found.rows
    }
    return FunnelCounts(reached, answer.as_of, found.complete and answer.origin is not AnswerOrigin.STALE)
