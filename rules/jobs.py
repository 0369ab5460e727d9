"""The states that a job is in, and where its own row is among those of its steps."""

from enum import Enum

ITSELF = ""
"""The step of the row that is about the job as a whole."""


class JobState(Enum):
    WAITING = "waiting"
    """It is asked for, and no process has begun it."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
