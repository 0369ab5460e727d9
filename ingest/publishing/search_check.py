"""Compares the search index with what is published, for one collection or all (R-COLL-6)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import OnProgress
from ingest.jobs.runner import Jobs, Pace
from ingest.publishing.search_sync import SearchDifferences, search_differences, sync_search
from loaders.session import Shared
from rules.contents import ContentKind
from rules.errors import InvalidInput, NotFound
from rules.identifiers import checked_id
from stores.rows import Row
from stores.tables import CONTENTS

RANGES = 16
"""Parts of the ring. Each is a step."""
PAGE = 200
EXAMPLES = 20
"""Differences that a report names one by one."""
RATE = 200
"""Collections a second, if nothing else is said."""

_INDEX = "index"
"""The last step: what the index has of collections that are not published."""


@dataclass(frozen=True, slots=True)
class SearchCheckReport:
    """What the comparison found.

    - ``collections``: how many were compared.
    - ``missing``, ``changed``, ``extra``: documents that the index lacked, had with other values, had of what is not
      published.
    - ``repaired``: how many of these are right now.
    - ``failed``: collections whose published tree is gone. Nothing of them was changed.
    - ``examples``: some of these, as ``"kind collection identifier"``.
    """

    collections: int = 0
    missing: int = 0
    changed: int = 0
    extra: int = 0
    repaired: int = 0
    failed: int = 0
    examples: Sequence[str] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """Returns how many differences are left."""
        return self.missing + self.changed + self.extra - self.repaired + self.failed

    def joined(self, other: "SearchCheckReport") -> "SearchCheckReport":
        sums = {
            name: value + getattr(other, name) for name, value in asdict(self).items() if name != "examples"
        }
        return SearchCheckReport(**sums, examples=[*self.examples, *other.examples][:EXAMPLES])


async def check_search(
    shared: Shared,
    root: str | None,
    *,
    repair: bool,
    rate: float = RATE,
    on_progress: OnProgress | None = None,
) -> SearchCheckReport:
    """Compares one collection, or as a job all of them and all that the index has. ``repair`` brings it up to date.

    ``rate``: collections a second, at most.
    """
    if root is not None:
        return await _check(shared, checked_id(root, "collection"), repair)
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    job = await Jobs(shared).start(SEARCH_CHECK, {"repair": repair, "rate": rate}, on_progress)
    report = SearchCheckReport()
    for step in job.steps:
        report = report.joined(SearchCheckReport(**step.checkpoint.report))
    return report


async def _check(shared: Shared, root: str, repair: bool) -> SearchCheckReport:
    try:
        found = await search_differences(shared, root)
        report = _report(root, found)
        if repair and found.writes:
            await sync_search(shared, root)
            report = replace(report, repaired=len(found.writes))
    except NotFound:
        return SearchCheckReport(collections=1, failed=1, examples=[f"failed {root}"])
    return report


def _report(root: str, found: SearchDifferences) -> SearchCheckReport:
    kinds = {"missing": found.missing, "changed": found.changed, "extra": found.extra}
    named = [f"{kind} {root} {one.document.identifier}" for kind, writes in kinds.items() for one in writes]
    counts = {kind: len(writes) for kind, writes in kinds.items()}
    return SearchCheckReport(collections=1, **counts, examples=named[:EXAMPLES])


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    return _SearchCheck(shared, arguments["repair"], arguments["rate"])


SEARCH_CHECK = JobKind("search-check", _plan)


class _SearchCheck:
    def __init__(self, shared: Shared, repair: bool, rate: float) -> None:
        self._shared = shared
        self._repair = repair
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        return [*map(str, range(RANGES)), _INDEX]

    def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        return self._indexed() if step == _INDEX else self._published(int(step), start)

    async def _published(self, part: int, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        """Compares the collections of one part of the ring."""
        rows, report = self._shared.stores.rows, SearchCheckReport(**start.report)
        async for page in rows.walk(
            CONTENTS,
            rows.ranges(RANGES)[part],
            columns=("identifier", "kind"),
            page_size=self._pace.page,
            resume=start.resume,
        ):
            report = report.joined(await self._all(_collections(page.rows)))
            yield _checkpoint(page.resume, report)

    async def _indexed(self) -> AsyncIterator[Checkpoint]:
        """Compares what the index has of collections that are not published. Others were compared before. It begins
        anew when it is resumed."""
        report = SearchCheckReport()
        async for roots in self._shared.stores.search.roots():
            contents = await self._shared.library.current(roots)
            gone = [
                root
                for root, content in zip(roots, contents, strict=True)
                if content is None or content.kind is not ContentKind.COLLECTION
            ]
            for first in range(0, len(gone), self._pace.page):
                report = report.joined(await self._all(gone[first : first + self._pace.page]))
                yield _checkpoint(roots[-1], report)
        yield _checkpoint(None, report)

    async def _all(self, roots: Sequence[str]) -> SearchCheckReport:
        report = SearchCheckReport()
        async with self._pace.of(len(roots)):
            for root in roots:
                report = report.joined(await _check(self._shared, root, self._repair))
        return report


def _collections(rows: Sequence[Row]) -> list[str]:
    return [row["identifier"] for row in rows if row["kind"] == ContentKind.COLLECTION.value]


def _checkpoint(resume: str | None, report: SearchCheckReport) -> Checkpoint:
    return Checkpoint(resume, report.collections, asdict(report))
