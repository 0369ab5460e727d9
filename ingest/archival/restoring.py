"""Brings the questions of archived attempts back to live rows, a request at a time.

Each attempt that the slim row says is in the file is written whole: first the row with its questions, then the slim row,
both at the next write time, so that they are later than what archiving deleted. What is newer stays as it is. Everything may
be done again, by whoever goes on: what the slim rows say no more is not restored again.

At the end no slim row leads to the file and every restored row is there; then the request is ``restored``, and its file is
deleted.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ingest.archival.standing import stored_attempts
from ingest.jobs.plans import Checkpoint, JobKind, JobPlan
from ingest.jobs.records import JobRecord, OnProgress
from ingest.jobs.runner import Jobs
from ingest.writes.archive_files import ArchiveFiles
from ingest.writes.retrying import Attempts
from loaders.archives import Archive, archive_by_id, archive_of_request, archives_of
from loaders.attempts import attempt_key
from loaders.questions import slim_values, whole_attempt_values
from loaders.session import Shared
from rules.archives import ArchiveState
from rules.attempts import STEP, Attempt, WholeAttempt
from rules.errors import Conflict, InvalidInput, NotFound
from rules.identifiers import checked_id
from rules.moments import milliseconds, moment
from stores.rows import Equal, Write
from stores.tables import ARCHIVES, ATTEMPTS, ATTEMPTS_WITH_QUESTIONS

_ENDED = {ArchiveState.RESTORED, ArchiveState.FAILED}
_AT_WORK = {ArchiveState.UPLOADING, ArchiveState.VERIFIED, ArchiveState.DELETING}
_SEPARATOR = "\n"
"""Between context and request in the name of a step; no id has it."""


@dataclass(frozen=True, slots=True)
class RestorationReport:
    """What a job did.

    - ``requests``: how many are restored. ``attempts``: how many have their questions in rows again.
    - ``left``: attempts of these files that were not restored: there is a newer version, or they are deleted.
    """

    requests: int
    attempts: int
    left: int


async def restore(
    shared: Shared,
    *,
    request_id: str | None = None,
    context_id: str | None = None,
    on_progress: OnProgress | None = None,
) -> RestorationReport:
    """Restores one request, or all of a context, as a job, and returns at its end.

    A request that is restored already counts as none. Raises NotFound if there is no such request or none of the context.
    Raises Conflict if a run of the archive has not finished one of them. The next run may archive the same attempts again.
    """
    if (request_id is None) == (context_id is None):
        raise InvalidInput("give a request or a context", field="request")
    if context_id is not None:
        found = await archives_of(shared.stores.rows, checked_id(context_id, "context"))
        if not found:
            raise NotFound(f"the archive has nothing of the context {context_id}", field="context")
    else:
        found = [await archive_of_request(shared.stores.rows, request_id or "")]
    for archive in found:
        _check_at_rest(archive)
    requests = [list(one.key) for one in found if one.state is not ArchiveState.FAILED]
    return report_of(await Jobs(shared).start(RESTORATION, {"requests": requests}, on_progress))


def report_of(job: JobRecord) -> RestorationReport:
    reports = [step.checkpoint.report for step in job.steps]
    names = ("requests", "attempts", "left")
    return RestorationReport(*(sum(report.get(name, 0) for report in reports) for name in names))


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    return _Restoration(shared, arguments["requests"])


RESTORATION = JobKind("archive-restore", _plan)


class _Restoration:
    """A step is a request. It begins anew after a death: what is restored is not found again."""

    def __init__(self, shared: Shared, requests: Sequence[Sequence[str]]) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._files = ArchiveFiles(shared)
        self._requests = requests

    def steps(self) -> Sequence[str]:
        return [_SEPARATOR.join(key) for key in self._requests]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        context_id, request_id = step.split(_SEPARATOR)
        done, report = start.done, {"requests": 0, "attempts": 0, "left": 0, **start.report}
        async for _ in Attempts():
            archive = await archive_by_id(self._rows, context_id, request_id)
            if archive is None or archive.state in _ENDED:
                if archive is not None and archive.state is ArchiveState.RESTORED:
                    await self._files.finish_restored(archive)
                break
            _check_at_rest(archive)
            if archive.state is not ArchiveState.RESTORING:
                await self._change(archive, ArchiveState.RESTORING, archive.leftovers)
                continue
            try:
                async for restored in self._restored(archive):
                    done += restored
                    report["attempts"] += restored
                    yield Checkpoint(request_id, done, report)
                left = await self._left(archive)
            except NotFound:
                continue  # an erasure has replaced the file meanwhile
            ended = replace(archive, state=ArchiveState.RESTORED, leftovers=_with_file(archive))
            if left is not None and await self._change(archive, ended.state, ended.leftovers):
                await self._files.finish_restored(ended)
                report["requests"], report["left"] = 1, left
                break
        else:
            raise Conflict(f"request {request_id} keeps changing; `cohort jobs resume` goes on with it")
        yield Checkpoint(None, done, report)

    async def _restored(self, archive: Archive) -> AsyncIterator[int]:
        """Restores what the file has. Gives, page after page, how many attempts that were."""
        async with aclosing(self._shared.archived_questions.of_archive(archive)) as pages:
            async for page in pages:
                slim = await stored_attempts(self._rows, [one.attempt for one in page])
                restored = [
                    _restored(whole, stored)
                    for whole in page
                    if (stored := slim.get(attempt_key(whole.attempt))) is not None
                    and stored.archived_in == archive.request_id
                    and stored.version == whole.attempt.version
                ]
                await self._rows.write(
                    *(
                        Write(
                            ATTEMPTS_WITH_QUESTIONS,
                            attempt_key(whole.attempt),
                            whole_attempt_values(whole),
                            whole.attempt.written_at,
                        )
                        for whole in restored
                    )
                )
                await self._rows.write(
                    *(
                        Write(
                            ATTEMPTS,
                            attempt_key(whole.attempt),
                            {**slim_values(whole), "archived_in": None},
                            whole.attempt.written_at,
                        )
                        for whole in restored
                    )
                )
                yield len(restored)

    async def _left(self, archive: Archive) -> int | None:
        """Looks at every attempt of the file once more. Returns how many have nothing to be restored; None if one that should be
        live is not."""
        left = 0
        async with aclosing(self._shared.archived_questions.of_archive(archive)) as pages:
            async for page in pages:
                slim = await stored_attempts(self._rows, [one.attempt for one in page])
                keys = [attempt_key(whole.attempt) for whole in page]
                live = await stored_attempts(
                    self._rows, [one.attempt for one in page], ATTEMPTS_WITH_QUESTIONS
                )
                for key, whole in zip(keys, page, strict=True):
                    stored = slim.get(key)
                    if stored is None or stored.version != whole.attempt.version:
                        left += 1
                    elif stored.archived_in == archive.request_id:
                        return None
                    elif stored.archived_in is not None:
                        left += 1
                    elif key not in live or live[key].version != stored.version:
                        return None
        return left

    async def _change(self, archive: Archive, state: ArchiveState, leftovers: str | None) -> bool:
        now = moment(milliseconds(self._shared.now()))
        values = {"state": state.value, "leftovers": leftovers, "updated_on": now}
        unchanged = [
            *(Equal("state", archive.state.value), Equal("blob", archive.blob)),
            Equal("leftovers", archive.leftovers),
        ]
        return (await self._rows.update_if(ARCHIVES, archive.key, values, unchanged)).applied


def _with_file(archive: Archive) -> str:
    """The blobs that are to be deleted once the request is restored."""
    return " ".join([archive.blob, *(archive.leftovers or "").split()])


def _check_at_rest(archive: Archive) -> None:
    if archive.state in _AT_WORK:
        raise Conflict(
            f"request {archive.request_id} is {archive.state.value}: `cohort archive run` goes on with it first",
            field="request",
        )


def _restored(whole: WholeAttempt, stored: Attempt) -> WholeAttempt:
    """The attempt as it is written again."""
    before = max(stored.written_at, whole.attempt.written_at)
    return replace(whole, attempt=replace(whole.attempt, written_at=before + STEP, archived_in=None))
