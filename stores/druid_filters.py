"""Filters of group queries in Druid's native language, and texts as its columns store them.

Druid's stringLast ignores nulls, whatever their version, and keeps no empty text (docs/decisions.md). So a text that is
no part of the key is stored as ``encoded`` has it: the expressions of the supervisor's ``transformSpec`` do that. The
encoding keeps the order. Texts of the key are stored as they are.
"""

from collections.abc import Iterator
from typing import Any as Json

from pydruid.utils.filters import Filter

from druid_specs import DataSource
from stores.groups import All, Any, Between, Not, OneOf, Value, Where

NOTHING = "\0"
"""The stored form of null."""
ESCAPE = "\0="
"""What stands before an empty text, and before one that begins with NUL."""
FIRST_PLAIN = "\1"
"""The smallest text that is stored as it is."""
PAST_SURROGATES, ASTRAL, HIGHEST = "\ue000", "\U00010000", "\uffff"
"""Druid compares texts by UTF-16 unit. That is the order of code points with one exception: characters from ASTRAL on
come before those from PAST_SURROGATES up to HIGHEST."""
LOWEST = -(2**63)
"""The lowest whole number."""
NATIVE = {"string": "STRING", "long": "LONG", "double": "DOUBLE"}


def encoded(text: str | None) -> str:
    """The stored form of a text: null as NUL, ESCAPE before an empty text or one that begins with NUL, others as they are.

    >>> [encoded(text) for text in (None, "", "North")]
    ['\\x00', '\\x00=', 'North']
    """
    if text is None:
        return NOTHING
    return text if text >= FIRST_PLAIN else ESCAPE + text


def decoded(text: str | None) -> str | None:
    """The reverse of ``encoded``; None stays None."""
    if text is None or not text.startswith(NOTHING):
        return text
    return None if text == NOTHING else text.removeprefix(ESCAPE)


class _Native(Filter):  # type: ignore[misc]
    """A filter that pydruid has no builder for."""

    def __init__(self, **of: Json) -> None:
        self.filter = {"filter": of}
        self.extraction_function = None


def above_0(column: str) -> Filter:
    """The filter for a number of at least 1, which no column of a data source need have."""
    return _Native(type="range", column=column, matchValueType="LONG", lower=0, lowerOpen=True)


def filter_of(source: DataSource, where: Where) -> Filter:
    match where:
        case OneOf(column, values):
            if not values:
                return _Native(type="false")
            return Filter(
                type="in", dimension=column, values=[_stored(source, column, value) for value in values]
            )
        case Between(column):
            return _range(source, where)
        case Any(()):
            return _Native(type="false")
        case All(()):
            return _Native(type="true")
        case Any(filters):
            return Filter(type="or", fields=[filter_of(source, each) for each in filters])
        case All(filters):
            return Filter(type="and", fields=[filter_of(source, each) for each in filters])
        case Not(of):
            # In Druid, NOT of unknown is unknown; here it is true.
            true = _Native(type="istrue", field=Filter.build_filter(filter_of(source, of)))
            return Filter(type="not", field=true)


def _range(source: DataSource, where: Between) -> Filter:
    column, type_ = where.column, NATIVE[source.types[where.column]]
    least, most = (None if end is None else _stored(source, column, end) for end in (where.least, where.most))
    above = where.above
    if least is None and source.latest.get(column) == "string":
        least, above = NOTHING, True
    if least is None and most is None:
        return Filter(type="not", field=_Native(type="null", column=column))
    if any(isinstance(end, str) and max(end, default="") >= PAST_SURROGATES for end in (least, most)):
        from_least = [] if least is None else [_after(column, str(least), above)]
        to_most = (
            [] if most is None else [Filter(type="not", field=_after(column, str(most), not where.below))]
        )
        return Filter(type="and", fields=from_least + to_most)
    if type_ == "LONG":
        if not (isinstance(least, float) or isinstance(most, float)):
            return _whole(where)
        type_ = "DOUBLE"
    ends: dict[str, Json] = {}
    if least is not None:
        ends |= {"lower": least, "lowerOpen": above}
    if most is not None:
        ends |= {"upper": most, "upperOpen": where.below}
    return _Native(type="range", column=column, matchValueType=type_, **ends)


def _whole(where: Between) -> Filter:
    """A range of whole numbers. ``range`` would read the ends as doubles, and so 2**53 + 1 as 2**53."""
    # Without a lower end null would be within.
    ends: dict[str, Json] = {
        "lower": str(LOWEST if where.least is None else where.least),
        "lowerStrict": where.above and where.least is not None,
    }
    if where.most is not None:
        ends |= {"upper": str(where.most), "upperStrict": where.below}
    return _Native(type="bound", dimension=where.column, ordering="numeric", **ends)


def _after(column: str, text: str, above: bool) -> Filter:
    """Texts greater than this one by code point: those greater by UTF-16 unit, corrected where the two orders differ."""
    after = _Native(type="range", column=column, matchValueType="STRING", lower=text, lowerOpen=above)
    for place, character in enumerate(text):
        start = text[:place]
        if PAST_SURROGATES <= character <= HIGHEST:
            ends = {"lower": start + ASTRAL, "upper": start + PAST_SURROGATES, "upperOpen": True}
            missed = _Native(type="range", column=column, matchValueType="STRING", **ends)
            after = Filter(type="or", fields=[after, missed])
        elif character >= ASTRAL:
            ends = {"lower": start + PAST_SURROGATES, "upper": start + HIGHEST}
            too_many = _Native(type="range", column=column, matchValueType="STRING", **ends)
            after = Filter(type="and", fields=[after, Filter(type="not", field=too_many)])
    return after


def _stored(source: DataSource, column: str, value: Value) -> Value:
    """The value as the column stores it."""
    if source.latest.get(column) != "string":
        return value
    return encoded(None if value is None else str(value))


def divided(source: DataSource, where: Where | None) -> tuple[Where | None, Where | None]:
    """Conditions about the key alone, and the others. The inner level can filter by the former."""
    if where is None:
        return None, None
    conditions = where.filters if isinstance(where, All) else (where,)
    of_key = tuple(each for each in conditions if {*columns_of(each)} <= {*source.key})
    rest = tuple(each for each in conditions if each not in of_key)
    return _all(of_key), _all(rest)


def _all(conditions: tuple[Where, ...]) -> Where | None:
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else All(conditions)


def columns_of(where: Where | None) -> Iterator[str]:
    match where:
        case OneOf(column) | Between(column):
            yield column
        case All(filters) | Any(filters):
            for each in filters:
                yield from columns_of(each)
        case Not(of):
            yield from columns_of(of)
