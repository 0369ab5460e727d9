"""DuckDB's errors as a log may tell them."""

import duckdb

_OF_THE_MACHINE = (OSError, duckdb.IOException, duckdb.OutOfMemoryException, duckdb.ConnectionException)
"""Errors whose texts are about files, memory and connections."""


def told(error: Exception) -> str:
    """The error in a line: its text where that is about the machine, else its kind, as DuckDB's other texts repeat the values
    of rows and queries."""
    if isinstance(error, _OF_THE_MACHINE):
        return str(error).partition("\n")[0] or type(error).__name__
    return type(error).__name__
