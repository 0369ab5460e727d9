"""Cutoffs: what cancels the work of a task, and can tell afterwards whether it did."""

import asyncio


class Cutoff:
    """Cancels the task in which it was made, after ``seconds``. As ``asyncio.timeout``, for a third of its time: each request has
    some of them."""

    __slots__ = ("_before", "_cut", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - whatever waits is in one
        self._task, self._cut, self._before = task, False, task.cancelling()
        self._timer = task.get_loop().call_later(seconds, self.late)

    def late(self) -> None:
        """Is called when the seconds are over."""
        self.cut()

    def cut(self) -> None:
        self._cut = self._task.cancel()

    def stop(self) -> None:
        """From now on no seconds count."""
        self._timer.cancel()

    def ended(self) -> bool:
        """Stops it. Whether it alone had cancelled the task: then the task is cancelled no more. Where somebody else did so, too, that
        holds."""
        self._timer.cancel()
        cut, self._cut = self._cut, False
        return cut and self._task.uncancel() <= self._before
