"""Events of the data sources, queries of every shape, and what the groups port says they answer, worked out in plain
Python without either engine."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any as Anything
from zlib import crc32
from zoneinfo import ZoneInfo

import orjson
from hypothesis import strategies as st

from druid_specs import ACTIVITY_DAY, ACTIVITY_STATE, ACTIVITY_TOTALS, DataSource
from stores.events import Message
from stores.groups import (
    All,
    Any,
    Between,
    Figures,
    Kind,
    Measure,
    Not,
    OneOf,
    Order,
    Query,
    Rows,
    Value,
    Where,
)

Event = dict[str, Anything]

COLUMNS = tuple(ACTIVITY_STATE.types)
"""Every column of activity-state: the key, the latest values, the months, the spans."""


def state(activity_id: str, user_id: str, version: int = 1, **latest: Value) -> Event:
    """An event of activity-state; what is not given is null."""
    key: dict[str, Value] = {
        "activity_type": "Course",
        "activity_id": activity_id,
        "collection_id": latest.pop("collection_id", activity_id),
        "context_id": latest.pop("context_id", "cb:1"),
        "user_id": user_id,
    }
    return _event(ACTIVITY_STATE, key, version, latest)


def total(activity_id: str, dimension: str, value: str, version: int = 1, **latest: Value) -> Event:
    """An event of activity-totals."""
    key: dict[str, Value] = {
        "activity_type": "Course",
        "activity_id": activity_id,
        "collection_id": latest.pop("collection_id", activity_id),
        "context_id": "cb:1",
        "dimension": dimension,
        "value": value,
    }
    return _event(ACTIVITY_TOTALS, key, version, latest)


def active_day(collection_id: str, user_id: str, day: str, version: int = 1, **latest: Value) -> Event:
    """An event of activity-day."""
    key: dict[str, Value] = {
        "collection_id": collection_id,
        "context_id": latest.pop("context_id", "cb:1"),
        "user_id": user_id,
        "day": day,
    }
    return _event(ACTIVITY_DAY, key, version, {"active": 1, **latest})


def _event(source: DataSource, key: dict[str, Value], version: int, latest: dict[str, Value]) -> Event:
    assert latest.keys() <= source.latest.keys(), latest
    # The day of an activity.
    day = 1 + crc32(str(key[source.placed_by]).encode()) % 16
    nothing = dict.fromkeys(source.latest)
    return {"time": f"2020-01-{day:02}T00:00:00Z", **key, "version": version, **nothing, **latest}


def message(event: Event) -> Message:
    """Events of a key on one partition, as the workers send them."""
    names = ("activity_id", "collection_id", "context_id")
    parts = [*(event[name] for name in names if name in event), event.get("user_id", event.get("value"))]
    return Message("|".join(map(str, parts)), orjson.dumps(event))


# --- the answer, by the words of the port


def latest(source: DataSource, events: Iterable[Event]) -> list[Event]:
    """One row a key, that of the highest version."""
    rows: dict[tuple[Value, ...], Event] = {}
    for event in events:
        key = tuple(event[name] for name in source.key)
        if key not in rows or rows[key]["version"] < event["version"]:
            rows[key] = event
    return [
        {
            **row,
            **{name: units(row[span.start], row[span.end], span.unit) for name, span in source.spans.items()},
        }
        for row in rows.values()
    ]


def units(start: int | None, end: int | None, unit: int) -> int | None:
    return None if start is None or end is None else max(end - start, 0) // unit


def periods(source: DataSource, row: Event, zone: str) -> dict[str, str | None]:
    return {name: period(row[moment], unit, zone) for name, (moment, unit) in source.periods.items()}


def period(moment: int | None, unit: str, zone: str) -> str | None:
    """As the calendar of Python's own library has it."""
    if moment is None:
        return None
    at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).astimezone(ZoneInfo(zone))
    formats = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}
    return f"{at:%Y}-Q{(at.month + 2) // 3}" if unit == "quarter" else at.strftime(formats[unit])


def answer(query: Query, events: Iterable[Event]) -> list[tuple[Value, ...]]:
    """The rows in the order asked for, in any where none is."""
    zone = query.zone if isinstance(query, Figures) else "UTC"
    rows = [
        row
        for row in ({**row, **periods(query.source, row, zone)} for row in latest(query.source, events))
        if all(row[column] in values for column, values in query.keys)
        and (query.where is None or holds(query.where, row))
    ]
    if isinstance(query, Rows):
        return [tuple(row[column] for column in query.columns) for row in rows][: query.limit]
    groups: dict[tuple[Value, ...], list[Event]] = {} if query.dimensions else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in query.dimensions), []).append(row)
    names = [*query.dimensions, *(measure.name for measure in query.measures)]
    found = [
        (*group, *(figure(measure, rows) for measure in query.measures)) for group, rows in groups.items()
    ]
    for order in reversed(query.order):
        place = names.index(order.by)
        found.sort(key=lambda row: rank(row[place]), reverse=order.descending)
    return found[: query.limit]


def rank(value: Value) -> tuple[bool, Anything]:
    """Nothing before everything else. Python compares texts by code point."""
    return value is not None, value if value is not None else 0


def figure(measure: Measure, rows: Sequence[Event]) -> Value:
    rows = [row for row in rows if measure.where is None or holds(measure.where, row)]
    if measure.column is None:
        return len(rows)
    if measure.kind is Kind.DISTINCT:
        return len({row[measure.column] for row in rows if row[measure.column] is not None})
    values: list[int] = [row[measure.column] for row in rows if row[measure.column] is not None]
    if not values:
        return None
    return sum(values) if measure.kind is Kind.SUM else max(values)


def holds(where: Where, row: Event) -> bool:
    match where:
        case OneOf(column, values):
            return row[column] in values
        case Between(column, least, most, above, below):
            value = row[column]
            return value is not None and not (
                (least is not None and (value < least or (above and value == least)))
                or (most is not None and (value > most or (below and value == most)))
            )
        case All(filters):
            return all(holds(each, row) for each in filters)
        case Any(filters):
            return any(holds(each, row) for each in filters)
        case Not(inner):
            return not holds(inner, row)


# --- what hypothesis draws; values are few, so that they meet

TEXTS: dict[str, tuple[str | None, ...]] = {
    "user_id": ("u0", "u1", "u2", "u3", "u4", "u5"),
    "context_id": ("cb:1", "cb:2"),
    "state": (None, "", "North", "north", "back\\", "\U0001f600", "\uffee"),
    "gender": (None, "f", "m", "'\""),
    "enrolled_day": (None, "2026-03-29", "2026-03-30"),
    "enrolled_week": (None, "2026-W01", "2026-W13", "2026-W14"),
    "enrolled_month": (None, "2025-12", "2026-01", "2026-02"),
    "enrolled_quarter": (None, "2025-Q4", "2026-Q1"),
    "enrolled_year": (None, "2025", "2026"),
}
NUMBERS: dict[str, tuple[int | None, ...]] = {
    "status": (None, 0, 1, 2),
    "time_spent": (None, -5, 0, 7, 2**53 + 1),
    "enrolled_on": (
        None,
        1_767_225_599_999,
        1_767_225_600_000,
        1_769_904_000_000,
        1_774_735_199_999,
        1_774_735_200_000,
        1_774_821_599_999,
        1_774_821_600_000,
    ),
    "completed_on": (None, 1_767_225_599_998, 1_767_225_601_000, 1_767_311_999_999),
}
"""The moments: the last of 2025, the first of 2026, the first of February 2026, in UTC; around the ends of 29 March 2026 in
Berlin, a day of 23 hours: the first midnight as if it were summer, the last one of summer.
Completions are before the first two, 1 s, and 1 ms less than a day after the second."""
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati")
COMPUTED: dict[str, tuple[int | None, ...]] = {
    "days_to_complete": (None, 0, 1),
    "seconds_to_complete": (None, 0, 1),
}
VALUES: dict[str, tuple[Value, ...]] = {**TEXTS, **NUMBERS}
WHERE: dict[str, tuple[Value, ...]] = {**VALUES, **COMPUTED}


def events_of(activity_id: str, most: int = 40) -> st.SearchStrategy[list[Event]]:
    """Of a few keys, versions that meet but never tell different things under one number, some more than once."""
    stored = {name: values for name, values in VALUES.items() if name in ACTIVITY_STATE.latest}
    told = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in stored.items()})
    place = st.tuples(st.sampled_from(["u0", "u1", "u2"]), st.integers(1, 6))
    return st.dictionaries(place, told, min_size=1, max_size=12).flatmap(
        lambda known: st.lists(
            st.sampled_from(
                [state(activity_id, user, version, **values) for (user, version), values in known.items()]
            ),
            min_size=1,
            max_size=most,
        )
    )


def wheres() -> st.SearchStrategy[Where]:
    column = st.sampled_from(sorted(WHERE))
    one_of = column.flatmap(
        lambda name: st.builds(
            OneOf,
            st.just(name),
            st.lists(st.sampled_from(WHERE[name]), max_size=3, unique=True).map(tuple),
        )
    )
    between = column.flatmap(
        lambda name: st.builds(
            Between,
            st.just(name),
            st.sampled_from(WHERE[name]),
            st.sampled_from(WHERE[name]),
            st.booleans(),
            st.booleans(),
        )
    )
    return st.recursive(
        one_of | between,
        lambda inner: (
            st.builds(All, st.lists(inner, max_size=3).map(tuple))
            | st.builds(Any, st.lists(inner, max_size=3).map(tuple))
            | st.builds(Not, inner)
        ),
        max_leaves=6,
    )


@st.composite
def figures(draw: st.DrawFn, activity_id: str) -> Figures:
    """In a total order, so that a limit says which rows."""
    named = sorted(WHERE)
    dimensions = tuple(draw(st.lists(st.sampled_from(named), max_size=2, unique=True)))
    count = st.builds(Measure, st.just(""), st.just(Kind.COUNT), st.none(), st.none() | wheres())
    of_column = st.builds(
        Measure,
        st.just(""),
        st.sampled_from([Kind.SUM, Kind.MAX]),
        st.sampled_from(sorted({**NUMBERS, **COMPUTED})),
        st.none() | wheres(),
    )
    distinct = st.builds(
        Measure, st.just(""), st.just(Kind.DISTINCT), st.just("user_id"), st.none() | wheres()
    )
    drawn = draw(st.lists(count | of_column | distinct, min_size=1, max_size=3))
    measures = tuple(Measure(f"m{n}", m.kind, m.column, m.where) for n, m in enumerate(drawn))
    first = draw(st.lists(st.sampled_from([m.name for m in measures]), max_size=1))
    order = tuple(Order(name, draw(st.booleans())) for name in (*first, *dimensions))
    return Figures(
        ACTIVITY_STATE,
        dimensions,
        measures,
        (("activity_id", (activity_id,)),),
        draw(st.none() | wheres()),
        order,
        draw(st.none() | st.integers(1, 4)),
        draw(st.sampled_from(ZONES)),
    )
