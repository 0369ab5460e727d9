"""Jobs as they are stored: a row with the step ``''``, and a row for each step that was begun."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from ingest.jobs.plans import Checkpoint, JobKind, Part
from rules.errors import NotFound
from rules.jobs import ITSELF, JobState
from stores.rows import Row


@dataclass(frozen=True, slots=True)
class StepState:
    """A step that was begun. Of a part also: the process that holds it, its last sign of life, and why it ended.

    ``started_on`` is moved on by each break, so what lies between it and ``updated_on`` is the time that was worked.
    """

    name: str
    state: JobState
    checkpoint: Checkpoint
    owner: str | None = None
    started_on: datetime | None = None
    updated_on: datetime | None = None
    error: str | None = None

    @property
    def worked(self) -> timedelta:
        if self.started_on is None or self.updated_on is None:
            return timedelta()
        return self.updated_on - self.started_on


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as stored. ``steps`` holds the steps that were begun, ``parts`` all of a parted job that was joined."""

    kind: str
    id: str
    state: JobState
    arguments: Mapping[str, Any]
    steps: Sequence[StepState]
    total: int
    started_on: datetime
    updated_on: datetime
    error: str | None = None
    owner: str | None = None
    failure: Mapping[str, Any] = field(default_factory=dict)
    """Of an error that the caller can act on: its ``code``, and the ``field`` at fault."""
    parts: Sequence[Part] = ()

    @property
    def steps_done(self) -> int:
        return sum(step.state is JobState.DONE for step in self.steps)

    @property
    def done(self) -> int:
        """Returns how many things are done in all steps."""
        return sum(step.checkpoint.done for step in self.steps)


OnProgress = Callable[[JobRecord], None]


def job_of(kind: str, job_id: str, rows: Sequence[Row]) -> JobRecord:
    """Returns the job that has these rows. Raises NotFound if there is none."""
    by_step = {row["step"]: row for row in rows}
    if ITSELF not in by_step:
        raise NotFound(f"there is no job {kind} {job_id}", field="id")
    itself = by_step.pop(ITSELF)
    return JobRecord(
        kind,
        job_id,
        JobState(itself["state"]),
        orjson.loads(itself["arguments"]),
        [_step(row) for row in by_step.values()],
        itself["total"],
        itself["started_on"],
        itself["updated_on"],
        itself["error"],
        itself["owner"],
        orjson.loads(itself["report"]) if itself["report"] else {},
    )


def checkpoint_of(row: Row) -> Checkpoint:
    report = orjson.loads(row["report"]) if row["report"] else {}
    return Checkpoint(row["checkpoint"], row["done"] or 0, report)


def stored(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the values of a step's row at this checkpoint."""
    return {
        "state": (JobState.DONE if checkpoint.resume is None else JobState.RUNNING).value,
        "checkpoint": checkpoint.resume,
        "done": checkpoint.done,
        "report": orjson.dumps(dict(checkpoint.report)).decode(),
    }


def ended(
    kind: JobKind,
    arguments: Mapping[str, Any],
    state: JobState,
    error: str | None = None,
    failure: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the values of a job's own row at its end. They leave out the arguments that no row may have then."""
    values: dict[str, Any] = {"state": state.value, "error": error}
    if failure is not None:
        values["report"] = orjson.dumps(dict(failure)).decode()
    if hidden := kind.hidden(state):
        public = {name: value for name, value in arguments.items() if name not in hidden}
        values["arguments"] = orjson.dumps(public).decode()
    return values


def _step(row: Row) -> StepState:
    return StepState(
        row["step"],
        JobState(row["state"]),
        checkpoint_of(row),
        row["owner"],
        row["started_on"],
        row["updated_on"],
        row["error"],
    )
