"""Python's search for garbage in cycles, made rare in a process that serves."""

import atexit
import gc

YOUNGEST = 20_000
"""Objects made and not freed before the youngest are looked through; a page of a large group makes some 50,000, which
all go by themselves: Python's own 700 have it look some seventy times."""


def collect_rarely() -> None:
    """What is there by now, such as modules and the schema, stays for the life of the process and is not looked
    through again."""
    gc.collect()
    gc.freeze()
    # Else what is in cycles outlives the interpreter, and DuckDB's binding lists, in pages, what of its own is among it.
    atexit.register(gc.unfreeze)
    gc.set_threshold(YOUNGEST, *gc.get_threshold()[1:])
