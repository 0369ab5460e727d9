"""Members of a consumer group that run jobs which were asked for by message, one at a time each.

The message is ``{"job": id}``. It is committed when the job has ended. If a member is killed, the message is delivered
again, and whoever gets it goes on with the job at once.
"""

import logging
from functools import partial

import orjson

from ingest.jobs.plans import JobKind
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.workers.dead_letters import dead_letter
from ingest.workers.member import Member
from ingest.workers.watching import watched
from loaders.session import Shared
from rules.errors import CohortError, InvalidInput, NotFound, StoreUnavailable, loggable
from stores.events import Consumer, Message, Record
from stores.topics import DEAD_LETTERS

log = logging.getLogger(__name__)

LONGEST = 3600.0
"""Seconds that a job may take before others take the member for dead, and go on with it."""


class AskedFor(Member):
    """A member of ``group``, which runs the jobs of ``kind`` that messages of ``topic`` name."""

    def __init__(
        self,
        shared: Shared,
        kind: JobKind,
        topic: str,
        group: str,
        *,
        wait: float = 0.5,
        longest: float = LONGEST,
    ) -> None:
        super().__init__(shared, group, [topic], patience=longest)
        self._kind = kind
        self._wait = wait

    async def turn(self, consumer: Consumer) -> None:
        records = await self.patiently(lambda: consumer.batch(1, self._wait))
        for record in records:
            with watched(self._group, [record]):
                await self.patiently(partial(self._process, record))
                await self.patiently(lambda: consumer.commit(records))
            self.processed += 1

    async def _process(self, record: Record) -> None:
        """Runs the job of the record to its end. If there is none, the record is put away."""
        kind = self._kind.name
        try:
            job = await Jobs(self._shared).get(kind, _job_of(record))
        except (InvalidInput, NotFound) as error:
            letter = dead_letter(record, f"{error.code}: {error.message}")
            await self._shared.stores.events.send(DEAD_LETTERS.name, letter)
            return
        try:
            await Jobs(self._shared).run(self._kind, job.id)
        except StoreUnavailable:
            raise
        except CohortError as error:
            # The job says why, and its owner reads it there.
            log.info("job %s %s failed: %s", kind, job.id, loggable(error))
        except Exception:
            log.exception("job %s %s failed", kind, job.id)


async def ask_for(shared: Shared, topic: str, key: str, job: JobRecord) -> None:
    """Sends the message that asks for a job. Jobs of the same key reach the same member, in order."""
    await shared.stores.events.send(topic, Message(key, orjson.dumps({"job": job.id})))


def _job_of(record: Record) -> str:
    """Returns the id of the job that the record is about. Raises InvalidInput if it names none."""
    try:
        job = orjson.loads(record.value)["job"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        job = None
    if not isinstance(job, str):
        raise InvalidInput('a request for a job is {"job": its id}', field="job")
    return job
