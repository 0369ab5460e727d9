"""What workers do, and how often."""

from typing import Literal

from pydantic import BaseModel, Field


class WorkerSettings(BaseModel):
    """What workers do, and how often."""

    worker_batch: int = Field(default=2000, gt=0, description="Events that a worker takes at a time, at most")
    worker_wait: float = Field(
        default=0.1, gt=0, description="Seconds that a worker waits for a batch to fill"
    )
    assessed_leaves_only: bool = Field(
        default=True,
        description="Whether an attempt at a content that is no leaf of its collection goes to the dead letters",
    )
    assessed_within_total: bool = Field(
        default=False,
        description="Whether an attempt with more questions than its content's `totalQuestions` goes to the dead letters",
    )
    aggregate_every: float = Field(
        default=60.0,
        ge=0,
        description="Seconds between two runs of the aggregation in a worker; 0 for none. `cohort dev` takes 10",
    )
    archive_after: float = Field(
        default=90.0,
        ge=0,
        description="Days after which an attempt that was not updated is archived: its questions go to a file in `blobs`",
    )
    archive_every: float = Field(
        default=604_800.0,
        ge=0,
        description="Seconds from the end of one run of the archive in a worker to the next, of all workers together; 0 for none",
    )
    archive_format: Literal["parquet", "csv.gz"] = Field(
        default="parquet", description="How the archive's files are written"
    )
