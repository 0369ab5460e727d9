"""A platform of any size to migrate from: its tables in its own DDL (P-1.1), and rows that follow from a seed.

Of the rows some 80 % are consumption, 10 % attempts with their questions, 5 % figures and 4 % enrolments. A learner is in one
to three courses, which have 5 to 40 contents each.
"""

import json
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from cassandra import OperationTimedOut, WriteTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.query import BatchStatement, BatchType

from bench.population import course

COURSES = 40
BATCHES = 5
"""Batches of each course."""
QUESTIONS = 5
AT_ONCE = 64
"""Statements under way."""
MOST_ROWS = 20
"""Rows of one batch, all of one partition: the server warns of more than 5 KB."""
TRIES = 10
NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
_DAY = 86_400_000
_START = int(NEW_YEAR.timestamp() * 1000)

QUESTION = (
    "id text, assess_ts timestamp, max_score double, score double, type text, title text, "
    "resvalues list<frozen<map<text, text>>>, params list<frozen<map<text, text>>>, description text, duration decimal"
)
_CERTIFICATES = "list<frozen<map<text, text>>>"


@dataclass(frozen=True)
class PlatformTable:
    """``columns`` with their CQL types; ``key`` as DDL has it; ``written`` are those that the rows here have."""

    name: str
    columns: str
    key: str
    written: tuple[str, ...]


TABLES = (
    PlatformTable(
        "course_batch",
        "courseid text, batchid text, name text, description text, status int, enrollmenttype text, createdby text, "
        "createdfor list<text>, mentors list<text>, tandc text, cert_templates map<text, frozen<map<text, text>>>, "
        "start_date timestamp, end_date timestamp, enrollment_enddate timestamp, created_date timestamp, "
        "updated_date timestamp, startdate text, enddate text, enrollmentenddate text, createddate text, updateddate text",
        "courseid, batchid",
        (
            "courseid",
            "batchid",
            "name",
            "status",
            "enrollmenttype",
            "createdby",
            "start_date",
            "created_date",
        ),
    ),
    PlatformTable(
        "user_content_consumption",
        "userid text, courseid text, batchid text, contentid text, completedcount int, viewcount int, "
        "completionpercentage float, progress int, progressdetails text, status int, datetime timestamp, "
        "last_access_time timestamp, last_completed_time timestamp, last_updated_time timestamp, lastaccesstime text, "
        "lastcompletedtime text, lastupdatedtime text",
        "userid, courseid, batchid, contentid",
        (
            *("userid", "courseid", "batchid", "contentid", "completedcount", "viewcount", "progress"),
            *("progressdetails", "status", "last_access_time", "last_completed_time", "last_updated_time"),
        ),
    ),
    PlatformTable(
        "user_enrolments",
        "userid text, courseid text, batchid text, active boolean, addedby text, "
        f"certificates {_CERTIFICATES}, issued_certificates {_CERTIFICATES}, certstatus int, completedon timestamp, "
        "completionpercentage int, contentstatus map<text, int>, datetime timestamp, enrolled_date timestamp, "
        "enrolleddate text, lastcontentaccesstime timestamp, lastreadcontentid text, lastreadcontentstatus int, "
        "progress int, status int",
        "userid, courseid, batchid",
        (
            *(
                "userid",
                "courseid",
                "batchid",
                "active",
                "issued_certificates",
                "completedon",
                "contentstatus",
            ),
            *(
                "datetime",
                "enrolled_date",
                "lastcontentaccesstime",
                "lastreadcontentid",
                "progress",
                "status",
            ),
        ),
    ),
    PlatformTable(
        "assessment_aggregator",
        "user_id text, course_id text, batch_id text, content_id text, attempt_id text, created_on timestamp, "
        "last_attempted_on timestamp, updated_on timestamp, total_max_score double, total_score double, "
        "grand_total text, question list<frozen<question>>",
        "(user_id, course_id), batch_id, content_id, attempt_id",
        (
            *(
                "user_id",
                "course_id",
                "batch_id",
                "content_id",
                "attempt_id",
                "created_on",
                "last_attempted_on",
            ),
            *("updated_on", "total_max_score", "total_score", "grand_total", "question"),
        ),
    ),
    PlatformTable(
        "user_activity_agg",
        "activity_type text, activity_id text, user_id text, context_id text, agg map<text, int>, "
        "aggregates map<text, double>, agg_details list<text>, agg_last_updated map<text, timestamp>",
        "(activity_type, activity_id, user_id), context_id",
        ("activity_type", "activity_id", "user_id", "context_id", "aggregates"),
    ),
)
_BATCH, _VIEW, _ENROLMENT, _ATTEMPT, _FIGURES = TABLES

Rows = dict[str, list[tuple[Any, ...]]]
"""Rows by table, as ``PlatformTable.written`` names their values. Those of a table are of one partition."""


def leaves_of(number: int) -> int:
    """How many contents a course has: 5 to 40."""
    return 5 + number * 35 // (COURSES - 1)


def course_id(number: int) -> str:
    return f"do_3130928636168192{number:03d}"


def courses() -> Iterator[dict[str, Any]]:
    """All courses, to be published."""
    for number in range(COURSES):
        yield course(course_id(number), leaves_of(number))


def batches() -> Iterator[Rows]:
    for number in range(COURSES):
        for batch in range(BATCHES):
            identifier, name = course_id(number), f"Batch {batch} of course {number}"
            row = (identifier, _batch_id(number, batch), name, 1, "open", "mentor-1", _START, _START)
            yield {_BATCH.name: [row]}


def _batch_id(number: int, batch: int) -> str:
    return f"01300000000{number:03d}{batch:02d}"


def learner_rows(seed: int, learner: int) -> Iterator[Rows]:
    """What a learner has, partition by partition."""
    chance = random.Random(f"{seed} {learner}")
    user = f"{chance.getrandbits(128):032x}"
    views: list[tuple[Any, ...]] = []
    enrolments: list[tuple[Any, ...]] = []
    rest: list[Rows] = []
    for number in sorted(chance.sample(range(COURSES), chance.randint(1, 3))):
        place = (user, course_id(number), _batch_id(number, chance.randrange(BATCHES)))
        enrolled = _START + chance.randrange(200 * _DAY)
        found = list(_views(chance, place, leaves_of(number), enrolled))
        views += found
        statuses = {row[3]: row[8] for row in found}
        if chance.random() < 0.05:
            statuses[f"{place[1]}-leaf-{leaves_of(number) - 1}"] = 2  # the enrolment alone knows of it
        enrolments.append(_enrolment(place, enrolled, leaves_of(number), statuses, found))
        attempts = list(_attempts(chance, place, found))
        if attempts:
            rest.append({_ATTEMPT.name: attempts})
        rest.append({_FIGURES.name: [_figures(place, statuses, attempts)]})
    yield {_VIEW.name: views}
    yield {_ENROLMENT.name: enrolments}
    yield from rest


def _views(
    chance: random.Random, place: tuple[str, str, str], leaves: int, enrolled: int
) -> Iterator[tuple[Any, ...]]:
    for leaf in range(max(1, leaves - chance.randrange(max(1, leaves // 4)))):
        at = enrolled + (leaf + 1) * 3_600_000 + chance.randrange(3_000_000)
        luck = chance.random()
        status = 2 if luck < 0.85 else 1 if luck < 0.97 else 0
        progress = {0: 0, 1: chance.randrange(1, 100), 2: 100}[status]
        details = (
            json.dumps({"current": leaf, "max": leaves, "mimeType": "video/mp4"})
            if luck % 0.1 < 0.03
            else None
        )
        content = f"{place[1]}-leaf-{leaf}"
        done = at if status == 2 else None
        yield *place, content, int(status == 2), 1, progress, details, status, at, done, at


def _enrolment(
    place: tuple[str, str, str],
    enrolled: int,
    leaves: int,
    statuses: dict[str, int],
    views: Sequence[tuple[Any, ...]],
) -> tuple[Any, ...]:
    completed = sum(status == 2 for status in statuses.values())
    last = max(row[11] for row in views)
    is_done = completed == leaves
    certificates = [{"name": "Course", "identifier": f"1-{place[0]}", "token": "Y2VydA"}] if is_done else None
    on, status = last if is_done else None, 2 if is_done else 1 if completed else 0
    return *place, True, certificates, on, statuses, last, enrolled, last, views[-1][3], completed, status


def _attempts(
    chance: random.Random, place: tuple[str, str, str], views: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    user, collection, context = place
    for number in range(chance.randrange(6)):
        view = views[chance.randrange(len(views))]
        content, at = view[3], view[9] + number * 60_000
        asked = [_question(chance, content, at, item) for item in range(QUESTIONS)]
        score, maximum = sum(question[3] for question in asked), float(QUESTIONS)
        attempt = f"{chance.getrandbits(128):032x}"
        yield (
            user,
            collection,
            context,
            content,
            attempt,
            at,
            at,
            at,
            maximum,
            score,
            f"{score}/{maximum}",
            asked,
        )


def _question(chance: random.Random, content: str, at: int, item: int) -> tuple[Any, ...]:
    score = float(chance.random() < 0.7)
    given = [{"1": '{"text":"the answer number one of this question"}'}]
    options = [{str(one): f'{{"text":"the answer number {one} of this question"}}'} for one in range(4)]
    title = f"Which of these is the answer to question {item}?"
    return f"{content}-{item}", at, 1.0, score, "mcq", title, given, options, None, Decimal(item + 1)


def _figures(
    place: tuple[str, str, str], statuses: dict[str, int], attempts: Sequence[tuple[Any, ...]]
) -> tuple[Any, ...]:
    figures = {"completedCount": float(sum(status == 2 for status in statuses.values()))}
    for row in attempts:
        content, score = row[3], row[9]
        if score > figures.get(f"score:{content}", -1.0):
            figures |= {f"score:{content}": score, f"max_score:{content}": row[8]}
        figures[f"attempts_count:{content}"] = figures.get(f"attempts_count:{content}", 0.0) + 1
    return "Course", place[1], place[0], f"cb:{place[2]}", figures


class PlatformWriter:
    """Writes rows into a keyspace of its own on the server, in unlogged batches of a partition."""

    def __init__(self, session: Any, keyspace: str) -> None:
        self._session = session
        self._keyspace = keyspace
        self._inserts: dict[str, Any] = {}
        self._sent: deque[tuple[Any, BatchStatement]] = deque()

    def create(self) -> None:
        """Makes the keyspace and its tables, as far as they are not there."""
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        self._execute(f"CREATE KEYSPACE IF NOT EXISTS {self._keyspace} WITH replication = {replication}")
        self._execute(f"CREATE TYPE IF NOT EXISTS {self._keyspace}.question ({QUESTION})")
        for table in TABLES:
            self._execute(
                f"CREATE TABLE IF NOT EXISTS {self._keyspace}.{table.name} ({table.columns}, PRIMARY KEY ({table.key}))"
            )

    def _execute(self, ddl: str) -> None:
        self._session.execute(ddl, timeout=60)

    def fill(self, count: int, seed: int) -> dict[str, int]:
        """Writes that many rows, the batches among them. Returns how many each table has."""
        counts = dict.fromkeys((table.name for table in TABLES), 0)
        left = count
        for some in self._up_to(batches(), count):
            left -= self._write(some, None, counts)
        learner = 0
        while left > 0:
            for some in self._up_to(learner_rows(seed, learner), left):
                left -= self._write(some, None, counts)
            learner += 1
        self._settle(0)
        return counts

    @staticmethod
    def _up_to(parts: Iterator[Rows], left: int) -> Iterator[Rows]:
        """The parts until they have so many rows. The last one is cut."""
        for part in parts:
            ((name, rows),) = part.items()
            some = list(islice(rows, left))
            left -= len(some)
            if some:
                yield {name: some}

    def go_on(self, count: int, seed: int) -> dict[str, int]:
        """Writes what learners did since: one content more, and the enrolment with it, of so many rows. Write times are
        now."""
        counts = dict.fromkeys((table.name for table in TABLES), 0)
        now = time.time_ns() // 1_000_000
        for learner in range(count // 2):
            parts = learner_rows(seed, learner)
            first = next(parts)[_VIEW.name][0]
            enrolment = next(parts)[_ENROLMENT.name][0]
            content = f"{first[1]}-more"
            view = *first[:3], content, 1, 1, 100, None, 2, now, now, now
            statuses = {**enrolment[6], content: 2}
            changed = (
                *enrolment[:6],
                statuses,
                now,
                enrolment[8],
                now,
                content,
                enrolment[11] + 1,
                enrolment[12],
            )
            for name, row in ((_VIEW.name, view), (_ENROLMENT.name, changed)):
                self._write({name: [row]}, now * 1000, counts)
        self._settle(0)
        return counts

    def _write(self, rows: Rows, at: int | None, counts: dict[str, int]) -> int:
        """Sends rows of one partition. ``at``: their write time in microseconds; None for that of the row's own time."""
        written = 0
        for name, of_table in rows.items():
            counts[name] += len(of_table)
            written += len(of_table)
            for first in range(0, len(of_table), MOST_ROWS):
                batch = BatchStatement(BatchType.UNLOGGED)
                for row in of_table[first : first + MOST_ROWS]:
                    batch.add(self._insert(name).bind((*row, _written_at(row) if at is None else at)))
                self._sent.append((self._session.execute_async(batch), batch))
                self._settle(AT_ONCE)
        return written

    def _insert(self, name: str) -> Any:
        if name not in self._inserts:
            columns = next(table.written for table in TABLES if table.name == name)
            marks = ", ".join("?" * len(columns))
            self._inserts[name] = self._session.prepare(
                f"INSERT INTO {self._keyspace}.{name} ({', '.join(columns)}) VALUES ({marks}) USING TIMESTAMP ?"
            )
        return self._inserts[name]

    def _settle(self, most: int) -> None:
        """Waits until at most so many statements are under way. One that fails is sent again: the machine may be busy."""
        while len(self._sent) > most:
            answer, batch = self._sent.popleft()
            for tried in range(TRIES):
                try:
                    answer.result()
                    break
                except (OperationTimedOut, WriteTimeout, NoHostAvailable):
                    if tried == TRIES - 1:
                        raise
                    time.sleep(2**tried / 10)
                    answer = self._session.execute_async(batch)


def _written_at(row: tuple[Any, ...]) -> int:
    """The latest of a row's own times, in microseconds: when the platform wrote it. Without any, the first day."""
    return max((value for value in row if type(value) is int and value > _START), default=_START) * 1000
