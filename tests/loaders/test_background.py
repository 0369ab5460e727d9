"""Work that goes on after its caller is waited for at the end, however it ended."""

import asyncio
import gc
import logging

import pytest

from loaders.background import Background
from rules.errors import StoreUnavailable


async def test_work_that_has_just_ended_does_not_hold_up_the_end() -> None:
    """Its callback has had no turn yet: waiting must not go round and round without giving it one."""
    background, ended = Background(), asyncio.Event()

    async def work() -> None:
        ended.set()

    async def fails() -> None:
        raise RuntimeError

    background.start(fails())
    background.start(work())
    await ended.wait()
    await background.settled()
    await background.settled()


async def test_what_work_begins_is_waited_for_too() -> None:
    background, done = Background(), []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        background.start(second())
        done.append("first")

    background.start(first())
    await background.settled()
    assert done == ["first", "second"]


async def test_a_command_is_waited_for_although_its_caller_has_left() -> None:
    background, reached, done = Background(), asyncio.Event(), []

    async def command() -> None:
        reached.set()
        await asyncio.sleep(0)
        done.append("command")

    caller = asyncio.create_task(background.finish(command()))
    await reached.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await background.settled()
    assert done == ["command"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(StoreUnavailable("away"), (logging.WARNING, False)), (RuntimeError("wrong"), (logging.ERROR, True))],
)
async def test_how_a_command_fails_whose_caller_has_left_is_told_in_the_log(
    error: Exception, told: tuple[int, bool], caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is away in a line, a fault with its traceback. The loop itself has nothing to say."""
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))
    background, reached, leave = Background(), asyncio.Event(), asyncio.Event()

    async def command() -> None:
        reached.set()
        await leave.wait()
        raise error

    caller = asyncio.create_task(background.finish(command()))
    await reached.wait()
    caller.cancel()
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    while not caplog.records:
        await asyncio.sleep(0)
    gc.collect()
    assert [(record.levelno, bool(record.exc_info)) for record in caplog.records] == [told]
    assert unheard == []


@pytest.mark.parametrize(
    ("error", "told"),
    [(StoreUnavailable("away"), (logging.WARNING, False)), (RuntimeError("wrong"), (logging.ERROR, True))],
)
async def test_how_work_fails_that_nobody_waits_for_is_told_in_the_log(
    error: Exception, told: tuple[int, bool], caplog: pytest.LogCaptureFixture
) -> None:
    background = Background()

    async def fails() -> None:
        raise error

    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    background.start(fails())
    background.keep(future)
    future.set_exception(error)
    await background.settled()
    while len(caplog.records) < 2:
        await asyncio.sleep(0)
    assert [(record.levelno, bool(record.exc_info)) for record in caplog.records] == [told] * 2
