"""How far a long command is, on standard error: a bar for each phase on a terminal, else a line when a phase ends.

Beside the bar, or in a line a minute, are the rate and the time left; of a job also the things done.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from ingest.jobs.parts import Waiting
    from ingest.jobs.records import JobRecord
    from ingest.jobs.speed import GroupProgress

Tell = Callable[[str, int, int], None]
"""Phase, done, total."""

LINE_EVERY = 60.0
"""Seconds from one line about a phase to the next, without a terminal."""
WAITS_EVERY = 20.0
"""Seconds from one line about what the command waits for to the next."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What was there when this command first looked: ``things`` and, of a job, ``steps`` done. What is done from then on
    tells how fast it is. ``at``: seconds of the monotonic clock."""

    at: float
    things: int
    steps: int

    def figures(self, now: float, things: int, steps: int, total: int) -> list[str]:
        """Returns the things a second and the time until all ``total`` steps are done; nothing of what is not known."""
        seconds, told = now - self.at, []
        if steps < total and seconds > 0:
            if things > self.things:
                told.append(f"{(things - self.things) / seconds:,.0f} a second")
            if steps > self.steps:
                left = (total - steps) * seconds / (steps - self.steps)
                told.append(f"{duration(timedelta(seconds=left))} left")
        return told


class Display:
    """The bars of phases, or their lines."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._phases: dict[str, TaskID] = {}
        self._told_at: dict[str, float] = {}
        self._paces: dict[str, Pace] = {}

    def things(self, name: str, done: int, total: int) -> None:
        """Tells of a phase whose steps are things: how many are done, how fast, and the time left."""
        self.phase(name, done, total, ", ".join(self.pace(name, done, done, total)))

    def pace(self, name: str, things: int, steps: int, total: int) -> list[str]:
        """Returns how fast the phase is since it was first told of."""
        now = time.monotonic()
        return self._paces.setdefault(name, Pace(now, things, steps)).figures(now, things, steps, total)

    def phase(self, name: str, done: int, total: int, figures: str = "") -> None:
        if name not in self._phases:
            self._phases[name] = self._bars.add_task(name, total=total, figures=figures)
            self._told_at[name] = time.monotonic()
        phase = self._phases[name]
        was_finished = self._bars.tasks[phase].finished
        self._bars.update(phase, completed=done, total=total, figures=figures)
        is_due = bool(figures) and done < total and time.monotonic() - self._told_at[name] >= LINE_EVERY
        if not self._bars.console.is_terminal and (is_due or (done >= total and not was_finished)):
            self.line(f"{name}: {done} of {total}{', ' if figures else ''}{figures}")
            self._told_at[name] = time.monotonic()

    def line(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, markup=False, soft_wrap=True)


class JobDisplay:
    """How far a job is: its steps, or of a parted job the parts of each group. ``waits`` is for ``join``.

    The time left is that of the steps which are left, at the mean of those that were done here."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._waited_at = -WAITS_EVERY

    def __call__(self, job: "JobRecord") -> None:
        if not job.parts:
            pace = self._display.pace(job.kind, job.done, job.steps_done, job.total)
            figures = ", ".join([f"{job.done:,} done", *pace])
            self._display.phase(job.kind, job.steps_done, job.total, figures)
            return
        from ingest.jobs.speed import progress_of

        for group in progress_of(job, job.updated_on):
            self._display.phase(group.name, group.parts_done, group.total, figures_of(group))

    def waits(self, waiting: "Waiting") -> None:
        if time.monotonic() - self._waited_at >= WAITS_EVERY:
            self._waited_at = time.monotonic()
            self._display.line(waiting_line(waiting))


class PublicationDisplay:
    """The long steps of a publication, while they are under way: nodes that are written, learners whose figures are told to be computed
    anew. How many learners there are nobody knows before, so of them there is a rate and no time left."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._long: set[str] = set()

    def __call__(self, job: "JobRecord") -> None:
        from ingest.publishing.job import nodes_of_steps

        totals = nodes_of_steps(job)
        for step in job.steps:
            name, done, is_done = step.name, step.checkpoint.done, step.checkpoint.resume is None
            if is_done and name not in self._long:
                continue  # a short one
            if name in totals:
                self._long.add(name)
                self._display.things(name, done, totals[name])
            elif name == "learners":
                self._long.add(name)
                figures = [f"{done:,} told", *self._display.pace(name, done, int(is_done), 1)]
                self._display.phase(name, int(is_done), 1, ", ".join(figures))


def figures_of(group: "GroupProgress") -> str:
    """Returns what is told beside the parts: ``1,234,567 rows, 5,310 a second, 12 min left``."""
    told = [f"{group.done:,} rows"]
    if not group.is_done and group.rate is not None:
        told.append(f"{group.rate:,.0f} a second")
    if not group.is_done and group.left is not None:
        told.append(f"{duration(group.left)} left")
    return ", ".join(told)


def waiting_line(waiting: "Waiting") -> str:
    """Returns what a process waits for. The ending of the owner's name is of no use to people."""
    owner = waiting.owner.rpartition(" ")[0]
    silent, free_in = waiting.silent.total_seconds(), waiting.free_in.total_seconds()
    return (
        f"part {waiting.part} is held by {owner}, silent for {silent:.0f} s; "
        f"if it stays silent, it is free in {free_in:.0f} s"
    )


def duration(time_left: timedelta) -> str:
    """Returns a time for people: 40 s, 12 min, 3 h 20 min."""
    seconds = round(time_left.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def progress() -> Iterator[Tell]:
    with _display() as display:
        yield display.things


@contextmanager
def job_progress() -> Iterator[JobDisplay]:
    """The progress of a job. It is called with the job; ``waits`` tells what a parted one waits for."""
    with _display() as display:
        yield JobDisplay(display)


@contextmanager
def publication_progress() -> Iterator[PublicationDisplay]:
    """The progress of a publication. It is called with the job."""
    with _display() as display:
        yield PublicationDisplay(display)


@contextmanager
def _display() -> Iterator[Display]:
    console = Console(stderr=True)
    columns = (
        *(TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[figures]}"), TimeElapsedColumn()),
    )
    # Lines of the answer go above the bars where both are on a terminal. Else they are not for it.
    redirected = sys.stdout.isatty()
    with Progress(
        *columns, console=console, disable=not console.is_terminal, redirect_stdout=redirected
    ) as bars:
        yield Display(bars)
