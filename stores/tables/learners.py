"""What learners do, and the figures that follow."""

from stores.columns import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DOUBLE,
    INT,
    TEXT,
    TIMESTAMP,
    Column,
    ColumnType,
    ListOf,
    Map,
    Table,
    Udt,
    static,
)

VIEWS = Table(
    "user_content_consumption",
    comment="One row a learner's view of a content; scope is the collection, or a bucket for contents alone",
    partition={"userid": TEXT, "scope": TEXT},
    clustering={"collectionid": TEXT, "contextid": TEXT, "contentid": TEXT},
    columns={
        "changed_at": static(BIGINT),
        "status": INT,
        "progress": INT,
        "timespent": INT,
        "progressdetails": TEXT,
        "started_on": TIMESTAMP,
        "last_access_time": TIMESTAMP,
        "last_completed_time": TIMESTAMP,
        "last_updated_time": TIMESTAMP,
        "last_call": TEXT,
        "origin": Column(TEXT, since=3),
    },
)

LEARNER_SCOPES = Table(
    "learner_scope",
    comment="Where a learner has views; written before the first of them",
    partition={"userid": TEXT},
    clustering={"collectionid": TEXT, "contextid": TEXT},
    columns={"scope": TEXT},
)

ENROLMENTS = Table(
    "user_enrolments",
    comment="active, *enrolled_on, granted_on, changed_at, moved_*: by conditions; else the workers'",
    partition={"userid": TEXT},
    clustering={"collectionid": TEXT, "contextid": TEXT},
    columns={
        "active": BOOLEAN,
        "enrolled_on": TIMESTAMP,
        "unenrolled_on": TIMESTAMP,
        "changed_at": BIGINT,
        "status": INT,
        "progress": INT,
        "completedon": TIMESTAMP,
        "certificates": ListOf(Map(TEXT, TEXT)),
        "lastreadcontentid": TEXT,
        "lastcontentaccesstime": TIMESTAMP,
        "collection_name": TEXT,
        "context_name": TEXT,
        "context_start_date": TIMESTAMP,
        "context_end_date": TIMESTAMP,
        "seen_changed_at": BIGINT,
        "version": BIGINT,
        "moved_to": Column(TEXT, since=3),
        "moved_from": Column(TEXT, since=3),
        "reenrolled_on": Column(TIMESTAMP, since=4),
        "completed_version": Column(INT, since=5),
        "granted_on": Column(TIMESTAMP, since=7),
    },
)

ENROLMENTS_BY_CONTEXT = Table(
    "enrolment_by_context",
    comment="Who is in a context, for reports and recomputes; the context stores its bucket count",
    partition={"contextid": TEXT, "collectionid": TEXT, "bucket": INT},
    clustering={"userid": TEXT},
    columns={"active": BOOLEAN, "enrolled_on": TIMESTAMP},
)

AGGREGATES = Table(
    "user_activity_agg_v2",
    comment="A learner's figures in a collection or a unit of it; all values are written each time, USING TIMESTAMP version",
    since=4,
    partition={"activity_type": TEXT, "activity_id": TEXT, "user_id": TEXT},
    clustering={"context_id": TEXT, "collection_id": TEXT},
    columns={
        "aggregates": Map(TEXT, DOUBLE),
        "content_status": Map(TEXT, INT),
        "agg_last_updated": Map(TEXT, TIMESTAMP),
        "status": INT,
        "completed_on": TIMESTAMP,
        "last_access_time": TIMESTAMP,
        "version": BIGINT,
        "seen_changed_at": BIGINT,
        "seen_enrolment": BIGINT,
        "seen_version": INT,
        "active": BOOLEAN,
        "enrolled_on": TIMESTAMP,
        "completed_version": Column(INT, since=5),
        "active_days": Column(BLOB, since=8),
        "status_digest": Column(BLOB, since=10),
    },
)

LEARNERS = Table(
    "learner",
    comment="Profiles for reports, written USING TIMESTAMP of the profile",
    partition={"userid": TEXT},
    columns={
        "name": TEXT,
        "attributes": Map(TEXT, TEXT),
        "updated_on": TIMESTAMP,
    },
)

ERASURES = Table(
    "erasure",
    comment="Watermarks: what a learner had before erased_on is deleted and stays so; '' for all of the learner's",
    since=3,
    partition={"userid": TEXT},
    clustering={"collectionid": TEXT, "contextid": TEXT},
    columns={"erased_on": TIMESTAMP},
)

QUESTION = Udt(
    "question",
    {
        "id": TEXT,
        "assess_ts": TIMESTAMP,
        "max_score": DOUBLE,
        "score": DOUBLE,
        "type": TEXT,
        "title": TEXT,
        "resvalues": ListOf(Map(TEXT, TEXT)),
        "params": ListOf(Map(TEXT, TEXT)),
        "description": TEXT,
        "duration": DOUBLE,
    },
)

_ATTEMPTED: dict[str, Column | ColumnType] = {
    "created_on": TIMESTAMP,
    "last_attempted_on": TIMESTAMP,
    "updated_on": TIMESTAMP,
    "total_score": DOUBLE,
    "total_max_score": DOUBLE,
    "content_hash": Column(TEXT, since=6),
    "written_at": Column(BIGINT, since=6),
}

ATTEMPTS = Table(
    "assessment_attempt",
    comment="The slim form of an attempt: score, maximum, times, where its questions are archived. USING TIMESTAMP of the attempt",
    since=3,
    partition={"user_id": TEXT, "collection_id": TEXT},
    clustering={"context_id": TEXT, "content_id": TEXT, "attempt_id": TEXT},
    columns={**_ATTEMPTED, "archived_in": Column(TEXT, since=6), "origin": Column(TEXT, since=6)},
)

ATTEMPTS_WITH_QUESTIONS = Table(
    "assessment_aggregator",
    comment="The attempt with its questions, until it is archived. USING TIMESTAMP of the attempt",
    since=3,
    partition={"user_id": TEXT, "collection_id": TEXT},
    clustering={"context_id": TEXT, "content_id": TEXT, "attempt_id": TEXT},
    columns={
        **_ATTEMPTED,
        "grand_total": TEXT,
        "question": ListOf(QUESTION),
        "collection_name": Column(TEXT, since=6),
        "context_name": Column(TEXT, since=6),
    },
)

SCORES = Table(
    "assessment_aggregator_v2",
    comment="A learner's scores in an assessment, out of the slim attempts. Written by the workers, USING TIMESTAMP version",
    since=6,
    partition={"user_id": TEXT},
    clustering={"assessment_id": TEXT, "collection_id": TEXT, "context_id": TEXT},
    columns={
        "best_score": DOUBLE,
        "total_max_score": DOUBLE,
        "best_attempt_id": TEXT,
        "lowest_score": DOUBLE,
        "average_score": DOUBLE,
        "first_attempted_score": DOUBLE,
        "last_attempted_score": DOUBLE,
        "last_attempt_id": TEXT,
        "attempts_count": INT,
        "updated_on": TIMESTAMP,
        "version": BIGINT,
    },
)
