"""Who waits for a future does so until the deadline, and is told whether that ended it."""

import asyncio

import pytest

from rules.errors import DeadlineExceeded
from stores.deadline import deadline, in_time, remaining


async def never() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def test_what_comes_in_time_is_returned_and_what_fails_is_raised() -> None:
    loop = asyncio.get_running_loop()
    with deadline(60):
        come, failed = loop.create_future(), loop.create_future()
        loop.call_soon(come.set_result, 7)
        loop.call_soon(failed.set_exception, TimeoutError("the store's own"))
        assert await in_time(come) == 7
        with pytest.raises(TimeoutError, match="the store's own"):
            await in_time(failed)


async def test_at_the_deadline_the_future_is_cancelled_and_its_waiter_told() -> None:
    future = await never()
    with deadline(0.02), pytest.raises(DeadlineExceeded):
        await in_time(future)
    assert future.cancelled()


async def test_a_task_that_is_waited_for_is_cancelled_too() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    with deadline(0.02), pytest.raises(DeadlineExceeded):
        await in_time(task)
    assert task.cancelled()


async def test_who_has_no_time_left_waits_for_the_least_that_was_said() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with deadline(0):
        asyncio.get_running_loop().call_later(0.02, future.set_result, 7)
        assert await in_time(future, least=60) == 7


async def test_a_future_that_somebody_else_cancels_is_told_as_such() -> None:
    future = await never()
    asyncio.get_running_loop().call_soon(future.cancel)
    with deadline(60), pytest.raises(asyncio.CancelledError):
        await in_time(future)


async def test_who_is_cancelled_at_the_very_moment_of_the_deadline_is_cancelled() -> None:
    future = await never()

    async def waits() -> None:
        with deadline(0.02):
            await in_time(future)

    task = asyncio.create_task(waits())
    future.add_done_callback(lambda _: task.cancel())  # before the task is told of the future
    await asyncio.wait([task])
    assert task.cancelled()


def test_who_has_less_than_a_millisecond_left_is_out_of_time() -> None:
    """The timer that ended a store's call may have been as much early."""
    with deadline(60):
        assert 59 < remaining(100) <= 60
        assert remaining(1) == 1
    with deadline(0.0009), pytest.raises(DeadlineExceeded):
        remaining(1)
