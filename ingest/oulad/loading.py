"""Loads the dataset as a job, so that it goes on where it was stopped, and a second time costs a reading."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.jobs import Checkpoint, JobRecord, Jobs, JobState, Plan, job_kind
from ingest.oulad.dataset import Dataset, Student
from ingest.oulad.reading import Reader
from ingest.oulad.report import Report
from ingest.oulad.sending import calls_of, send_course, send_students
from loaders.session import Shared
from rules.errors import InvalidInput

KIND = "load-oulad"
MAPPING = 1
"""Raised when the same files become something else, so that they are loaded anew."""
CALLS_A_CHECKPOINT = 1500
"""About a second of work, after which the job says how far it is."""

OnProgress = Callable[[str, int, int], None]
"""Phase, done, total. The phases: ``reading`` in bytes, ``courses``, ``learners``."""


def _quiet(phase: str, done: int, total: int) -> None:
    pass


async def load_oulad(shared: Shared, directory: Path, on_progress: OnProgress = _quiet) -> Report:
    """Checks every file, then loads all of them. The same files again change nothing.

    InvalidInput names file and line of what is wrong, before anything is loaded; Conflict where another process is
    loading the same files. After StoreUnavailable or an interruption the next call goes on where this one stopped.
    """
    dataset = await _read(shared, directory, on_progress)
    totals = {"courses": len(dataset.presentations), "learners": len(dataset.students)}

    def told(job: JobRecord) -> None:
        for step in job.steps[-1:]:
            on_progress(step.name, step.checkpoint.done, totals[step.name])

    jobs = Jobs(shared)
    arguments = _arguments(directory, dataset)
    earlier = await _earlier(jobs, arguments)
    if earlier is not None and earlier.state is JobState.DONE:
        told(earlier)
        return _report_of(earlier).again()
    _checked[dataset.digest] = dataset
    try:
        if earlier is None:
            return _report_of(await jobs.start(KIND, arguments, told))
        return _report_of(await jobs.resume(KIND, earlier.id, told))
    finally:
        _checked.pop(dataset.digest, None)


_checked: dict[str, Dataset] = {}
"""By digest, while load_oulad runs their jobs: a job need not read again what was just checked."""


async def _read(shared: Shared, directory: Path, on_progress: OnProgress = _quiet) -> Dataset:
    reader = Reader(directory, shared.now())
    for done, total in reader.steps():
        on_progress("reading", done, total)
        await asyncio.sleep(0)
    return reader.dataset


def _arguments(directory: Path, dataset: Dataset) -> Mapping[str, Any]:
    return {"directory": str(directory.resolve()), "digest": dataset.digest, "mapping": MAPPING}


async def _earlier(jobs: Jobs, arguments: Mapping[str, Any]) -> JobRecord | None:
    """The job of the same files, wherever they were then; one that is done before others."""
    same = [
        job
        for job in await jobs.list()
        if job.kind == KIND
        and all(job.arguments.get(name) == arguments[name] for name in ("digest", "mapping"))
    ]
    return min(same, key=lambda job: job.state is not JobState.DONE, default=None)


def _report_of(job: JobRecord) -> Report:
    report = Report()
    for step in job.steps:
        report = report.plus(Report.parse(step.checkpoint.report))
    return report


@job_kind(KIND)
def _plan(shared: Shared, arguments: Mapping[str, Any]) -> Plan:
    return _Loading(shared, Path(arguments["directory"]), arguments["digest"])


class _Loading:
    def __init__(self, shared: Shared, directory: Path, digest: str) -> None:
        self._shared = shared
        self._directory = directory
        self._digest = digest

    def steps(self) -> Sequence[str]:
        return ["courses", "learners"]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        dataset = _checked.get(self._digest) or await _read(self._shared, self._directory)
        if dataset.digest != self._digest:
            raise InvalidInput(f"the files in {self._directory} are not those of this job", field="directory")
        report, done = Report.parse(start.report), int(start.resume or 0)
        total = len(dataset.presentations if step == "courses" else dataset.students)
        sendings = self._courses if step == "courses" else self._learners
        async for sent in sendings(dataset, done, report):
            done += sent
            yield Checkpoint(str(done) if done < total else None, done, report.document())
        if not total:
            yield Checkpoint(None, 0)

    async def _courses(self, dataset: Dataset, done: int, report: Report) -> AsyncIterator[int]:
        for presentation in dataset.presentations[done:]:
            await send_course(self._shared, presentation, report)
            yield 1

    async def _learners(self, dataset: Dataset, done: int, report: Report) -> AsyncIterator[int]:
        for students in _portions(dataset.students[done:]):
            await send_students(self._shared, students, report)
            yield len(students)


def _portions(students: Sequence[Student]) -> Iterator[list[Student]]:
    """In their order, of about as many calls each."""
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
