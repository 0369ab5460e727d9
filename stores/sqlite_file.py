"""Writes a SQLite file anew, without bytes of what was deleted: for the embedded rows and the embedded log."""

import sqlite3
import time

CHECKPOINTED_WITHIN = 10.0
"""Seconds to wait for readers, which hold on to the old content until they end."""


def write_anew(connection: sqlite3.Connection) -> None:
    """Leaves in the file what its tables have and nothing else, and empties its write-ahead log."""
    connection.execute("VACUUM")
    until = time.monotonic() + CHECKPOINTED_WITHIN
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < until:
        time.sleep(0.05)
