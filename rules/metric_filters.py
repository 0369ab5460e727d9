"""Filters of a table of figures: which enrolments count. Checked, and in one form for all that say the same.

A dimension or a measure goes by the name of its column in the data sources.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.errors import InvalidInput
from rules.identifiers import LONGEST_ID
from rules.metric_columns import STATUS, time_dimension
from rules.moments import milliseconds
from rules.periods import EXAMPLES, PeriodUnit, first_day
from rules.progress import Status

DEEPEST_FILTER = 8
LARGEST_FILTER = 100
"""Conditions in a filter."""
MOST_VALUES, MOST_VALUES_TOGETHER = 500, 1000
"""The values of one condition, and of all conditions in a filter."""


@dataclass(frozen=True, slots=True)
class Among:
    """The dimension has one of these values; None among them for one that is not known. A status is its number."""

    dimension: str
    values: tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The measure is from ``least`` to ``most``, without the ends where ``above`` and ``below`` say so; None is open.
    Moments in epoch milliseconds."""

    measure: str
    least: float | None = None
    most: float | None = None
    above: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The measure has no value, as the completion of what is not completed."""

    measure: str


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Opposite:
    part: "Filter"


Filter = Among | Within | Unknown | Every | Some | Opposite
"""A filter over enrolments. ``checked_filter`` makes it, so that filters that say the same in another order are
equal."""


def checked_filter(given: Mapping[str, Any], field: str = "filter") -> Filter:
    """The filter, as clients write it: ``{and | or: […]}``, ``{not: …}``, ``{status: […]}``,
    ``{dimension: {dimension, in | isNull}}``, ``{measure: {measure, range | isNull}}`` or
    ``{moment: {moment, range | isNull}}``. InvalidInput names the path of what is wrong with it."""
    found = _read(given, field, 1)
    compared = [*conditions(found)]
    if len(compared) > LARGEST_FILTER:
        raise InvalidInput(f"{field} may have at most {LARGEST_FILTER} conditions", field=field)
    if sum(len(each.values) for each in compared if isinstance(each, Among)) > MOST_VALUES_TOGETHER:
        raise InvalidInput(
            f"{field} may compare with at most {MOST_VALUES_TOGETHER:,} values, over all its conditions",
            field=field,
        )
    return found


def narrowed(filter: Filter | None, condition: Filter) -> Filter:  # noqa: A002
    """The filter with one more condition."""
    return condition if filter is None else _combined(Every, [filter, condition])


def conditions(filter: Filter | None) -> Iterable[Among | Within | Unknown]:  # noqa: A002
    """The conditions of a filter, without how they are put together."""
    match filter:
        case Every(parts) | Some(parts):
            for part in parts:
                yield from conditions(part)
        case Opposite(part):
            yield from conditions(part)
        case None:
            return
        case condition:
            yield condition


def _read(given: Mapping[str, Any], field: str, depth: int) -> Filter:
    if depth > DEEPEST_FILTER:
        raise InvalidInput(f"a filter may be at most {DEEPEST_FILTER} deep", field=field)
    said = _said(given, field)
    kind = _only(said, ("and", "or", "not", "dimension", "measure", "moment", "status"), field)
    _alone(said, {kind}, field)
    match kind:
        case "and" | "or":
            if not said[kind]:
                raise InvalidInput(f"{kind} must have one filter at least", field=f"{field}.{kind}")
            parts = [
                _read(part, f"{field}.{kind}[{number}]", depth + 1) for number, part in enumerate(said[kind])
            ]
            return _combined(Every if kind == "and" else Some, parts)
        case "not":
            part = _read(said[kind], f"{field}.not", depth + 1)
            return part.part if isinstance(part, Opposite) else Opposite(part)
        case "status":
            return _among(STATUS, said[kind], f"{field}.{kind}")
        case "dimension":
            return _of_dimension(said[kind], f"{field}.{kind}")
        case _:
            return _of_measure(kind, said[kind], f"{field}.{kind}")


def _said(given: object, field: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidInput("must be an object", field=field)
    return {name: value for name, value in given.items() if value is not None}


def _of_dimension(given: object, field: str) -> Filter:
    said = _said(given, field)
    _alone(said, {"dimension", "in", "isNull"}, field)
    dimension = said[_only(said, ("dimension",), field)]
    if _only(said, ("in", "isNull"), field) == "isNull":
        unknown = Among(dimension, (None,))
        return unknown if said["isNull"] else Opposite(unknown)
    return _among(dimension, said["in"], f"{field}.in")


def _among(dimension: str, values: Sequence[str], field: str) -> Filter:
    if not 1 <= len(values) <= MOST_VALUES:
        raise InvalidInput(f"must have from 1 to {MOST_VALUES} values", field=field)
    if any(len(value) > LONGEST_ID for value in values):
        raise InvalidInput(f"a value may have at most {LONGEST_ID} characters", field=field)
    if dimension == STATUS:
        return Among(dimension, tuple(sorted({_status(value, field) for value in values})))
    if (time := time_dimension(dimension)) is not None:
        _check_periods(values, time.unit, field)
    return Among(dimension, tuple(sorted(set(values))))


def _status(name: str, field: str) -> int:
    if name not in Status.__members__:
        raise InvalidInput(f"{name!r} is no status: {', '.join(Status.__members__)}", field=field)
    return int(Status[name])


def _check_periods(names: Iterable[str], unit: PeriodUnit, field: str) -> None:
    for name in names:
        try:
            first_day(name, unit)
        except ValueError:
            raise InvalidInput(
                f"{name!r} is no {unit.value}, such as {EXAMPLES[unit]}", field=field
            ) from None


def _of_measure(kind: str, given: object, field: str) -> Filter:
    """A condition on a number (``measure``) or a moment."""
    said = _said(given, field)
    _alone(said, {kind, "range", "isNull"}, field)
    measure = said[_only(said, (kind,), field)]
    if _only(said, ("range", "isNull"), field) == "isNull":
        unknown = Unknown(measure)
        return unknown if said["isNull"] else Opposite(unknown)
    bounds = _said(said["range"], f"{field}.range")
    if not bounds or {"gt", "gte"} <= bounds.keys() or {"lt", "lte"} <= bounds.keys():
        raise InvalidInput("a range has gte or gt, or lte or lt, or one of each pair", field=f"{field}.range")
    least, most = (
        next((_BOUND[kind](bounds[name], f"{field}.range.{name}") for name in pair if name in bounds), None)
        for pair in (("gt", "gte"), ("lt", "lte"))
    )
    return Within(measure, least, most, "gt" in bounds, "lt" in bounds)


def _moment(given: object, field: str) -> int:
    """A moment, which may be written in RFC 3339, in epoch milliseconds."""
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        at = None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidInput("must be a moment with a time zone, as in 2026-01-31T12:00:00Z", field=field)
    return milliseconds(at)


def _number(given: object, field: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= _LARGEST:
        raise InvalidInput("must be a number, as large as a double holds exactly", field=field)
    return int(given) if given == int(given) else given


_LARGEST = 2**53
_BOUND: Mapping[str, Callable[[object, str], float]] = {"measure": _number, "moment": _moment}


def _only(said: Mapping[str, Any], names: Sequence[str], field: str) -> str:
    given = [name for name in names if name in said]
    if len(given) != 1:
        raise InvalidInput(f"exactly one of {', '.join(names)} is needed here", field=field)
    return given[0]


def _alone(said: Mapping[str, Any], allowed: set[str], field: str) -> None:
    for name in said.keys() - allowed:
        raise InvalidInput(
            f"{name} does not go with {' and '.join(sorted(allowed))}", field=f"{field}.{name}"
        )


def _combined(kind: type[Every] | type[Some], parts: Iterable[Filter]) -> Filter:
    """The parts in one filter: flat, each once, in an order of its own."""
    flat: dict[Filter, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return kind(tuple(sorted(flat, key=repr))) if len(flat) > 1 else next(iter(flat))
