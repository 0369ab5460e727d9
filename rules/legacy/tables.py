"""The existing platform's tables, what a deployment calls their columns, and what follows where it does not have one."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.errors import InvalidInput

LegacyRow = Mapping[str, Any]


BATCHES = "course_batch"
CONSUMPTION = "user_content_consumption"
ENROLMENTS = "user_enrolments"
ASSESSMENTS = "assessment_aggregator"
FIGURES = "user_activity_agg"

WRITTEN_AT = "written_at"
"""In a row that was asked for with its write times: the newest one of the columns that are taken, in microseconds since
the epoch. None where it is not known: such a row counts as changed."""


def written_at(column: str) -> str:
    """The name of one column's write time in such a row."""
    return f"{column}_{WRITTEN_AT}"


@dataclass(frozen=True, slots=True)
class LegacyColumn:
    """A column that is taken where it is there.

    - ``without``: what follows where it is not, for the report.
    - ``others``: older columns that say the same, such as texts for times. One of all is enough.
    - ``is_needed``: without it results are wrong, so the migration stops unless it is told to go on.
    """

    name: str
    without: str
    others: tuple[str, ...] = ()
    is_needed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.others)


@dataclass(frozen=True, slots=True)
class LegacyTable:
    """A table of the platform.

    - ``key``: what its primary key holds, in whichever order; ``columns``: what else is taken.
    - ``is_required``: a platform without it is none.
    - ``ours``: columns that only Cohort's table of this name has.
    - ``timed``: columns whose own write time counts.
    - ``never_alone``: columns that the platform writes together with others only, so that their write time says nothing.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[LegacyColumn, ...]
    is_required: bool = True
    ours: frozenset[str] = frozenset()
    timed: tuple[str, ...] = ()
    never_alone: frozenset[str] = frozenset()

    def written(self, names: Collection[str]) -> Mapping[str, Sequence[str]]:
        """The write times that a row of these names has, each with the names whose newest one it is."""
        taken = [name for name in names if name not in self.key and name not in self.never_alone]
        return {WRITTEN_AT: taken, **{written_at(name): [name] for name in self.timed if name in names}}


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
            LegacyColumn("name", "every batch has its id for a name"),
            LegacyColumn("description", "no batch has a description"),
            LegacyColumn("enrollmenttype", "every batch is invite-only"),
            LegacyColumn("status", "a batch without an end date is never closed"),
            LegacyColumn("createdby", "nobody is known to have made a batch"),
            LegacyColumn("mentors", "no batch has mentors"),
            LegacyColumn("start_date", "every batch has begun", ("startdate",)),
            LegacyColumn("end_date", "no batch ends", ("enddate",), is_needed=True),
            LegacyColumn(
                "enrollment_enddate", "learners may enrol until the batch ends", ("enrollmentenddate",)
            ),
            LegacyColumn("created_date", "nobody knows when a batch was made", ("createddate",)),
            LegacyColumn(
                "updated_date",
                "a batch that was changed here stays as it is, whatever changes there",
                ("updateddate",),
            ),
        ),
    ),
    LegacyTable(
        CONSUMPTION,
        ("user_id", "collection_id", "context_id", "content_id"),
        (
            LegacyColumn("status", "no content is known to be completed", is_needed=True),
            LegacyColumn("progress", "a content in progress has no percentage", ("completionpercentage",)),
            LegacyColumn("progressdetails", "views have no details"),
            LegacyColumn("viewcount", "repeated views are not counted in the report"),
            LegacyColumn("completedcount", "repeated completions are not counted in the report"),
            LegacyColumn(
                "last_access_time", "the last update stands in for the last access", ("lastaccesstime",)
            ),
            LegacyColumn(
                "last_completed_time",
                "the last update stands in for the date of completion",
                ("lastcompletedtime",),
            ),
            LegacyColumn(
                "last_updated_time", "the last access stands in for the last update", ("lastupdatedtime",)
            ),
            LegacyColumn("datetime", "a row without the other times has none"),
        ),
        ours=frozenset({"scope"}),
    ),
    LegacyTable(
        ENROLMENTS,
        ("user_id", "collection_id", "context_id"),
        (
            LegacyColumn("active", "every enrolment is active", is_needed=True),
            LegacyColumn("status", "what the platform completed is not known", is_needed=True),
            LegacyColumn("contentstatus", "contents without a consumption row are lost", is_needed=True),
            LegacyColumn("progress", "what the platform counted can't be compared"),
            LegacyColumn(
                "enrolled_date",
                "an enrolment is dated by its first completion or its batch",
                ("enrolleddate",),
            ),
            LegacyColumn("completedon", "a date of completion is that of the last content"),
            LegacyColumn("datetime", "nobody knows when an enrolment changed or was ended"),
            LegacyColumn("lastcontentaccesstime", "nobody knows when a course was last read"),
            LegacyColumn("lastreadcontentid", "no learner is led to where they stopped"),
            LegacyColumn("issued_certificates", "only the older column's certificates are brought"),
            LegacyColumn("certificates", "only the newer column's certificates are brought"),
        ),
        ours=frozenset({"seen_changed_at"}),
        timed=("active",),
    ),
    LegacyTable(
        ASSESSMENTS,
        ("user_id", "collection_id", "context_id", "content_id", "attempt_id"),
        (
            LegacyColumn("total_score", "no attempt has a score", is_needed=True),
            LegacyColumn("total_max_score", "no attempt has a maximum", is_needed=True),
            LegacyColumn("grand_total", "attempts have no total as a text"),
            LegacyColumn("question", "attempts have no questions"),
            LegacyColumn("last_attempted_on", "the last update stands in for the time of the attempt"),
            LegacyColumn("created_on", "nobody knows when an attempt was first stored"),
            LegacyColumn("updated_on", "of two versions of an attempt of one moment the platform's counts"),
        ),
        is_required=False,
        never_alone=frozenset({"question"}),
    ),
    LegacyTable(
        FIGURES,
        ("activity_type", "activity_id", "user_id", "context_id"),
        (LegacyColumn("aggregates", "no scores are compared", ("agg",)),),
        is_required=False,
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
    for name in (name for column in table.columns for name in column.names):
        for called in _ALIASES.get(name, (name,)):
            if called in columns:
                names[name] = called
    return names


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns of a table that a deployment has, by its own names. ``found``: all; ``used``: those that are taken;
    ``ignored``: the others. ``missing``: by our names, what follows from each that is not there."""

    found: tuple[str, ...]
    used: tuple[str, ...]
    ignored: tuple[str, ...]
    missing: Mapping[str, str]


def columns_of(table: LegacyTable, names: Mapping[str, str], columns: Collection[str]) -> TableColumns:
    """``names``: what ``names_of`` gives; ``columns``: all of the table's."""
    found, used = sorted(columns), {*names.values()}
    return TableColumns(
        tuple(found),
        tuple(name for name in found if name in used),
        tuple(name for name in found if name not in used),
        {" or ".join(column.names): column.without for column in _missing(table, names)},
    )


def _missing(table: LegacyTable, names: Mapping[str, str]) -> Iterator[LegacyColumn]:
    return (column for column in table.columns if not any(name in names for name in column.names))


def check_needed(table: LegacyTable, names: Mapping[str, str], without: Collection[str]) -> None:
    """Raises InvalidInput for a missing column without which results are wrong, unless ``without`` has it as
    TABLE.COLUMN."""
    for column in _missing(table, names):
        name = f"{table.name}.{column.name}"
        if column.is_needed and name not in without:
            raise InvalidInput(
                f"{table.name} has no column {' or '.join(column.names)}, so {column.without}; "
                f"--without {name} goes on all the same",
                field="from",
            )


def check_without(tables: Sequence[LegacyTable], without: Collection[str]) -> None:
    """Raises InvalidInput for a TABLE.COLUMN without which the migration goes on anyway, or that it does not know."""
    needed = [
        f"{table.name}.{column.name}" for table in tables for column in table.columns if column.is_needed
    ]
    for name in without:
        if name not in needed:
            raise InvalidInput(f"{name} is none of {', '.join(needed)}", field="without")
