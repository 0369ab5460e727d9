"""Work that ends when its client leaves."""

import asyncio
import gc
import logging
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from gateway.http import disconnect
from gateway.http.disconnect import while_connected


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def connected() -> Any:
    await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "LOOKED_AFTER", 0.0)


async def test_work_that_ends_at_once_ends_whoever_has_left() -> None:
    async def quick() -> str:
        return "done"

    assert await while_connected(gone, quick()) == "done"


@pytest.mark.parametrize("told", [None, ValueError("cut off")])
async def test_work_is_cancelled_when_its_client_leaves(told: Exception | None) -> None:
    """Whatever it makes of that."""
    cancelled = False

    async def endless() -> str:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            if told is not None:
                raise told from None
        return "in spite of it"

    async with asyncio.timeout(60):
        with pytest.raises(ClientDisconnect):
            await while_connected(gone, endless())
        await asyncio.sleep(0)  # nothing is left that cancels who goes on
    assert cancelled
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_deadline_ends_work_whose_client_is_there() -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await while_connected(connected, endless())


async def test_work_fails_as_it_does_alone() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("it failed")

    with pytest.raises(ValueError, match="it failed"):
        await while_connected(connected, failing())


async def test_work_goes_on_where_nobody_can_tell_whether_its_client_is_there_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looked = asyncio.Event()

    async def broken() -> Any:
        looked.set()
        raise RuntimeError("no connection to ask")

    async def until_looked() -> str:
        await looked.wait()
        await asyncio.sleep(0)  # the look has failed by now
        return "done"

    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(60):
            assert await while_connected(broken, until_looked()) == "done"
        gc.collect()  # asyncio tells of a task's error when nobody has it any more
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "without a look" in record.message
