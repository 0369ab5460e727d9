"""Tables of figures: those that a request asks for together cost one query for each ground they have."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from druid_specs import ACTIVITY_STATE
from loaders.answers import AnswerOrigin, Answers
from loaders.library import Library
from loaders.metrics.costs import TableCosts
from loaders.metrics.grounds import Ground
from loaders.metrics.labels import MANY_ROWS, labelled_table
from loaders.metrics.plans import PlannedTile, Tile, planned_tile
from loaders.metrics.queries import Counted, TooManyGroups, counted, figures_query, key_of
from loaders.metrics.tabulation import groups_of
from rules.errors import CohortError
from rules.metric_queries import Key, MetricQuery
from rules.metric_tables import Table
from rules.metrics import Counts
from rules.plans import QueryPlan, Taken
from stores.engines import Stores
from stores.groups import Figures


@dataclass(frozen=True, slots=True)
class Answered:
    """``plan``: where it was answered from. ``as_of``: what happened before is in the figures; None where no aggregation
    has run. ``complete`` is False where a part of the data was away or was never computed, where figures are of an older
    version of a collection, and for an answer older than it should be. ``age`` in seconds."""

    plan: QueryPlan
    table: Table
    as_of: datetime | None
    complete: bool
    origin: AnswerOrigin
    age: float

    @property
    def taken(self) -> Taken:
        """How it came about, as clients are told."""
        return Taken(self.plan, self.origin.value.lower(), self.age)


TileAnswers = dict[Tile, Answered | CohortError]
"""A tile's error is its own: NotFound for an id that there is not, TooManyGroups, InvalidInput, StoreUnavailable."""


class Tables:
    """The tables of one request."""

    def __init__(self, stores: Stores, library: Library, answers: Answers, costs: TableCosts) -> None:
        self._stores = stores
        self._library = library
        self._answers = answers
        self._costs = costs

    async def tables(self, tiles: Sequence[Tile]) -> list[Answered | CohortError]:
        """The answers in the order of the tiles: plans them, batches those that count the same, and asks for each
        batch."""
        found: TileAnswers = {}
        batches: defaultdict[Ground, list[PlannedTile]] = defaultdict(list)
        distinct = list(dict.fromkeys(tiles))
        for tile, planned in zip(distinct, await asyncio.gather(*map(self._planned, distinct)), strict=True):
            if isinstance(planned, CohortError):
                found[tile] = planned
            else:
                batches[planned.ground].append(planned)
        for answered in await asyncio.gather(*(self._batch(*batch) for batch in batches.items())):
            found |= answered
        return [found[tile] for tile in tiles]

    async def _planned(self, tile: Tile) -> PlannedTile | CohortError:
        try:
            return await planned_tile(self._library, self._costs, tile)
        except CohortError as error:
            return error

    async def _batch(self, ground: Ground, batch: Sequence[PlannedTile]) -> TileAnswers:
        """Answers a batch by one query. If all dimensions together make too many groups, each tile has a query of its
        own."""
        try:
            return await self._together(ground, batch)
        except TooManyGroups as error:
            if len(batch) == 1:
                return {batch[0].tile: error}
            alone = await asyncio.gather(*(self._batch(ground, [one]) for one in batch))
            return {tile: answered for some in alone for tile, answered in some.items()}
        except CohortError as error:
            return {one.tile: error for one in batch}

    async def _together(self, ground: Ground, batch: Sequence[PlannedTile]) -> TileAnswers:
        queries = [one.tile.query for one in batch]
        asked = figures_query(ground, queries)
        answer = await self._answers.answer(key_of(asked), partial(self._computed, asked))
        found = Counted.decode(answer.value)
        grouping = partial(groups_of, asked, found.rows, queries)
        groups = await asyncio.to_thread(grouping) if len(found.rows) > MANY_ROWS else grouping()
        tables = await asyncio.gather(*map(self._table, queries, groups))
        as_of = answer.as_of if ground.source is ACTIVITY_STATE else found.as_of
        complete = found.complete and answer.origin is not AnswerOrigin.STALE
        if ground.published_on is not None and as_of is not None:
            complete = complete and as_of >= ground.published_on
        return {
            one.tile: table
            if isinstance(table, CohortError)
            else Answered(one.plan, table, as_of, complete, answer.origin, answer.age)
            for one, table in zip(batch, tables, strict=True)
        }

    async def _table(
        self, query: MetricQuery, groups: Mapping[Key, Counts] | CohortError
    ) -> Table | CohortError:
        if isinstance(groups, CohortError):
            return groups
        try:
            return await labelled_table(self._library, query, groups)
        except CohortError as error:
            return error

    async def _computed(self, asked: Figures) -> bytes:
        return (await counted(self._stores, asked)).encode()
