"""The rows of a query as the tables of the tiles that it answers."""

from collections.abc import Iterable
from typing import Any

from loaders.metrics.grounds import column_of, context_in
from rules.metric_queries import CONTEXT, MetricQuery
from rules.metric_tables import Table, rolled_up, table_of
from stores.groups import Figures


def tables_of(asked: Figures, rows: list[list[Any]], queries: Iterable[MetricQuery]) -> list[Table]:
    """A table for each query, in their order. Changes the contexts in ``rows`` to the ids that clients know."""
    if (contexts := column_of(CONTEXT, asked.source)) in asked.dimensions:
        at = asked.dimensions.index(contexts)
        for row in rows:
            row[at] = context_in(row[at])
    columns = (*asked.dimensions, *(measure.name for measure in asked.measures))
    place = {column: at for at, column in enumerate(columns)}
    return [
        table_of(
            query,
            rolled_up(
                rows,
                [place[column_of(dimension, asked.source)] for dimension in query.dimensions],
                {count: place[count] for count in query.counts},
            ),
        )
        for query in queries
    ]
