"""Aggregates as the workers wrote them."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import orjson

from rules.active_days import decode_days
from rules.aggregates import AggregateKey
from rules.progress import Status, status_of
from rules.scores import NO_SCORE, ActivityScore, Best
from rules.standings import FirstCompletion
from stores.rows import Row, Rows
from stores.tables import AGGREGATES
from stores.turns import in_turns

Place = tuple[str, str, str]
"""Type of figures, activity and learner: whose figures under all contexts, and of a unit in all collections."""
ENTRY_COLUMNS = tuple(
    column for column in AGGREGATES.types if column not in ("content_status", "status_digest", "active_days")
)
"""The columns that pages show. They leave out the status of each leaf, which is most of a row, and the days."""
COUNTED_COLUMNS = (
    *("activity_id", "collection_id", "context_id", "user_id", "version"),
    *("aggregates", "status", "last_access_time", "completed_on", "seen_changed_at", "active_days"),
)
"""The columns that are counted for everybody in an activity, and those of ``has_begun``."""
_COMPARED_COLUMNS = tuple(column for column in AGGREGATES.types if column != "content_status")
"""The columns that the workers compare: all of it, with a digest in place of the statuses."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row was computed from: the last change of the learner's views in the collection, of the enrolment, and the
    published version. A unit's row has the version alone, so that a view does not rewrite all units."""

    changed_at: int | None = None
    enrolment: int | None = None
    tree_version: int | None = None


@dataclass(frozen=True, slots=True)
class StoredAggregate:
    """A row of ``user_activity_agg_v2``: all of its state (rules/states.py) but the learner's attributes.

    ``content_status`` and ``days`` are empty where only ENTRY_COLUMNS were read. Where only COUNTED_COLUMNS were read, so
    is what is not among them. ``days``: when the learner was active, as rules/active_days.py writes it; units have none.
    ``status_digest``: as ``status_digest`` has it; None in rows from before schema 10. ``has_statuses``: whether
    ``content_status`` was read.
    """

    key: AggregateKey
    completed_count: int
    required_count: int
    time_spent: int
    content_status: dict[str, int]
    status: Status
    active: bool
    enrolled_on: datetime | None
    completed_on: datetime | None
    last_accessed_on: datetime | None
    last_updated_on: datetime | None
    version: int
    seen: Seen
    completed_version: int | None = None
    score: ActivityScore = NO_SCORE
    days: bytes | None = None
    status_digest: bytes | None = None
    has_statuses: bool = True

    @property
    def has_digest(self) -> bool:
        """Whether the digest is of this version's statuses. It is not where a program of before schema 10 wrote the row last."""
        digest = self.status_digest
        return digest is not None and digest[:_VERSION_BYTES] == _version_bytes(self.version)

    def shows(self, statuses: Mapping[str, int]) -> bool:
        """Whether the row has these statuses: by its digest, if it has one, and by the statuses, if they were read. Of a row
        without a digest they must have been read."""
        if self.has_digest and self.status_digest != status_digest(self.version, statuses):
            return False
        return not self.has_statuses or self.content_status == statuses

    @property
    def active_days(self) -> frozenset[int]:
        return decode_days(self.days)

    @property
    def completed(self) -> FirstCompletion | None:
        return FirstCompletion.of(self.completed_on, self.completed_version)

    @property
    def has_begun(self) -> bool:
        """False of a collection's aggregate only if there is none of any unit of it: the learner never viewed or
        attempted a leaf there. A view leaves ``changed_at`` in the row and an attempt its day, also if a new version has
        no such leaf any more."""
        return (
            self.status is not Status.NOT_STARTED
            or self.last_accessed_on is not None
            or self.completed_on is not None
            or self.seen.changed_at is not None
            or bool(self.days or self.score.assessments)
        )


async def aggregates_by_key(
    rows: Rows, keys: Sequence[AggregateKey], columns: Sequence[str] | None = None
) -> list[StoredAggregate | None]:
    """The aggregates of these keys, in their order. Whole partitions are read: keys that differ in the activity alone
    share a statement, whatever their contexts. ``columns``: ENTRY_COLUMNS,
    COUNTED_COLUMNS, or None for all."""
    places = [(key.activity_type, key.activity_id, key.user_id) for key in keys]
    found = await aggregates_by_place(rows, places, columns)
    by_key = {aggregate.key: aggregate for aggregates in found.values() for aggregate in aggregates}
    return [by_key.get(key) for key in keys]


async def aggregates_to_compare(
    rows: Rows, keys: Sequence[AggregateKey], whole: Container[str] = ()
) -> list[StoredAggregate | None]:
    """As ``aggregates_by_key``. The statuses of leaves are read of rows that have no digest of them, and of learners in ``whole``: no
    digest tells of statuses that somebody changed by hand."""
    if all(key.user_id in whole for key in keys):
        return await aggregates_by_key(rows, keys)
    found = await aggregates_by_key(rows, keys, _COMPARED_COLUMNS)
    without = [
        key
        for key, one in zip(keys, found, strict=True)
        if one is not None and (key.user_id in whole or not one.has_digest)
    ]
    if not without:
        return found
    read = dict(zip(without, await aggregates_by_key(rows, without), strict=True))
    return [read.get(key, one) for key, one in zip(keys, found, strict=True)]


_VERSION_BYTES, _DIGEST_BYTES = 8, 16


def status_digest(version: int, statuses: Mapping[str, int]) -> bytes:
    """What a row of this version has instead of these statuses, for who compares them: its version, then a hash. ``statuses`` by
    content, in the order of contents."""
    return _version_bytes(version) + blake2b(orjson.dumps(statuses), digest_size=_DIGEST_BYTES).digest()


def _version_bytes(version: int) -> bytes:
    return version.to_bytes(_VERSION_BYTES, signed=True)


async def aggregates_by_place(
    rows: Rows, places: Sequence[Place], columns: Sequence[str] | None = None
) -> dict[Place, list[StoredAggregate]]:
    """The aggregates of each place under all contexts, in the order of contexts and collections; an empty list if
    there is none. Partitions are batched by the rows port. ``columns``: ENTRY_COLUMNS, COUNTED_COLUMNS, or None for all."""
    found = await rows.partitions(AGGREGATES, list(dict.fromkeys(places)), columns)
    aggregates = await in_turns(
        lambda partition: [stored for row in partition if (stored := _stored(row)) is not None],
        found.values(),
    )
    return dict(zip(found, aggregates, strict=True))


def aggregate_place(key: AggregateKey) -> tuple[str, str, str, str, str]:
    """The primary key of the row."""
    return key.activity_type, key.activity_id, key.user_id, key.context_id, key.collection_id


_SCORE, _MAX_SCORE, _ATTEMPTS = "score:", "max_score:", "attempts_count:"


def score_figures(score: ActivityScore) -> dict[str, float]:
    """What ``aggregates`` has of a score, under the platform's names (P-4.5). Nothing where nothing was attempted."""
    if not score.assessments:
        return {}
    figures = {
        "rightFirstCount": float(score.right_first),
        "passableCount": float(score.passable),
        "passedCount": float(score.passed),
    }
    for content, best in score.assessments.items():
        figures[_SCORE + content] = best.score
        figures[_MAX_SCORE + content] = best.max_score
        figures[_ATTEMPTS + content] = float(best.attempts)
    return figures


def score_times(score: ActivityScore) -> dict[str, datetime]:
    """What ``agg_last_updated`` has of a score: when the last attempt at each assessment was."""
    assessments = score.assessments.items()
    return {_SCORE + content: best.attempted_on for content, best in assessments if best.attempted_on}


def _score_of(figures: Mapping[str, float], times: Mapping[str, datetime]) -> ActivityScore:
    """The inverse of the two above."""
    assessments = {name.removeprefix(_SCORE): name for name in sorted(figures) if name.startswith(_SCORE)}
    if not assessments:
        return NO_SCORE
    return ActivityScore(
        {
            content: Best(
                figures[name],
                figures.get(_MAX_SCORE + content, 0.0),
                int(figures.get(_ATTEMPTS + content, 0)),
                times.get(name),
            )
            for content, name in assessments.items()
        },
        right_first=int(figures.get("rightFirstCount", 0)),
        passable=int(figures.get("passableCount", 0)),
        passed=int(figures.get("passedCount", 0)),
    )


def _stored(row: Row) -> StoredAggregate | None:
    """The aggregate in a row. None for a row that only an older or partial write reached."""
    if row["version"] is None:
        return None
    figures = row["aggregates"] or {}
    updated = row.get("agg_last_updated") or {}
    return StoredAggregate(
        key=AggregateKey(row["activity_id"], row["collection_id"], row["context_id"], row["user_id"]),
        completed_count=int(figures.get("completedCount", 0)),
        required_count=int(figures.get("requiredCount", 0)),
        time_spent=int(figures.get("timeSpent", 0)),
        content_status=row.get("content_status") or {},
        status=status_of(row["status"]),
        active=bool(row.get("active")),
        enrolled_on=row.get("enrolled_on"),
        completed_on=row["completed_on"],
        last_accessed_on=row["last_access_time"],
        last_updated_on=updated.get("completedCount"),
        version=row["version"],
        seen=Seen(row["seen_changed_at"], row.get("seen_enrolment"), row.get("seen_version")),
        completed_version=row.get("completed_version"),
        score=_score_of(figures, updated),
        days=row.get("active_days"),
        status_digest=row.get("status_digest"),
        has_statuses="content_status" in row,
    )
