"""How far a long command is, on standard error: a bar for each phase on a terminal, else a line when a phase ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from ingest.jobs.records import JobRecord

Tell = Callable[[str, int, int], None]
"""Phase, done, total."""


@contextmanager
def progress() -> Iterator[Tell]:
    console = Console(stderr=True)
    columns = TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    bars = Progress(*columns, console=console, disable=not console.is_terminal)
    phases = {}

    def tell(phase: str, done: int, total: int) -> None:
        if phase not in phases:
            phases[phase] = bars.add_task(phase, total=total)
        finished = bars.tasks[phases[phase]].finished
        bars.update(phases[phase], completed=done, total=total)
        if not console.is_terminal and done >= total and not finished:
            console.print(f"{phase}: {done} of {total}")

    with bars:
        yield tell


@contextmanager
def job_progress() -> Iterator["Callable[[JobRecord], None]"]:
    """The progress of a job: how many of its steps are done."""
    with progress() as tell:
        yield lambda job: tell(job.kind, job.steps_done, job.total)
