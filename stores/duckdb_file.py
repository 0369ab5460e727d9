"""An open DuckDB file and its threads: one that writes, and a few readers for each lane."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import duckdb
from duckdb import DuckDBPyConnection as Connection

from druid_specs import FORMER_DATA_SOURCES, DataSource
from rules.errors import StoreUnavailable
from stores.deadline import remaining
from stores.duckdb_errors import told
from stores.duckdb_queries import NAMES, columns, create, table
from stores.futures import looked_at
from stores.groups import Lane
from stores.private import PRIVATE

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a call may take."""
READERS = 2
"""Queries of a lane that run at a time; the others wait."""
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "1GB",
    "autoinstall_known_extensions": False,  # nothing is fetched from the network
    "autoload_known_extensions": False,
}
_AWAY = (duckdb.OperationalError, duckdb.InternalError, duckdb.InterruptException, duckdb.FatalException)
"""Errors that are the file's fault, not that of a statement. After a fatal one, as of a disk that is full when the file is brought
up to date, DuckDB refuses everything until the file is opened again."""
_ANEW = 0.01
"""Seconds between two interruptions: one that comes before the statement begins has no effect."""


class HeldElsewhere(StoreUnavailable):
    """Another process has the file open."""


@asynccontextmanager
async def answering(path: Path) -> AsyncIterator[None]:
    """Turns silence into StoreUnavailable, or into DeadlineExceeded where the request's time is over."""
    try:
        async with asyncio.timeout(remaining(PATIENCE)):
            yield
    except TimeoutError:
        remaining(PATIENCE)
        raise StoreUnavailable(_silent(PATIENCE), detail=str(path)) from None


class DuckFile:
    """Open with ``await DuckFile.open(path)``. Each call is one function on one thread with a cursor of its own.

    A call is interrupted at the deadline and when its caller is cancelled.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}.wal")
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._renewed = asyncio.Event()
        self._renewed.set()
        self._apart = asyncio.Lock()
        self._is_open = True
        self._opening: asyncio.Task[None] | None = None
        """Opens the file again; all calls that need that wait for it."""
        self._writer = ThreadPoolExecutor(1, "groups-writer")
        self._readers = {lane: ThreadPoolExecutor(READERS, f"groups-{lane.value}") for lane in Lane}
        self._connection: Connection

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Creates the file where there is none, but not its folder. HeldElsewhere where another process has it open;
        StoreUnavailable where it can't be opened."""
        file = cls(path)
        try:
            file._connection = await asyncio.get_running_loop().run_in_executor(file._writer, file._connect)
        except BaseException:
            file._writer.shutdown(wait=False)
            raise
        return file

    async def read(self, lane: Lane, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` on a reader of the lane and returns its result."""
        return await self._run(self._readers[lane], work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` as one transaction on the writer's thread and returns its result."""

        def transaction(connection: Connection) -> T:
            with _transaction(connection):
                done = work(connection)
            with suppress(FileNotFoundError):
                self._wal.chmod(PRIVATE)
            return done

        return await self._run(self._writer, transaction)

    async def renew(self, then: Callable[[Connection], None]) -> None:
        """Writes the file anew, so that it contains nothing but what its tables have. Runs ``then`` in the new file.

        Other calls wait meanwhile, some seconds for each GB. Killed anywhere, it leaves the old file or the new one.
        """
        await self._alone(lambda: self._renew(then))

    async def _alone(self, work: Callable[[], None]) -> None:
        """Runs ``work`` on the writer's thread while there is no call. It is never left half-way."""
        async with self._apart:
            self._renewed.clear()
            try:
                await self._idle.wait()
                done = asyncio.get_running_loop().run_in_executor(self._writer, work)
                try:
                    await asyncio.shield(done)
                except asyncio.CancelledError:
                    await asyncio.wait({done})
                    raise
            except (duckdb.Error, OSError) as error:
                raise self._away(error) from error
            finally:
                self._renewed.set()

    async def close(self) -> None:
        for threads in (*self._readers.values(), self._writer):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._connection.close)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[Connection], T]) -> T:
        async with answering(self._path):
            while not (self._renewed.is_set() and self._is_open):
                shared = self._opening is not None or self._renewed.is_set()
                await (self._opened_again() if shared else self._renewed.wait())
        self._running += 1
        self._idle.clear()
        try:
            return await self._result(threads, work)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _result(self, threads: ThreadPoolExecutor, work: Callable[[Connection], T]) -> T:
        left = remaining(PATIENCE)
        call = _Call(self._connection, work)
        job = threads.submit(call)
        result = asyncio.wrap_future(job)
        result.add_done_callback(looked_at)
        try:
            await asyncio.wait({result}, timeout=left)
            in_time = result.done()
        finally:
            if not job.cancel():
                while not result.done():
                    call.interrupt()
                    await asyncio.wait({result}, timeout=_ANEW)
        if not in_time:
            remaining(PATIENCE)
            raise StoreUnavailable(_silent(left), detail=str(self._path))
        try:
            return result.result()
        except _AWAY as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, duckdb.FatalException):
            self._is_open = False
        return StoreUnavailable("the groups store is away", detail=f"{self._path}: {told(error)}")

    async def _opened_again(self) -> None:
        """Returns when the file is open again. Whoever comes meanwhile waits for the same opening, and for its error."""
        if self._opening is None:
            # In a context of its own: it has nothing to do with the deadline and the bill of who comes first.
            self._opening = asyncio.create_task(self._alone(self._open_again), context=Context())
            self._opening.add_done_callback(self._end_opening)
        await asyncio.shield(self._opening)

    def _end_opening(self, opening: asyncio.Task[None]) -> None:
        self._opening = None
        looked_at(opening)

    def _open_again(self) -> None:
        """Opens the file if it is not open, or of no use any more. It has what was acknowledged."""
        if not self._is_open:
            self._connection.close()
            self._connection = self._connect()
            self._is_open = True

    def _renew(self, then: Callable[[Connection], None]) -> None:
        self._open_again()
        fresh = self._path.with_name(f"{self._path.name}.new")
        log_of_fresh = fresh.with_name(f"{fresh.name}.wal")
        fresh.unlink(missing_ok=True)
        (name,) = self._connection.execute("SELECT current_database()").fetchone() or ("",)
        self._connection.execute("CHECKPOINT")
        try:
            self._connection.execute(f"ATTACH '{_quoted(str(fresh))}' AS renewed")
            fresh.chmod(PRIVATE)
            self._connection.execute(f'COPY FROM DATABASE "{name}" TO renewed')
            self._connection.execute("CHECKPOINT renewed")
            self._connection.execute("DETACH renewed")
            self._connection.close()
            self._wal.unlink(missing_ok=True)  # before: it must not be taken for the new file's
            fresh.replace(self._path)
        finally:
            self._is_open = False  # whatever happened: what is attached is let go of as well
            for left in (fresh, log_of_fresh):  # it has rows, too, which anybody might read
                left.unlink(missing_ok=True)
        self._open_again()
        then(self._connection)
        self._connection.execute("CHECKPOINT")

    def _connect(self) -> Connection:
        try:
            connection = duckdb.connect(str(self._path), config=_CONFIG)
            self._path.chmod(PRIVATE)
            return connection
        except duckdb.Error as error:
            if "lock on file" in str(error):
                raise HeldElsewhere(
                    "the groups store is held by another process",
                    detail=f"{self._path} is open in another process, and DuckDB lets one at a time: serve with one "
                    "process, or set COHORT_GROUPS to druid://…",
                ) from error
            raise self._away(error) from error


class _Call(Generic[T]):
    """A piece of work on one thread that another thread may interrupt."""

    def __init__(self, connection: Connection, work: Callable[[Connection], T]) -> None:
        self._connection = connection
        self._work = work
        self._cursor: Connection | None = None

    def __call__(self) -> T:
        with self._connection.cursor() as self._cursor:
            return self._work(self._cursor)

    def interrupt(self) -> None:
        if self._cursor is not None:
            with suppress(duckdb.ConnectionException):  # it has just been closed
                self._cursor.interrupt()


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _silent(seconds: float) -> str:
    return f"the groups store did not answer within {seconds:.1f} s"


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


class LayOut(Protocol):
    """Makes the tables of a file ready for the sources, and returns a line for each change."""

    def __call__(self, connection: Connection, /, sources: Sequence[DataSource]) -> list[str]: ...


def remove_tables(connection: Connection) -> None:
    """Removes every table."""
    for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        connection.execute(f'DROP TABLE "{name}"')


def lay_out(connection: Connection, sources: Sequence[DataSource]) -> list[str]:
    """Creates missing tables and columns of the sources, removes former tables, and returns a line for each change."""
    there = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    done = []
    for name in sorted(there.intersection(FORMER_DATA_SOURCES)):
        connection.execute(f'DROP TABLE "{name}"')
        done.append(f"removed table {name}")
    for source in sources:
        known = {name for (name,) in connection.execute(NAMES, [source.stored_as]).fetchall()}
        if not known:
            connection.execute(create(source))
            done.append(f"created table {source.stored_as}")
            continue
        for name, type_ in columns(source).items():
            if name not in known:
                connection.execute(f'ALTER TABLE {table(source)} ADD COLUMN "{name}" {type_}')
                done.append(f"added column {name} to {source.stored_as}")
    return done
