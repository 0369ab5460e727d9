"""Groups of learners, and what the batch aggregation computes."""

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
    Table,
    static,
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
    comment="Members and former ones, by conditional writes on the group's members_version",
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

ACTIVITY_HISTORIES = Table(
    "activity_history",
    comment="Counts of the last aggregation of a day that found a change; back is the day's number, negative: the latest first",
    since=8,
    partition={"activity_type": TEXT, "activity_id": TEXT, "collection_id": TEXT, "context_id": TEXT},
    clustering={"back": INT},
    columns={"counts": Map(TEXT, BIGINT)},
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
