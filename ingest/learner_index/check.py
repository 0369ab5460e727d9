"""Compares the learner index with the profiles, and fills it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import OnProgress
from ingest.jobs.runner import Jobs, Pace
from ingest.learner_index.sync import LearnerCounts, learner_differences, sync_learners
from loaders.session import Shared
from rules.errors import InvalidInput
from rules.jobs import JobState
from stores.rows import has_rows
from stores.tables import LEARNERS

RANGES = 16
"""Parts of the ring. Each is a step."""
PAGE = 500
RATE = 20_000.0
"""Learners a second, if nothing else is said."""

_INDEX = "index"
"""The last step: what the index has of those without a profile."""
_BEGUN = "begun"
"""Where that step is resumed: at its beginning. A user id there would outlive its learner."""


@dataclass(frozen=True, slots=True)
class LearnerCheckReport:
    """How many profiles were compared, what differed, and how much of that is right now. It names nobody."""

    learners: int = 0
    found: LearnerCounts = field(default_factory=LearnerCounts)
    repaired: int = 0

    @property
    def remaining(self) -> int:
        """Returns how many differences are left."""
        return self.found.all - self.repaired

    def joined(self, other: "LearnerCheckReport") -> "LearnerCheckReport":
        return LearnerCheckReport(
            self.learners + other.learners, self.found.joined(other.found), self.repaired + other.repaired
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "LearnerCheckReport":
        if not stored:
            return cls()
        return cls(stored["learners"], LearnerCounts(**stored["found"]), stored["repaired"])


async def check_learners(
    shared: Shared, *, repair: bool, rate: float = RATE, on_progress: OnProgress | None = None
) -> LearnerCheckReport:
    """Compares all profiles and all that the index has, as a job. ``repair`` brings the index up to date.

    ``rate``: learners a second, at most.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    job = await Jobs(shared).start(LEARNER_CHECK, {"repair": repair, "rate": rate}, on_progress)
    report = LearnerCheckReport()
    for step in job.steps:
        report = report.joined(LearnerCheckReport.of(step.checkpoint.report))
    if repair and report.found.extra:
        await shared.stores.learner_search.scrub()
    return report


async def fill_learner_index(shared: Shared, on_progress: OnProgress | None = None) -> list[str]:
    """Fills the index from the profiles if it has no document, or if a filling was broken off, and returns a line about it.
    Returns nothing otherwise, or if there is no profile yet. ``cohort init`` runs it.

    The instance may serve meanwhile: an indexer writes what changes.
    """
    jobs = Jobs(shared)
    begun = [
        job
        for job in await jobs.list()
        if job.kind == LEARNER_CHECK.name and job.state is not JobState.DONE and job.arguments["repair"]
    ]
    if await _has_documents(shared):
        if not begun:
            return []
        job = await jobs.resume(LEARNER_CHECK, begun[0].id, on_progress)
    elif await has_rows(shared.stores.rows, LEARNERS):
        job = await jobs.start(LEARNER_CHECK, {"repair": True, "rate": RATE}, on_progress)
    else:
        return []
    return [f"filled the learner index from {job.done} profiles"]


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    return _LearnerCheck(shared, arguments["repair"], arguments["rate"])


LEARNER_CHECK = JobKind("learner-index-check", _plan)


class _LearnerCheck:
    def __init__(self, shared: Shared, repair: bool, rate: float) -> None:
        self._shared = shared
        self._repair = repair
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        return [*map(str, range(RANGES)), _INDEX]

    def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        return self._indexed() if step == _INDEX else self._profiles(int(step), start)

    async def _profiles(self, part: int, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        """Compares the profiles of one part of the ring."""
        rows, report = self._shared.stores.rows, LearnerCheckReport.of(start.report)
        async for page in rows.walk(
            LEARNERS,
            rows.ranges(RANGES)[part],
            columns=("userid",),
            page_size=self._pace.page,
            resume=start.resume,
        ):
            users = [row["userid"] for row in page.rows]
            report = report.joined(await self._compare(users, len(users)))
            yield _checkpoint(page.resume, report)

    async def _indexed(self) -> AsyncIterator[Checkpoint]:
        """Compares what the index has, of which profiles were compared before. It begins anew when it is resumed."""
        report = LearnerCheckReport()
        async for users in self._shared.stores.learner_search.user_ids():
            for first in range(0, len(users), self._pace.page):
                report = report.joined(await self._compare(users[first : first + self._pace.page], 0))
                yield _checkpoint(_BEGUN, report)
        yield _checkpoint(None, report)

    async def _compare(self, users: Sequence[str], profiles: int) -> LearnerCheckReport:
        async with self._pace.of(len(users)):
            found = LearnerCounts.of(await learner_differences(self._shared, users))
            if self._repair and found.all:
                await sync_learners(self._shared, users)
        # The step over the index meets again what differs in the ring's, if that was not repaired.
        counted = found if profiles else LearnerCounts(extra=found.extra)
        return LearnerCheckReport(profiles, counted, counted.all if self._repair else 0)


def _checkpoint(resume: str | None, report: LearnerCheckReport) -> Checkpoint:
    return Checkpoint(resume, report.learners, asdict(report))


async def _has_documents(shared: Shared) -> bool:
    async for _ in shared.stores.learner_search.user_ids():
        return True
    return False
