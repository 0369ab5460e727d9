"""A small existing platform in the three layouts that deployments have (P-1.1), in memory and as CQL.

What its learners did is the same in each:

ada   enrolled in batch, completed a and b; that of c is in contentstatus alone. Completed on 20 November. Certificate.
      Two attempts at a, the first the better one; the platform also has a score for q, without an attempt.
bob   enrolled; a completed, b at 40 % with details
cleo  x found by search; a in the course without a batch
dan   unenrolled from a batch that is not there any more
eve   enrolled in a course that Cohort does not know; y completed
fay   enrolled; a, b and z completed: z is gone from the course
hal   rows that can't be read
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zlib import crc32

from ingest.importers.legacy.source import NO_TIMES
from rules.moments import milliseconds
from stores.foreign_keyspace import Columns, ForeignTable, Written
from stores.keys import MIN_TOKEN
from stores.rows import Row, RowPage, TokenRange

URL = "cassandra://sunbird:secret@lms/sunbird_courses"


def on(day: int, hour: int = 9) -> datetime:
    """In November 2025."""
    return datetime(2025, 11, day, hour, tzinfo=UTC)


OLD, PER_USER, NEW = "old", "per-user", "new"
LAYOUTS = (OLD, PER_USER, NEW)
"""``old``: attempts of a course in one partition, the column agg, texts for times. ``per-user``: attempts by user and
course. ``new``: collectionid and contextid, attempts by collection and context, consumption by content first."""


@dataclass(frozen=True)
class LegacyTable:
    """``columns`` with their CQL types."""

    name: str
    partition: tuple[str, ...]
    clustering: tuple[str, ...]
    columns: Mapping[str, str]
    rows: Sequence[Row]

    @property
    def foreign(self) -> ForeignTable:
        return ForeignTable(self.name, self.partition, self.clustering, self.columns)

    def cql(self, keyspace: str) -> str:
        typed = ", ".join(f'"{name}" {kind}' for name, kind in self.columns.items())
        key = ", ".join([f"({', '.join(self.partition)})", *self.clustering])
        return f"CREATE TABLE {keyspace}.{self.name} ({typed}, PRIMARY KEY ({key}))"


QUESTION = {
    "id": "text",
    "assess_ts": "timestamp",
    "max_score": "double",
    "score": "double",
    "type": "text",
    "title": "text",
    "resvalues": "list<frozen<map<text, text>>>",
    "params": "list<frozen<map<text, text>>>",
    "description": "text",
    "duration": "decimal",
}
ANSWER: Row = {
    "id": "q1",
    "assess_ts": on(5),
    "max_score": 2.0,
    "score": 1.0,
    "type": "mcq",
    "title": "One",
    "resvalues": [{"1": "two"}],
    "params": [{"answer": "2"}],
    "description": None,
    "duration": Decimal("3.5"),
}
CERTIFICATE = {"name": "Course", "identifier": "cert-1", "token": "t"}

_CERTIFICATES = "list<frozen<map<text, text>>>"
_BATCHES: list[Row] = [
    {
        "courseid": "course",
        "batchid": "batch",
        "name": "Autumn",
        "enrollmenttype": "invite-only",
        "createdby": "mia",
        "start_date": on(1),
        "enddate": "2025-12-31",
        "mentors": ["mia", "max"],
        "createddate": "2025-10-20 08:00:00:000+0530",
    },
    {"courseid": "other", "batchid": "b2", "name": "", "enrollmenttype": "open"},
]
_CONSUMPTION: list[Row] = [
    {
        "userid": "ada",
        "courseid": "course",
        "batchid": "batch",
        "contentid": "a",
        "status": 2,
        "progress": 100,
        "viewcount": 3,
        "completedcount": 2,
        "last_access_time": on(6),
        "last_completed_time": on(5),
        "last_updated_time": on(6),
    },
    {
        "userid": "ada",
        "courseid": "course",
        "batchid": "batch",
        "contentid": "b",
        "status": 2,
        "progress": 100,
        "lastaccesstime": "2025-11-08 14:30:00:250+0530",
        "lastcompletedtime": "2025-11-07 14:30:00:000+0530",
        "lastupdatedtime": "2025-11-08 09:00:00:250+0000",
    },
    {
        "userid": "bob",
        "courseid": "course",
        "batchid": "batch",
        "contentid": "a",
        "status": 2,
        "progress": 100,
        "last_completed_time": on(3),
        "last_updated_time": on(3),
    },
    {
        "userid": "bob",
        "courseid": "course",
        "batchid": "batch",
        "contentid": "b",
        "status": 1,
        "progress": 40,
        "progressdetails": '{"page": 4}',
        "last_access_time": on(4),
    },
    {"userid": "cleo", "courseid": "x", "batchid": "x", "contentid": "x", "status": 2, "datetime": on(2)},
    {
        "userid": "cleo",
        "courseid": "course",
        "batchid": "course",
        "contentid": "a",
        "status": 1,
        "completionpercentage": 55.5,
        "last_access_time": on(2),
    },
    {
        "userid": "eve",
        "courseid": "other",
        "batchid": "b2",
        "contentid": "y",
        "status": 2,
        "last_completed_time": on(9),
        "last_updated_time": on(9),
    },
    {"userid": "hal", "courseid": "course", "batchid": "batch", "contentid": "a", "status": 7},
    {"userid": "hal", "courseid": "course", "batchid": "batch", "contentid": "b", "status": 0, "progress": 0},
    {
        "userid": "hal",
        "courseid": "course",
        "batchid": "batch",
        "contentid": "c",
        "status": 1,
        "progress": 10,
        "progressdetails": "{torn",
        "lastaccesstime": "yesterday",
    },
]
_ENROLMENTS: list[Row] = [
    {
        "userid": "ada",
        "courseid": "course",
        "batchid": "batch",
        "active": True,
        "enrolled_date": on(1),
        "completedon": on(20),
        "datetime": on(20),
        "lastcontentaccesstime": on(20, 8),
        "issued_certificates": [CERTIFICATE],
        "contentstatus": {"a": 2, "b": 2, "c": 2},
        "lastreadcontentid": "c",
        "status": 2,
        "progress": 3,
    },
    {
        "userid": "bob",
        "courseid": "course",
        "batchid": "batch",
        "active": True,
        "enrolleddate": "2025-11-02 09:00:00:000+0000",
        "datetime": on(4),
        "contentstatus": {"a": 2, "b": 1},
        "status": 1,
        "progress": 1,
    },
    {
        "userid": "dan",
        "courseid": "course",
        "batchid": "gone",
        "active": False,
        "enrolled_date": on(1),
        "datetime": on(2),
        "status": 0,
        "progress": 0,
    },
    {
        "userid": "eve",
        "courseid": "other",
        "batchid": "b2",
        "active": True,
        "enrolled_date": on(8),
        "datetime": on(9),
        "completedon": on(9),
        "contentstatus": {"y": 2},
        "status": 2,
        "progress": 1,
    },
    {
        "userid": "fay",
        "courseid": "course",
        "batchid": "batch",
        "active": True,
        "enrolled_date": on(2),
        "datetime": on(12),
        "contentstatus": {"a": 2, "b": 2, "z": 2},
        "status": 1,
        "progress": 3,
    },
    {"userid": "hal", "courseid": "course", "batchid": "nowhere", "active": True},
]
_ATTEMPTS: list[Row] = [
    {
        "user_id": "ada",
        "course_id": "course",
        "batch_id": "batch",
        "content_id": "a",
        "attempt_id": "one",
        "created_on": on(5, 8),
        "last_attempted_on": on(5),
        "updated_on": on(5, 10),
        "total_score": 2.0,
        "total_max_score": 3.0,
        "grand_total": "2.0/3.0",
        "question": [ANSWER],
    },
    {
        "user_id": "ada",
        "course_id": "course",
        "batch_id": "batch",
        "content_id": "a",
        "attempt_id": "two",
        "last_attempted_on": on(6),
        "total_score": 1.33,
        "total_max_score": 3.0,
        "grand_total": "1.33/3.0",
    },
    {"user_id": "hal", "course_id": "course", "batch_id": "batch", "content_id": "a", "attempt_id": "one"},
]
_ATTEMPT_KEYS = {
    OLD: (("course_id",), ("batch_id", "user_id", "content_id", "attempt_id")),
    PER_USER: (("user_id", "course_id"), ("batch_id", "content_id", "attempt_id")),
    NEW: (("course_id", "batch_id"), ("user_id", "content_id", "attempt_id")),
}
_NEW_NAMES = {
    "courseid": "collectionid",
    "batchid": "contextid",
    "course_id": "collection_id",
    "batch_id": "context_id",
}


def platform(layout: str) -> dict[str, LegacyTable]:
    """Its tables by name."""
    text, timestamp = "text", "timestamp"
    batches = LegacyTable(
        "course_batch",
        ("courseid",),
        ("batchid",),
        {
            **dict.fromkeys(
                ("courseid", "batchid", "name", "description", "enrollmenttype", "createdby"), text
            ),
            **dict.fromkeys(("startdate", "enddate", "createddate", "updateddate"), text),
            **dict.fromkeys(("start_date", "end_date", "enrollment_enddate"), timestamp),
            "status": "int",
            "mentors": "list<text>",
        },
        _BATCHES,
    )
    places = ("courseid", "batchid", "contentid")
    consumption = LegacyTable(
        "user_content_consumption",
        ("userid",),
        ("contentid", "courseid", "batchid") if layout == NEW else places,
        {
            **dict.fromkeys(("userid", *places, "progressdetails"), text),
            **dict.fromkeys(("lastaccesstime", "lastcompletedtime", "lastupdatedtime"), text),
            **dict.fromkeys(("last_access_time", "last_completed_time", "last_updated_time"), timestamp),
            **dict.fromkeys(("status", "progress", "viewcount", "completedcount"), "int"),
            "completionpercentage": "float",
            "datetime": timestamp,
        },
        _CONSUMPTION,
    )
    enrolments = LegacyTable(
        "user_enrolments",
        ("userid",),
        ("courseid", "batchid"),
        {
            **dict.fromkeys(("userid", "courseid", "batchid", "enrolleddate", "lastreadcontentid"), text),
            **dict.fromkeys(("enrolled_date", "completedon", "datetime", "lastcontentaccesstime"), timestamp),
            **dict.fromkeys(("status", "progress", "completionpercentage"), "int"),
            **dict.fromkeys(("issued_certificates", "certificates"), _CERTIFICATES),
            "active": "boolean",
            "contentstatus": "map<text, int>",
        },
        _ENROLMENTS,
    )
    attempts = LegacyTable(
        "assessment_aggregator",
        *_ATTEMPT_KEYS[layout],
        {
            **dict.fromkeys(
                ("user_id", "course_id", "batch_id", "content_id", "attempt_id", "grand_total"), text
            ),
            **dict.fromkeys(("created_on", "last_attempted_on", "updated_on"), timestamp),
            "total_score": "double",
            "total_max_score": "double",
            "question": "list<frozen<question>>",
        },
        _ATTEMPTS,
    )
    agg, kind = ("agg", "map<text, int>") if layout == OLD else ("aggregates", "map<text, double>")
    figures = {"activity_type": "Course", "user_id": "ada", "context_id": "cb:batch"}
    scores = {"completedCount": 3, "score:a": 2, "max_score:a": 3, "score:q": 1}
    aggregates = LegacyTable(
        "user_activity_agg",
        ("activity_type", "activity_id", "user_id"),
        ("context_id",),
        {**dict.fromkeys(("activity_type", "activity_id", "user_id", "context_id"), text), agg: kind},
        [
            {**figures, "activity_id": "course", agg: scores},
            {**figures, "activity_id": "unit-1", agg: {"completedCount": 2}},
        ],
    )
    tables = [batches, _renamed(consumption, layout), enrolments, _renamed(attempts, layout), aggregates]
    return {table.name: table for table in tables}


def _renamed(table: LegacyTable, layout: str) -> LegacyTable:
    """The new names; enrolments and batches still have the old ones there."""
    if layout != NEW:
        return table

    def new(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(_NEW_NAMES.get(name, name) for name in names)

    return replace(
        table,
        partition=new(table.partition),
        clustering=new(table.clustering),
        columns=dict(zip(new(tuple(table.columns)), table.columns.values(), strict=True)),
        rows=[dict(zip(new(tuple(row)), row.values(), strict=True)) for row in table.rows],
    )


WRITTEN = "written"
"""In a row in memory: the write times of its columns in microseconds since the epoch, by their names."""


class MemorySource:
    """The rows of some tables, as stores.foreign_keyspace.ForeignKeyspace reads them. ``pages`` counts those given."""

    def __init__(self, tables: Mapping[str, LegacyTable]) -> None:
        self._tables = tables
        self.pages = 0
        self.closed = False

    async def tables(self) -> dict[str, ForeignTable]:
        return {name: table.foreign for name, table in self._tables.items()}

    async def walk(
        self,
        table: ForeignTable,
        token_range: TokenRange,
        columns: Columns,
        *,
        page_size: int,
        resume: str | None = None,
        written: Written = NO_TIMES,
    ) -> AsyncIterator[RowPage]:
        rows = self._sorted(table)
        tokens = [_token(table, row) for row in rows]
        rows = rows[bisect_right(tokens, token_range.start) : bisect_right(tokens, token_range.end)]
        first = int(resume or 0)
        while True:
            page, first = rows[first : first + page_size], first + page_size
            more = str(first) if first < len(rows) else None
            self.pages += 1
            yield RowPage([_row(row, columns, written) for row in page], more)
            if more is None:
                return

    async def rows(
        self,
        table: ForeignTable,
        equal: Mapping[str, Any],
        columns: Columns,
        written: Written = NO_TIMES,
    ) -> list[Row]:
        values = {columns[name]: value for name, value in equal.items()}
        assert table.prefix(values), f"{table.name} is not read by {[*equal]}"
        return [
            _row(row, columns, written)
            for row in self._sorted(table)
            if all(row[name] == value for name, value in values.items())
        ]

    async def close(self) -> None:
        self.closed = True

    def _sorted(self, table: ForeignTable) -> list[Row]:
        rows = self._tables[table.name].rows
        return sorted(rows, key=lambda row: (_token(table, row), [row[name] for name in table.key]))


def _row(row: Row, columns: Columns, written: Written) -> Row:
    times = row.get(WRITTEN, {})
    found = {name: _read(row.get(column)) for name, column in columns.items()}
    for called, names in written.items():
        known = [times[columns[name]] for name in names if columns[name] in times]
        found[called] = max(known, default=None)
    return found


def _read(value: Any) -> Any:
    """A value as it is read: a timestamp as milliseconds since the epoch, a decimal as a float."""
    match value:
        case datetime():
            return milliseconds(value)
        case Decimal():
            return float(value)
        case list():
            return [_read(one) for one in value]
        case dict():
            return {name: _read(one) for name, one in value.items()}
    return value


def _token(table: ForeignTable, row: Row) -> int:
    """Anywhere on the ring, the same place each time."""
    return MIN_TOKEN + 1 + crc32("\n".join(row[name] for name in table.partition).encode()) * 2**32
