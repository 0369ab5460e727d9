"""Reads any Cassandra keyspace that is not Cohort's, page by page, by ranges of tokens.

Values come as stores/foreign_types.py decodes them: a timestamp as milliseconds since the epoch, maps and user-defined
types as dicts.
"""

# ruff: noqa: S608 - names come from system_schema, values are always bound

import base64
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from cassandra import AuthenticationFailed, RequestValidationException, Unauthorized
from cassandra.cluster import NoHostAvailable

from rules.errors import Forbidden, InvalidInput, NotFound, StoreUnavailable
from stores.cassandra_address import Address
from stores.cassandra_policies import cannot_authorise
from stores.cassandra_session import CassandraSession
from stores.foreign_types import ForeignAnswers
from stores.meter import Meter
from stores.rows import Row, RowPage, TokenRange

_IN_FLIGHT = 16
"""Statements at a time; the others wait."""
_PAGE = 2000
"""Rows that one answer to ``rows`` brings."""

Columns = Mapping[str, str]
"""The columns to read, each by its name in the rows."""
Written = Mapping[str, Sequence[str]]
"""Write times to read, each by its name in the rows: the newest one of these values, by their names in the rows."""


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """A table as system_schema has it. ``columns`` are all of its columns, the key's too, with their CQL types."""

    name: str
    partition: tuple[str, ...]
    clustering: tuple[str, ...]
    columns: Mapping[str, str]

    @property
    def key(self) -> tuple[str, ...]:
        return (*self.partition, *self.clustering)

    def has_parts(self, column: str) -> bool:
        """Whether the column's elements have write times of their own."""
        return self.columns[column].startswith(("list<", "map<", "set<"))

    def prefix(self, names: Mapping[str, Any]) -> tuple[str, ...]:
        """The longest beginning of the key whose columns are all among ``names``; empty where it is less than a partition."""
        named = tuple(takewhile(names.__contains__, self.key))
        return named if len(named) >= len(self.partition) else ()


class _Session(CassandraSession):
    connecting: ClassVar[Mapping[str, Any]] = {}
    """Empty, so that the protocol is negotiated: the server may be older than ours, or YugabyteDB."""
    answers: ClassVar[Any] = ForeignAnswers


class ForeignKeyspace:
    """Open with ``await ForeignKeyspace.open(url)``; ``field`` names the URL in errors."""

    def __init__(self, session: CassandraSession, field: str) -> None:
        self._session = session
        self._field = field
        self._keyspace = session.address.keyspace
        self._told: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
        self._open = ExitStack()

    @classmethod
    async def open(cls, url: str, *, field: str) -> Self:
        """``url``: ``cassandra://user:password@host,host:9042/keyspace?dc=datacenter1``, or ``cassandras://…`` for TLS.

        InvalidInput for another URL, where user and password are refused, or where there is no such data centre.
        StoreUnavailable where no host answers. NotFound where there is no such keyspace.
        """
        try:
            address = Address.parse(url)
        except InvalidInput as error:
            raise InvalidInput(error.message, field=field) from None
        if not urlsplit(url).path.strip("/"):
            raise InvalidInput("name the keyspace: cassandra://user:password@host/KEYSPACE", field=field)
        keyspace = cls(_Session(address, Meter(), _IN_FLIGHT), field)
        keyspace._open.enter_context(_silent_driver())
        try:
            await keyspace._connect()
        except BaseException:
            await keyspace.close()
            raise
        return keyspace

    async def _connect(self) -> None:
        address, field = self._session.address, self._field
        try:
            await self._session.connect()
        except StoreUnavailable as error:
            if _is_refused(error.__cause__):
                raise InvalidInput("user and password are refused there", field=field) from error
            if others := self._session.other_data_centres:
                raise InvalidInput(
                    f"there is no data centre {address.dc}; take dc={' or dc='.join(others)}", field=field
                ) from error
            raise StoreUnavailable(
                "the keyspace to read can't be reached", field=field, detail=error.detail
            ) from error
        if not await self._system("keyspace_name", "keyspaces"):
            raise NotFound(f"there is no keyspace {address.keyspace}", field=field)

    async def tables(self) -> dict[str, ForeignTable]:
        """All tables by name."""
        found: dict[str, list[tuple[str, str, int, str]]] = {}
        for table, *column in await self._system("table_name, column_name, kind, position, type", "columns"):
            found.setdefault(table, []).append(tuple(column))

        def of(columns: list[tuple[str, str, int, str]], wanted: str) -> tuple[str, ...]:
            return tuple(
                name for _, name in sorted((at, name) for name, kind, at, _ in columns if kind == wanted)
            )

        return {
            table: ForeignTable(
                table,
                of(columns, "partition_key"),
                of(columns, "clustering"),
                {name: typed for name, _, _, typed in columns},
            )
            for table, columns in found.items()
        }

    async def walk(
        self,
        table: ForeignTable,
        token_range: TokenRange,
        columns: Columns,
        *,
        page_size: int,
        resume: str | None = None,
        written: Written = MappingProxyType({}),
    ) -> AsyncIterator[RowPage]:
        """Every row of the range in token order, a page at a time, as in stores/rows.py.

        A write time is in microseconds since the epoch. It is None where there is none, and where the server does not
        tell that of one of the values (a list or map before Cassandra 5).
        """
        token = f"token({_named(table.partition)})"
        where = f"{token} > ? AND {token} <= ?"
        with self._errors(table.name):
            asked = await self._asked(table, where, columns, written)
        bound = asked.statement.bind([token_range.start, token_range.end])
        bound.fetch_size = page_size
        while True:
            page = None if resume is None else base64.b64decode(resume)
            with self._errors(table.name):
                raws, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
            resume = None if page is None else base64.b64encode(page).decode()
            yield RowPage(asked.rows(raws), resume)
            if resume is None:
                return

    async def rows(
        self,
        table: ForeignTable,
        equal: Mapping[str, Any],
        columns: Columns,
        written: Written = MappingProxyType({}),
    ) -> list[Row]:
        """Rows with these values in columns of the key. ``equal`` names at least the partition's columns, as ``columns``
        does, by their names in the rows.

        Cassandra is asked by the longest beginning of the key; values of other columns are compared here.
        """
        values = {columns[name]: value for name, value in equal.items()}
        prefix = table.prefix(values)
        where = " AND ".join(f'"{name}" = ?' for name in prefix)
        found: list[Row] = []
        page = None
        with self._errors(table.name):
            asked = await self._asked(table, where, columns, written)
            bound = asked.statement.bind([values[name] for name in prefix])
            bound.fetch_size = _PAGE
            while True:
                raws, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
                found += [row for row in asked.rows(raws) if all(row[name] == equal[name] for name in equal)]
                if page is None:
                    return found

    async def close(self) -> None:
        try:
            await self._session.close()
        finally:
            self._open.close()

    async def _asked(self, table: ForeignTable, where: str, columns: Columns, written: Written) -> "_Asked":
        of = list(dict.fromkeys(name for names in written.values() for name in names))
        told = await self._write_times(table, [columns[name] for name in of])
        timed = {name: told[columns[name]] for name in of if columns[name] in told}
        selected = ", ".join([_named([*columns.values()]), *timed.values()])
        statement = await self._session.prepare(
            f'SELECT {selected} FROM {self._keyspace}."{table.name}" WHERE {where}'
        )
        return _Asked.of(statement, columns, list(timed), written)

    async def _write_times(self, table: ForeignTable, columns: Sequence[str]) -> dict[str, str]:
        """How the server is asked for the write time of each of these columns. It does not tell that of the others."""
        key = (table.name, tuple(columns))
        if key not in self._told:
            single = {name: f'WRITETIME("{name}")' for name in columns if not table.has_parts(name)}
            parts = {name: f'MAXWRITETIME("{name}")' for name in columns if table.has_parts(name)}
            self._told[key] = {}
            for told in (single | parts, single):
                if await self._is_known(table, told.values()):
                    self._told[key] = told
                    break
        return self._told[key]

    async def _is_known(self, table: ForeignTable, expressions: Iterable[str]) -> bool:
        try:
            selected = ", ".join([_named(table.partition), *expressions])
            await self._session.prepare(f'SELECT {selected} FROM {self._keyspace}."{table.name}"')
        except RequestValidationException:
            return False
        return True

    @contextmanager
    def _errors(self, table: str) -> Iterator[None]:
        """Turns refusal and silence into errors that say what could not be read."""
        try:
            yield
        except StoreUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, Unauthorized) and not cannot_authorise(cause):
                raise Forbidden(f"this user may not read {table} there", field=self._field) from error
            raise StoreUnavailable(
                "the keyspace to read did not answer", field=self._field, detail=error.detail
            ) from error

    async def _system(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        text = f"SELECT {columns} FROM system_schema.{table} WHERE keyspace_name = ?"
        with self._errors(f"system_schema.{table}"):
            bound = (await self._session.prepare(text)).bind([self._keyspace])
            bound.fetch_size = None
            return (await self._session.send(f"select system_schema.{table}", bound)).rows


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _is_refused(error: BaseException | None) -> bool:
    # Where no host is of the data centre, the driver has a list of hosts in place of the errors.
    errors = error.errors if isinstance(error, NoHostAvailable) else None
    causes = errors.values() if isinstance(errors, dict) else ()
    return any(isinstance(cause, AuthenticationFailed) for cause in (error, *causes))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A statement, and how its answers become rows."""

    statement: Any
    names: tuple[str, ...]
    times: Sequence[tuple[str, Sequence[int], Sequence[str]]]
    """For each write time the places in the answer, and the names of the values whose write time is not told."""

    @classmethod
    def of(cls, statement: Any, columns: Columns, timed: Sequence[str], written: Written) -> "_Asked":
        place = {name: len(columns) + at for at, name in enumerate(timed)}
        times = [
            (
                called,
                [place[name] for name in of if name in place],
                [name for name in of if name not in place],
            )
            for called, of in written.items()
        ]
        return cls(statement, tuple(columns), times)

    def rows(self, raws: Sequence[Sequence[Any]]) -> list[Row]:
        names = self.names
        # An answer with write times is longer than the names.
        rows: list[Row] = [dict(zip(names, raw)) for raw in raws]  # noqa: B905
        for called, places, untold in self.times:
            for row, raw in zip(rows, raws, strict=True):
                known = [at for place in places if (at := raw[place]) is not None]
                row[called] = max(known) if known and not any(row[name] for name in untold) else None
        return rows


_levels: list[int] = []
"""What the driver's log was set to before each foreign keyspace that is open."""


@contextmanager
def _silent_driver() -> Iterator[None]:
    """Keeps the driver from its log, where it would tell of a host that is away again and again. It is told once, by the
    error of the read that needs the host."""
    logger = logging.getLogger("cassandra")
    _levels.append(logger.level)
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(_levels.pop())
