"""A conditional write that is refused is tried again, a bounded number of times, with pauses that differ."""

import pytest

from ingest.writes import retrying
from ingest.writes.retrying import Attempts


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("ingest.writes.retrying.asyncio.sleep", sleep)
    return pauses


async def test_attempts_end_after_the_last_one(slept: list[float]) -> None:
    assert [attempt async for attempt in Attempts(4)] == [0, 1, 2, 3]
    assert len(slept) == 3
    longest = [retrying.LONGEST_PAUSE * attempt / 4 for attempt in (1, 2, 3)]
    assert all(0 <= pause <= most for pause, most in zip(slept, longest, strict=True))


async def test_the_first_attempt_waits_for_nothing(slept: list[float]) -> None:
    async for attempt in Attempts():
        assert attempt == 0
        break
    assert slept == []
