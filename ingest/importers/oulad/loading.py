"""Loads the dataset as a job. So it goes on where it was stopped, and a second time only costs a reading."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ingest.importers.oulad.dataset import Dataset, Presentation, RegionGroup, Student, parts
from ingest.importers.oulad.reading import Reader
from ingest.importers.oulad.report import OuladReport
from ingest.importers.oulad.sending import calls_of, send_course, send_groups, send_students
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.phases import OnProgress, quiet
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.jobs import JobState

MAPPING = 4
"""It is raised when the same files become something else, so that they are loaded anew."""
CALLS_A_CHECKPOINT = 1500
"""About a second of work, after which the job says how far it is."""
GROUPS_A_CHECKPOINT = 16


async def load_oulad(shared: Shared, directory: Path, on_progress: OnProgress = quiet) -> OuladReport:
    """Checks every file, then loads all of them. The same files again change nothing.

    Raises InvalidInput, before anything is loaded, that names file and line of what is wrong. Raises Conflict if
    another process is loading the same files. After StoreUnavailable or an interruption the next call goes on where
    this one stopped.
    """
    dataset = await _read(shared, directory, on_progress)
    arguments = _arguments(shared, directory, dataset)
    totals = {step: len(things) for step, things in _things(dataset, arguments["group_members"]).items()}

    def told(job: JobRecord) -> None:
        begun = {step.name: step.checkpoint.done for step in job.steps}
        for step in [step for step in totals if step in begun][-1:]:
            on_progress(step, begun[step], totals[step])

    jobs = Jobs(shared)
    earlier = await _earlier(jobs, arguments)
    if earlier is not None and earlier.state is JobState.DONE:
        told(earlier)
        return _report_of(earlier).again()
    # The job need not read again what was checked a moment ago.
    kind = replace(LOADING, plan=partial(_plan, checked=dataset))
    if earlier is None:
        return _report_of(await jobs.start(kind, arguments, told))
    return _report_of(await jobs.resume(kind, earlier.id, told))


async def _read(shared: Shared, directory: Path, on_progress: OnProgress = quiet) -> Dataset:
    reader = Reader(directory, shared.now())
    for done, total in reader.steps():
        on_progress("reading", done, total)
        await asyncio.sleep(0)
    return reader.dataset


def _arguments(shared: Shared, directory: Path, dataset: Dataset) -> Mapping[str, Any]:
    return {
        "directory": str(directory.resolve()),
        "digest": dataset.digest,
        "mapping": MAPPING,
        "group_members": shared.group_limits.members,
    }


async def _earlier(jobs: Jobs, arguments: Mapping[str, Any]) -> JobRecord | None:
    """Returns an earlier job of the same files, wherever they were then, and of groups as large. A finished job comes
    first."""
    same = [
        job
        for job in await jobs.list()
        if job.kind == LOADING.name
        and all(job.arguments.get(name) == arguments[name] for name in arguments if name != "directory")
    ]
    return min(same, key=lambda job: job.state is not JobState.DONE, default=None)


def _report_of(job: JobRecord) -> OuladReport:
    report = OuladReport()
    for step in job.steps:
        report = report.plus(OuladReport.parse(step.checkpoint.report))
    return report


def _things(dataset: Dataset, group_members: int) -> dict[str, Sequence[Any]]:
    """Returns what each step goes through."""
    return {
        "courses": dataset.presentations,
        "learners": dataset.students,
        "groups": dataset.groups(group_members),
    }


def _plan(shared: Shared, arguments: Mapping[str, Any], checked: Dataset | None = None) -> JobPlan:
    # A resumed job may have begun when there were no groups.
    most = arguments.get("group_members", shared.group_limits.members)
    return _Loading(shared, Path(arguments["directory"]), arguments["digest"], most, checked)


LOADING = JobKind("load-oulad", _plan)


class _Loading:
    """The job. ``checked`` is the dataset, if it was read already."""

    def __init__(
        self, shared: Shared, directory: Path, digest: str, group_members: int, checked: Dataset | None
    ) -> None:
        self._shared = shared
        self._directory = directory
        self._digest = digest
        self._group_members = group_members
        self._checked = checked

    def steps(self) -> Sequence[str]:
        return ["courses", "learners", "groups"]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        dataset = self._checked or await _read(self._shared, self._directory)
        if dataset.digest != self._digest:
            raise InvalidInput(f"the files in {self._directory} are not those of this job", field="directory")
        report, done = OuladReport.parse(start.report), int(start.resume or 0)
        things = _things(dataset, self._group_members)[step]
        sendings: dict[str, Callable[[Sequence[Any], OuladReport], AsyncIterator[int]]] = {
            "courses": self._send_courses,
            "learners": self._send_learners,
            "groups": self._send_groups,
        }
        async for sent in sendings[step](things[done:], report):
            done += sent
            yield Checkpoint(str(done) if done < len(things) else None, done, report.document())
        if not things:
            yield Checkpoint(None, 0)

    async def _send_courses(
        self, presentations: Sequence[Presentation], report: OuladReport
    ) -> AsyncIterator[int]:
        for presentation in presentations:
            await send_course(self._shared, presentation, report)
            yield 1

    async def _send_learners(self, students: Sequence[Student], report: OuladReport) -> AsyncIterator[int]:
        for some in _portions(students):
            await send_students(self._shared, some, report)
            yield len(some)

    async def _send_groups(self, groups: Sequence[RegionGroup], report: OuladReport) -> AsyncIterator[int]:
        for some in parts(groups, GROUPS_A_CHECKPOINT):
            await send_groups(self._shared, some, report)
            yield len(some)


def _portions(students: Sequence[Student]) -> Iterator[list[Student]]:
    """Gives the students in their order, in portions of about as many calls each."""
    portion: list[Student] = []
    calls = 0
    for student in students:
        portion.append(student)
        calls += calls_of(student)
        if calls >= CALLS_A_CHECKPOINT:
            yield portion
            portion, calls = [], 0
    if portion:
        yield portion
