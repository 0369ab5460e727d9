"""What the instance as a whole keeps: its jobs, and what it has agreed on."""

from stores.columns import BIGINT, TEXT, TIMESTAMP, Table

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
