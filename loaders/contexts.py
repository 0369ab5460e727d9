"""The contexts of a collection, by the last moment at which learners may join them.

The list of a collection only says where to look: each context itself says whether it has the collection. A row that it
does not confirm is passed over. It is left by a call that was refused or died.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from loaders.library import Library
from rules.contexts import Context
from stores.rows import Row, Rows
from stores.tables import CONTEXTS_OF_COLLECTIONS

Place = tuple[datetime, str]
"""Where a context stands in the list: the last moment to join it, and its id."""

MOST_PASSED = 1_000
"""Rows, and contexts, that a page may read for those that are not asked for. Then it ends, although it is not full."""
PORTION = 200
"""Rows that are read at once after the first ones were not enough."""

_COLUMNS = ("joinable_until", "contextid")


@dataclass(frozen=True, slots=True)
class ContextsPage:
    """``end``: the place of the last row that was looked at; None if there are no more."""

    contexts: Sequence[Context]
    end: Place | None


def place_of(context: Context) -> Place:
    return context.joinable_until, context.context_id


async def contexts_page(
    rows: Rows,
    library: Library,
    collection_id: str,
    wanted: Callable[[Context], bool],
    *,
    first: int,
    after: Place | None,
    until: datetime | None,
) -> ContextsPage:
    """At most ``first`` contexts that are ``wanted``, beginning after a place and ending at contexts that may be joined
    after ``until``.

    It reads MOST_PASSED rows at most, in a few statements, and as many contexts, which the library keeps. So a page may
    have fewer than ``first``, and there may still be more.
    """
    found: list[Context] = []
    passed, limit = 0, first + 1
    while True:
        page = await rows.partition(
            CONTEXTS_OF_COLLECTIONS, (collection_id,), after=after, limit=limit, columns=_COLUMNS
        )
        contexts = await library.contexts.load_many([row["contextid"] for row in page])
        for row, context in zip(page, contexts, strict=True):
            if until is not None and row["joinable_until"] > until:
                return ContextsPage(found, None)
            if len(found) == first:
                return ContextsPage(found, after)
            after = (row["joinable_until"], row["contextid"])
            if _confirms(context, collection_id, row) and wanted(context):
                found.append(context)
        passed += len(page)
        if len(page) < limit:
            return ContextsPage(found, None)
        if passed >= MOST_PASSED:
            return ContextsPage(found, after)
        limit = PORTION


async def contexts_whole(
    rows: Rows, library: Library, collection_id: str, *, after: Place | None, most: int
) -> list[Context] | None:
    """All contexts after a place. None if the list has more than ``most`` rows there."""
    page = await rows.partition(
        CONTEXTS_OF_COLLECTIONS, (collection_id,), after=after, limit=most + 1, columns=_COLUMNS
    )
    if len(page) > most:
        return None
    contexts = await library.contexts.load_many([row["contextid"] for row in page])
    return [
        context for row, context in zip(page, contexts, strict=True) if _confirms(context, collection_id, row)
    ]


async def context_ids_of(rows: Rows, collection_id: str) -> list[str]:
    """The ids of all contexts that the collection has, or had when a call died, in order."""
    found = await rows.partition(CONTEXTS_OF_COLLECTIONS, (collection_id,), columns=("contextid",))
    return sorted({row["contextid"] for row in found})


def _confirms(context: Context | None, collection_id: str, row: Row) -> TypeGuard[Context]:
    return (
        context is not None
        and collection_id in context.collection_ids
        and context.joinable_until == row["joinable_until"]
    )
