"""Changes of hashes that share calls: each is sent once, and whoever asked is told when, whatever happens to others."""

import asyncio
from collections.abc import Sequence

import pytest

from rules.errors import DeadlineExceeded
from stores import cache_raises
from stores.cache_raises import HashChange, SharedCalls
from stores.deadline import deadline


def change(key: str, fields: int = 1) -> HashChange:
    return HashChange(key, {f"{number}": b"1" for number in range(fields)}, 1_000, ())


class Server:
    """Takes calls, each as long as ``gate`` is shut. ``fails``: the numbers of those that fail."""

    def __init__(self, *fails: int) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self._fails = fails

    async def take(self, changes: Sequence[HashChange]) -> None:
        self.calls.append([each.key for each in changes])
        number = len(self.calls)
        await self.gate.wait()
        if number in self._fails:
            raise RuntimeError(f"call {number}")


async def test_one_alone_goes_at_once_and_those_meanwhile_go_together() -> None:
    server = Server()
    shared = SharedCalls(server.take)
    first = shared.add(change("a"))
    await asyncio.sleep(0)
    others = [shared.add(change(key)) for key in "bc"]
    assert server.calls == [["a"]]
    server.gate.set()
    await asyncio.gather(first, *others)
    assert server.calls == [["a"], ["b", "c"]]


async def test_what_nobody_waits_for_goes_with_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_raises, "SOON", 3600.0)
    server = Server()
    server.gate.set()
    shared = SharedCalls(server.take)
    later = [shared.add(change(key), soon=True) for key in "ab"]
    await asyncio.sleep(0)
    assert server.calls == []
    await shared.add(change("c"))
    assert server.calls == [["a", "b", "c"]]
    assert all(one.done() for one in later)


async def test_what_nobody_waits_for_is_sent_soon_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_raises, "SOON", 0.001)
    server = Server()
    server.gate.set()
    shared = SharedCalls(server.take)
    for key in "ab":
        async with asyncio.timeout(5):
            await shared.add(change(key), soon=True)
    assert server.calls == [["a"], ["b"]]


async def test_at_the_end_and_before_a_key_is_taken_away_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache_raises, "SOON", 3600.0)
    server = Server()
    server.gate.set()
    shared = SharedCalls(server.take)
    shared.add(change("a"), soon=True)
    await shared.passed(["a"])
    shared.add(change("b"), soon=True)
    await shared.settled()
    assert server.calls == [["a"], ["b"]]


async def test_a_call_that_fails_is_told_to_its_own_and_the_others_go_on() -> None:
    server = Server(1)
    shared = SharedCalls(server.take)
    first = shared.add(change("a"))
    await asyncio.sleep(0)
    second = shared.add(change("b"))
    server.gate.set()
    with pytest.raises(RuntimeError, match="call 1"):
        await first
    await second
    await shared.settled()
    assert server.calls == [["a"], ["b"]]


async def test_whoever_leaves_takes_nothing_back() -> None:
    server = Server(1)
    shared = SharedCalls(server.take)
    shared.add(change("a")).cancel()
    await asyncio.sleep(0)
    second = shared.add(change("b"))
    second.cancel()
    third = shared.add(change("c"))
    server.gate.set()
    await third
    assert server.calls == [["a"], ["b", "c"]]


async def test_a_call_has_so_many_parts_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_raises, "MOST_PARTS", 5)
    server = Server()
    server.gate.set()
    shared = SharedCalls(server.take)
    await asyncio.gather(
        *(shared.add(change(key, fields)) for key, fields in zip("abcd", (9, 3, 2, 1), strict=True))
    )
    assert server.calls == [["a"], ["b", "c"], ["d"]]


async def test_it_goes_on_after_its_task_was_cancelled() -> None:
    server = Server()
    server.gate.set()
    shared = SharedCalls(server.take)
    shared.add(change("a"))
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await shared.add(change("b"))
    assert "b" in server.calls[-1]


async def test_whoever_takes_a_key_away_comes_behind_all_that_was_raised_there_before() -> None:
    """Also by who has left: what an erasure forgets must not come back."""
    server = Server(2)
    shared = SharedCalls(server.take)
    first = shared.add(change("a"))
    await asyncio.sleep(0)
    shared.add(change("b")).cancel()
    await shared.passed(["c"])  # nothing was asked for there
    behind = asyncio.ensure_future(shared.passed(["b"]))
    after_first = asyncio.ensure_future(shared.passed(["a"]))
    await asyncio.sleep(0)
    assert not behind.done()
    assert not after_first.done()
    server.gate.set()
    await first
    await asyncio.gather(behind, after_first)  # the second call failed, which is another's affair
    await shared.settled()
    assert server.calls == [["a"], ["b"]]


async def test_who_waits_for_others_waits_no_longer_than_its_time() -> None:
    server = Server()
    shared = SharedCalls(server.take)
    first = shared.add(change("a"))
    await asyncio.sleep(0)
    with deadline(0.01), pytest.raises(DeadlineExceeded):
        await shared.passed(["a"])
    server.gate.set()
    await first
    await shared.settled()
