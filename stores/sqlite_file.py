"""What the embedded rows and the embedded log have in common: a SQLite file of which nothing deleted is left."""

import sqlite3
import time

CHECKPOINTED_WITHIN = 10.0
"""The seconds to wait for readers: each holds on to what it began with."""


def write_anew(connection: sqlite3.Connection) -> None:
    """Writes the file anew. Afterwards it has what its tables have and nothing else, and its log is empty."""
    connection.execute("VACUUM")
    until = time.monotonic() + CHECKPOINTED_WITHIN
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < until:
        time.sleep(0.05)
