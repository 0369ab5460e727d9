"""Files of exhausts. They hold rows of every learner of a context, so they go when one of these is erased."""

from collections.abc import Collection

import orjson

from ingest.writes.expiring_files import ExpiringFiles
from loaders.session import Shared
from rules.errors import Conflict
from rules.jobs import ITSELF, JobState
from stores.rows import Equal, Rows
from stores.tables import JOBS

EXHAUSTS = ExpiringFiles("exhausts")
"""Owned by contexts."""
EXHAUST = "exhaust"
"""The kind of their jobs."""
ERASED_MEANWHILE = "a learner of the context was deleted while it was written: ask for it again"


async def delete_exhausts(shared: Shared, context_ids: Collection[str]) -> int:
    """Deletes the exhausts of these contexts, and returns how many files there were. What is being written fails: it may
    have read the rows that were deleted before this call."""
    await _stop_writers(shared, context_ids)
    return sum([await EXHAUSTS.delete(shared.stores.blobs, each) for each in sorted({*context_ids})])


async def was_stopped(rows: Rows, job_id: str) -> bool:
    """Whether ``delete_exhausts`` has stopped this job, or somebody has deleted it."""
    row = await rows.get(JOBS, (EXHAUST, job_id, ITSELF), ("state",))
    return row is None or row["state"] == JobState.FAILED.value


async def _stop_writers(shared: Shared, context_ids: Collection[str]) -> None:
    rows = shared.stores.rows
    failed = {
        "state": JobState.FAILED.value,
        "owner": None,
        "error": ERASED_MEANWHILE,
        "report": orjson.dumps({"code": Conflict.code, "field": None}).decode(),
        "updated_on": shared.now(),
    }
    for token_range in rows.ranges(1):
        async for page in rows.walk(JOBS, token_range, columns=(*JOBS.key, "state", "arguments", "owner")):
            for row in page.rows:
                if (row["kind"], row["step"], row["state"]) != (EXHAUST, ITSELF, JobState.RUNNING.value):
                    continue
                if orjson.loads(row["arguments"])["context_id"] in context_ids:
                    key = (EXHAUST, row["id"], ITSELF)
                    await rows.update_if(JOBS, key, failed, [Equal("owner", row["owner"])])
