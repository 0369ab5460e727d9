"""The existing platform's rows as ours (R-MIGRATE-1, P-1.1): its names, its times, its statuses, and how they are merged.

Pure: rows come as dicts by the names of LEGACY_TABLES, whatever a deployment calls its columns (``names_of``).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from typing import Any, Generic, TypeVar

import orjson

from rules.contexts import Context, EnrolmentType
from rules.enrolments import Enrolment
from rules.errors import InvalidInput
from rules.hierarchy import RelationTree
from rules.identifiers import ContextType, ProgressKey, ViewKey, checked_id, parse_aggregate_context
from rules.moments import later
from rules.origins import Origin, OriginKind
from rules.progress import Progress, Status
from rules.views import LARGEST_DETAILS, View

T = TypeVar("T")
LegacyRow = Mapping[str, Any]

BATCHES = "course_batch"
CONSUMPTION = "user_content_consumption"
ENROLMENTS = "user_enrolments"
ASSESSMENTS = "assessment_aggregator"
FIGURES = "user_activity_agg"


class Unreadable(Exception):
    """A row, or a value in it, that has no counterpart. ``reason`` is one of few, so that they can be counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- names


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
    """How a deployment calls what is taken of a table, by our name; a column that is not there is left out.

    ``key``: its primary key, ``columns``: all of its columns. InvalidInput where a part of the key is missing.
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


# --- values

_MILLISECONDS = re.compile(r"(:\d\d):(\d{3})(?!\d)")
"""The platform's texts are yyyy-MM-dd HH:mm:ss:SSSZ: ISO 8601 but for one colon."""
_END_OF_DAY = time(23, 59, 59, 999000)


def moment_of(value: object, *, end_of_day: bool = False) -> datetime | None:
    """In UTC, whole milliseconds; of a timestamp or of a text in one of the platform's forms, None for nothing.

    A date alone begins at midnight UTC, or with ``end_of_day`` is its last moment. Unreadable for any other text.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return _whole(value)
    text = str(value).strip()
    if not text:
        return None
    try:
        found = datetime.fromisoformat(_MILLISECONDS.sub(r"\1.\2", text))
        if end_of_day and len(text) == len("2026-01-31"):
            found = datetime.combine(found.date(), _END_OF_DAY)
        return _whole(found)
    except (ValueError, OverflowError):
        raise Unreadable("a time in an unknown form") from None


def _whole(at: datetime) -> datetime:
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _first_moment(
    row: LegacyRow, *columns: str, notes: list[str], end_of_day: bool = False
) -> datetime | None:
    """Of the first of these columns that has one; a text that can't be read is passed over and noted."""
    for column in columns:
        try:
            at = moment_of(row.get(column), end_of_day=end_of_day)
        except Unreadable:
            notes.append(f"{column}: a time in an unknown form")
            continue
        if at is not None:
            return at
    return None


def _ids(row: LegacyRow, *parts: str) -> list[str]:
    try:
        return [checked_id(row.get(part), part) for part in parts]
    except InvalidInput:
        raise Unreadable("an id that is blank, too long or holds control characters") from None


def _status(value: int | None) -> Status:
    try:
        return Status(value or 0)
    except ValueError:
        raise Unreadable("a status other than 0, 1, 2") from None


@dataclass(frozen=True, slots=True)
class Mapped(Generic[T]):
    """``notes``: what of the row was left behind or had to be guessed, in few words, so that they can be counted."""

    value: T
    notes: Sequence[str] = ()


# --- views


def view_of_consumption(row: LegacyRow, at: datetime) -> Mapped[View]:
    """A row of user_content_consumption under the ids that a client names (R-VIEW-3).

    ``at``: when it is brought over. Unreadable where there is nothing to bring, or nowhere to bring it to.
    """
    notes: list[str] = []
    user_id, content_id = _ids(row, "user_id", "content_id")
    # What is blank defaults as in a call.
    collection_id = row.get("collection_id") or content_id
    named = {"collection_id": collection_id, "context_id": row.get("context_id") or collection_id}
    collection_id, context_id = _ids(named, "collection_id", "context_id")
    key = ViewKey(user_id, collection_id, context_id, content_id)
    if key.is_content_alone and key.progress_key.has_context:
        raise Unreadable("a content by itself under a context")
    progress = max(row.get("progress") or 0, int(row.get("completionpercentage") or 0))
    if not 0 <= progress <= 100:
        notes.append("progress: not from 0 to 100")
        progress = min(max(progress, 0), 100)
    status = max(_status(row.get("status")), Status.IN_PROGRESS if progress else Status.NOT_STARTED)
    if status is Status.NOT_STARTED:
        raise Unreadable("not started")
    accessed = _first_moment(row, "last_access_time", "lastaccesstime", "datetime", notes=notes)
    updated = _first_moment(row, "last_updated_time", "lastupdatedtime", "datetime", notes=notes) or accessed
    completed = None
    if status is Status.COMPLETED:
        progress = 100
        completed = _first_moment(row, "last_completed_time", "lastcompletedtime", notes=notes)
        if completed is None:
            completed = updated
            notes.append("last_completed_time: missing, taken from the last update")
    if (row.get("viewcount") or 0) > 1 or (row.get("completedcount") or 0) > 1:
        notes.append("viewcount, completedcount: above 1, not brought over")
    view = View(
        key,
        status,
        progress,
        last_accessed_on=accessed,
        last_updated_on=updated,
        completed_on=completed,
        progress_details=_details(row.get("progressdetails"), notes),
        origin=_origin(CONSUMPTION, at),
    )
    return Mapped(view, list(dict.fromkeys(notes)))


def _details(text: str | None, notes: list[str]) -> Any:
    if not text or not text.strip():
        return None
    try:
        details = orjson.loads(text)
    except orjson.JSONDecodeError:
        details = None
    if not isinstance(details, dict):
        notes.append("progressdetails: no JSON object")
        return None
    if len(orjson.dumps(details)) > LARGEST_DETAILS:
        notes.append(f"progressdetails: above {LARGEST_DETAILS} bytes")
        return None
    return details or None


def _origin(table: str, at: datetime) -> Origin:
    return Origin(OriginKind.MIGRATED, reason=table, at=at)


def placed(view: View, stored: ViewKey) -> View:
    """Under the key that the instance's mode keeps it by."""
    if view.key == stored or view.origin is None:
        return replace(view, key=stored)
    place = (view.key.collection_id, view.key.context_id)
    return replace(view, key=stored, origin=replace(view.origin, place=place))


def merged(stored: View | None, found: View) -> View | None:
    """The stored view with what the existing platform has of it, None where that is nothing new.

    Nothing goes down and no date of completion changes: what the learner did here since stays, in whichever order the
    two come and however often.
    """
    if stored is None:
        return found
    rises = found.status > stored.status
    status = max(stored.status, found.status)
    updated, before = found.last_updated_on, stored.last_updated_on
    newer = updated is not None and (before is None or updated > before)
    details = found.progress_details
    if stored.progress_details is not None and (details is None or not newer):
        details = stored.progress_details
    after = replace(
        stored,
        status=status,
        progress=max(stored.progress, found.progress),
        last_accessed_on=later(stored.last_accessed_on, found.last_accessed_on),
        last_updated_on=later(stored.last_updated_on, found.last_updated_on),
        completed_on=stored.completed_on or found.completed_on if status is Status.COMPLETED else None,
        progress_details=details,
        origin=found.origin if rises else stored.origin,
    )
    return None if after == stored else after


# --- enrolments


@dataclass(frozen=True, slots=True)
class LegacyEnrolment:
    """A row of user_enrolments. ``status`` and ``progress`` (a count of completed contents) are as stored there."""

    key: ProgressKey
    active: bool
    enrolled_on: datetime
    changed_on: datetime | None = None
    completed_on: datetime | None = None
    certificates: Sequence[Mapping[str, str]] = ()
    last_read_content_id: str | None = None
    last_accessed_on: datetime | None = None
    status: int = 0
    progress: int = 0
    content_status: Mapping[str, int] = field(default_factory=dict)


def enrolment_of_row(row: LegacyRow) -> Mapped[LegacyEnrolment]:
    """Unreadable where an id is none, or no time at all is known."""
    notes: list[str] = []
    key = ProgressKey(*_ids(row, "user_id", "collection_id", "context_id"))
    accessed = _first_moment(row, "lastcontentaccesstime", notes=notes)
    changed = _first_moment(row, "datetime", notes=notes)
    enrolled = _first_moment(row, "enrolled_date", "enrolleddate", notes=notes)
    if enrolled is None:
        enrolled = min((at for at in (changed, accessed) if at is not None), default=None)
        if enrolled is None:
            raise Unreadable("no time of enrolment")
        notes.append("enrolled_date: missing, taken from the first time known")
    enrolment = LegacyEnrolment(
        key,
        bool(row.get("active")),
        enrolled,
        changed,
        _first_moment(row, "completedon", notes=notes),
        [dict(one) for one in row.get("issued_certificates") or row.get("certificates") or ()],
        row.get("lastreadcontentid") or None,
        accessed,
        row.get("status") or 0,
        row.get("progress") or 0,
        dict(row.get("contentstatus") or {}),
    )
    return Mapped(enrolment, notes)


def views_of_enrolment(enrolment: LegacyEnrolment, at: datetime) -> Iterator[View | Unreadable]:
    """What contentstatus says of contents that were touched.

    It has no times. A completed course's date of completion is that of its contents: none of them was later.
    """
    key, updated = enrolment.key, enrolment.changed_on or enrolment.last_accessed_on
    for content_id, value in enrolment.content_status.items():
        try:
            (content_id,) = _ids({"content_id": content_id}, "content_id")
            status = _status(value)
        except Unreadable as error:
            yield error
            continue
        if status is Status.NOT_STARTED or content_id == key.collection_id:
            continue
        completed = status is Status.COMPLETED
        yield View(
            ViewKey(key.user_id, key.collection_id, key.context_id, content_id),
            status,
            100 if completed else 0,
            last_accessed_on=(
                enrolment.last_accessed_on if content_id == enrolment.last_read_content_id else None
            ),
            last_updated_on=updated,
            completed_on=enrolment.completed_on if completed else None,
            origin=_origin(f"{ENROLMENTS}.contentstatus", at),
        )


def filled(stored: View | None, found: View) -> View | None:
    """As merged, of a view out of contentstatus: it fills a gap or raises a status, and says nothing else."""
    return merged(stored, found) if stored is None or found.status > stored.status else None


def enrolment_values(
    stored: Enrolment | None, certificates: Sequence[Mapping[str, str]] | None, found: LegacyEnrolment
) -> dict[str, Any] | None:
    """The columns to write, nothing where all is there already; None where the enrolment was changed here since.

    ``stored`` and its ``certificates`` are what is here. The workers' figures are written with a new enrolment alone:
    those of a collection that is not published yet would be lost otherwise, and the workers' own replace them.
    """
    ended_on = None if found.active else found.changed_on or found.last_accessed_on or found.enrolled_on
    times = {"active": found.active, "enrolled_on": found.enrolled_on, "unenrolled_on": ended_on}
    issued = [dict(one) for one in found.certificates]
    values: dict[str, Any] = {"certificates": issued} if issued and issued != certificates else {}
    if stored is None:
        return times | {
            "certificates": issued or None,
            "status": min(max(found.status, 0), 2),
            "progress": max(found.progress, 0),
            "completedon": found.completed_on,
            "lastreadcontentid": found.last_read_content_id,
            "lastcontentaccesstime": found.last_accessed_on,
        }
    if stored.begun_on == found.enrolled_on:
        if stored.active == found.active:
            return values
        # Ended there since it was brought over; ended here, it stays so.
        return values | {"active": False, "unenrolled_on": ended_on} if stored.active else None
    again = (
        not stored.active
        and found.active
        and found.enrolled_on >= (stored.unenrolled_on or stored.enrolled_on)
    )
    return (
        values | {"active": True, "reenrolled_on": found.enrolled_on, "unenrolled_on": None}
        if again
        else None
    )


# --- batches


def context_of_batch(row: LegacyRow) -> Mapped[Context]:
    """A row of course_batch. Dates that contradict each other are kept, and noted."""
    notes: list[str] = []
    collection_id, context_id = _ids(row, "collection_id", "context_id")
    if collection_id == context_id:
        raise Unreadable("a batch with the id of its course")
    kind, given = EnrolmentType.OPEN, (row.get("enrollmenttype") or "").strip().lower()
    if given and given != kind.value:
        kind = EnrolmentType.INVITE_ONLY
        if given != kind.value:
            notes.append("enrollmenttype: unknown, taken for invite-only")
    start = _first_moment(row, "start_date", "startdate", notes=notes)
    end = _first_moment(row, "end_date", "enddate", notes=notes, end_of_day=True)
    if start is not None and end is not None and end < start:
        notes.append("end_date: before the start_date, kept")
    name = (row.get("name") or "").strip()
    if not name:
        notes.append("name: blank, taken from the batchid")
    created = _first_moment(row, "created_date", "createddate", notes=notes)
    context = Context(
        context_id,
        ContextType.BATCH,
        name or context_id,
        (collection_id,),
        start,
        end,
        enrolment_end_date=_first_moment(
            row, "enrollment_enddate", "enrollmentenddate", notes=notes, end_of_day=True
        ),
        enrolment_type=kind,
        description=row.get("description") or None,
        mentors=frozenset(filter(None, row.get("mentors") or ())),
        created_by=row.get("createdby") or None,
        created_on=created,
        updated_on=_first_moment(row, "updated_date", "updateddate", notes=notes) or created,
    )
    return Mapped(context, notes)


def merged_context(stored: Context | None, found: Context) -> Context | None:
    """The context to write: it gains a course that it did not have; else the later change wins. None for no change."""
    if stored is None:
        return found
    collections = tuple(sorted({*stored.collection_ids, *found.collection_ids}))
    newer = found.updated_on is not None and (
        stored.updated_on is None or found.updated_on > stored.updated_on
    )
    after = replace(
        found if newer else stored, collection_ids=collections, type=stored.type, buckets=stored.buckets
    )
    return None if after == stored else after


# --- attempts


@dataclass(frozen=True, slots=True)
class LegacyAttempt:
    """A row of assessment_aggregator. ``figures``: the columns that both of our tables have."""

    key: ProgressKey
    content_id: str
    attempt_id: str
    at: datetime
    figures: Mapping[str, Any]
    grand_total: str | None = None
    questions: Sequence[Mapping[str, Any]] | None = None


QUESTION_FIELDS = (
    *("id", "assess_ts", "max_score", "score", "type", "title"),
    *("resvalues", "params", "description", "duration"),
)


def attempt_of_row(row: LegacyRow) -> Mapped[LegacyAttempt]:
    notes: list[str] = []
    user, collection, context, content, attempt = _ids(
        row, "user_id", "collection_id", "context_id", "content_id", "attempt_id"
    )
    at = _first_moment(row, "last_attempted_on", "updated_on", "created_on", notes=notes)
    if at is None:
        raise Unreadable("no time of the attempt")
    if row.get("last_attempted_on") is None:
        notes.append("last_attempted_on: missing, taken from the last update")
    figures = {
        "created_on": _first_moment(row, "created_on", notes=notes),
        "last_attempted_on": at,
        "updated_on": _first_moment(row, "updated_on", notes=notes),
        "total_score": row.get("total_score"),
        "total_max_score": row.get("total_max_score"),
    }
    questions: Sequence[Mapping[str, Any]] | None = row.get("question")
    found = LegacyAttempt(
        ProgressKey(user, collection, context),
        content,
        attempt,
        at,
        figures,
        row.get("grand_total"),
        None if questions is None else [_question(one) for one in questions],
    )
    return Mapped(found, notes)


def _question(found: Mapping[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = {name: found.get(name) for name in QUESTION_FIELDS}
    if question["assess_ts"] is not None:
        question["assess_ts"] = moment_of(question["assess_ts"])
    if question["duration"] is not None:
        question["duration"] = float(question["duration"])
    for name in ("resvalues", "params"):
        question[name] = None if question[name] is None else list(map(dict, question[name]))
    return question


# --- scores that only the aggregates have

_SCORE = "score:"


@dataclass(frozen=True, slots=True)
class LegacyScores:
    """A row of user_activity_agg: of which contents it has a score, under which batch."""

    key: ProgressKey
    content_ids: frozenset[str]


def scores_of_row(row: LegacyRow) -> LegacyScores | None:
    """None where it has no scores, as those of units have none. Unreadable where its context is no batch."""
    figures = {**(row.get("agg") or {}), **(row.get("aggregates") or {})}
    scored = frozenset(name.removeprefix(_SCORE) for name in figures if name.startswith(_SCORE))
    if not scored:
        return None
    user_id, collection_id, context = _ids(row, "user_id", "activity_id", "context_id")
    try:
        kind, context_id = parse_aggregate_context(context)
    except ValueError:
        raise Unreadable("a context that is no cb:<batchId>") from None
    if kind is not ContextType.BATCH or not context_id:
        raise Unreadable("a context that is no cb:<batchId>")
    return LegacyScores(ProgressKey(user_id, collection_id, context_id), scored)


# --- verification


@dataclass(frozen=True, slots=True)
class Figures:
    """What a client is shown of an enrolment."""

    status: int
    percentage: int


def legacy_figures(completed_count: int, leaf_nodes_count: int) -> Figures:
    """As the existing platform's enrolment list computes them when read (P-2.4)."""
    if completed_count <= 0:
        return Figures(0, 0)
    if completed_count < leaf_nodes_count:
        return Figures(1, completed_count * 100 // leaf_nodes_count)
    return Figures(2, 100)


STARTED = "started, and nothing completed yet: the platform calls it not started"
SHRANK = "the course has fewer contents now: the platform counts those that are gone"
OPTIONAL = "optional contents: the platform divides by them too"
FROZEN = "completed once, and again what the course asked for since: the platform never looks again"
LAGGED = "the platform had not counted what it has stored, or the learner went on here"
UNEXPLAINED = "unexplained"


def reason_of_difference(
    enrolment: LegacyEnrolment, tree: RelationTree, statuses: Mapping[str, int], ours: Progress
) -> str:
    """Why the two rules show different figures for one enrolment, UNEXPLAINED where none of the known reasons holds.

    ``statuses``: by content, as they are here.
    """
    required = tree.required(tree.root)
    counted = {content for content, status in enrolment.content_status.items() if status == Status.COMPLETED}
    completed = {content for content, status in statuses.items() if status == Status.COMPLETED}
    before = legacy_figures(enrolment.progress, len(tree.leaf_nodes))
    if before == Figures(0, 0) and (ours.status, ours.completed_count) == (Status.IN_PROGRESS, 0):
        return STARTED
    if counted - tree.leaf_nodes:
        return SHRANK
    if (completed & required) - counted:
        return FROZEN if enrolment.status == Status.COMPLETED else LAGGED
    if required != tree.leaf_nodes:
        return OPTIONAL
    return UNEXPLAINED
