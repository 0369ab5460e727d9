"""Threads for a SQLite file, each with a connection of its own: for the rows, and for the search index."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rules.errors import NotInitialised, StoreUnavailable
from stores.deadline import remaining
from stores.private import private_file

T = TypeVar("T")

_TIMEOUT = 10.0
"""Seconds that a call may take."""
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
"""Codes of errors that are the file's or the machine's fault, not that of a statement."""


@dataclass(slots=True)
class _Ends:
    """When a statement is interrupted, by time.monotonic(). The loop's thread changes it, SQLite's reads it."""

    at: float


class Lane:
    """Some threads that share the work. The writer's lane has one thread, so that writes never wait for each other's lock."""

    def __init__(
        self,
        path: Path,
        threads: int,
        name: str,
        *,
        store: str = "rows",
        prepare: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """``store``: what errors call the file. ``prepare`` is called with each connection once it is open."""
        self._path = path
        self._store = store
        self._prepare = prepare
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"{store}-{name}")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def run(self, work: Callable[[sqlite3.Connection], T], patience: float = _TIMEOUT) -> T:
        """Runs ``work`` in one of the threads and returns its result. Interrupts it at the deadline and when its caller is
        cancelled, and never begins it after. StoreUnavailable where the file is away."""
        left = remaining(patience)
        ends = _Ends(time.monotonic() + left)

        def call() -> T:
            connection = self._connection()
            self._own.ends = ends
            return work(connection)

        try:
            async with asyncio.timeout(left):
                return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        except asyncio.CancelledError:
            ends.at = 0.0
            raise
        except TimeoutError:
            remaining(patience)
            raise StoreUnavailable(
                f"the {self._store} did not answer within {left:.1f} s", detail=str(self._path)
            ) from None
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _AWAY:
                raise StoreUnavailable(
                    f"the {self._store} are away", detail=f"{self._path}: {error}"
                ) from error
            if str(error).startswith("no such"):
                raise NotInitialised(
                    f"the {self._store} have no such table yet: `cohort init` creates what is missing",
                    detail=f"{self._path}: {error}",
                ) from error
            raise

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, opened the first time."""
        known: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if known is not None:
            return known
        with suppress(OSError):  # SQLite says what is wrong
            private_file(self._path)
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=5
        )
        self._connections.append(connection)
        own = self._own
        own.ends = _Ends(time.monotonic() + _TIMEOUT)
        connection.set_progress_handler(lambda: time.monotonic() > own.ends.at, 20_000)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        if self._prepare is not None:
            self._prepare(connection)
        own.connection = connection
        return connection

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for connection in self._connections:
            connection.close()
