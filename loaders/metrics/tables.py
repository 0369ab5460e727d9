"""Tables of figures: those that a request asks for together share queries, as far as they count the same."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from druid_specs import ACTIVITY_STATE
from loaders.answers import Answer, AnswerOrigin, Answers
from loaders.library import Library
from loaders.metrics.costs import TableCosts
from loaders.metrics.grounds import Ground
from loaders.metrics.labels import MANY_ROWS, labelled_table
from loaders.metrics.plans import PlannedTile, Tile, planned_tile
from loaders.metrics.queries import Counted, Reading, TooManyGroups, counted, key_of, readings
from loaders.metrics.tabulation import groups_of
from rules.errors import CohortError
from rules.metric_queries import MetricQuery
from rules.metric_tables import Groups, Table, compared
from rules.metrics import AT_RISK, seen_before
from rules.plans import QueryPlan, Taken
from rules.privacy import CohortRule, shown, told_groups
from stores.bills import charge
from stores.engines import Stores
from stores.groups import Figures


@dataclass(frozen=True, slots=True)
class Answered:
    """``plan``: where it was answered from. ``as_of``: what happened before is in the figures; None where no aggregation
    has run. ``complete`` is False where a part of the data was away or was never computed, where figures are of an older
    version of a collection, and for an answer older than it should be. ``age`` in seconds. ``seen_before``: who was last
    seen before then is at risk; None where nobody asked for that. ``rule``: by which cohorts are withheld; None where none
    are."""

    plan: QueryPlan
    table: Table
    as_of: datetime | None
    complete: bool
    origin: AnswerOrigin
    age: float
    seen_before: datetime | None = None
    rule: CohortRule | None = None

    @property
    def taken(self) -> Taken:
        """How it came about, as clients are told."""
        return Taken(self.plan, self.origin.value.lower(), self.age)


@dataclass(frozen=True, slots=True)
class _Side:
    """What one side of a tile counts to. The rest is as ``Answered`` has it."""

    plan: QueryPlan
    groups: Groups
    as_of: datetime | None
    complete: bool
    origin: AnswerOrigin
    age: float


_Sides = dict[Tile, _Side | CohortError]
"""A tile's error is its own: NotFound for an id that there is not, TooManyGroups, InvalidInput, StoreUnavailable."""


class Tables:
    """The tables of one request."""

    def __init__(
        self,
        stores: Stores,
        library: Library,
        answers: Answers,
        costs: TableCosts,
        now: Callable[[], datetime],
    ) -> None:
        self._stores = stores
        self._library = library
        self._answers = answers
        self._costs = costs
        self._now = now

    async def tables(self, tiles: Sequence[Tile]) -> list[Answered | CohortError]:
        """The answers in the order of the tiles: plans their sides, batches those that count the same, and asks for each
        batch."""
        now, found = self._now(), _Sides()
        batches: defaultdict[Ground, list[PlannedTile]] = defaultdict(list)
        distinct = list(dict.fromkeys(side for tile in tiles for side in tile.sides))
        for tile, planned in zip(distinct, await asyncio.gather(*map(self._planned, distinct)), strict=True):
            if isinstance(planned, CohortError):
                found[tile] = planned
            else:
                batches[planned.ground].append(planned)
        for sides in await asyncio.gather(*(self._batch(*batch, now) for batch in batches.items())):
            found |= sides
        tables = (self._answered(tile, [found[side] for side in tile.sides], now) for tile in tiles)
        return await asyncio.gather(*tables)

    async def _planned(self, tile: Tile) -> PlannedTile | CohortError:
        try:
            return await planned_tile(self._library, self._costs, tile)
        except CohortError as error:
            return error

    async def _batch(self, ground: Ground, batch: Sequence[PlannedTile], now: datetime) -> _Sides:
        """Counts a batch together. If all dimensions together make too many groups, each tile is counted alone."""
        try:
            return await self._together(ground, batch, now)
        except TooManyGroups as error:
            if len(batch) == 1:
                return {batch[0].tile: error}
            alone = await asyncio.gather(*(self._batch(ground, [one], now) for one in batch))
            return {tile: side for some in alone for tile, side in some.items()}
        except CohortError as error:
            return {one.tile: error for one in batch}

    async def _together(self, ground: Ground, batch: Sequence[PlannedTile], now: datetime) -> _Sides:
        queries = [one.tile.query for one in batch]
        asked = readings(ground, queries, now)
        answers = await asyncio.gather(*map(self._answer, asked))
        counts = [Counted.decode(answer.value) for answer in answers]
        rows = [(reading, each.rows) for reading, each in zip(asked, counts, strict=True)]
        grouping = partial(groups_of, rows, queries)
        # How many gaps there are shows only when they are filled.
        many = sum(len(each.rows) for each in counts) > MANY_ROWS or any(query.fill_gaps for query in queries)
        groups = await asyncio.to_thread(grouping) if many else grouping()
        of_states = ground.source is ACTIVITY_STATE
        moments = [
            answer.as_of if of_states else each.as_of for answer, each in zip(answers, counts, strict=True)
        ]
        as_of = oldest(moments)
        origin = worst([answer.origin for answer in answers])
        complete = all(each.complete for each in counts) and origin is not AnswerOrigin.STALE
        if ground.published_on is not None and as_of is not None:
            complete = complete and as_of >= ground.published_on
        age = max(answer.age for answer in answers)
        return {
            one.tile: each
            if isinstance(each, CohortError)
            else _Side(one.plan, each, as_of, complete, origin, age)
            for one, each in zip(batch, groups, strict=True)
        }

    async def _answer(self, reading: Reading) -> Answer:
        return await self._answers.answer(key_of(reading.figures), partial(self._computed, reading.figures))

    async def _computed(self, asked: Figures) -> bytes:
        if asked.source is ACTIVITY_STATE:
            charge(druid_rows=self._costs.known(asked.keys))
        return (await counted(self._stores, asked)).encode()

    async def _answered(
        self, tile: Tile, sides: Sequence[_Side | CohortError], now: datetime
    ) -> Answered | CohortError:
        """The table of a query. With two sides it is as old as the older one."""
        known = [side for side in sides if not isinstance(side, CohortError)]
        if len(known) < len(sides):
            return next(side for side in sides if isinstance(side, CohortError))
        own, query = known[0], tile.query
        groups = [side.groups for side in known]
        if tile.rule is not None:
            groups = [await _told(query, cells, tile.rule) for cells in groups]
            query = shown(query)
        both = groups[0] if len(groups) == 1 else compared(query, *groups)
        try:
            table = await labelled_table(self._library, query, both)
        except CohortError as error:
            return error
        return Answered(
            own.plan,
            table,
            oldest([side.as_of for side in known]),
            all(side.complete for side in known),
            worst([side.origin for side in known]),
            max(side.age for side in known),
            seen_before(now, query.at_risk_days) if AT_RISK in query.counts else None,
            tile.rule,
        )


async def _told(query: MetricQuery, cells: Groups, rule: CohortRule) -> Groups:
    telling = partial(told_groups, query, cells, rule)
    return await asyncio.to_thread(telling) if cells.number > MANY_ROWS else telling()


def oldest(moments: Sequence[datetime | None]) -> datetime | None:
    """The oldest of these moments; None, which is never, is older than all."""
    known = [at for at in moments if at is not None]
    return min(known) if len(known) == len(moments) else None


def worst(origins: Sequence[AnswerOrigin]) -> AnswerOrigin:
    """What is told of answers that are put together: stale if one is, cached if all are."""
    order = (AnswerOrigin.STALE, AnswerOrigin.COMPUTED, AnswerOrigin.CACHED)
    return next(origin for origin in order if origin in origins)
