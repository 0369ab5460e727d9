"""What cuts the work of a request off: it alone tells so, and hides nobody else's cancellation."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.http.limits import Deadline
from stores.cutoffs import Cutoff


async def cut_by(*cuts: Callable[[Cutoff, "asyncio.Task[Any]"], object]) -> tuple[bool, int]:
    """Whether the cutoff says that it was the one, and how often the task is cancelled still."""
    task = asyncio.current_task()
    assert task is not None
    cutoff = Cutoff(60)
    for cut in cuts:
        asyncio.get_running_loop().call_soon(cut, cutoff, task)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(60)
    ended, still = cutoff.ended(), task.cancelling()
    for _ in range(still):
        task.uncancel()
    return ended, still


async def test_a_cutoff_takes_back_its_own_cancellation_and_nobody_elses() -> None:
    def cut(cutoff: Cutoff, _: Any) -> None:
        cutoff.cut()

    def cancel(_: Cutoff, task: "asyncio.Task[Any]") -> None:
        task.cancel()

    assert await cut_by(cut) == (True, 0)
    assert await cut_by(cancel) == (False, 1)
    assert await cut_by(cut, cancel) == (False, 1)
    assert await cut_by(cancel, cut) == (False, 1)


async def test_a_cutoff_comes_after_its_seconds_unless_it_was_stopped() -> None:
    cutoff = Cutoff(0.01)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(60)
    assert cutoff.ended()
    assert not cutoff.ended()
    stopped = Cutoff(0.01)
    stopped.stop()
    await asyncio.sleep(0.03)
    assert not stopped.ended()


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    """The application took no notice of the cut, began its answer, and failed in it."""
    sent: list[str] = []

    async def begins_late(_: Any, __: Any, send: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise TimeoutError("in the body") from None

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope: Any = {"type": "http", "path": "/", "headers": [], "method": "GET"}
    with pytest.raises(TimeoutError, match="in the body"):
        await Deadline(begins_late, -0.99)(scope, None, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start"]
