"""Where a table is answered from: its ids are looked up, and what counting its states costs decides."""

from collections.abc import Sequence
from dataclasses import dataclass

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS
from loaders.library import Library
from loaders.metrics.costs import TableCosts
from loaders.metrics.grounds import Ground, Named, ground_of
from rules.contents import ContentKind
from rules.errors import InvalidInput, NotFound
from rules.metric_plans import table_plan
from rules.metric_queries import MetricQuery
from rules.plans import AggregationMode, QueryPlan, Source
from rules.privacy import CohortRule, finest


@dataclass(frozen=True, slots=True)
class Tile:
    """A table that is asked for, and the mode that it is to be answered in. ``rule``: that of figures by attributes, which
    the query was checked for; None where they are told as they are counted."""

    query: MetricQuery
    mode: AggregationMode
    rule: CohortRule | None = None

    @property
    def sides(self) -> "tuple[Tile, ...]":
        """The tiles that are counted: itself, or, with a comparison, one for each side. Under a rule they are of the cells
        that it makes a partition of."""
        if self.query.comparison is None and self.rule is None:
            return (self,)
        sides = self.query.sides
        return tuple(Tile(query if self.rule is None else finest(query), self.mode) for query in sides)


@dataclass(frozen=True, slots=True)
class PlannedTile:
    """``ground``: what the plan counts."""

    tile: Tile
    plan: QueryPlan
    ground: Ground


async def planned_tile(library: Library, costs: TableCosts, tile: Tile) -> PlannedTile:
    """NotFound for an id that there is not, InvalidInput, StoreUnavailable."""
    named = await _named(library, tile.query)
    await check_contexts(library, tile.query.context_ids)
    states = ground_of(tile.query, named, ACTIVITY_STATE)
    plan = table_plan(tile.query, tile.mode, await costs.extent(states.keys))
    in_cells = plan.source is Source.TOTALS
    ground = ground_of(tile.query, named, ACTIVITY_TOTALS) if in_cells else states
    return PlannedTile(tile, plan, ground)


async def _named(library: Library, query: MetricQuery) -> Named:
    """The ids of a query, by what is published now. NotFound names the ids that nothing is published under, InvalidInput the contents,
    of which there are no figures here."""
    ids = query.activity_ids
    published = await library.published(ids) if ids else {}
    if unknown := [id_ for id_ in ids if id_ not in published]:
        raise NotFound(f"there is no collection or unit {', '.join(unknown)}", field="activityIds")
    kinds = {id_: content.kind for id_, (content, _) in published.items()}
    if contents := [id_ for id_, kind in kinds.items() if kind is ContentKind.CONTENT]:
        raise InvalidInput(
            f"{', '.join(contents)}: figures are of collections and units, not of single contents",
            field="activityIds",
        )
    roots = set().union(*filter(None, await library.roots.load_many(ids)))
    live = await library.published(sorted(roots)) if roots else {}
    return Named(
        {
            id_: tree.collections[1:] if tree is not None else ()
            for id_, (_, tree) in published.items()
            if kinds[id_] is ContentKind.COLLECTION
        },
        frozenset(id_ for id_, kind in kinds.items() if kind is ContentKind.UNIT),
        {root: tree.since for root, (_, tree) in live.items() if tree is not None},
        max((at for content, _ in live.values() if (at := content.published_on)), default=None),
    )


async def check_contexts(library: Library, ids: Sequence[str]) -> None:
    """NotFound names those that are neither contexts nor collections, which are their own contexts."""
    contexts = await library.contexts.load_many(ids) if ids else []
    others = [id_ for id_, context in zip(ids, contexts, strict=True) if context is None]
    contents = await library.contents.load_many(others) if others else []
    unknown = [
        id_
        for id_, content in zip(others, contents, strict=True)
        if content is None or content.kind is not ContentKind.COLLECTION
    ]
    if unknown:
        raise NotFound(f"there is no context {', '.join(unknown)}", field="contextIds")
