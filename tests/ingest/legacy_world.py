"""An existing platform at work: what it wrote of some thirty learners, when, and what it writes while a migration runs.

It is laid out by the platform's own DDL (P-1.1), its older layout: attempts of a course in one partition, texts for times
beside timestamps. Each write has its own time, as the platform's has, so that a delta by write times can be run.

Of the courses, ``course`` (tests/conftest.py) and ``long`` are published here, ``other`` is not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

from rules.moments import milliseconds
from stores.rows import Row
from tests.conftest import LEAF, NOW
from tests.ingest.legacy_platform import ANSWER, WRITTEN, LegacyTable

BATCHES, CONSUMPTION, ENROLMENTS = "course_batch", "user_content_consumption", "user_enrolments"
ATTEMPTS, FIGURES = "assessment_aggregator", "user_activity_agg"

_CERTIFICATES = "list<frozen<map<text, text>>>"
_TEXT = "text"


def _columns(**kinds: str) -> dict[str, str]:
    """``text="a b"`` for columns of that type; an underscore for what a keyword can't have."""
    return {name: kind.replace("_of_", " ") for kind, names in kinds.items() for name in names.split()}


TABLES = {
    table.name: table
    for table in (
        LegacyTable(
            BATCHES,
            ("courseid",),
            ("batchid",),
            _columns(
                text="courseid batchid name description enrollmenttype createdby tandc startdate enddate "
                "enrollmentenddate createddate updateddate",
                timestamp="start_date end_date enrollment_enddate created_date updated_date",
                int="status",
            )
            | {"mentors": "list<text>", "createdfor": "list<text>"},
            (),
        ),
        LegacyTable(
            CONSUMPTION,
            ("userid",),
            ("courseid", "batchid", "contentid"),
            _columns(
                text="userid courseid batchid contentid progressdetails lastaccesstime lastcompletedtime "
                "lastupdatedtime",
                timestamp="last_access_time last_completed_time last_updated_time datetime",
                int="status progress viewcount completedcount",
                float="completionpercentage",
            ),
            (),
        ),
        LegacyTable(
            ENROLMENTS,
            ("userid",),
            ("courseid", "batchid"),
            _columns(
                text="userid courseid batchid addedby enrolleddate lastreadcontentid",
                timestamp="enrolled_date completedon datetime lastcontentaccesstime",
                int="status progress completionpercentage certstatus lastreadcontentstatus",
                boolean="active",
            )
            | {
                "issued_certificates": _CERTIFICATES,
                "certificates": _CERTIFICATES,
                "contentstatus": "map<text, int>",
            },
            (),
        ),
        LegacyTable(
            ATTEMPTS,
            ("course_id",),
            ("batch_id", "user_id", "content_id", "attempt_id"),
            _columns(
                text="user_id course_id batch_id content_id attempt_id grand_total",
                timestamp="created_on last_attempted_on updated_on",
                double="total_score total_max_score",
            )
            | {"question": "list<frozen<question>>"},
            (),
        ),
        LegacyTable(
            FIGURES,
            ("activity_type", "activity_id", "user_id"),
            ("context_id",),
            _columns(text="activity_type activity_id user_id context_id")
            | {
                "agg": "map<text, int>",
                "aggregates": "map<text, double>",
                "agg_details": "list<text>",
                "agg_last_updated": "map<text, timestamp>",
            },
            (),
        ),
    )
}


@dataclass(frozen=True)
class Written:
    """A write of the platform: the columns of the key and those that were written, and when."""

    table: str
    values: Row
    at: datetime

    @property
    def key(self) -> tuple[str, ...]:
        table = TABLES[self.table].foreign
        return tuple(self.values[name] for name in table.key)


def in_memory(writes: Iterable[Written]) -> dict[str, LegacyTable]:
    """The tables as they are after these writes, with the write time of each column that has a value."""
    rows: dict[str, dict[tuple[str, ...], Row]] = {name: {} for name in TABLES}
    for write in sorted(writes, key=lambda each: each.at):
        row = rows[write.table].setdefault(write.key, {WRITTEN: {}})
        for name, value in write.values.items():
            row[name] = value
            row[WRITTEN].pop(name, None)
            if value is not None and name not in TABLES[write.table].foreign.key:
                row[WRITTEN][name] = milliseconds(write.at) * 1000
    return {name: replace(table, rows=list(rows[name].values())) for name, table in TABLES.items()}


def day(number: int, hour: int = 9) -> datetime:
    """That day after 1 November 2025, in UTC."""
    return datetime(2025, 11, 1, hour, tzinfo=UTC) + timedelta(days=number)


LEAVES = [f"l{number:02}" for number in range(1, 25)]
LONG = {
    "identifier": "long",
    "name": "Long",
    "children": [
        {
            "identifier": f"long-{unit}",
            "name": f"Unit {unit}",
            "children": [
                {"identifier": leaf, "name": leaf, "mimeType": LEAF}
                for leaf in LEAVES[unit * 8 : unit * 8 + 8]
            ],
        }
        for unit in range(3)
    ],
}
"""Three units of eight leaves; all are required."""

CERTIFICATE = {"name": "Course", "identifier": "cert-1", "token": "t1"}
OLD_CERTIFICATE = {"name": "Course", "id": "cert-0", "token": "t0"}


def batch(course: str, batch_id: str, **values: Any) -> Written:
    created = {"created_date": day(-10), "name": batch_id.title(), "createdby": "mia"}
    return Written(BATCHES, {"courseid": course, "batchid": batch_id, **created, **values}, day(-10))


def consumed(place: tuple[str, str, str], content: str, at: datetime, **values: Any) -> Written:
    """A content that was completed at that time, unless ``values`` say another status."""
    user, course, batch_id = place
    key = {"userid": user, "courseid": course, "batchid": batch_id, "contentid": content}
    times = {"last_access_time": at, "last_updated_time": at}
    done = {"status": 2, "progress": 100, "last_completed_time": at} if values.get("status", 2) == 2 else {}
    return Written(CONSUMPTION, {**key, **times, **done, **values}, at)


def consumed_only(place: tuple[str, str, str], content: str, at: datetime, **values: Any) -> Written:
    """A row with these columns and no others."""
    user, course, batch_id = place
    key = {"userid": user, "courseid": course, "batchid": batch_id, "contentid": content}
    return Written(CONSUMPTION, {**key, **values}, at)


def enrolled(place: tuple[str, str, str], at: datetime, **values: Any) -> Written:
    """A row with these columns and no others."""
    user, course, batch_id = place
    return Written(ENROLMENTS, {"userid": user, "courseid": course, "batchid": batch_id, **values}, at)


def attempted(
    place: tuple[str, str, str], content: str, attempt: str, at: datetime, score: float | None, **values: Any
) -> Written:
    """An attempt of at most 10 points, of one question."""
    user, course, batch_id = place
    key = {"user_id": user, "course_id": course, "batch_id": batch_id}
    key |= {"content_id": content, "attempt_id": attempt}
    taken: dict[str, Any] = {"created_on": at, "last_attempted_on": at, "updated_on": at}
    if score is not None:
        taken |= {"total_score": score, "total_max_score": 10.0, "grand_total": f"{score}/10.0"}
        taken["question"] = [{**ANSWER, "score": score, "max_score": 10.0, "assess_ts": at}]
    return Written(ATTEMPTS, {**key, **taken, **values}, at)


def figured(place: tuple[str, str, str], at: datetime, **scores: tuple[float, float, int]) -> Written:
    """Of each content the best score, its maximum and how many attempts there are."""
    user, course, batch_id = place
    key = {"activity_type": "Course", "activity_id": course, "user_id": user, "context_id": f"cb:{batch_id}"}
    names = ("score", "max_score", "attempts_count")
    entries = {
        f"{n}:{content}": float(v) for content, of in scores.items() for n, v in zip(names, of, strict=True)
    }
    return Written(FIGURES, {**key, "aggregates": entries}, at)


def world() -> list[Written]:
    """What the platform has before the migration begins."""
    return [*_batches(), *_regular(), *_dates(), *_missing(), *_attempts(), *_elsewhere(), *_unreadable()]


def _batches() -> Iterator[Written]:
    yield batch("course", "autumn", start_date=day(0), end_date=day(60, 0), enrollmenttype="open", status=1)
    yield batch("course", "past", startdate="2025-06-01", status=2, enrollmenttype="open", mentors=["mia"])
    yield batch("long", "b-long", start_date=day(-2), enddate="2026-05-31", enrollmenttype="invite-only")
    yield batch("long", "closed", startdate="2025-09-01", enddate="2025-12-31", enrollment_enddate=day(20, 0))
    yield batch("course", "ending", start_date=day(0), enrollmenttype="open", status=1)
    yield batch("other", "b-other", enrollmenttype="strange", start_date=day(0))


def _regular() -> Iterator[Written]:
    """Sixteen learners in two courses. What they completed in ``long`` grows from none to all 24 leaves."""
    for number in range(16):
        user = f"r{number:02}"
        place, count = (user, "long", "b-long"), min(24, number * 2 - number % 3)
        done = LEAVES[: max(0, count)]
        for at, leaf in enumerate(done):
            yield consumed(place, leaf, day(at, 6 + number % 12), viewcount=1 + at % 2)
        values: dict[str, Any] = {"active": True, "enrolled_date": day(0), "datetime": day(len(done))}
        if len(done) < 24:
            yield consumed(place, LEAVES[len(done)], day(25), status=1, progress=10 + number)
            values |= {"status": int(bool(done)), "progress": len(done)}
        else:
            # The last content was completed days before the platform said that the course was.
            values |= {"status": 2, "progress": 24, "completedon": day(40), "datetime": day(40)}
            values |= {"issued_certificates": [{**CERTIFICATE, "identifier": f"cert-{user}"}]}
        values |= {"contentstatus": dict.fromkeys(done, 2), "lastcontentaccesstime": day(25)}
        yield enrolled(place, day(40), lastreadcontentid=(done or LEAVES)[-1], **values)
        if number % 2:
            yield attempted(place, "l01", f"{user}-1", day(3, number), 4.0)
            yield attempted(place, "l01", f"{user}-2", day(5, number), 6.5 if number % 4 == 1 else 2.5)
            best = 6.5 if number % 4 == 1 else 4.0
            yield figured(place, day(5, number), l01=(best, 10.0, 2))
        place = (user, "course", "autumn")
        for at, leaf in enumerate(("a", "b", "c")[: number % 4]):
            yield consumed(place, leaf, day(2 + at), progressdetails=f'{{"page": {number}}}')
        yield enrolled(
            *(place, day(10)), active=True, enrolleddate="2025-11-01 14:30:00:000+0530", datetime=day(10)
        )


def _dates() -> Iterator[Written]:
    """Dates of completion, certificates, guesses, and what was ended."""
    # Completed on 4 November, and by the platform on 20 November.
    place = ("late", "course", "autumn")
    for leaf in "abc":
        yield consumed(place, leaf, day(3))
    yield enrolled(
        *(place, day(19)),
        active=True,
        enrolled_date=day(0),
        datetime=day(19),
        completedon=day(19),
        status=2,
        progress=3,
        contentstatus=dict.fromkeys("abc", 2),
        issued_certificates=[CERTIFICATE],
        certificates=[OLD_CERTIFICATE, CERTIFICATE],
    )
    # Of c only contentstatus knows. Its row arrives.
    place = ("guess", "course", "autumn")
    yield consumed(place, "a", day(3))
    yield consumed(place, "b", day(4), status=1, progress=40)
    yield enrolled(
        *(place, day(6)), active=True, enrolled_date=day(0), datetime=day(6), status=2, progress=3,
        completedon=day(6), contentstatus={"a": 2, "b": 2, "c": 2},
    )  # fmt: skip
    # The whole was completed, and no content is known; of the second learner one is.
    place = ("granted", "course", "autumn")
    whole = {"active": True, "enrolled_date": day(0), "datetime": day(8), "completedon": day(8), "status": 2}
    yield enrolled(place, day(8), **whole, progress=3, issued_certificates=[CERTIFICATE])
    yield enrolled(("partly", "course", "autumn"), day(8), **whole, progress=3, contentstatus={"a": 2})
    yield consumed(("partly", "course", "autumn"), "a", day(4))
    yield enrolled(("granted", "other", "b-other"), day(8), **whole, progress=7)
    yield enrolled(("shrunk", "course", "autumn"), day(8), **whole, progress=1)
    # Ended; the second one is taken up again.
    for user in ("gone", "back"):
        place = (user, "course", "autumn")
        yield enrolled(place, day(1), active=True, enrolled_date=day(1), datetime=day(1))
        yield consumed(place, "a", day(2))
        yield enrolled(place, day(5), active=False, datetime=day(5))


def _missing() -> Iterator[Written]:
    """Rows without dates, or with texts alone."""
    # No date at all, active null: dated by the first completion.
    place = ("undated", "course", "autumn")
    yield consumed(place, "a", day(5))
    yield consumed(place, "b", day(7))
    yield enrolled(place, day(9), certificates=[OLD_CERTIFICATE], contentstatus={"a": 2, "b": 2}, progress=2)
    # Nothing completed: dated by the batch's start.
    yield enrolled(("undated", "long", "b-long"), day(9), active=True, status=0)
    # Nothing at all is known.
    yield enrolled(("nothing", "course", "nowhere"), day(9), active=True)
    place = ("texts", "course", "autumn")
    yield consumed_only(
        *(place, "a", day(4)), status=2, progress=100, lastaccesstime="2025-11-05 14:30:00:250+0530",
        lastcompletedtime="2025-11-05 14:00:00:000+0530", lastupdatedtime="2025-11-05 14:30:00:250+0530",
    )  # fmt: skip
    yield consumed_only(place, "b", day(4), status=1, progress=30, lastaccesstime="2025-11-06 00:10:00:000")
    yield consumed_only(place, "c", day(4), status=2, datetime=day(6), progressdetails="{torn")
    yield enrolled(place, day(6), active=True, enrolleddate="2025-11-02", datetime=day(6))
    place = ("zero", "course", "autumn")
    yield consumed(place, "a", day(4), status=0, progress=0)
    yield consumed(place, "b", day(4), status=7)


def _attempts() -> Iterator[Written]:
    place = ("tester", "long", "b-long")
    yield enrolled(place, day(9), active=True, enrolled_date=day(0), datetime=day(9))
    yield attempted(place, "l01", "t1", day(3), 10.0)
    yield attempted(place, "l01", "t2", day(4), 6.0)
    yield attempted(place, "l02", "t3", day(5), None)
    yield attempted(place, "l02", "t4", day(6), 7.0, updated_on=None, question=None)
    yield attempted(place, "l03", "t5", day(7), 5.0)
    yield figured(place, day(7), l01=(10.0, 10.0, 2), l02=(7.0, 10.0, 2), l03=(5.0, 10.0, 1))


def _elsewhere() -> Iterator[Written]:
    """Contents by themselves, a course without a batch, a batch that is not there, a course that is not here."""
    yield consumed(("alone", "x", "x"), "x", day(3))
    yield consumed(("alone", "course", "course"), "a", day(3), status=1, completionpercentage=55.5)
    yield consumed(("alone", "course", "course"), "b", day(3))
    yield enrolled(("alone", "course", "unknown"), day(3), active=True, enrolled_date=day(3), datetime=day(3))
    yield consumed(("alone", "course", "unknown"), "c", day(4))
    place = ("alone", "other", "b-other")
    yield consumed(place, "y", day(4))
    yield enrolled(
        *(place, day(5)), active=True, enrolled_date=day(3), datetime=day(5), completedon=day(5), status=2,
        progress=1, contentstatus={"y": 2}, issued_certificates=[CERTIFICATE],
    )  # fmt: skip


FAR = 1_764_579_600_000_000
"""2 December 2025 in microseconds: as milliseconds it is in the year 57886."""
BEFORE_ALL = -63_000_000_000_000
"""Milliseconds: before the year 1."""


def _unreadable() -> Iterator[Written]:
    """What can't be read, each beside a row that can."""
    place = ("odd", "course", "autumn")
    yield enrolled(place, day(9), active=True, enrolled_date=day(0), datetime=day(9))
    yield consumed(place, "a", day(3), status=1, completionpercentage=nan)
    yield consumed(place, "b", day(3), status=1, completionpercentage=inf)
    yield consumed(place, "c", day(3), last_access_time=FAR)
    yield consumed(place, "d", day(3))
    yield attempted(place, "a", "o1", day(3), nan)
    yield attempted(place, "a", "o2", day(4), 3.0)
    yield enrolled(("odd", "long", "b-long"), day(9), active=True, enrolled_date=BEFORE_ALL, datetime=day(9))


def arrivals() -> list[Written]:
    """What the platform writes while a migration runs, in this order."""
    moment, found = NOW, []
    for write in _arriving():
        moment += timedelta(seconds=1)
        found.append(replace(write, at=moment))
    return found


def _arriving() -> Iterator[Written]:
    """The times of the writes come from ``arrivals``; those in the rows are the day before the migration."""
    at = NOW - timedelta(days=1)
    # New views and raised ones, of learners who were there before.
    for number in range(0, 12, 3):
        user = f"r{number:02}"
        yield consumed((user, "long", "b-long"), "l24", at)
        yield consumed((user, "course", "autumn"), "d", at, status=1, progress=25)
    raised = ("r04", "long", "b-long")
    yield consumed(raised, "l08", at, status=1, progress=90, progressdetails='{"page": 9}')
    yield consumed(("alone", "course", "course"), "a", at)
    # A learner completes: r03 had all three contents, partly by a row that arrives now.
    place = ("r02", "course", "autumn")
    yield consumed(place, "c", at)
    yield enrolled(
        *(place, at), status=2, progress=3, datetime=at, completedon=at,
        contentstatus=dict.fromkeys("abc", 2), issued_certificates=[CERTIFICATE],
    )  # fmt: skip
    # Another one comes, under a batch that is new too.
    yield batch("course", "spring", start_date=day(90), enrollmenttype="open", created_date=at)
    place = ("new", "course", "spring")
    yield enrolled(place, at, active=True, enrolled_date=at, datetime=at, status=0, progress=0)
    yield consumed(place, "a", at)
    yield attempted(place, "a", "n1", at, 8.0)
    # A batch ends later than was said.
    yield batch("course", "autumn", end_date=day(150, 0), updated_date=at)
    # Another one is closed by the nightly job, which writes the status alone.
    yield Written(BATCHES, {"courseid": "course", "batchid": "ending", "status": 2}, at)
    # Left, and back by `active` alone.
    yield enrolled(("r05", "course", "autumn"), at, active=False, datetime=at)
    yield enrolled(("back", "course", "autumn"), at, active=True)
    yield from _facts(at)
    yield from _corrections(at)


def _facts(at: datetime) -> Iterator[Written]:
    """Rows of what was guessed or granted, rows that can be read now, and more certificates."""
    yield consumed(("guess", "course", "autumn"), "c", day(5), progressdetails='{"page": 3}')
    yield consumed(("guess", "course", "autumn"), "b", day(4, 12))
    yield consumed(("granted", "course", "autumn"), "b", day(7))
    yield consumed(("granted", "course", "autumn"), "c", at, status=1, progress=20)
    yield consumed(("shrunk", "course", "autumn"), "b", at)
    yield consumed(("odd", "course", "autumn"), "a", at, status=1, completionpercentage=50.0)
    yield consumed(("odd", "course", "autumn"), "c", day(3))
    yield attempted(("odd", "course", "autumn"), "a", "o1", day(3), 4.0)
    yield enrolled(
        ("late", "course", "autumn"), at, issued_certificates=[CERTIFICATE, {**CERTIFICATE, "identifier": "cert-2"}]
    )  # fmt: skip
    # A first completion: it dates an enrolment that has no date.
    yield consumed(("undated", "long", "b-long"), "l01", at)
    yield batch("course", "unknown", start_date=day(0), enrollmenttype="open")


def _corrections(at: datetime) -> Iterator[Written]:
    """Attempts: a new one, one corrected with another ``updated_on``, one without, one in its questions alone."""
    place = ("tester", "long", "b-long")
    yield attempted(place, "l01", "t6", at, 9.0)
    yield attempted(place, "l01", "t1", day(3), 8.0, updated_on=at)
    lower = attempted(place, "l03", "t5", day(7), 4.0)
    yield replace(lower, values={name: one for name, one in lower.values.items() if name != "updated_on"})
    yield attempted(place, "l01", "t2", day(4), 6.0, question=[{**ANSWER, "id": "q9"}], updated_on=at)


def only(writes: Iterable[Written], users: Sequence[str]) -> list[Written]:
    """Those of these learners, and the batches."""

    def user(values: Mapping[str, Any]) -> Any:
        return values.get("userid", values.get("user_id"))

    return [write for write in writes if write.table == BATCHES or user(write.values) in users]
