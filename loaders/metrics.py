"""Tables of figures: those that a request asks for together cost one query for each source and filter they have."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS, DataSource
from loaders import answers
from loaders.answers import Answers, Origin
from loaders.library import Library
from loaders.totals import last_aggregation
from rules.contents import ContentKind
from rules.errors import CohortError, InvalidInput
from rules.identifiers import ContextType, aggregate_context, parse_aggregate_context
from rules.metric_queries import (
    COLLECTION,
    CONTEXT,
    UNIT,
    Among,
    Every,
    Filter,
    MetricQuery,
    Opposite,
    Some,
    Table,
    Unknown,
    Within,
    rolled_up,
    table_of,
)
from rules.metrics import BANDS, COUNTS, LATEST
from rules.moments import milliseconds, moment
from rules.plans import Plan, Source
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
    """A table that is asked for, and where it is to be answered from."""

    query: MetricQuery
    plan: Plan


@dataclass(frozen=True, slots=True)
class Answered:
    """``as_of``: what happened before is in the figures; None where no aggregation has run. ``complete`` is False
    where a part of the data was away or was never computed, and for an answer older than it should be. ``age`` in
    seconds."""

    table: Table
    as_of: datetime | None
    complete: bool
    origin: Origin
    age: float


class TooManyGroups(InvalidInput):
    """More than MOST_GROUPS."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is counted: tiles that share it are answered by one query."""

    source: DataSource
    keys: KeyFilter
    where: Where


Units = Mapping[str, tuple[str, ...]]
"""The units of each collection that is named; what is no collection is not in it."""


class Tables:
    """Of one process."""

    def __init__(self, stores: Stores, library: Library, answers: Answers) -> None:
        self._stores = stores
        self._library = library
        self._answers = answers

    async def tables(self, tiles: Sequence[Tile]) -> list[Answered | CohortError]:
        """A tile's error is its own: TooManyGroups, InvalidInput, StoreUnavailable."""
        found: dict[Tile, Answered | CohortError] = {}
        try:
            units = await self._units(tiles)
        except CohortError as error:
            units = {}
            found |= {tile: error for tile in tiles if _named_units(tile.query)}
        together: defaultdict[Ground, list[Tile]] = defaultdict(list)
        for tile in tiles:
            if tile not in found:
                together[_ground(tile, units if tile.query.of_units else {})].append(tile)
        for some in await asyncio.gather(*(self._answered(*shared) for shared in together.items())):
            found |= some
        return [found[tile] for tile in tiles]

    async def _units(self, tiles: Iterable[Tile]) -> Units:
        """By the live relations. A collection without units has itself, of which there is no row as a unit."""
        named = sorted({identifier for tile in tiles for identifier in _named_units(tile.query)})
        published = await self._library.published(named) if named else {}
        return {
            content.identifier: tree.collections[1:] or (content.identifier,)
            for content, tree in published.values()
            if tree is not None and content.kind is ContentKind.COLLECTION
        }

    async def _answered(self, ground: Ground, tiles: Sequence[Tile]) -> dict[Tile, Answered | CohortError]:
        """By one query; where all dimensions together make too many groups, by one for each tile."""
        try:
            return await self._together(ground, tiles)
        except TooManyGroups as error:
            if len(tiles) == 1:
                return {tiles[0]: error}
            alone = await asyncio.gather(*(self._answered(ground, [tile]) for tile in tiles))
            return {tile: answered for some in alone for tile, answered in some.items()}
        except CohortError as error:
            return dict.fromkeys(tiles, error)

    async def _together(self, ground: Ground, tiles: Sequence[Tile]) -> dict[Tile, Answered | CohortError]:
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
            tile: Answered(table, known, whole, answer.origin, answer.age)
            for tile, table in zip(tiles, tables, strict=True)
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


def _named_units(query: MetricQuery) -> tuple[str, ...]:
    """Collections whose units are meant, and units."""
    return query.activity_ids if query.of_units else ()


# What is counted


def _ground(tile: Tile, units: Units) -> Ground:
    query, source = tile.query, _source(tile)
    keys: list[tuple[str, tuple[str, ...]]] = []
    conditions: list[Where] = [_ENROLLED[source.name]]
    if query.activity_ids:
        activities = {unit for named in query.activity_ids for unit in units.get(named, (named,))}
        keys.append(("activity_id", tuple(sorted(activities))))
    if query.context_ids:
        contexts = {aggregate_context(kind, named) for named in query.context_ids for kind in ContextType}
        keys.append(("context_id", tuple(sorted(contexts))))
    if source is ACTIVITY_TOTALS:
        keys.append(("dimension", query.of_learners or (_EVERYTHING,)))
    if query.of_units or not query.activity_ids:
        conditions.append(OneOf("unit", (int(query.of_units),)))
    if collections := tuple(named for named in query.activity_ids if named in units):
        # A unit may be in other collections as well.
        others = tuple(named for named in query.activity_ids if named not in units)
        conditions.append(AnyOf((OneOf("collection_id", collections), OneOf("activity_id", others))))
    if query.filter is not None:
        conditions.append(_where(query.filter, source))
    return Ground(source, tuple(keys), All(tuple(conditions)))


def _source(tile: Tile) -> DataSource:
    return ACTIVITY_TOTALS if tile.plan.source is Source.TOTALS else ACTIVITY_STATE


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
