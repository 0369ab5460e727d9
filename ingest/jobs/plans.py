"""What a kind of job does: in steps, or in parts that several processes share. Each has a checkpoint."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from loaders.session import Shared
from rules.jobs import JobState


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a step is. If ``resume`` is None, the step is at its end. ``report`` is the whole report of the step so
    far."""

    resume: str | None
    done: int
    report: Mapping[str, Any] = field(default_factory=dict)


class JobPlan(Protocol):
    """What a kind of job does. It is made from the arguments alone, so that another process makes the same."""

    def steps(self) -> Sequence[str]: ...

    def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        """Runs the step from the checkpoint on. Each checkpoint that it yields is stored before it goes on. The last
        one has no ``resume``."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A step of a parted job, done by one process at a time. A phase begins when all parts of earlier ones are done.

    ``name`` is that of its group and a number: ``user_enrolments 07``.
    """

    name: str
    phase: int

    @property
    def group(self) -> str:
        return self.name.rpartition(" ")[0] or self.name


@runtime_checkable
class PartedPlan(Protocol):
    """What a kind of job does, in parts. Any process makes the same parts from the arguments."""

    def parts(self) -> Sequence[Part]:
        """Returns all parts, in the order in which they are taken up."""
        ...

    def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        """Runs the part of this name, as ``JobPlan.run`` does a step."""
        ...


@runtime_checkable
class Openable(Protocol):
    """A plan that holds something open from one part to the next."""

    async def open(self) -> None:
        """Opens it, before the first part is taken. What goes wrong here ends this process alone: the others go on."""
        ...

    async def close(self) -> None:
        """Closes what is open. Is called once, when the process leaves the job."""
        ...


def step_names(plan: JobPlan | PartedPlan) -> Sequence[str]:
    return [part.name for part in plan.parts()] if isinstance(plan, PartedPlan) else plan.steps()


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job. ``job_kinds.py`` lists all kinds.

    - ``name``: its name in the rows.
    - ``plan``: what a job of this kind does: a PartedPlan if it is ``parted``, else a JobPlan.
    - ``private``: arguments that no row has once the job is done.
    - ``secret``: arguments that no row has once it has failed, too. It can't be resumed with them then.
    """

    name: str
    plan: Callable[[Shared, Mapping[str, Any]], JobPlan | PartedPlan]
    private: Set[str] = frozenset()
    secret: Set[str] = frozenset()
    parted: bool = False

    def hidden(self, state: JobState) -> Set[str]:
        """Returns the arguments that no row has in this state."""
        if state is JobState.DONE:
            return self.private | self.secret
        return self.secret if state is JobState.FAILED else frozenset()


@asynccontextmanager
async def closing(checkpoints: AsyncIterator[Checkpoint]) -> AsyncIterator[None]:
    """What a step has open, such as a lease or a folder, is closed before the job ends, however that is."""
    try:
        yield
    finally:
        if isinstance(checkpoints, AsyncGenerator):
            await checkpoints.aclose()
