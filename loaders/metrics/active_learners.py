"""How many learners were active over time: one query to the groups store for each tiling of the dates."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from druid_specs import ACTIVITY_DAY
from loaders import answers
from loaders.answers import AnswerOrigin, Answers
from loaders.metrics.grounds import context_in, context_keys
from loaders.metrics.queries import MOST_GROUPS, TooManyGroups
from rules.active_learners import ActiveLearnersQuery, Group, days_of, tilings, without_gaps
from rules.errors import InvalidInput
from stores.bills import charge
from stores.engines import Stores
from stores.groups import Figures, KeyFilter, Kind, Lane, Measure, OneOf, Windows

PATIENCE = 60
"""Seconds that reading may take by the groups store's pace, where windows overlap: the days are read once for each tiling."""
_COLUMNS = {"collection": "collection_id", "context": "context_id"}
_LEARNERS = (Measure("learners", Kind.DISTINCT, "user_id"),)


@dataclass(frozen=True, slots=True)
class ActiveLearners:
    """``rows``: date, group, learners. The rest is as ``loaders.metrics.tables.Answered`` has it."""

    rows: Sequence[tuple[str, Group, int]]
    as_of: datetime
    complete: bool


async def active_learners(stores: Stores, answered: Answers, query: ActiveLearnersQuery) -> ActiveLearners:
    """Counts the learners of each point, each once wherever they were active. InvalidInput where windows overlap and there is
    too much to read so often; StoreUnavailable."""
    figures = figures_of(query)

    async def computed() -> bytes:
        if len(figures) > 1:
            await _check_price(stores, figures[0].keys, len(figures))
        found = await asyncio.gather(*(stores.groups.query(one, Lane.TABLES) for one in figures))
        rows = [row for answer in found for row in answer.rows]
        if any(len(answer.rows) > MOST_GROUPS for answer in found):
            raise TooManyGroups(
                f"there are more than {MOST_GROUPS:,} groups: name activities or contexts, or leave by out",
                field="by",
            )
        return orjson.dumps([all(answer.complete for answer in found), rows])

    answer = await answered.answer(answers.key_of("active learners", repr(query)), computed)
    complete, rows = orjson.loads(answer.value)
    counts: dict[tuple[Group, str], int] = {}
    for *group, day, learners in rows:
        counts[_shown(query, *group), day] = learners
    return ActiveLearners(
        without_gaps(query, counts), answer.as_of, complete and answer.origin is not AnswerOrigin.STALE
    )


def figures_of(query: ActiveLearnersQuery) -> list[Figures]:
    """Returns the queries to the groups store, one for each tiling."""
    keys = {**context_keys(query.context_ids)}
    if query.collection_ids:
        keys["collection_id"] = query.collection_ids
    dimensions = (*((_COLUMNS[query.by],) if query.by else ()), "day")
    return [
        Figures(
            ACTIVITY_DAY,
            dimensions,
            _LEARNERS,
            tuple(sorted(keys.items())),
            OneOf("active", (1,)),
            limit=MOST_GROUPS + 1,
            windows=Windows("day", tuple(days_of(tiling))),
        )
        for tiling in tilings(query.points())
    ]


async def _check_price(stores: Stores, keys: KeyFilter, times: int) -> None:
    most = PATIENCE * stores.groups.pace_of(ACTIVITY_DAY)
    days = await stores.groups.extent(ACTIVITY_DAY, keys)
    charge(druid_rows=days * times)
    if days * times > most:
        raise InvalidInput(
            f"windows overlap, so {days:,} days of learners would be read {times} times, of {most:,} in all: name activities "
            "or contexts, take a shorter window, or a point every WEEK",
            field="window",
        )


def _shown(query: ActiveLearnersQuery, stored: str | None = None) -> Group:
    """A collection taken by itself is its own context."""
    if query.by != "context" or stored is None:
        return stored
    return context_in(stored)
