"""All that is stored of learners, as text, so that two ends can be compared byte for byte."""

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
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    LEARNER_SCOPES,
    SCORES,
    VIEWS,
)
from tests.conftest import Instance

COMPARED = (
    *(VIEWS, LEARNER_SCOPES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, CONTEXTS, CONTEXTS_OF_COLLECTIONS),
    *(ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, AGGREGATES, SCORES),
)
OF_A_RUN = {"changed_at", "seen_changed_at", "seen_enrolment", "seen_version", "version", "written_at"}
"""Versions and times of writing, which each run has of its own."""


async def learner_tables(cohort: Instance) -> dict[str, set[str]]:
    """Every row of every table, without what a run has of its own."""
    found: dict[str, set[str]] = {}
    rows = cohort.stores.rows
    for table in COMPARED:
        found[table.name] = {
            _text(row)
            for token_range in rows.ranges(1)
            async for page in rows.walk(table, token_range)
            for row in page.rows
        }
    return found


def differences(found: dict[str, set[str]], expected: dict[str, set[str]]) -> list[str]:
    """A line for each row that only one of the two has, by table and key."""
    lines = []
    for table, wanted in expected.items():
        lines += [f"{table} + {row}" for row in found[table] - wanted]
        lines += [f"{table} - {row}" for row in wanted - found[table]]
    return sorted(lines, key=lambda line: line.replace(" + ", " ").replace(" - ", " "))


def _text(row: Row) -> str:
    values = {name: _plain(name, value) for name, value in row.items() if name not in OF_A_RUN}
    # Cassandra has no empty collections, so an empty one is none.
    values = {name: value for name, value in values.items() if value not in (None, [], {})}
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()


def _plain(name: str, value: Any) -> Any:
    if name == "origin" and value is not None:
        origin = Origin.decode(value)
        return [origin.kind.value, origin.place, origin.reason]
    return sorted(value) if isinstance(value, set | frozenset) else value
