"""Tables of earlier schemas. ``cohort init`` carries over what they hold, then removes them
(ingest/jobs/upgrade.py)."""

from stores.columns import BIGINT, BLOB, BOOLEAN, DOUBLE, INT, TEXT, TIMESTAMP, Map, Table

AGGREGATES_V1 = Table(
    "user_activity_agg",
    comment="Until version 3: a collection's own figures and those of a unit of the same id shared a row",
    partition={"activity_type": TEXT, "activity_id": TEXT, "user_id": TEXT},
    clustering={"context_id": TEXT},
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
        "collection_id": TEXT,
    },
)

ACTIVITY_AGGREGATES_V1 = Table(
    "activity_agg",
    comment="Until version 3: a collection's own figures and those of a unit of the same id shared a row",
    partition={"activity_type": TEXT, "activity_id": TEXT},
    clustering={"context_id": TEXT},
    columns={
        "aggregates": Map(TEXT, DOUBLE),
        "agg_last_updated": Map(TEXT, TIMESTAMP),
        "cells": BLOB,
        "pending": BLOB,
        "members": BLOB,
        "collection_id": TEXT,
        "unit": BOOLEAN,
        "version": BIGINT,
        "as_of": TIMESTAMP,
    },
)

FORMER_TABLES = (AGGREGATES_V1, ACTIVITY_AGGREGATES_V1)
