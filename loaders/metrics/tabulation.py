"""The rows of queries as the groups of the tiles that they answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loaders.metrics.grounds import column_of, context_in
from loaders.metrics.queries import NUMBER, SPREAD_COLUMNS, Reading, measure_of
from rules.errors import InvalidInput
from rules.metric_columns import CONTEXT
from rules.metric_gaps import filled
from rules.metric_queries import Key, MetricQuery
from rules.metric_tables import Groups, over_all, rolled_up
from rules.metrics import LEARNERS, Counts
from stores.groups import Figures

Found = tuple[Reading, list[list[Any]]]
"""A query and its rows."""


def groups_of(found: Sequence[Found], queries: Iterable[MetricQuery]) -> list[Groups | InvalidInput]:
    """The groups of each query, in their order, those of gaps among them. InvalidInput for too many gaps. Changes the
    contexts in the rows to the ids that clients know."""
    for reading, rows in found:
        figures = reading.figures
        if (contexts := column_of(CONTEXT, figures.source)) in figures.dimensions:
            at = figures.dimensions.index(contexts)
            for row in rows:
                row[at] = context_in(row[at])
    return [_filled(query, found) for query in queries]


def _filled(query: MetricQuery, found: Sequence[Found]) -> Groups | InvalidInput:
    by_key = _by_key(query, found)
    everything: dict[str, Any] = {}
    if query.totals or query.shares:
        everything = {**over_all(query, by_key), **_learners_of_all(query, found)}
    try:
        return Groups(filled(query, by_key) if query.fill_gaps else by_key, everything)
    except InvalidInput as error:
        return error


def _by_key(query: MetricQuery, found: Sequence[Found]) -> dict[Key, Counts]:
    """The counts of the query by its dimensions, each from the reading that answers it."""
    groups: defaultdict[Key, dict[str, Any]] = defaultdict(dict)
    for reading, rows in found:
        for key, counts in _counts(query, reading, rows).items():
            groups[key].update(counts)
    return dict(groups)


def _counts(query: MetricQuery, reading: Reading, rows: list[list[Any]]) -> Mapping[Key, Counts]:
    figures = reading.figures
    if reading.of is not None and reading.of not in query.counts:
        return {}
    columns = [column_of(dimension, figures.source) for dimension in query.dimensions]
    place = _places(figures)
    if reading.of == LEARNERS:
        return _learners(query, reading, rows)
    measured = {
        count: place[name]
        for count in query.counts
        if (name := measure_of(count, query)) in place and count not in SPREAD_COLUMNS
    }
    if reading.of is None and not measured:
        return {}
    dimensions = [place[column] for column in columns]
    if reading.of not in SPREAD_COLUMNS:
        return rolled_up(rows, dimensions, measured)
    of, number = place[SPREAD_COLUMNS[reading.of]], place[NUMBER]
    spreads: defaultdict[Key, Counter[int]] = defaultdict(Counter)
    if not dimensions:
        spreads[()] = Counter()
    for row in rows:
        spread = spreads[tuple([row[at] for at in dimensions])]
        if row[of] is not None:
            spread[row[of]] += row[number]
    return {key: {reading.of: spread} for key, spread in spreads.items()}


def _learners(query: MetricQuery, reading: Reading, rows: list[list[Any]]) -> dict[Key, Counts]:
    """The learners by the query's dimensions; nothing where the reading is by other ones."""
    place, source = _places(reading.figures), reading.figures.source
    shown = [dimension for dimension in query.dimensions if not (reading.alone and dimension == CONTEXT)]
    columns = {column_of(dimension, source) for dimension in shown}
    if columns != {*reading.figures.dimensions} or (reading.alone and CONTEXT not in query.dimensions):
        return {}
    places = {dimension: place[column_of(dimension, source)] for dimension in shown}
    return {
        tuple([row[places[name]] if name in places else None for name in query.dimensions]): {
            LEARNERS: row[place[LEARNERS]]
        }
        for row in rows
        # Without dimensions of its own it has a row also where nobody is.
        if row[place[LEARNERS]] or not reading.alone
    }


def _learners_of_all(query: MetricQuery, found: Sequence[Found]) -> Counts:
    """The learners over everything, each once: those of the groups can't be added up."""
    if LEARNERS not in query.counts:
        return {}
    reading, rows = next(
        (reading, rows)
        for reading, rows in found
        if reading.of == LEARNERS and not reading.figures.dimensions and not reading.alone
    )
    return {LEARNERS: rows[0][_places(reading.figures)[LEARNERS]]}


def _places(figures: Figures) -> dict[str, int]:
    columns = (*figures.dimensions, *(measure.name for measure in figures.measures))
    return {column: at for at, column in enumerate(columns)}
