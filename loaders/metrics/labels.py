"""The names of the collections, units and contexts in a table."""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial

from loaders.library import Library
from rules.errors import InvalidInput
from rules.metric_columns import CONTEXT
from rules.metric_queries import MOST_ROWS, MetricQuery
from rules.metric_tables import Groups, Table, first_groups, ids_in, label_order, table_of

MANY_ROWS = 2_000
"""Groups from which on they are put together and ordered in a thread, beside the event loop."""
MOST_NAMES = MOST_ROWS
"""Names that an order by labels may read of each kind: the names of all groups, also of those that the limit cuts off."""


async def labelled_table(library: Library, query: MetricQuery, groups: Groups) -> Table:
    """The table of the groups, with the labels that the query asks for. InvalidInput where more than MOST_NAMES would be
    read to order the rows."""
    names: dict[str, str] = {}
    if (label := label_order(query)) is not None:
        ids = ids_in(query, groups)
        if any(len(of_one) > MOST_NAMES for of_one in ids.values()):
            raise InvalidInput(
                f"an order by {label} is of at most {MOST_NAMES:,} names: filter, or order by another column",
                field="orderBy",
            )
        names = await names_of(library, ids)
    order = partial(first_groups, query, groups, names)
    first = await asyncio.to_thread(order) if len(groups.by_key) > MANY_ROWS else order()
    if label is None:
        names = await names_of(library, ids_in(query, first))
    return table_of(query, first, groups, names)


async def names_of(library: Library, ids: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The names by id. ``ids``: by the dimension that they are of. What is gone has none."""
    # What was done in a collection by itself has its id as context.
    contents, contexts = await asyncio.gather(
        library.contents.load_many(sorted(set().union(*ids.values()))),
        library.contexts.load_many(sorted(ids.get(CONTEXT, ()))),
    )
    names = {context.context_id: context.name for context in contexts if context is not None}
    return names | {content.identifier: content.name for content in contents if content is not None}
