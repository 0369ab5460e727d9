"""What is promised of work that is done side by side."""

import asyncio
import gc

import pytest

from ingest.writes.all_ended import all_ended


async def test_the_first_failure_is_told_once_all_have_ended() -> None:
    ended: list[str] = []

    async def work(name: str, turns: int, *, fails: bool = False) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        ended.append(name)
        if fails:
            raise ValueError(name)
        return name

    with pytest.raises(ValueError, match="b"):
        await all_ended([work("a", 9), work("b", 0, fails=True), work("c", 3, fails=True)])
    assert ended == ["b", "c", "a"]
    assert await all_ended([work("a", 3), work("b", 0)]) == ["a", "b"]


async def test_no_more_than_so_many_are_under_way() -> None:
    under_way = most = 0

    async def work() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    await all_ended([work() for _ in range(7)], 3)
    assert most == 3


async def test_what_is_cancelled_before_it_begins_is_closed() -> None:
    """A coroutine that nobody awaits and nobody closes warns when it is collected, and a warning is an error here."""
    begun = []

    async def work() -> None:
        begun.append(True)

    both = asyncio.create_task(all_ended([work(), work()], at_once=1))
    await asyncio.sleep(0)
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both
    gc.collect()
    assert begun == []
