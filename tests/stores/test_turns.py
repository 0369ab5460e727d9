"""Turns of the event loop: work on much data lets others in, in turns that are fair, and ends at the deadline."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import DeadlineExceeded
from stores import turns
from stores.deadline import deadline, deadline_at
from stores.turns import breathe, in_turns, over, portions, stepwise
from tests.holding import watched

PIECE = 0.001


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 0.005)


def work(seconds: float = PIECE) -> None:
    """Takes so much CPU."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


async def test_work_on_much_data_lets_others_in() -> None:
    """0.3 s of CPU in pieces of 1 ms: a turn has 5 ms and what a piece takes beyond, not 300."""
    async with watched() as holds:
        await in_turns(lambda _: work(), range(300))
    assert holds.longest < 0.1


async def test_little_work_is_done_at_once() -> None:
    async with watched() as holds:
        await in_turns(str, range(100))
        assert holds.turns == 0
        assert [list(portion) async for portion in portions(range(5), 2)] == [[0, 1], [2, 3], [4]]
        assert holds.turns == 0


async def test_hundreds_who_wait_for_the_same_do_not_go_on_in_one_turn() -> None:
    """Each takes 1 ms once the gate is open; without turns that would be 0.2 s in one."""
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waiting() -> None:
        await gate
        work()

    tasks = [asyncio.create_task(_stepped(waiting())) for _ in range(200)]
    await asyncio.sleep(0)
    async with watched() as holds:
        gate.set_result(None)
        await asyncio.gather(*tasks)
    assert holds.longest < 0.1


async def _stepped(work: object) -> object:
    return await stepwise(work)  # type: ignore[arg-type]


async def test_who_has_little_to_do_does_not_wait_for_who_has_much() -> None:
    done: list[str] = []

    async def request(name: str, pieces: int, ends: float) -> None:
        async def part() -> None:
            await in_turns(lambda _: work(), range(10))
            done.append(name)

        with deadline_at(time.monotonic() + ends):
            await asyncio.gather(*(part() for _ in range(pieces)))

    await asyncio.gather(request("much", 60, 100), request("little", 1, 200))
    assert done.index("little") < 30


async def test_past_the_deadline_work_ends_where_it_would_wait() -> None:
    did = 0

    def count(_: int) -> None:
        nonlocal did
        did += 1
        work()

    with deadline(0.02), pytest.raises(DeadlineExceeded):
        await in_turns(count, range(5_000))
    assert did < 2_500


async def test_the_deadline_is_raised_within_what_waits_so_that_it_can_tidy_up() -> None:
    tidied = []

    async def waits() -> None:
        try:
            work(2 * turns.AT_ONCE)
            await asyncio.sleep(0.02)
            await asyncio.sleep(3)
        except DeadlineExceeded:
            tidied.append(True)
            raise

    async def busy() -> None:
        while not tidied:
            over()
            work(2 * turns.AT_ONCE)
            await asyncio.sleep(0)

    others = asyncio.create_task(busy())
    with deadline(0.01), pytest.raises(DeadlineExceeded):
        await _stepped(waits())
    await others


async def test_what_is_cancelled_while_it_waits_is_not_in_the_way() -> None:
    async def waits() -> None:
        await breathe()

    over()
    work(2 * turns.AT_ONCE)
    tasks = [asyncio.create_task(waits()) for _ in range(100)]
    others = asyncio.create_task(in_turns(lambda _: work(), range(20)))
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    assert len(await others) == 20
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_what_awaits_gets_values_failures_and_cancellations_as_without_turns() -> None:
    async def value() -> int:
        await asyncio.sleep(0)
        return 3

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    assert await _stepped(value()) == 3
    with pytest.raises(ValueError, match="no"):
        await _stepped(fails())
    task = asyncio.create_task(_stepped(asyncio.sleep(10)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@given(st.lists(st.integers()), st.integers(1, 7))
def test_nothing_is_lost_between_turns(items: list[int], size: int) -> None:
    async def both() -> tuple[list[int], list[int]]:
        found = [one async for portion in portions(items, size) for one in portion]
        return await in_turns(lambda item: item, items), found

    assert asyncio.run(both()) == (items, items)
