"""A worker that dies is seen and started anew; one that is stopped is waited for."""

import asyncio
import logging

import pytest

from gateway import supervision
from gateway.supervision import Supervised, supervised


class Fake:
    """Dies ``deaths`` times, then runs until it is stopped."""

    def __init__(self, deaths: list[Exception | None]) -> None:
        self._deaths = deaths
        self._stop = asyncio.Event()
        self.finished = False

    async def run(self) -> None:
        if self._deaths:
            error = self._deaths.pop(0)
            if error is not None:
                raise error
            return
        await self._stop.wait()
        self.finished = True

    def stop(self) -> None:
        self._stop.set()


async def test_it_is_started_anew_with_its_death_logged(caplog: pytest.LogCaptureFixture) -> None:
    deaths: list[Exception | None] = [RuntimeError("broken"), None]
    made: list[Fake] = []

    def make() -> Fake:
        made.append(Fake(deaths))
        return made[-1]

    one = Supervised(make, first_pause=0.001)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(60):
        while len(made) < 3:
            await asyncio.sleep(0.001)
    assert (one.restarts, one.failure) == (2, None)
    one.stop()
    await task
    assert made[-1].finished
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]
    assert "RuntimeError: broken" in caplog.text
    assert "ended by itself" in caplog.text


async def test_between_death_and_restart_it_says_why() -> None:
    one = Supervised(lambda: Fake([RuntimeError("broken")]), first_pause=60)
    task = asyncio.create_task(one.run())
    while one.failure is None:
        await asyncio.sleep(0.01)
    assert one.failure == "RuntimeError"
    one.stop()
    await asyncio.wait_for(task, 60)


async def test_at_the_end_it_is_finished_and_what_does_not_end_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = Fake([])
    async with supervised(lambda: fake):
        await asyncio.sleep(0)
    assert fake.finished

    monkeypatch.setattr(supervision, "GRACE", 0.01)
    deaf = Fake([])
    monkeypatch.setattr(deaf, "stop", lambda: None)
    async with supervised(lambda: deaf):
        await asyncio.sleep(0)
    assert not deaf.finished
    assert "is cancelled" in caplog.text
