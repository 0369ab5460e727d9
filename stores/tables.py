"""Every table, declared once. DDL, statements and codecs of both engines come from here.

To change one: add a column with ``since`` one higher than the highest here; ``cohort init`` does the rest.
"""

from stores.columns import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DOUBLE,
    INT,
    TEXT,
    TIMESTAMP,
    Column,
    ListOf,
    Map,
    SetOf,
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
    comment="active, *enrolled_on, changed_at, moved_*: the commands', by conditions; else the workers'",
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
    },
)

CONTENTS = Table(
    "content",
    comment="Metadata of a collection, unit or leaf; root and live_version point to the published tree",
    partition={"identifier": TEXT},
    columns={
        "name": TEXT,
        "kind": TEXT,
        "status": TEXT,
        "mime_type": TEXT,
        "leaf_nodes_count": INT,
        "root": TEXT,
        "live_version": INT,
        "digest": TEXT,
        "published_on": TIMESTAMP,
        "metadata": Column(TEXT, since=4),
    },
)

HIERARCHIES = Table(
    "content_hierarchy",
    comment="Nested JSON, zlib, in chunks; content.live_version says which version is live",
    partition={"identifier": TEXT, "mode": TEXT},
    clustering={"version": INT, "chunk": INT},
    columns={"chunks": INT, "data": BLOB},
)

RELATIONS = Table(
    "hierarchy_relations",
    comment="What progress needs of each node of a published version",
    partition={"root": TEXT, "version": INT},
    clustering={"node": TEXT},
    columns={"leaf_nodes": SetOf(TEXT), "optional_nodes": SetOf(TEXT), "ancestors": SetOf(TEXT)},
)

NODE_ROOTS = Table(
    "node_roots",
    comment="Which published collections hold this leaf or unit",
    partition={"node": TEXT},
    clustering={"root": TEXT},
    columns={"version": INT},
)

CONTEXTS = Table(
    "context",
    comment="A batch, program, event …",
    partition={"contextid": TEXT},
    columns={
        "type": TEXT,
        "name": TEXT,
        "description": TEXT,
        "collections": SetOf(TEXT),
        "start_date": TIMESTAMP,
        "end_date": TIMESTAMP,
        "opens_on": TIMESTAMP,
        "enrolment_end_date": TIMESTAMP,
        "enrolment_type": TEXT,
        "mentors": SetOf(TEXT),
        "buckets": INT,
        "created_by": TEXT,
        "created_on": TIMESTAMP,
        "updated_on": TIMESTAMP,
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

JOBS = Table(
    "job",
    comment="One mechanism for everything long: states, steps, progress, resume; the step '' is the job itself",
    partition={"kind": TEXT, "id": TEXT},
    clustering={"step": TEXT},
    columns={
        "state": TEXT,
        "arguments": TEXT,
        "checkpoint": TEXT,
        "done": BIGINT,
        "total": BIGINT,
        "report": TEXT,
        "error": TEXT,
        "owner": TEXT,
        "started_on": TIMESTAMP,
        "updated_on": TIMESTAMP,
    },
)

LEARNER_GROUPS = Table(
    "learner_group",
    comment="A group and its activities, by conditions on version; a deleted one stays, so that its id does",
    since=2,
    partition={"groupid": TEXT},
    columns={
        "name": TEXT,
        "description": TEXT,
        "status": TEXT,
        "membershiptype": TEXT,
        "activities": ListOf(Map(TEXT, TEXT)),
        "version": BIGINT,
        "created_by": TEXT,
        "created_on": TIMESTAMP,
        "updated_by": TEXT,
        "updated_on": TIMESTAMP,
    },
)

GROUP_MEMBERS = Table(
    "group_member",
    comment="Members and former ones, one conditional write each, on the group's members_version",
    since=2,
    partition={"groupid": TEXT},
    clustering={"userid": TEXT},
    columns={
        "members_version": static(BIGINT),
        "members_count": static(INT),
        "role": TEXT,
        "status": TEXT,
        "created_by": TEXT,
        "created_on": TIMESTAMP,
        "updated_by": TEXT,
        "updated_on": TIMESTAMP,
        "removed_by": TEXT,
        "removed_on": TIMESTAMP,
        "visited": BOOLEAN,
        "invited_count": Column(INT, static=True, since=4),
        "answered_for": Column(BOOLEAN, since=4),
    },
)

USER_GROUPS = Table(
    "user_group",
    comment="Where to look for a learner's groups; the member row decides. USING TIMESTAMP of the members_version",
    since=2,
    partition={"userid": TEXT},
    clustering={"groupid": TEXT},
    columns={"members_version": BIGINT},
)

ACTIVITY_AGGREGATES = Table(
    "activity_agg_v2",
    comment="What the batch aggregation computed last: of an activity in a collection, or (collection '') for a group",
    since=4,
    partition={"activity_type": TEXT, "activity_id": TEXT},
    clustering={"context_id": TEXT, "collection_id": TEXT},
    columns={
        "aggregates": Map(TEXT, DOUBLE),
        "agg_last_updated": Map(TEXT, TIMESTAMP),
        "cells": BLOB,
        "pending": BLOB,
        "members": BLOB,
        "version": BIGINT,
        "as_of": TIMESTAMP,
    },
)

GROUP_AGGREGATES = Table(
    "group_agg",
    comment="Which activities of a group have rows in activity_agg, so that those of removed ones are found",
    since=2,
    partition={"groupid": TEXT},
    columns={"activities": ListOf(Map(TEXT, TEXT)), "version": BIGINT},
)

AGGREGATIONS = Table(
    "aggregation",
    comment="The last run of the batch aggregation, and who is at it: by conditions alone",
    since=2,
    partition={"name": TEXT},
    columns={
        "owner": TEXT,
        "expires_on": TIMESTAMP,
        "version": BIGINT,
        "complete": BOOLEAN,
        "as_of": TIMESTAMP,
    },
)

INSTANCE = Table(
    "instance",
    comment="What the whole instance has agreed on, by conditions alone: the tracking mode of its rows",
    since=3,
    partition={"name": TEXT},
    columns={"value": TEXT, "changed_on": TIMESTAMP},
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

_ATTEMPTED = {
    "created_on": TIMESTAMP,
    "last_attempted_on": TIMESTAMP,
    "updated_on": TIMESTAMP,
    "total_score": DOUBLE,
    "total_max_score": DOUBLE,
}

ATTEMPTS = Table(
    "assessment_attempt",
    comment="The slim form of an attempt: score, maximum, times. USING TIMESTAMP of the attempt",
    since=3,
    partition={"user_id": TEXT, "collection_id": TEXT},
    clustering={"context_id": TEXT, "content_id": TEXT, "attempt_id": TEXT},
    columns=_ATTEMPTED,
)

ATTEMPTS_WITH_QUESTIONS = Table(
    "assessment_aggregator",
    comment="The attempt with its questions. USING TIMESTAMP of the attempt",
    since=3,
    partition={"user_id": TEXT, "collection_id": TEXT},
    clustering={"context_id": TEXT, "content_id": TEXT, "attempt_id": TEXT},
    columns={**_ATTEMPTED, "grand_total": TEXT, "question": ListOf(QUESTION)},
)

TABLES = (
    VIEWS,
    LEARNER_SCOPES,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    AGGREGATES,
    CONTENTS,
    HIERARCHIES,
    RELATIONS,
    NODE_ROOTS,
    CONTEXTS,
    LEARNERS,
    JOBS,
    LEARNER_GROUPS,
    GROUP_MEMBERS,
    USER_GROUPS,
    ACTIVITY_AGGREGATES,
    GROUP_AGGREGATES,
    AGGREGATIONS,
    INSTANCE,
    ERASURES,
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
)
