"""What the instance as a whole keeps: its jobs, and what it has agreed on."""

from stores.columns import BIGINT, INT, TEXT, TIMESTAMP, Table

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

INSTANCE = Table(
    "instance",
    comment="What the whole instance has agreed on, by conditions alone: the tracking mode of its rows",
    since=3,
    partition={"name": TEXT},
    columns={"value": TEXT, "changed_on": TIMESTAMP},
)

LEASES = Table(
    "lease",
    comment="Who is at a work that one process does at a time, and when it was last done: by conditions alone",
    since=6,
    partition={"name": TEXT},
    columns={"owner": TEXT, "expires_on": TIMESTAMP, "done_on": TIMESTAMP},
)

TRUSTED_DOCUMENTS = Table(
    "trusted_document",
    comment="The documents of GraphQL that operators trust, each by the SHA-256 of its text",
    since=9,
    partition={"id": TEXT},
    columns={"name": TEXT, "text": TEXT, "loaded_on": TIMESTAMP},
)

ARCHIVES = Table(
    "archive",
    comment="The catalogue of archived questions: a request is one file of a context and an ISO week; by conditions alone",
    since=6,
    partition={"contextid": TEXT},
    clustering={"request_id": TEXT},
    columns={
        "state": TEXT,
        "job_id": TEXT,
        "year": INT,
        "week": INT,
        "attempts": BIGINT,
        "bytes": BIGINT,
        "checksum": TEXT,
        "format": TEXT,
        "blob": TEXT,
        "error": TEXT,
        "leftovers": TEXT,
        "created_on": TIMESTAMP,
        "updated_on": TIMESTAMP,
    },
)
