"""The publishers: one consumer group that runs publications, one at a time for each of its members.

A message is committed when its job has ended. If a publisher is killed, the message is delivered again, and whoever
gets it goes on with the job at once.
"""

import logging
from functools import partial

import orjson

from ingest.jobs.runner import Jobs
from ingest.publishing.job import PUBLISHING
from ingest.workers.dead_letters import dead_letter
from ingest.workers.member import Member
from loaders.session import Shared
from rules.errors import CohortError, InvalidInput, NotFound, StoreUnavailable
from stores.events import Consumer, Record
from stores.topics import DEAD_LETTERS, PUBLISH_REQUESTS, PUBLISHER_GROUP

log = logging.getLogger(__name__)

LONGEST = 3600.0
"""Seconds that a publication may take before others take its publisher for dead, and go on with it."""


class Publisher(Member):
    """A member of the group of publishers."""

    def __init__(self, shared: Shared, *, wait: float = 0.5, group: str = PUBLISHER_GROUP) -> None:
        super().__init__(shared, group, [PUBLISH_REQUESTS.name], patience=LONGEST)
        self._wait = wait

    async def turn(self, consumer: Consumer) -> None:
        records = await self.patiently(lambda: consumer.batch(1, self._wait))
        for record in records:
            await self.patiently(partial(self._process, record))
            await self.patiently(lambda: consumer.commit(records))
            self.processed += 1

    async def _process(self, record: Record) -> None:
        """Runs the job of the record to its end. If there is none, the record is put away."""
        try:
            job = await Jobs(self._shared).get(PUBLISHING.name, _job_of(record))
        except (InvalidInput, NotFound) as error:
            letter = dead_letter(record, f"{error.code}: {error.message}")
            await self._shared.stores.events.send(DEAD_LETTERS.name, letter)
            return
        try:
            await Jobs(self._shared).run(PUBLISHING, job.id)
        except StoreUnavailable:
            raise
        except CohortError as error:
            # The job says so too, and its owner reads it there.
            log.info("%s was not published: %s", record.key, error.message)
        except Exception:
            log.exception("%s was not published", record.key)


def _job_of(record: Record) -> str:
    """Returns the id of the job that the record is about. Raises InvalidInput if it names none."""
    try:
        job = orjson.loads(record.value)["job"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        job = None
    if not isinstance(job, str):
        raise InvalidInput('a request to publish is {"job": its id}', field="job")
    return job
