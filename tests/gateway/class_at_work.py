"""A class of learners at work over HTTP, as clients do it: each call is sent again until it is acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import httpx

from gateway.identity import make_token
from gateway.settings import Settings
from rules.viewers import Role
from tests.ingest.test_assessments import event

RETRIABLE = frozenset({"STORE_UNAVAILABLE", "DEADLINE_EXCEEDED", "SERVER_ERROR"})
"""What a client may send again; the last is the platform's name for both of the others, with 503 or 504."""
ENROLLED_BEFORE = "USER_ALREADY_ENROLLED_COURSE"
"""What a client is told whose enrolment was made, and the answer lost."""
PAUSE = 0.3
"""Seconds before a call is sent again."""
PLACE = {"collectionId": "course", "contextId": "batch"}
VIEW = "mutation($i: %sViewInput!) { told: %sView(input: $i) { errors { code message } } }"
STATES = "/course/v1/content/state/update"
ENROL = "/course/v1/enrol"


@dataclass(frozen=True)
class Sent:
    """One sending of a call. ``code``: of the error, empty where it was acknowledged. Times in seconds."""

    what: str
    began: float
    took: float
    code: str


@dataclass
class ClassAtWork:
    """Learners enrol, view and take an assessment, each after the other, until ``stop`` is set.

    Each finishes a by a view and b by a state update, has begun c, and has one attempt at a.
    """

    client: httpx.AsyncClient
    settings: Settings
    sent: list[Sent] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    """Learners whose every call was acknowledged."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _clients: list[asyncio.Task[None]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    @asynccontextmanager
    async def by(self, clients: int) -> AsyncIterator[None]:
        """So many work within the block, each to the end of a learner."""
        self._clients += [asyncio.create_task(self.work()) for _ in range(clients)]
        try:
            yield
            self.stop.set()
            await asyncio.wait_for(asyncio.gather(*self._clients), 120)
        finally:
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    def check(self) -> None:
        """Raises what went wrong in a client."""
        for client in self._clients:
            if client.done():
                client.result()

    async def work(self) -> None:
        """As one client. Ends after the learner under way."""
        while not self.stop.is_set():
            user = f"learner-{next(self._numbers)}"
            await self.learn(user)
            self.finished.append(user)
            await asyncio.sleep(0.05)

    async def learn(self, user: str) -> None:
        names = {"courseId": "course", "batchId": "batch"}
        await self._acknowledged(user, ENROL, {"request": {**names, "userId": user}})
        view = {"contentId": "a", **PLACE}
        await self._acknowledged(user, "start", view)
        update = {"progress": 40, "timeSpent": 7, "callId": "update"}
        await self._acknowledged(user, "update", {**view, **update})
        await self._acknowledged(user, "end", view)
        states = [{"contentId": "b", "status": 2, **names}, {"contentId": "c", "status": 1, **names}]
        attempt = {"contentId": "a", "attemptId": "first", "assessmentTs": 1_600_000_000_000, **names}
        request = {"userId": user, "contents": states, "assessments": [{**attempt, "events": [event()]}]}
        await self._acknowledged(user, STATES, {"request": request})

    async def _acknowledged(self, user: str, what: str, body: dict[str, Any]) -> None:
        """Sends it until it is. Fails at an error that no client would send again."""
        while code := await self.send(user, what, body):
            if code == ENROLLED_BEFORE:  # by a sending before, whose answer was lost
                return
            assert code in RETRIABLE, f"{what} of {user}: {code}"
            await asyncio.sleep(PAUSE)

    async def send(self, user: str, what: str, body: dict[str, Any]) -> str:
        """Sends a call once, and notes it. Gives the code of the error; none where it was acknowledged."""
        began = time.monotonic()
        code = await self._code(user, what, body)
        self.sent.append(Sent(what, began, time.monotonic() - began, code))
        return code

    async def _code(self, user: str, what: str, body: dict[str, Any]) -> str:
        token = make_token(self.settings, user, (Role.LEARNER,), timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token}"}
        if what.startswith("/"):
            method = "PATCH" if what == STATES else "POST"
            answer = await self.client.request(method, what, json=body, headers=headers)
            return "" if answer.status_code == 200 else str(answer.json()["params"]["err"])
        document = {"query": VIEW % (what.title(), what), "variables": {"i": body}}
        told = (await self.client.post("/graphql", json=document, headers=headers)).json()
        errors = told.get("errors") or (told["data"]["told"]["errors"] if told.get("data") else [])
        return str(errors[0].get("extensions", errors[0])["code"]) if errors else ""

    async def reads(self, user: str) -> str:
        """A learner's own page. Gives the code of the error; none where it was answered."""
        token = make_token(self.settings, user, (Role.LEARNER,), timedelta(hours=1))
        query = "{ me { enrolments(first: 5) { edges { node { status completedCount } } } } }"
        began = time.monotonic()
        answer = await self.client.post(
            "/graphql", json={"query": query}, headers={"Authorization": f"Bearer {token}"}
        )
        errors = answer.json().get("errors")
        code = str(errors[0]["extensions"]["code"]) if errors else ""
        self.sent.append(Sent("read", began, time.monotonic() - began, code))
        return code
