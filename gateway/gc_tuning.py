"""Python's garbage collector, tuned for a process that serves, works or migrates: it runs rarely, and never for long.

A request leaves it nothing: what a request has made knows no circles (tests/graph/execution/test_garbage.py). So the collector only
looks, in vain, at what is alive, and its time is for how much that is.
"""

import atexit
import gc
from collections.abc import Mapping

YOUNGEST = 10_000
"""Objects that are made and not freed before the youngest generation is looked at. A page of a large group makes some
50,000, which are all freed without the collector. Python's default of 700 would look some seventy times for it."""
MIDDLE = 5
"""Looks at the youngest before the middle one is looked at, too: some 20 ms for each 50,000 objects. Python's default of 10
holds the loop twice as long."""
OLDEST = 1_000
"""Looks at the middle generation before all objects are looked at: 100 ms and more while large requests are under way. What
drivers leave in circles can wait."""


def collect_rarely() -> None:
    """Has the collector run rarely, and leave out the objects of now, such as modules and the schema: they stay as long as
    the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST, MIDDLE, OLDEST)
    if _leave_the_old not in gc.callbacks:
        gc.callbacks.append(_leave_the_old)
        atexit.register(leave_out_nothing)


def _leave_the_old(phase: str, info: Mapping[str, int]) -> None:
    """After a look at everything, what is alive is left out from then on: else each such look takes longer than the one before,
    by all that the process keeps in memory. It is still freed once nobody knows it."""
    if phase == "stop" and info["generation"] == _EVERYTHING:
        gc.freeze()


def leave_out_nothing() -> None:
    """Has each look at everything look at all objects again: before the interpreter's last one, else objects in circles outlive
    it, and DuckDB's binding prints pages about those that are its own."""
    if _leave_the_old in gc.callbacks:
        gc.callbacks.remove(_leave_the_old)
        atexit.unregister(leave_out_nothing)
    gc.unfreeze()


_EVERYTHING = 2
"""The generation whose collection is one of all objects."""
