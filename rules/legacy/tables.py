"""The existing platform's tables, and what a deployment calls their columns."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rules.errors import InvalidInput

LegacyRow = Mapping[str, Any]


BATCHES = "course_batch"
CONSUMPTION = "user_content_consumption"
ENROLMENTS = "user_enrolments"
ASSESSMENTS = "assessment_aggregator"
FIGURES = "user_activity_agg"


@dataclass(frozen=True, slots=True)
class LegacyTable:
    """``key``: what its primary key holds, in whichever order; ``columns``: what else is taken where it is there.

    ``required``: a platform without it is none. ``ours``: columns that only Cohort's table of this name has.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    required: bool = True
    ours: frozenset[str] = frozenset()


_ALIASES: Mapping[str, tuple[str, ...]] = {
    "user_id": ("userid", "user_id"),
    "collection_id": ("courseid", "collectionid", "course_id", "collection_id"),
    "context_id": ("batchid", "contextid", "batch_id", "context_id"),
    "content_id": ("contentid", "content_id"),
    "question": ("question", "questions"),
}


LEGACY_TABLES = (
    LegacyTable(
        BATCHES,
        ("collection_id", "context_id"),
        (
            *("name", "description", "enrollmenttype", "createdby", "mentors"),
            *("start_date", "startdate", "end_date", "enddate", "enrollment_enddate", "enrollmentenddate"),
            *("created_date", "createddate", "updated_date", "updateddate"),
        ),
    ),
    LegacyTable(
        CONSUMPTION,
        ("user_id", "collection_id", "context_id", "content_id"),
        (
            *("status", "progress", "completionpercentage", "progressdetails", "viewcount", "completedcount"),
            *("last_access_time", "last_completed_time", "last_updated_time", "datetime"),
            *("lastaccesstime", "lastcompletedtime", "lastupdatedtime"),
        ),
        ours=frozenset({"scope"}),
    ),
    LegacyTable(
        ENROLMENTS,
        ("user_id", "collection_id", "context_id"),
        (
            *("active", "enrolled_date", "enrolleddate", "completedon", "datetime", "lastcontentaccesstime"),
            *("issued_certificates", "certificates", "contentstatus", "lastreadcontentid"),
            *("status", "progress", "completionpercentage"),
        ),
        ours=frozenset({"seen_changed_at"}),
    ),
    LegacyTable(
        ASSESSMENTS,
        ("user_id", "collection_id", "context_id", "content_id", "attempt_id"),
        (
            *("created_on", "last_attempted_on", "updated_on"),
            *("total_score", "total_max_score", "grand_total", "question"),
        ),
        required=False,
    ),
    LegacyTable(
        FIGURES,
        ("activity_type", "activity_id", "user_id", "context_id"),
        ("agg", "aggregates"),
        required=False,
        ours=frozenset({"seen_changed_at"}),
    ),
)


def names_of(table: LegacyTable, key: Collection[str], columns: Collection[str]) -> dict[str, str]:
    """The names that a deployment uses for the columns that are taken of a table, by our name. A column that is not
    there is left out.

    ``key``: the table's primary key, ``columns``: all of its columns. InvalidInput if a part of the key is missing.
    """
    if table.ours and table.ours <= {*columns}:
        raise InvalidInput(
            f"{table.name} is a table of Cohort's own, not of the existing platform", field="from"
        )
    names = {}
    for part in table.key:
        known = _ALIASES.get(part, (part,))
        found = [name for name in known if name in key]
        if not found:
            raise InvalidInput(
                f"{table.name} has no {' or '.join(known)} in its primary key ({', '.join(key)})",
                field="from",
            )
        names[part] = found[0]
    for column in table.columns:
        for name in _ALIASES.get(column, (column,)):
            if name in columns:
                names[column] = name
    return names
