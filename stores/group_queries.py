"""What both engines of the groups port do with a query alike: they check it, and say which time it is in a zone."""

from collections.abc import Iterable, Sequence

from druid_specs import DataSource
from rules.errors import InvalidInput
from rules.periods import UTC_ZONE, clock_offsets
from stores.groups import All, Any, Between, Figures, Kind, Measure, Not, OneOf, Query, Rows, Value, Where


def check_query(query: Query) -> None:
    """InvalidInput names the wrong column or value, and what the source has."""
    source = query.source
    for name, _ in query.keys:
        _check_column(name, source.key, f"the key of {source.name}")
    _check_where(source, query.where)
    match query:
        case Rows(columns=columns):
            _check_columns(source, columns)
        case Figures(dimensions=dimensions, measures=measures):
            _check_columns(source, dimensions)
            for measure in measures:
                _check_measure(source, measure)
            counted = sorted({str(each.column) for each in measures if each.kind is Kind.DISTINCT})
            if len(counted) > 1:
                raise InvalidInput(
                    f"a query counts the distinct values of one column, not of {', '.join(counted)}",
                    field=counted[1],
                )
            _check_windows(query)
            for order in query.order:
                _check_column(order.by, answered(query), "the answer")
    names = answered(query)
    if not names or len(set(names)) < len(names):
        raise InvalidInput(f"a query asks for columns of different names, not for ({', '.join(names)})")


def answered(query: Query) -> tuple[str, ...]:
    """The columns of the answer."""
    match query:
        case Rows(columns=columns):
            return columns
        case Figures(dimensions=dimensions, measures=measures):
            return dimensions + tuple(measure.name for measure in measures)


def local_time(moment: str, zone: str) -> str:
    """An expression in the language of either engine: the column ``moment`` with the offset of the zone's clocks added, in
    milliseconds. In UTC it has the date that the moment has in the zone. Null stays null."""
    if zone == UTC_ZONE:
        return f'"{moment}"'
    return f'("{moment}" + {_offset(moment, clock_offsets(zone))})'


def _offset(moment: str, offsets: Sequence[tuple[int, int]]) -> str:
    """The offset at a moment. Halving takes few comparisons for each row, however often the clocks changed."""
    if len(offsets) == 1:
        return str(offsets[0][1])
    half = len(offsets) // 2
    before, after = _offset(moment, offsets[:half]), _offset(moment, offsets[half:])
    return f'if("{moment}" < {offsets[half][0]}, {before}, {after})'


def _check_windows(query: Figures) -> None:
    windows = query.windows
    if windows is None:
        return
    _check_column(windows.column, query.source.key, f"the key of {query.source.name}")
    _check_column(windows.column, query.dimensions, "the dimensions")
    if len({value for value, _ in windows.names}) < len(windows.names):
        raise InvalidInput(f"a value of {windows.column} is in one window alone", field=windows.column)


def _check_columns(source: DataSource, names: Iterable[str]) -> None:
    for name in names:
        _check_column(name, source.types, source.name)


def _check_column(name: str, known: Iterable[str], where: str) -> None:
    if name not in known:
        raise InvalidInput(f"{where} has no column {name}; it has {', '.join(known)}", field=name)


def _check_measure(source: DataSource, measure: Measure) -> None:
    _check_where(source, measure.where)
    if (measure.kind is Kind.COUNT) != (measure.column is None):
        raise InvalidInput(
            f"{measure.name}: a count is of rows, a {measure.kind.value} of a column", field=measure.name
        )
    if measure.kind is Kind.DISTINCT:
        _check_column(str(measure.column), source.key, f"the key of {source.name}")
    elif measure.column is not None:
        _check_column(measure.column, source.types, source.name)
        if source.types[measure.column] == "string":
            raise InvalidInput(
                f"{measure.name}: {measure.column} holds texts, which have no {measure.kind.value}",
                field=measure.column,
            )


def _check_where(source: DataSource, where: Where | None) -> None:
    match where:
        case OneOf(column, values):
            _check_values(source, column, values)
        case Between(column, least, most):
            _check_values(source, column, (least, most))
        case All(filters) | Any(filters):
            for each in filters:
                _check_where(source, each)
        case Not(inner):
            _check_where(source, inner)


def _check_values(source: DataSource, column: str, values: Iterable[Value]) -> None:
    _check_column(column, source.types, source.name)
    texts = source.types[column] == "string"
    for value in values:
        if value is not None and isinstance(value, str) != texts:
            kind = "texts" if texts else "numbers"
            raise InvalidInput(f"{column} holds {kind}, never {value!r}", field=column)
