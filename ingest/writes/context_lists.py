"""How the lists of contexts are kept: those of a collection (loaders/contexts.py reads them), and those of somebody who
mentors or created them (loaders/contexts_of_people.py).

Whoever writes a context writes its rows here first, so that no crash leaves a context out. Afterwards the rows that the
context had before, and has no more, are removed.
"""

from collections.abc import Iterable, Set

from loaders.contexts import place_of
from rules.contexts import Context
from rules.moments import microseconds
from stores.columns import Table
from stores.rows import Key, Rows, Write
from stores.tables import CONTEXTS_OF_COLLECTIONS, CONTEXTS_OF_PEOPLE

LISTS = (CONTEXTS_OF_COLLECTIONS, CONTEXTS_OF_PEOPLE)


async def list_contexts(rows: Rows, contexts: Iterable[Context], undated: Set[str] = frozenset()) -> None:
    """Writes the contexts into the lists of their collections and people. Call this before the contexts themselves are visible.

    ``undated``: the ids of those that a migration changes without a new date. Their rows are above all of that date.
    """
    writes = [
        Write(
            table,
            key,
            {"type": context.type.value},
            timestamp=_written_at(context) + (_AGAIN if context.context_id in undated else _FIRST),
        )
        for context in contexts
        for table, key in _rows(context)
    ]
    if writes:
        await rows.write(*writes)


async def unlist_context(rows: Rows, before: Context, after: Context) -> None:
    """Removes what ``before`` had in the lists and ``after`` has not. A later change of the context is never undone, as
    its ``updated_on`` is later.

    Where both have the same date, a row that was written again since stays: too much is in a list rather than too little.
    """
    gone = _rows(before) - _rows(after)
    if gone:
        at = _written_at(after) + (_UNDATED if after.updated_on == before.updated_on else 0)
        await rows.write(
            *(Write(table, key, {}, timestamp=at, delete=True) for table, key in sorted(gone, key=_in_order))
        )


_FIRST, _UNDATED, _AGAIN = 1, 2, 3
"""Behind the date of a change, which is the moment of its removals: its rows, then the removals of a change that has no
date of its own, and its rows."""


def _rows(context: Context) -> Set[tuple[Table, Key]]:
    """Where the context is listed."""
    return {
        *(
            (CONTEXTS_OF_COLLECTIONS, (collection_id, *place_of(context)))
            for collection_id in context.collection_ids
        ),
        *(
            (CONTEXTS_OF_PEOPLE, (user_id, relation.value, context.context_id))
            for user_id, relation in context.people
        ),
    }


def _in_order(listed: tuple[Table, Key]) -> tuple[str, Key]:
    return listed[0].name, listed[1]


def _written_at(context: Context) -> int:
    """The time of the context's last change in microseconds; 0 for a migrated one that has none."""
    return 0 if context.updated_on is None else microseconds(context.updated_on)
