"""Reads the archive back, and compares it with the catalogue and the rows. It changes nothing.

Others go on meanwhile. So what differs is looked at again, and told only if it stayed so.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.archival.local_files import fetched
from ingest.archival.standing import stored_attempts
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs, Pace
from loaders.archives import (
    FILE_COLUMNS,
    Archive,
    all_archives,
    archive_by_id,
    archive_of,
    archive_of_request,
    archives_by_id,
)
from loaders.attempts import attempt_key, attempt_of
from loaders.session import Shared
from rules.archives import ROOT, ArchiveState, attempt_of_archive_row
from rules.attempts import Attempt
from rules.errors import InvalidInput, NotFound
from rules.identifiers import checked_id
from stores.column_files import BrokenFile, FileFormat, read_file
from stores.rows import Key, Row
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS

RANGES = 16
"""Parts of the ring of attempts. Each is a step."""
PAGE = 1000
NAMED = 200
"""Differences that a step's report names one by one."""
_LOOKS = 3
_CONTEXT, _REQUEST, _FILES, _BLOBS, _ROWS = "context", "request", "files", "blobs", "rows"


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a job found.

    - ``files``: that were read. ``attempts``: in these. ``rows``: slim rows that were looked at.
    - ``differences``: how many, and ``examples``: the first of them.
    - ``passed_over``: requests that a run is still uploading.
    """

    files: int
    attempts: int
    rows: int
    passed_over: int
    differences: int
    examples: Sequence[str]


async def verify(
    shared: Shared,
    *,
    context_id: str | None = None,
    request_id: str | None = None,
    rate: float = 20_000,
    on_progress: OnProgress | None = None,
) -> VerificationReport:
    """Verifies one request, all of a context, or the whole archive, as a job, and returns at its end. ``rate``: attempts a
    second, at most.

    Only of the whole archive it also looks for blobs that no request has, and walks all slim rows. Raises NotFound if
    there is no such request.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    if context_id is not None and request_id is not None:
        raise InvalidInput("give a request or a context", field="request")
    key = None if context_id is None else [checked_id(context_id, "context")]
    if request_id is not None:
        key = [*(await archive_of_request(shared.stores.rows, request_id)).key]
    return report_of(await Jobs(shared).start(VERIFICATION, {"key": key, "rate": rate}, on_progress))


def report_of(job: JobRecord) -> VerificationReport:
    reports = [step.checkpoint.report for step in job.steps]
    names = ("files", "attempts", "rows", "passed_over", "differences")
    counts = {name: sum(report.get(name, 0) for report in reports) for name in names}
    return VerificationReport(
        **counts, examples=[example for report in reports for example in report.get("examples", ())]
    )


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    return _Verification(shared, arguments["key"], arguments["rate"])


VERIFICATION = JobKind("archive-verify", _plan)


class _Verification:
    """``key``: a context, or context and request; None for the whole archive."""

    def __init__(self, shared: Shared, key: Sequence[str] | None, rate: float) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._key = key
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        if self._key is not None:
            return [_CONTEXT if len(self._key) == 1 else _REQUEST]
        return [_FILES, _BLOBS, *(f"{_ROWS} {number}" for number in range(RANGES))]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        found = _Findings(start)
        kind, _, part = step.partition(" ")
        if kind == _ROWS:
            async for resume in self._look_at_rows(int(part), start.resume, found):
                yield found.checkpoint(resume)
        elif kind == _BLOBS:
            await self._look_at_blobs(found)
        else:
            last = found.checkpoint(start.resume or "")
            async for archive, resume in self._archives(start.resume or None):
                async for _ in self._look_at_file(archive, found):
                    yield last  # a sign of life; whoever goes on begins this file anew
                if resume is not None:
                    last = found.checkpoint(resume)
                    yield last
        yield found.checkpoint(None)

    async def _archives(self, resume: str | None) -> AsyncIterator[tuple[Archive, str | None]]:
        """Each request, and where to go on after it; None after the last."""
        if self._key is None:
            (ring,) = self._rows.ranges(1)
            async for page in self._rows.walk(ARCHIVES, ring, page_size=1, resume=resume):
                for row in page.rows:
                    yield archive_of(row), page.resume
            return
        context_id, *request = self._key
        after = None if resume is None else (resume,)
        for row in await self._rows.partition(ARCHIVES, (context_id,), prefix=tuple(request), after=after):
            yield archive_of(row), row["request_id"]

    async def _look_at_file(self, archive: Archive, found: "_Findings") -> AsyncIterator[None]:
        """Compares a file, again if its request has changed meanwhile."""
        at: Archive | None = archive
        here = _Findings()
        for _ in range(_LOOKS):
            if at is None:
                return
            here, before = _Findings(), at
            async with aclosing(self._compared(at, here)) as compared:
                async for _page in compared:
                    yield
            if not here.differences:
                break
            at = await archive_by_id(self._rows, *archive.key)
            if at == before:
                break
        found.add(here)

    async def _compared(self, archive: Archive, here: "_Findings") -> AsyncGenerator[None, None]:
        name = f"request {archive.request_id}"
        if archive.state is ArchiveState.UPLOADING:
            here.count("passed_over")
            return
        if archive.leftovers is not None:
            here.tell(f"{name}: who changed it died, and left {archive.leftovers}")
        if not archive.has_file:
            return
        async with self._shared.stores.copies.scratch() as folder:
            path = folder / f"file.{archive.form.value}"
            try:
                size, checksum = await self._fetched(archive.blob, path)
            except NotFound:
                here.tell(f"{name}: its file {archive.blob} is missing")
                return
            here.count("files")
            if size != archive.size:
                here.tell(f"{name}: its file has {size} bytes, the catalogue says {archive.size}")
            if checksum != archive.checksum:
                here.tell(f"{name}: its file has another checksum than the catalogue")
            count = 0
            try:
                async with aclosing(read_file(path, FILE_COLUMNS, archive.form)) as pages:
                    async for page in pages:
                        for first in range(0, len(page), self._pace.page):
                            some = page[first : first + self._pace.page]
                            count += len(some)
                            async with self._pace.of(len(some)):
                                await self._compare(archive, some, here)
                            yield
            except BrokenFile as error:
                here.tell(f"{name}: its file can't be read: {error.detail}")
                return
        if count != archive.attempts:
            here.tell(f"{name}: its file has {count} attempts, the catalogue says {archive.attempts}")

    async def _fetched(self, name: str, to: Path) -> tuple[int, str]:
        """Fetches the blob itself, whatever copies this machine has. Returns bytes and checksum."""
        copy = await fetched(self._shared.stores.blobs, name, to, FileFormat.PARQUET)
        return copy.size, copy.checksum

    async def _compare(self, archive: Archive, rows: Sequence[Row], here: "_Findings") -> None:
        attempts = [attempt_of_archive_row(row) for row in rows]
        slim = await stored_attempts(self._rows, attempts)
        live = await stored_attempts(self._rows, attempts, ATTEMPTS_WITH_QUESTIONS)
        here.count("attempts", len(attempts))
        at_rest = archive.state is ArchiveState.ARCHIVED
        moved = await self._moved([attempt for attempt in attempts if attempt_key(attempt) not in slim])
        for attempt in attempts:
            key = attempt_key(attempt)
            stored = slim.get(key)
            if key in moved or (stored and stored.origin and stored.archived_in != archive.request_id):
                continue  # its questions went along, or came back by another way
            problem = _problem_of(attempt, slim.get(key), archive.request_id if at_rest else None)
            if problem is not None:
                here.tell(f"request {archive.request_id}: {_named(key)} {problem}")
            if at_rest and key in live and live[key].version == attempt.version:
                here.tell(f"request {archive.request_id}: {_named(key)} has live questions as well")

    async def _moved(self, attempts: Sequence[Attempt]) -> set[Key]:
        """Those that a tracking mode has taken along into another context of the collection, by the key of before."""
        partitions = {(attempt.key.user_id, attempt.key.collection_id) for attempt in attempts}
        if not partitions:
            return set()
        found = await self._rows.partitions(ATTEMPTS, sorted(partitions), (*ATTEMPTS.key, "origin"))
        there = {
            (row["user_id"], row["collection_id"], row["content_id"], row["attempt_id"])
            for rows in found.values()
            for row in rows
            if row["origin"] is not None
        }
        return {
            attempt_key(one)
            for one in attempts
            if (one.key.user_id, one.key.collection_id, one.key.content_id, one.attempt_id) in there
        }

    async def _look_at_blobs(self, found: "_Findings") -> None:
        """Blobs come first: what the catalogue has after that was named before it was there."""
        blobs = self._shared.stores.blobs
        names = {blob.name async for blob in blobs.below(ROOT)}
        async for archive in all_archives(self._rows):
            names -= {*(archive.leftovers or "").split()}
            if archive.has_file or archive.state is ArchiveState.UPLOADING:
                names.discard(archive.blob)
        for name in sorted(names):
            if await blobs.find(name) is not None:
                found.tell(f"no request has the blob {name}")

    async def _look_at_rows(
        self, part: int, resume: str | None, found: "_Findings"
    ) -> AsyncIterator[str | None]:
        columns = (*ATTEMPTS.key, "total_score", "total_max_score", "last_attempted_on", "archived_in")
        token_range = self._rows.ranges(RANGES)[part]
        async for page in self._rows.walk(
            ATTEMPTS, token_range, columns=columns, page_size=self._pace.page, resume=resume
        ):
            async with self._pace.of(len(page.rows)):
                found.count("rows", len(page.rows))
                astray = await self._astray([attempt_of(row) for row in page.rows])
                for attempt in await self._astray([*(await stored_attempts(self._rows, astray)).values()]):
                    found.tell(
                        f"the slim row of {_named(attempt_key(attempt))} leads to request {attempt.archived_in}, "
                        "which is not in the catalogue or has no file"
                    )
            if page.resume is not None:
                yield page.resume

    async def _astray(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Those that lead to a request without a file."""
        leading = [(attempt, (attempt.key.context_id, attempt.archived_in)) for attempt in attempts]
        keys = {(context, request) for _, (context, request) in leading if request is not None}
        there = {key for key, one in (await archives_by_id(self._rows, keys)).items() if one.has_file}
        return [attempt for attempt, key in leading if key[1] is not None and key not in there]


class _Findings:
    """What was found in a step, or in a file of it."""

    def __init__(self, start: Checkpoint | None = None) -> None:
        report = dict(start.report) if start is not None else {}
        self.examples: list[str] = list(report.pop("examples", ()))
        self._counts: Counter[str] = Counter(report)

    @property
    def differences(self) -> int:
        return self._counts["differences"]

    def count(self, what: str, times: int = 1) -> None:
        self._counts[what] += times

    def tell(self, difference: str) -> None:
        self.count("differences")
        if len(self.examples) < NAMED:
            self.examples.append(difference)

    def add(self, other: "_Findings") -> None:
        self._counts += other._counts
        self.examples = [*self.examples, *other.examples][:NAMED]

    def checkpoint(self, resume: str | None) -> Checkpoint:
        done = self._counts["attempts"] + self._counts["rows"]
        return Checkpoint(resume, done, {**self._counts, "examples": [*self.examples]})


def _problem_of(attempt: Attempt, slim: Attempt | None, request_id: str | None) -> str | None:
    """What is wrong with the slim row of an attempt that a file has; ``request_id``: which it should lead to."""
    if slim is None:
        return "has no slim row"
    if slim.version < attempt.version:
        return "is older in its slim row"
    if slim.version == attempt.version and request_id not in (None, slim.archived_in):
        return f"has a slim row that leads to {slim.archived_in or 'no request'}"
    return None


def _named(key: Key) -> str:
    """The attempt of a row, for people: learner, collection, context, content and attempt."""
    return "/".join(key)
