"""Python's garbage collector, tuned for a process that serves or migrates: it runs rarely."""

import atexit
import gc

YOUNGEST = 20_000
"""Objects that are made and not freed before the youngest generation is collected. A page of a large group makes some
50,000, which are all freed without the collector. Python's default of 700 would collect some seventy times for it."""


def collect_rarely() -> None:
    """Has the collector run rarely, and leave out the objects of now, such as modules and the schema: they stay as long as
    the process."""
    gc.collect()
    gc.freeze()
    # Else objects in cycles outlive the interpreter, and DuckDB's binding prints pages about those that are its own.
    atexit.register(gc.unfreeze)
    gc.set_threshold(YOUNGEST, *gc.get_threshold()[1:])
