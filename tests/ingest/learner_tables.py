"""All that is stored of learners, as text, so that two ends can be compared byte for byte."""

from datetime import datetime
from typing import Any

import orjson

from rules.origins import Origin
from stores.rows import Row
from stores.tables import (
    AGGREGATES,
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    CONTEXTS,
    CONTEXTS_OF_COLLECTIONS,
    CONTEXTS_OF_PEOPLE,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    LEARNER_SCOPES,
    SCORES,
    VIEWS,
)
from tests.conftest import Instance

COMPARED = (
    *(VIEWS, LEARNER_SCOPES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, CONTEXTS, CONTEXTS_OF_COLLECTIONS),
    *(CONTEXTS_OF_PEOPLE,),
    *(ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, AGGREGATES, SCORES),
)
OF_A_RUN = {
    *(
        "changed_at",
        "seen_changed_at",
        "seen_enrolment",
        "seen_version",
        "version",
        "status_digest",
        "written_at",
    ),
    "active_days",
}
"""Versions and times of writing, which each run has of its own. Active days only grow: the day of a guess stays when the
fact comes, if a worker saw the guess (docs/decisions.md)."""


Stored = dict[str, dict[tuple[str, ...], dict[str, Any]]]
"""By table and key: the other columns of a row, in plain values."""


async def learner_tables(cohort: Instance) -> Stored:
    """Every row of every table, without what a run has of its own."""
    found: Stored = {}
    rows = cohort.stores.rows
    for table in COMPARED:
        found[table.name] = {
            tuple(str(row[name]) for name in table.key): _plain(row)
            for token_range in rows.ranges(1)
            async for page in rows.walk(table, token_range)
            for row in page.rows
        }
    return found


def differences(found: Stored, expected: Stored) -> list[str]:
    """A line for each row that only one of the two has, and for each that is not the same, byte for byte."""
    lines = []
    for table, wanted in expected.items():
        mine = found[table]
        for key in sorted({*mine, *wanted}):
            one, other = mine.get(key), wanted.get(key)
            name = f"{table} {' '.join(key)}"
            if one is None or other is None:
                lines.append(f"{name} is {'missing' if one is None else 'too much'}")
            elif _bytes(one) != _bytes(other):
                names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
                lines.append(
                    f"{name}: " + ", ".join(f"{n} {one.get(n)!r}, not {other.get(n)!r}" for n in names)
                )
    return lines


def _bytes(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


def _plain(row: Row) -> dict[str, Any]:
    values = {name: _value(name, value) for name, value in row.items() if name not in OF_A_RUN}
    # Cassandra has no empty collections, so an empty one is none.
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _value(name: str, value: Any) -> Any:
    """Of an origin what is not of a run, of a set its parts in order, of a moment its text."""
    if name == "origin" and value is not None:
        origin = Origin.decode(value)
        return [origin.kind.value, origin.place, origin.reason]
    if isinstance(value, datetime):
        return value.isoformat()
    return sorted(value) if isinstance(value, set | frozenset) else value
