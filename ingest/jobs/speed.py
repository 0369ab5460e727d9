"""How far a parted job is, and how fast: for each group of its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.jobs.plans import Part
from ingest.jobs.records import JobRecord, StepState
from ingest.writes.leases import ABANDONED_AFTER
from rules.jobs import JobState


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """``total`` parts of a group, of which ``parts_done`` are done and ``held`` are being worked on.

    - ``done``: things that are done in all of them.
    - ``rate``: things a second, of all processes together. None if nobody is at it.
    - ``left``: the time until its end, if as many processes stay at it. None until a part is done.
    """

    name: str
    total: int
    parts_done: int
    held: int
    done: int
    rate: float | None
    left: timedelta | None

    @property
    def is_done(self) -> bool:
        return self.parts_done == self.total


def progress_of(job: JobRecord, at: datetime) -> list[GroupProgress]:
    """Returns how far each group is that was begun, in the order of the parts. ``at`` is the time of the look.

    If the job was not joined here, the total of a group is the number of parts that were begun.
    """
    begun = {step.name: step for step in job.steps}
    groups: dict[str, list[StepState | None]] = {}
    for part in job.parts or [Part(name, 0) for name in begun]:
        groups.setdefault(part.group, []).append(begun.get(part.name))
    return [_group(name, steps, at) for name, steps in groups.items() if any(steps)]


def is_held(step: StepState, at: datetime) -> bool:
    """True if a process holds the part and gives signs of life."""
    return step.owner is not None and step.updated_on is not None and at - step.updated_on < ABANDONED_AFTER


def _group(name: str, steps: Sequence[StepState | None], at: datetime) -> GroupProgress:
    begun = [step for step in steps if step is not None]
    ended = [step for step in begun if step.state is JobState.DONE]
    held = sum(is_held(step, at) for step in begun)
    done = sum(step.checkpoint.done for step in begun)
    worked = sum((step.worked for step in begun), timedelta())
    rate = done / worked.total_seconds() * held if worked and held else None
    left = None
    if ended and held:
        whole = sum((step.worked for step in ended), timedelta()) / len(ended)
        unfinished = [
            step.worked if step else timedelta()
            for step in steps
            if not step or step.state is not JobState.DONE
        ]
        left = sum((max(timedelta(), whole - worked) for worked in unfinished), timedelta()) / held
    return GroupProgress(name, len(steps), len(ended), held, done, rate, left)
