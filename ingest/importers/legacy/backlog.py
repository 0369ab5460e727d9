"""The triggers that wait for workers. A migration holds back when they are many."""

import asyncio
import time

from ingest.jobs.runner import SIGN_OF_LIFE
from stores.events import Events
from stores.topics import TRIGGERS, WORKER_GROUP

MOST_WAITING = 20_000
"""If more triggers than this wait in the log, a page waits for the workers. Triggers of learners at work wait behind
them."""
LOOK_AGAIN = 1.0
"""Seconds from one look at the log to the next. In this time running workers take triggers away."""
IDLE = 30.0
"""Seconds until it looks again after it saw that no worker takes triggers away: they may be off for the night."""


class Backlog:
    """Looks at the log of triggers by the clock, however many pages are brought meanwhile."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._next_look = 0.0

    async def wait(self) -> None:
        """Waits while the workers have much to do and are at it.

        It never waits for long: the job's claim must be renewed, and what waits in the log is not lost.
        """
        if time.monotonic() < self._next_look:
            return
        before, until = None, time.monotonic() + SIGN_OF_LIFE
        while time.monotonic() < until:
            waiting = (await self._events.lag(WORKER_GROUP, [TRIGGERS.name]))[TRIGGERS.name]
            is_idle = before is not None and waiting >= before
            if waiting <= MOST_WAITING or is_idle:
                self._next_look = time.monotonic() + (IDLE if is_idle else LOOK_AGAIN)
                return
            before = waiting
            await asyncio.sleep(LOOK_AGAIN)
