"""The rows of a query as the groups of the tiles that it answers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from loaders.metrics.grounds import column_of, context_in
from loaders.metrics.queries import PERCENTAGE, SCORED
from rules.errors import InvalidInput
from rules.metric_columns import CONTEXT
from rules.metric_gaps import filled
from rules.metric_queries import Key, MetricQuery
from rules.metric_tables import rolled_up
from rules.metrics import PERCENTS, Counts
from stores.groups import Figures


def groups_of(
    asked: Figures, rows: list[list[Any]], queries: Iterable[MetricQuery]
) -> list[Mapping[Key, Counts] | InvalidInput]:
    """The groups of each query, in their order, those of gaps among them. InvalidInput for too many gaps. Changes the contexts in ``rows`` to the ids that clients know."""
    if (contexts := column_of(CONTEXT, asked.source)) in asked.dimensions:
        at = asked.dimensions.index(contexts)
        for row in rows:
            row[at] = context_in(row[at])
    columns = (*asked.dimensions, *(measure.name for measure in asked.measures))
    place = {column: at for at, column in enumerate(columns)}
    return [_filled(query, _groups(query, asked, rows, place)) for query in queries]


def _filled(query: MetricQuery, groups: Mapping[Key, Counts]) -> Mapping[Key, Counts] | InvalidInput:
    try:
        return filled(query, groups) if query.fill_gaps else groups
    except InvalidInput as error:
        return error


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
