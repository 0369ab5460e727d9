"""Who waits for a store waits longer each time, and not a moment longer than until it is told to stop."""

import asyncio

import pytest

from stores.backoff import JITTER, Backoff


async def test_pauses_double_up_to_the_longest_and_start_short_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("stores.backoff.asyncio.sleep", sleep)
    backoff = Backoff(1.0, 5.0)
    for _ in range(5):
        assert not await backoff.pause()
    backoff.reset()
    assert not await backoff.pause()
    for seconds, about in zip(slept, (1, 2, 4, 5, 5, 1), strict=True):
        assert about * (1 - JITTER) <= seconds <= about * (1 + JITTER)


async def test_a_pause_ends_when_it_is_stopped() -> None:
    stopping = asyncio.Event()
    backoff = Backoff(0.001, 60.0)
    assert not await backoff.pause(stopping)
    backoff = Backoff(60.0, 60.0)
    asyncio.get_running_loop().call_soon(stopping.set)
    async with asyncio.timeout(60):
        assert await backoff.pause(stopping)
