"""Tables of figures: those that a request asks for together cost one query for each source and filter they have."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS, DataSource
from loaders import answers
from loaders.answers import Answers, Origin
from loaders.library import Library
from loaders.table_costs import TableCosts
from loaders.totals import last_aggregation
from rules.aggregates import COLLECTION_TYPE, UNIT_TYPE
from rules.contents import ContentKind
from rules.errors import CohortError, InvalidInput, NotFound
from rules.identifiers import ContextType, aggregate_context, parse_aggregate_context
from rules.metric_filters import Among, Every, Filter, Opposite, Some, Unknown, Within
from rules.metric_plans import table_plan
from rules.metric_queries import COLLECTION, CONTEXT, UNIT, MetricQuery
from rules.metric_tables import Table, rolled_up, table_of
from rules.metrics import BANDS, COUNTS, LATEST
from rules.moments import milliseconds, moment
from rules.plans import Mode, Plan, Source
from rules.progress import Status
from stores.engines import Stores
from stores.groups import (
    All,
    Between,
    Figures,
    KeyFilter,
    Kind,
    Lane,
    Measure,
    Not,
    OneOf,
    Where,
)
from stores.groups import Any as AnyOf

MOST_GROUPS = 50_000
"""Groups that a table may have before its limit: they are ordered and added up here."""

_MANY_ROWS = 2_000
"""From here on tables are put together beside the event loop."""
_EVERYTHING = "all"
"""The cells that are of no dimension of the learner."""
_COLUMNS = {COLLECTION: "collection_id", UNIT: "activity_id", CONTEXT: "context_id"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A table that is asked for, and the mode that it is to be answered in."""

    query: MetricQuery
    mode: Mode


@dataclass(frozen=True, slots=True)
class Answered:
    """``plan``: where it was answered from. ``as_of``: what happened before is in the figures; None where no aggregation
    has run. ``complete`` is False where a part of the data was away or was never computed, and for an answer older than
    it should be. ``age`` in seconds."""

    plan: Plan
    table: Table
    as_of: datetime | None
    complete: bool
    origin: Origin
    age: float


class TooManyGroups(InvalidInput):
    """More than MOST_GROUPS."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the ids of a query are: collections, each with its units, and units."""

    collections: Mapping[str, tuple[str, ...]]
    units: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ground:
    """What is counted: tiles that share it are answered by one query."""

    source: DataSource
    keys: KeyFilter
    where: Where


class Tables:
    """Of one request."""

    def __init__(self, stores: Stores, library: Library, answers: Answers, costs: TableCosts) -> None:
        self._stores = stores
        self._library = library
        self._answers = answers
        self._costs = costs

    async def tables(self, tiles: Sequence[Tile]) -> list[Answered | CohortError]:
        """A tile's error is its own: NotFound for an id that there is not, TooManyGroups, InvalidInput,
        StoreUnavailable."""
        found: dict[Tile, Answered | CohortError] = {}
        together: defaultdict[Ground, list[tuple[Tile, Plan]]] = defaultdict(list)
        distinct = list(dict.fromkeys(tiles))
        for tile, planned in zip(distinct, await asyncio.gather(*map(self._planned, distinct)), strict=True):
            if isinstance(planned, CohortError):
                found[tile] = planned
            else:
                plan, ground = planned
                together[ground].append((tile, plan))
        for some in await asyncio.gather(*(self._answered(*shared) for shared in together.items())):
            found |= some
        return [found[tile] for tile in tiles]

    async def _planned(self, tile: Tile) -> tuple[Plan, Ground] | CohortError:
        try:
            named = await self._named(tile.query)
            await self._check_contexts(tile.query)
            states = _ground(tile.query, named, ACTIVITY_STATE)
            plan = table_plan(tile.query, tile.mode, await self._costs.extent(states.keys))
            if plan.source is Source.TOTALS:
                return plan, _ground(tile.query, named, ACTIVITY_TOTALS)
            return plan, states
        except CohortError as error:
            return error

    async def _named(self, query: MetricQuery) -> Named:
        """By what is published now. NotFound names the ids that nothing is published under, InvalidInput the contents,
        of which there are no figures here."""
        ids = query.activity_ids
        published = await self._library.published(ids) if ids else {}
        if unknown := [id_ for id_ in ids if id_ not in published]:
            raise NotFound(f"there is no collection or unit {', '.join(unknown)}", field="activityIds")
        kinds = {id_: content.kind for id_, (content, _) in published.items()}
        if contents := [id_ for id_, kind in kinds.items() if kind is ContentKind.CONTENT]:
            raise InvalidInput(
                f"{', '.join(contents)}: figures are of collections and units, not of single contents",
                field="activityIds",
            )
        return Named(
            {
                id_: tree.collections[1:] if tree is not None else ()
                for id_, (_, tree) in published.items()
                if kinds[id_] is ContentKind.COLLECTION
            },
            frozenset(id_ for id_, kind in kinds.items() if kind is ContentKind.UNIT),
        )

    async def _check_contexts(self, query: MetricQuery) -> None:
        """NotFound names those that are neither contexts nor collections, which are their own contexts."""
        ids = query.context_ids
        contexts = await self._library.contexts.load_many(ids) if ids else []
        others = [id_ for id_, context in zip(ids, contexts, strict=True) if context is None]
        contents = await self._library.contents.load_many(others) if others else []
        unknown = [
            id_
            for id_, content in zip(others, contents, strict=True)
            if content is None or content.kind is not ContentKind.COLLECTION
        ]
        if unknown:
            raise NotFound(f"there is no context {', '.join(unknown)}", field="contextIds")

    async def _answered(
        self, ground: Ground, planned: Sequence[tuple[Tile, Plan]]
    ) -> dict[Tile, Answered | CohortError]:
        """By one query; where all dimensions together make too many groups, by one for each tile."""
        try:
            return await self._together(ground, planned)
        except TooManyGroups as error:
            if len(planned) == 1:
                return {planned[0][0]: error}
            alone = await asyncio.gather(*(self._answered(ground, [one]) for one in planned))
            return {tile: answered for some in alone for tile, answered in some.items()}
        except CohortError as error:
            return {tile: error for tile, _ in planned}

    async def _together(
        self, ground: Ground, planned: Sequence[tuple[Tile, Plan]]
    ) -> dict[Tile, Answered | CohortError]:
        tiles = [tile for tile, _ in planned]
        query = _query(ground, tiles)
        answer = await self._answers.answer(_key(query), partial(self._computed, query))
        complete, as_of, rows = orjson.loads(answer.value)
        made = partial(_tables, query, rows, tiles)
        tables = await asyncio.to_thread(made) if len(rows) > _MANY_ROWS else made()
        known = None if as_of is None else moment(as_of)
        if ground.source is ACTIVITY_STATE:
            known = answer.as_of
        whole = complete and answer.origin is not Origin.STALE
        return {
            tile: Answered(plan, table, known, whole, answer.origin, answer.age)
            for (tile, plan), table in zip(planned, tables, strict=True)
        }

    async def _computed(self, query: Figures) -> bytes:
        """``[complete, as of, rows]``; the moment in epoch milliseconds, only of what an aggregation computed."""
        as_of: datetime | None = None
        if query.source is ACTIVITY_TOTALS:
            # Before the cells are: what they have is at least of then.
            as_of = await last_aggregation(self._stores.rows)
        answer = await self._stores.groups.query(query, Lane.TABLES)
        if len(answer.rows) > MOST_GROUPS:
            raise TooManyGroups(
                f"the dimensions make more than {MOST_GROUPS:,} groups: filter, or leave a dimension out",
                field="dimensions",
            )
        complete = answer.complete and (query.source is ACTIVITY_STATE or as_of is not None)
        stamp = None if as_of is None else milliseconds(as_of)
        return orjson.dumps([complete, stamp, list(answer.rows)])


# What is counted


def _ground(query: MetricQuery, named: Named, source: DataSource) -> Ground:
    keys: list[tuple[str, tuple[str, ...]]] = []
    conditions: list[Where] = [_ENROLLED[source.name]]
    types, activities, of_both = _activities(query, named)
    keys.append(("activity_type", types))
    if activities:
        keys.append(("activity_id", activities))
    if of_both is not None:
        conditions.append(of_both)
    if query.context_ids:
        contexts = {aggregate_context(kind, named) for named in query.context_ids for kind in ContextType}
        keys.append(("context_id", tuple(sorted(contexts))))
    if source is ACTIVITY_TOTALS:
        keys.append(("dimension", query.of_learners or (_EVERYTHING,)))
    if query.filter is not None:
        conditions.append(_where(query.filter, source))
    return Ground(source, tuple(sorted(keys)), All(tuple(conditions)))


def _activities(query: MetricQuery, named: Named) -> tuple[tuple[str, ...], tuple[str, ...], Where | None]:
    """Types and ids of the activities that are meant, and what else must hold: a unit may be in other collections as
    well, and may be a collection of its own. No ids: all of these types."""
    if query.of_units:
        if not query.activity_ids:
            return (UNIT_TYPE,), (), None
        # The units of collections; and what is named wherever it is a unit, which a collection may be as well.
        units = {*query.activity_ids, *(unit for of_one in named.collections.values() for unit in of_one)}
        meant = (
            OneOf("collection_id", tuple(sorted(named.collections))),
            OneOf("activity_id", query.activity_ids),
        )
        return (UNIT_TYPE,), tuple(sorted(units)), AnyOf(meant)
    if not named.units:
        return (COLLECTION_TYPE,), query.activity_ids, None
    if not named.collections:
        return (UNIT_TYPE,), query.activity_ids, None
    of_both: list[Where] = [
        All((OneOf("activity_type", (kind,)), OneOf("activity_id", tuple(sorted(ids)))))
        for kind, ids in ((COLLECTION_TYPE, named.collections), (UNIT_TYPE, named.units))
    ]
    return (COLLECTION_TYPE, UNIT_TYPE), query.activity_ids, AnyOf(tuple(of_both))


def _where(filter: Filter, source: DataSource) -> Where:  # noqa: A002
    match filter:
        case Among(dimension, values):
            return (
                _among_contexts(values) if dimension == CONTEXT else OneOf(_column(dimension, source), values)
            )
        case Within(measure, least, most, above, below):
            return Between(measure, least, most, above, below)
        case Unknown(measure):
            return OneOf(measure, (None,))
        case Every(parts):
            return All(tuple(_where(part, source) for part in parts))
        case Some(parts):
            return AnyOf(tuple(_where(part, source) for part in parts))
        case Opposite(part):
            return Not(_where(part, source))


def _among_contexts(values: tuple[str | None, ...]) -> Where:
    """By the ids of contexts, of whatever type; None for collections taken by themselves."""
    if None in values:
        first = aggregate_context(ContextType.COLLECTION, "")
        return Between("context_id", first, first[:-1] + chr(ord(first[-1]) + 1), below=True)
    kinds = [kind for kind in ContextType if kind is not ContextType.COLLECTION]
    return OneOf(
        "context_id", tuple(aggregate_context(kind, value or "") for value in values for kind in kinds)
    )


def _context(stored: str) -> str | None:
    kind, context_id = parse_aggregate_context(stored)
    return None if kind is ContextType.COLLECTION else context_id


# The query


def _query(ground: Ground, tiles: Sequence[Tile]) -> Figures:
    """For all of these together. Every group is asked for, and one more than there may be: tables are ordered here, where
    metrics are computed, and a limit without the engine's order would cut off the wrong ones."""
    queries = [tile.query for tile in tiles]
    dimensions = {_column(dimension, ground.source) for query in queries for dimension in query.dimensions}
    counts = {count for query in queries for count in query.counts}
    return Figures(
        ground.source,
        tuple(sorted(dimensions)),
        tuple(_MEASURES[ground.source.name][count] for count in sorted(counts)),
        ground.keys,
        ground.where,
        limit=MOST_GROUPS + 1 if dimensions else None,
    )


def _key(query: Figures) -> str:
    parts = (query.dimensions, query.measures, query.keys, query.where)
    # As repr has them: it tells the kinds of conditions apart.
    return answers.key_of("metrics", query.source.name, repr(parts), "all")


def _column(dimension: str, source: DataSource) -> str:
    """A cell is of one dimension of the learner, whose value it has."""
    return _COLUMNS.get(dimension) or ("value" if source is ACTIVITY_TOTALS else dimension)


def _state_measures() -> dict[str, Measure]:
    def rows(name: str, where: Where | None = None) -> Measure:
        return Measure(name, Kind.COUNT, where=where)

    measures = [
        rows("enrolled"),
        rows("completed", OneOf("status", (int(Status.COMPLETED),))),
        Measure("progress_sum", Kind.SUM, "completion_percentage"),
        *(rows(band, Between("completion_percentage", *ends)) for band, ends in BANDS.items()),
        Measure("time_spent", Kind.SUM, "time_spent"),
        Measure(LATEST, Kind.MAX, LATEST),
    ]
    return {measure.name: measure for measure in measures}


_MEASURES = {
    ACTIVITY_STATE.name: _state_measures(),
    ACTIVITY_TOTALS.name: {
        count: Measure(count, Kind.MAX if count == LATEST else Kind.SUM, count) for count in COUNTS
    },
}
_ENROLLED: dict[str, Where] = {
    ACTIVITY_STATE.name: OneOf("active", (1,)),
    ACTIVITY_TOTALS.name: Between(
        "enrolled", least=1
    ),  # a cell whose learners all left stays, with nothing in it
}


# The tables


def _tables(query: Figures, rows: list[list[Any]], tiles: Sequence[Tile]) -> list[Table]:
    if (contexts := _COLUMNS[CONTEXT]) in query.dimensions:
        at = query.dimensions.index(contexts)
        for row in rows:
            row[at] = _context(row[at])
    columns = (*query.dimensions, *(measure.name for measure in query.measures))
    place = {column: at for at, column in enumerate(columns)}
    return [
        table_of(
            tile.query,
            rolled_up(
                rows,
                [place[_column(dimension, query.source)] for dimension in tile.query.dimensions],
                {count: place[count] for count in tile.query.counts},
            ),
        )
        for tile in tiles
    ]
