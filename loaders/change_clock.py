"""The moments of change that a process writes into ``changed_at``."""

import time


class ChangeClock:
    """Of one process, in ``Shared``."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        """Microseconds, never the same twice. Compared for equality only, so that clocks of different processes need not
        agree."""
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return self._last
