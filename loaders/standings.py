"""How learners stand, from the cheapest place that is right: a page of enrolments from the aggregates, a page of leaves
from the hash, and whatever is not fresh there from the rows."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from loaders import touches as hashes
from loaders.aggregates import ENTRY_COLUMNS, StoredAggregate, aggregates_by_key
from loaders.healing import Healing
from loaders.library import Library
from loaders.narrow_figures import COLUMNS, NarrowAggregate, NarrowFigures, root_row
from loaders.views import FIGURE_COLUMNS, changes_by_key, changes_in, touches_by_key
from rules.aggregates import COLLECTION_TYPE, AggregateKey
from rules.contexts import Context
from rules.hierarchy import RelationTree
from rules.identifiers import ContextType, ProgressKey, aggregate_context, scope_of
from rules.progress import Progress
from rules.standings import Figures, FirstCompletion, Standing, Touch, standing_of
from rules.tracking import Tracking
from rules.triggers import TriggerKind
from stores.engines import Stores
from stores.tables import AGGREGATES
from stores.turns import breathe, in_turns, over
from telemetry.metrics import FIGURES_READ

Touches = Mapping[str, Touch]
_STORED, _COMPUTED = FIGURES_READ.labels("aggregates"), FIGURES_READ.labels("views")
FEW = 16
"""Keys that are worked on between two looks at the clock."""


STATUSES_AT_ONCE = 50_000
"""Statuses of leaves that one read may bring: the driver decodes an answer in one go, which takes some 10 ms of so many."""


class Standings:
    """Batched reads of progress and of the short form of views."""

    def __init__(
        self,
        stores: Stores,
        library: Library,
        healing: Healing,
        now: Callable[[], datetime],
        tracking: Tracking,
    ) -> None:
        self._tracking = tracking
        self._stores = stores
        self._library = library
        self._healing = healing
        self._now = now

    async def standings(self, keys: Sequence[ProgressKey]) -> list[Standing | None]:
        """How the learner stands under each key; None if the collection is gone.

        An aggregate that has seen the last change serves without the rows. So a whole page of enrolments costs two
        statements, which a hash for each of them would not save.
        """
        read = await self._read(keys, statuses=True)
        return await in_turns(read.standing, keys)

    async def figures(self, keys: Sequence[ProgressKey], *, statuses: bool) -> list[Figures | None]:
        """How far the learner is under each key, as ``standings``. Without ``statuses``, which are most of an aggregate, those of stale ones alone are read."""
        read = await self._read(keys, statuses=statuses)
        return await in_turns(read.figures, keys)

    async def narrow_figures(
        self,
        keys: Sequence[ProgressKey],
        trees: Mapping[str, RelationTree],
        contexts: Mapping[str, Context],
    ) -> list[NarrowFigures | None]:
        """As ``figures`` without statuses. ``trees`` and ``contexts``: the live ones of the keys, as far as there are any."""
        if self._tracking.keeps_by_content:
            wide = await self.figures(keys, statuses=False)
            return [None if each is None else NarrowFigures.of(each) for each in wide]
        rows = self._stores.rows
        places = [(COLLECTION_TYPE, collection_id, user_id) for user_id, collection_id, _ in keys]
        scopes = [(user_id, scope_of(collection_id)) for user_id, collection_id, _ in keys]
        found, changes = await asyncio.gather(
            rows.tuples(AGGREGATES, places, COLUMNS), changes_in(rows, scopes)
        )
        figures: list[NarrowFigures | None] = []
        changed: dict[ProgressKey, int | None] = {}
        others: dict[int, ProgressKey] = {}
        aggregates: dict[ProgressKey, StoredAggregate | None] = {}
        of_row = NarrowFigures.of_row
        for number, (key, place, scope) in enumerate(zip(keys, places, scopes, strict=True)):
            if number % FEW == 0 and over():
                await breathe()
            _, collection_id, context_id = key
            context, tree = contexts.get(context_id), trees.get(collection_id)
            row = root_row(found[place], aggregate_context_of(key, context), collection_id)
            # The last two columns are what the row has seen: the change, and the version.
            if row is not None and row[-2] == changes[scope] and (tree is None or tree.covers(row[-1])):
                figures.append(None if tree is None else of_row(row))
            else:
                others[number], changed[key] = key, changes[scope]
                aggregates[key] = None if row is None else NarrowAggregate._make(row).stored(key.user_id)
                figures.append(None)
        stale = [key for key in others.values() if changed[key] is not None]
        _count(len(keys) - len(others), stale)
        if others:
            touches = await self._from_rows(stale, aggregates, {}, trees)
            read = _Read(trees, aggregates, changed, frozenset(), touches, statuses=False)
            for number, key in others.items():
                wide_figures = read.figures(key)
                figures[number] = None if wide_figures is None else NarrowFigures.of(wide_figures)
        return figures

    async def _read(self, keys: Sequence[ProgressKey], *, statuses: bool) -> "_Read":
        columns = None if statuses else ENTRY_COLUMNS
        if statuses or self._tracking.keeps_by_content:
            trees = await self._trees(keys)
            aggregates, changed = await asyncio.gather(
                self._aggregates(keys, columns, trees), self._changed(keys, trees)
            )
        else:
            trees, aggregates, changed = await asyncio.gather(
                self._trees(keys), self._aggregates(keys, columns), self._changed(keys, {})
            )
        fresh = {
            key for key in keys if _is_fresh(aggregates[key], changed[key], trees.get(key.collection_id))
        }
        stale = [key for key in keys if key not in fresh and changed[key] is not None]
        _count(len(fresh), stale)
        touches = await self._from_rows(stale, aggregates, {}, trees)
        return _Read(trees, aggregates, changed, fresh, touches, statuses)

    async def touches(self, keys: Sequence[ProgressKey]) -> list[Touches]:
        """The short form of every view under each key, by content: from the hash, or else from the rows."""
        # Views by content have no hash: a view of one would have to be put into that of every collection.
        trusted, dead = ({}, {}) if self._tracking.keeps_by_content else await self._hashes(keys)
        others = [key for key in keys if key not in trusted]
        if others:
            trees, aggregates = await asyncio.gather(
                self._trees(others), self._aggregates(others, ENTRY_COLUMNS)
            )
            trusted |= await self._from_rows(others, aggregates, dead, trees)
        return [trusted.get(key, {}) for key in keys]

    async def _hashes(
        self, keys: Sequence[ProgressKey]
    ) -> tuple[dict[ProgressKey, Touches], dict[ProgressKey, list[str]]]:
        """Trusted hashes by key, and the dead calls found in the others."""
        found = await self._stores.cache.hashes([hashes.hash_key(self._tracking.source(key)) for key in keys])
        trusted: dict[ProgressKey, Touches] = {}
        dead: dict[ProgressKey, list[str]] = {}
        for key, fields in zip(keys, found, strict=True):
            whole = await hashes.trusted(fields)
            if whole is not None:
                trusted[key] = whole
            else:
                dead[key] = list(hashes.dead_calls(fields, self._now()))
        return trusted, dead

    async def _from_rows(
        self,
        keys: Sequence[ProgressKey],
        aggregates: Mapping[ProgressKey, StoredAggregate | None],
        dead: Mapping[ProgressKey, list[str]],
        trees: Mapping[str, RelationTree],
    ) -> dict[ProgressKey, Touches]:
        """Reads the rows, fills the hashes, and sends the trigger where the aggregate has not seen the last change
        or the last version."""
        if not keys:
            return {}
        result, changed = await touches_by_key(self._stores.rows, self._tracking, keys, trees, FIGURE_COLUMNS)

        async def settle(key: ProgressKey) -> None:
            changed_at = changed[key]
            fresh = _is_fresh(aggregates[key], changed_at, trees.get(key.collection_id))
            # A dead call may have changed what the aggregate has seen since, with the trigger of another call: the workers
            # must look at all of the key's contents.
            if (not fresh or dead.get(key)) and (result[key] or aggregates[key]):
                self._healing.heal(TriggerKind.VIEW, key, changed_at)
            if self._tracking.keeps_by_content:
                return
            source = self._tracking.source(key)
            # In this order: a hash without the mark is trusted at once.
            await hashes.fill(self._stores.cache, source, result[key])
            if calls := dead.get(key):
                await hashes.withdraw(self._stores.cache, source, *calls)

        await asyncio.gather(*map(settle, keys))
        return dict(result)

    async def _trees(self, keys: Sequence[ProgressKey]) -> dict[str, RelationTree]:
        published = await self._library.published(list({key.collection_id for key in keys}))
        return {identifier: tree for identifier, (_, tree) in published.items() if tree is not None}

    async def _changed(
        self, keys: Sequence[ProgressKey], trees: Mapping[str, RelationTree]
    ) -> dict[ProgressKey, int | None]:
        return await changes_by_key(self._stores.rows, self._tracking, keys, trees)

    async def _aggregates(
        self,
        keys: Sequence[ProgressKey],
        columns: Sequence[str] | None,
        trees: Mapping[str, RelationTree] | None = None,
    ) -> dict[ProgressKey, StoredAggregate | None]:
        """The root's aggregate of each key. ``trees``: tell how many statuses an answer may bring, where they are read."""
        context_ids = list({key.context_id for key in keys if key.has_context})
        contexts = dict(zip(context_ids, await self._library.contexts.load_many(context_ids), strict=True))
        found: dict[ProgressKey, StoredAggregate | None] = {}
        for some in [keys] if columns is not None else _decodable(keys, trees or {}):
            roots = [root_key(k, aggregate_context_of(k, contexts.get(k.context_id))) for k in some]
            read = await aggregates_by_key(self._stores.rows, roots, columns)
            found |= zip(some, read, strict=True)
        return found


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read for some keys. ``touches``: of the stale ones, whose rows were read."""

    trees: Mapping[str, RelationTree]
    aggregates: Mapping[ProgressKey, StoredAggregate | None]
    changed: Mapping[ProgressKey, int | None]
    fresh: Set[ProgressKey]
    touches: Mapping[ProgressKey, Touches]
    statuses: bool
    """Whether aggregates were read with theirs."""

    def standing(self, key: ProgressKey) -> Standing | None:
        tree = self.trees.get(key.collection_id)
        if tree is None:
            return None
        fresh = self._fresh(key)
        if fresh is None:
            return self._of_rows(key, tree)
        return Standing(fresh.content_status, fresh.completed, fresh.last_accessed_on, fresh.time_spent)

    def figures(self, key: ProgressKey) -> Figures | None:
        tree = self.trees.get(key.collection_id)
        if tree is None:
            return None
        fresh = self._fresh(key)
        if fresh is None:
            return Figures.of(self._of_rows(key, tree), tree)
        progress = Progress(fresh.status, fresh.completed_count, fresh.required_count)
        statuses = fresh.content_status if self.statuses else None
        return Figures(progress, fresh.completed, fresh.last_accessed_on, fresh.time_spent, statuses)

    def _fresh(self, key: ProgressKey) -> StoredAggregate | None:
        return self.aggregates.get(key) if key in self.fresh else None

    def _of_rows(self, key: ProgressKey, tree: RelationTree) -> Standing:
        before = _kept(self.aggregates.get(key), self.changed[key])
        return standing_of(self.touches.get(key, {}), tree, before)


def _count(stored: int, stale: Sequence[ProgressKey]) -> None:
    """Of a key without an aggregate that nobody viewed, figures come from neither."""
    _STORED.inc(stored)
    _COMPUTED.inc(len(stale))


def _decodable(
    keys: Sequence[ProgressKey], trees: Mapping[str, RelationTree]
) -> Iterator[Sequence[ProgressKey]]:
    """The keys in portions whose rows have STATUSES_AT_ONCE statuses at most, one for each leaf. Keys of one partition stay together."""
    places: dict[tuple[str, str], list[ProgressKey]] = {}
    for key in keys:
        places.setdefault((key.collection_id, key.user_id), []).append(key)
    portion: list[ProgressKey] = []
    statuses = 0
    for (collection_id, _), of_place in places.items():
        tree = trees.get(collection_id)
        more = len(of_place) * len(tree.leaf_nodes) if tree is not None else 0
        if portion and statuses + more > STATUSES_AT_ONCE:
            yield portion
            portion, statuses = [], 0
        portion += of_place
        statuses += more
    if portion:
        yield portion


def root_key(key: ProgressKey, aggregate_context_id: str) -> AggregateKey:
    """The key of the figures of the collection itself."""
    return AggregateKey(key.collection_id, key.collection_id, aggregate_context_id, key.user_id)


def aggregate_context_of(key: ProgressKey, context: Context | None) -> str:
    """The context as aggregate rows write it. A context that is gone counts as a batch, the platform's only kind."""
    _, collection_id, context_id = key
    if context_id == collection_id:
        return aggregate_context(ContextType.COLLECTION, context_id)
    return aggregate_context(ContextType.BATCH, context_id) if context is None else context.in_aggregates


def _is_fresh(aggregate: StoredAggregate | None, changed_at: int | None, tree: RelationTree | None) -> bool:
    """Whether the aggregate has seen the last change of the rows and has the figures of the live version."""
    return (
        aggregate is not None
        and aggregate.seen.changed_at == changed_at
        and (tree is None or tree.covers(aggregate.seen.tree_version))
    )


def _kept(aggregate: StoredAggregate | None, changed_at: int | None) -> FirstCompletion | None:
    """The completion that stays although the aggregate is of an older version. Where the rows have changed since, it
    follows from them: they may have been erased."""
    if aggregate is None or aggregate.seen.changed_at != changed_at:
        return None
    return aggregate.completed
