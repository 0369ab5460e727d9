"""Views as rows have them, whole."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import orjson

from rules.aggregates import TouchedLeaf, touched_leaf
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.moments import milliseconds
from rules.origins import Origin, OriginKind
from rules.progress import status_of
from rules.standings import Touch
from rules.tracking import Tracking
from rules.views import View
from stores.columns import Milliseconds, NarrowColumn
from stores.keys import MOST_KEYS, share
from stores.rows import Condition, Equal, Key, NarrowRow, Row, Rows
from stores.tables import VIEWS
from stores.turns import in_turns, portions
from stores.values import check_key, check_keys

V = TypeVar("V")

TOUCH_COLUMNS = (
    "contextid",
    "contentid",
    "changed_at",
    "status",
    "progress",
    "last_access_time",
    "last_completed_time",
)
FIGURE_COLUMNS = (*TOUCH_COLUMNS, "timespent")
"""The same with the time spent, which figures and standings need."""
_STARTED_TOO = (*FIGURE_COLUMNS, "started_on")
"""And with the start, which the workers need too."""
_WORKER_COLUMNS = (
    "status",
    "timespent",
    Milliseconds("last_access_time"),
    Milliseconds("last_completed_time"),
    Milliseconds("started_on"),
    "contextid",
    "contentid",
    "changed_at",
)
"""As the workers read them, to begin with what a TouchedLeaf has."""


def row_key(key: ViewKey) -> tuple[str, str, str, str, str]:
    """The primary key of the view's row."""
    return key.user_id, key.scope, key.collection_id, key.context_id, key.content_id


async def views_by_key(rows: Rows, tracking: Tracking, keys: Sequence[ViewKey]) -> list[View | None]:
    """The views of the keys that clients name, wherever the instance keeps them."""
    stored = [tracking.stored(key) for key in keys]
    found = await _rows_of(rows, dict.fromkeys(map(row_key, stored)))
    views = [view_of(found.get(row_key(key))) for key in stored]
    return [view and shown(view, key) for view, key in zip(views, keys, strict=True)]


FEW_STATEMENTS, AT_ONCE = 4, 300
"""Statements that views by key may take beyond what so many keys need, before partitions are read instead; rows that are
read of each then, at most."""


async def _rows_of(rows: Rows, keys: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Row]:
    """The rows with these keys, as far as they exist.

    Keys that differ from partition to partition, as the leaves of many collections do, share no statement. Then the
    named collections are read, as far as the learners have begun them; only what is beyond AT_ONCE is read by key.
    """
    wanted = list(keys)
    if not wanted or len(share(wanted, 2)) <= len(wanted) // MOST_KEYS + FEW_STATEMENTS:
        return await rows.get_many(VIEWS, wanted)
    partitions = list(dict.fromkeys(key[:2] for key in wanted))
    collections = list(dict.fromkeys(key[2] for key in wanted))[:MOST_KEYS]
    found = await rows.partitions(VIEWS, partitions, among=collections, limit=AT_ONCE)
    by_key = {tuple(row[name] for name in VIEWS.key): row for part in found.values() for row in part}
    cut = {key for key, part in found.items() if len(part) == AT_ONCE}
    rest = [key for key in wanted if key not in by_key and (key[:2] in cut or key[2] not in collections)]
    return by_key | (await rows.get_many(VIEWS, rest) if rest else {})


def shown(view: View, asked: ViewKey) -> View:
    """The view as a client that asked for this key is told of it. It has no origin if it was taken in right here. If
    it was taken in alone, or by the collection itself, it is carried from there."""
    here, kept = (asked.collection_id, asked.context_id), (view.key.collection_id, view.key.context_id)
    origin = origin_shown(view.origin, kept, here)
    if origin is view.origin and asked == view.key:
        return view
    return replace(view, key=asked, origin=origin)


def origin_shown(stored: Origin | None, kept: tuple[str, str], here: tuple[str, str]) -> Origin | None:
    """The origin that ``shown`` tells of a view that is ``kept`` in one collection and context and looked at in another."""
    if stored is not None and stored.kind is OriginKind.CARRIED and stored.place == here:
        return None
    return Origin(OriginKind.CARRIED, kept) if stored is None and kept != here else stored


def key_of(row: Row) -> ViewKey:
    """The key of a view's row, which has its whole primary key."""
    return ViewKey(row["userid"], row["collectionid"], row["contextid"], row["contentid"])


def view_of(row: Row | None) -> View | None:
    """The view in a row. None if there is no row, or one without a status: only a start makes a view."""
    if row is None or row["status"] is None:
        return None
    details = row["progressdetails"]
    return View(
        key=key_of(row),
        status=status_of(row["status"]),
        progress=row["progress"] or 0,
        time_spent=row["timespent"] or 0,
        started_on=row["started_on"],
        last_accessed_on=row["last_access_time"],
        last_updated_on=row["last_updated_time"],
        completed_on=row["last_completed_time"],
        progress_details=None if details is None else orjson.loads(details),
        recent_calls=tuple(row["last_call"].split("\n")) if row["last_call"] else (),
        changed_at=row["changed_at"],
        origin=Origin.decode(row["origin"]) if row["origin"] else None,
    )


class NarrowView(NamedTuple):
    """A row of ``user_content_consumption_v2`` as _LISTED has it: what pages show. Moments are epoch milliseconds."""

    content_id: str
    status: int
    progress: int | None
    time_spent: int | None
    started_on: int | None
    last_accessed_on: int | None
    last_updated_on: int | None
    completed_on: int | None
    origin: str | None


_LISTED: tuple[NarrowColumn, ...] = (
    "contentid",
    "status",
    "progress",
    "timespent",
    Milliseconds("started_on"),
    Milliseconds("last_access_time"),
    Milliseconds("last_updated_time"),
    Milliseconds("last_completed_time"),
    "origin",
)


async def narrow_views(
    rows: Rows, place: ProgressKey, source: ProgressKey, *, after: str | None, limit: int
) -> list[NarrowView]:
    """The first views of a place after this content, in the order of content ids. ``source``: where they are kept."""
    partition = check_key(VIEWS, tuple(VIEWS.partition), (place.user_id, scope_of(place.collection_id)))
    prefix = source.collection_id, source.context_id

    async def read(behind: str | None) -> list[tuple[str, NarrowView | None]]:
        start = None if behind is None else (*prefix, behind)
        found = await rows.tuples(VIEWS, [partition], _LISTED, prefix=prefix, after=start, limit=limit)
        return [(row[0], None if row[1] is None else NarrowView._make(row)) for row in found[partition]]

    return await _first_views(read, after, limit)


async def views_under(
    rows: Rows, place: ProgressKey, source: ProgressKey, *, after: str | None, limit: int
) -> list[View]:
    """As ``narrow_views``, whole, with the keys under which they are kept."""
    partition = place.user_id, scope_of(place.collection_id)
    prefix = source.collection_id, source.context_id

    async def read(behind: str | None) -> list[tuple[str, View | None]]:
        start = None if behind is None else (*prefix, behind)
        found = await rows.partition(VIEWS, partition, prefix=prefix, after=start, limit=limit)
        return [(row["contentid"], view_of(row)) for row in found]

    return await _first_views(read, after, limit)


async def _first_views(
    read: Callable[[str | None], Awaitable[list[tuple[str, V | None]]]], after: str | None, limit: int
) -> list[V]:
    """The first ``limit`` views, of rows that ``read`` gives by content. Rows without a view are read past: a page that they make
    shorter would be taken for the last."""
    found: list[V] = []
    while True:
        page = await read(after)
        found += [view for _, view in page if view is not None]
        if len(page) < limit or len(found) >= limit:
            return found[:limit]
        after = page[-1][0]


def touch_of(row: Row) -> Touch:
    """The short form of a row that has a status."""
    return Touch(
        status_of(row["status"]),
        row["progress"] or 0,
        row["last_access_time"],
        row["last_completed_time"],
        row.get("timespent") or 0,
        row.get("started_on"),
    )


async def touches_by_key(
    rows: Rows,
    tracking: Tracking,
    keys: Sequence[ProgressKey],
    trees: Mapping[str, RelationTree],
    columns: Sequence[str] = TOUCH_COLUMNS,
) -> tuple[dict[ProgressKey, dict[str, Touch]], dict[ProgressKey, int | None]]:
    """The views of each key in short, by content, and the last change where they are kept (``changes_by_key``).

    ``trees``: of the collections; without one, a key whose views are kept by content has none.
    """
    if tracking.keeps_by_content:
        # The changes first: what is written in between looks newer than it is seen, never older.
        changed = await changes_by_key(rows, tracking, keys, trees)
        return await _touches_by_content(rows, keys, trees, columns), changed
    sources = {key: tracking.source(key) for key in keys}
    partitions = {key: _partition_of(source) for key, source in sources.items()}
    found = await rows.partitions(VIEWS, list(set(partitions.values())), columns)
    touches = {
        key: await _touches_in(found[partitions[key]], source.context_id) for key, source in sources.items()
    }
    return touches, {key: found[at][0]["changed_at"] if found[at] else None for key, at in partitions.items()}


@dataclass(frozen=True, slots=True)
class TouchedLeaves:
    """The views of a key as figures need them, by content. ``moments``: when they say that the learner was active, in epoch
    milliseconds. ``changed_at`` as of ``changes_by_key``."""

    by_content: Mapping[str, TouchedLeaf]
    moments: Set[int]
    changed_at: int | None


async def touched_leaves_by_key(
    rows: Rows, tracking: Tracking, keys: Sequence[ProgressKey], trees: Mapping[str, RelationTree]
) -> dict[ProgressKey, TouchedLeaves]:
    """As ``touches_by_key``, for who reads the views of many learners."""
    if tracking.keeps_by_content:
        touches, changed = await touches_by_key(rows, tracking, keys, trees, _STARTED_TOO)
        return {key: _as_leaves(touches[key], changed[key]) for key in keys}
    sources = {key: tracking.source(key) for key in keys}
    partitions = {key: _partition_of(source) for key, source in sources.items()}
    found = await rows.tuples(VIEWS, list(set(partitions.values())), _WORKER_COLUMNS)
    leaves = await in_turns(lambda key: _leaves_in(found[partitions[key]], sources[key].context_id), keys)
    return dict(zip(keys, leaves, strict=True))


def _leaves_in(partition: Sequence[NarrowRow], context_id: str) -> TouchedLeaves:
    """Those of rows of _WORKER_COLUMNS that are under one context."""
    mine = {row[6]: row for row in partition if row[5] == context_id and row[0] is not None}
    moments = {at for row in mine.values() for at in row[2:5]}
    return TouchedLeaves(mine, moments - {None}, partition[0][7] if partition else None)


def _as_leaves(touches: Mapping[str, Touch], changed_at: int | None) -> TouchedLeaves:
    moments = {
        milliseconds(at)
        for touch in touches.values()
        for at in (touch.started_on, touch.last_accessed_on, touch.completed_on)
        if at is not None
    }
    leaves = {content: touched_leaf(touch) for content, touch in touches.items()}
    return TouchedLeaves(leaves, moments, changed_at)


async def _touches_in(partition: Sequence[Row], context_id: str) -> dict[str, Touch]:
    """Those under one context, by content. A large collection has thousands."""
    touches: dict[str, Touch] = {}
    async for rows in portions(partition):
        touches |= {
            row["contentid"]: touch_of(row)
            for row in rows
            if row["contextid"] == context_id and row["status"] is not None
        }
    return touches


async def changes_by_key(
    rows: Rows, tracking: Tracking, keys: Sequence[ProgressKey], trees: Mapping[str, RelationTree]
) -> dict[ProgressKey, int | None]:
    """The last change of the partitions that the views of each key are in, those of other keys among it; None where
    there was none. Reads no view."""
    if not tracking.keeps_by_content:
        places = [(user_id, scope_of(collection_id)) for user_id, collection_id, _ in keys]
        changes = await changes_in(rows, check_keys(VIEWS, VIEWS.partition, places))
        return {key: changes[place] for key, place in zip(keys, places, strict=True)}
    partitions = {key: {(key.user_id, scope_of(leaf, leaf)) for leaf in _leaves(key, trees)} for key in keys}
    changes = await changes_in(rows, check_keys(VIEWS, VIEWS.partition, set().union(*partitions.values())))
    return {
        key: max((at for each in places if (at := changes[each])), default=None)
        for key, places in partitions.items()
    }


async def changes_in(rows: Rows, places: Sequence[Key]) -> dict[Key, int | None]:
    """The last change in each of these partitions of views: of a learner and a scope. None where there was none. The ids are of
    rows, or were checked."""
    return await rows.static_values(VIEWS, places, "changed_at")


async def _touches_by_content(
    rows: Rows, keys: Sequence[ProgressKey], trees: Mapping[str, RelationTree], columns: Sequence[str]
) -> dict[ProgressKey, dict[str, Touch]]:
    wanted = {(key.user_id, leaf) for key in keys for leaf in _leaves(key, trees)}
    places = {(user, leaf): row_key(ViewKey(user, leaf, leaf, leaf)) for user, leaf in wanted}
    found = await rows.get_many(VIEWS, list(places.values()), columns)
    return {
        key: {
            leaf: touch_of(row)
            for leaf in _leaves(key, trees)
            if (row := found.get(places[key.user_id, leaf])) is not None and row["status"] is not None
        }
        for key in keys
    }


def _leaves(key: ProgressKey, trees: Mapping[str, RelationTree]) -> Set[str]:
    tree = trees.get(key.collection_id)
    return frozenset() if tree is None else tree.leaf_nodes


def _partition_of(key: ProgressKey) -> tuple[str, str]:
    """The partition that has the views of a key, and those of the learner's other contexts of the collection."""
    return key.user_id, scope_of(key.collection_id)


def as_read(stored: Mapping[str, Any]) -> list[Condition]:
    """The conditions that nobody has changed the view since these columns of it were read: every change of a view changes
    one of them at least."""
    return [Equal(name, stored[name]) for name in ("status", "progress", "timespent", "last_updated_time")]


def view_values(view: View) -> dict[str, object]:
    """The columns of a view that calls change, apart from the static ``changed_at``."""
    details = view.progress_details
    return {
        "status": int(view.status),
        "progress": view.progress,
        "timespent": view.time_spent,
        "progressdetails": None if details is None else orjson.dumps(details).decode(),
        "started_on": view.started_on,
        "last_access_time": view.last_accessed_on,
        "last_updated_time": view.last_updated_on,
        "last_completed_time": view.completed_on,
        "last_call": "\n".join(view.recent_calls) or None,
        "origin": view.origin.encode() if view.origin else None,
    }
