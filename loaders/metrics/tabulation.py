"""The rows of a query as the tables of the tiles that it answers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from loaders.metrics.grounds import column_of, context_in
from loaders.metrics.queries import PERCENTAGE, SCORED
from rules.metric_queries import CONTEXT, MetricQuery
from rules.metric_tables import Key, Table, rolled_up, table_of
from rules.metrics import PERCENTS, Counts
from stores.groups import Figures


def tables_of(asked: Figures, rows: list[list[Any]], queries: Iterable[MetricQuery]) -> list[Table]:
    """A table for each query, in their order. Changes the contexts in ``rows`` to the ids that clients know."""
    if (contexts := column_of(CONTEXT, asked.source)) in asked.dimensions:
        at = asked.dimensions.index(contexts)
        for row in rows:
            row[at] = context_in(row[at])
    columns = (*asked.dimensions, *(measure.name for measure in asked.measures))
    place = {column: at for at, column in enumerate(columns)}
    return [table_of(query, _groups(query, asked, rows, place)) for query in queries]


def _groups(
    query: MetricQuery, asked: Figures, rows: list[list[Any]], place: Mapping[str, int]
) -> dict[Key, Counts]:
    """The counts of the query by its dimensions. PERCENTS follow from the percentage that a row is of."""
    dimensions = [place[column_of(dimension, asked.source)] for dimension in query.dimensions]
    measured = {count: place[count] for count in query.counts if count not in PERCENTS}
    groups = rolled_up(rows, dimensions, measured)
    if len(measured) == len(query.counts):
        return groups
    percents: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row[place[PERCENTAGE]] is not None:
            key = tuple([row[at] for at in dimensions])
            percents[key][f"percent_{row[place[PERCENTAGE]]}"] += row[place[SCORED]]
    return {key: {**counts, **percents[key]} for key, counts in groups.items()}
