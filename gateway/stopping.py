"""How a process is told to stop: SIGTERM or SIGINT once, and it ends what it has begun; twice, and it ends at once."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN = 1.0
"""Seconds after the first signal from which on another one is a second one. Supervisors send one to each process of a
group, and wrappers pass theirs on: those come at the same time."""


class Stopping:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self.begun = False
        """From the first signal on: what comes now is answered, and told not to come again."""

    @contextmanager
    def by_signals(self, then: Callable[[], object], *, at_once: bool = True) -> Iterator[None]:
        """Handles the signals in the body. The first one has the loop call ``then``. A second one ends the process, unless
        ``at_once`` is false: for a process whose parent sees to that."""
        loop = asyncio.get_running_loop()
        began = 0.0

        def told(number: int, _frame: FrameType | None) -> None:
            nonlocal began
            if not self.begun:
                self.begun, began = True, time.monotonic()
                loop.call_soon_threadsafe(then)
            elif at_once and time.monotonic() - began >= AGAIN:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

        before: dict[int, Any] = {number: signal.signal(number, told) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
