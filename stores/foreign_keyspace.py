"""Reads any Cassandra keyspace that is not Cohort's, page by page, by ranges of tokens."""

# ruff: noqa: S608 - names come from system_schema, values are always bound

import base64
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from cassandra import AuthenticationFailed, Unauthorized
from cassandra.cluster import NoHostAvailable

from rules.errors import Forbidden, InvalidInput, NotFound, StoreUnavailable
from stores.cassandra_session import Address, CassandraSession
from stores.meter import Meter
from stores.rows import Row, RowPage, TokenRange

_IN_FLIGHT = 16
"""Statements at a time; the others wait."""
_PAGE = 2000
"""Rows that one answer to ``rows`` brings."""


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """A table as system_schema has it. ``columns`` are all of its columns, the key's too."""

    name: str
    partition: tuple[str, ...]
    clustering: tuple[str, ...]
    columns: frozenset[str]

    @property
    def key(self) -> tuple[str, ...]:
        return (*self.partition, *self.clustering)

    def prefix(self, names: Mapping[str, Any]) -> tuple[str, ...]:
        """The longest beginning of the key whose columns are all among ``names``; empty where it is less than a partition."""
        named = tuple(takewhile(names.__contains__, self.key))
        return named if len(named) >= len(self.partition) else ()


class _Session(CassandraSession):
    connecting: ClassVar[Mapping[str, Any]] = {}
    """Empty, so that the protocol is negotiated: the server may be older than ours, or YugabyteDB."""


class ForeignKeyspace:
    """Open with ``await ForeignKeyspace.open(url)``; ``field`` names the URL in errors."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._keyspace = session.address.keyspace

    @classmethod
    async def open(cls, url: str, *, field: str) -> Self:
        """``url``: ``cassandra://user:password@host,host:9042/keyspace?dc=datacenter1``.

        InvalidInput for another URL, or where user and password are refused. StoreUnavailable where no host answers.
        NotFound where there is no such keyspace.
        """
        try:
            address = Address.parse(url)
        except InvalidInput as error:
            raise InvalidInput(error.message, field=field) from None
        if not urlsplit(url).path.strip("/"):
            raise InvalidInput("name the keyspace: cassandra://user:password@host/KEYSPACE", field=field)
        session = _Session(address, Meter(), _IN_FLIGHT)
        try:
            await session.connect()
        except StoreUnavailable as error:
            if _is_refused(error.__cause__):
                raise InvalidInput("user and password are refused there", field=field) from error
            raise StoreUnavailable(
                "the keyspace to read can't be reached", field=field, detail=error.detail
            ) from error
        keyspace = cls(session)
        try:
            if not await keyspace._system("keyspace_name", "keyspaces"):
                raise NotFound(f"there is no keyspace {address.keyspace}", field=field)
        except BaseException:
            await session.close()
            raise
        return keyspace

    async def tables(self) -> dict[str, ForeignTable]:
        """All tables by name."""
        found: dict[str, list[tuple[str, str, int]]] = {}
        for table, column, kind, position in await self._system(
            "table_name, column_name, kind, position", "columns"
        ):
            found.setdefault(table, []).append((column, kind, position))

        def of(columns: list[tuple[str, str, int]], wanted: str) -> tuple[str, ...]:
            return tuple(
                name for _, name in sorted((at, name) for name, kind, at in columns if kind == wanted)
            )

        return {
            table: ForeignTable(
                table,
                of(columns, "partition_key"),
                of(columns, "clustering"),
                frozenset(name for name, _, _ in columns),
            )
            for table, columns in found.items()
        }

    async def walk(
        self,
        table: ForeignTable,
        token_range: TokenRange,
        columns: Sequence[str],
        *,
        page_size: int,
        resume: str | None = None,
    ) -> AsyncIterator[RowPage]:
        """Every row of the range in token order, a page at a time, as in stores/rows.py."""
        token = f"token({_named(table.partition)})"
        text = f"SELECT {_named(columns)} FROM {self._name(table)} WHERE {token} > ? AND {token} <= ?"
        with _errors(table):
            bound = (await self._session.prepare(text)).bind([token_range.start, token_range.end])
        bound.fetch_size = page_size
        while True:
            page = None if resume is None else base64.b64decode(resume)
            with _errors(table):
                raws, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
            resume = None if page is None else base64.b64encode(page).decode()
            yield RowPage([_row(columns, raw) for raw in raws], resume)
            if resume is None:
                return

    async def rows(self, table: ForeignTable, equal: Mapping[str, Any], columns: Sequence[str]) -> list[Row]:
        """Rows with these values in columns of the key. ``equal`` names at least the partition's columns.

        Cassandra is asked by the longest beginning of the key; values of other columns are compared here.
        """
        prefix = table.prefix(equal)
        rest = [name for name in equal if name not in prefix]
        asked = list(dict.fromkeys([*columns, *rest]))
        where = " AND ".join(f'"{name}" = ?' for name in prefix)
        text = f"SELECT {_named(asked)} FROM {self._name(table)} WHERE {where}"
        found: list[Row] = []
        page = None
        with _errors(table):
            bound = (await self._session.prepare(text)).bind([equal[name] for name in prefix])
            bound.fetch_size = _PAGE
            while True:
                raws, page, _ = await self._session.send(f"select {table.name}", bound, page=page)
                rows = (_row(asked, raw) for raw in raws)
                found += [row for row in rows if all(row[name] == equal[name] for name in rest)]
                if page is None:
                    return found

    async def close(self) -> None:
        await self._session.close()

    def _name(self, table: ForeignTable) -> str:
        return f'{self._keyspace}."{table.name}"'

    async def _system(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        text = f"SELECT {columns} FROM system_schema.{table} WHERE keyspace_name = ?"
        bound = (await self._session.prepare(text)).bind([self._keyspace])
        bound.fetch_size = None
        return (await self._session.send(f"select system_schema.{table}", bound)).rows


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _is_refused(error: BaseException | None) -> bool:
    causes = error.errors.values() if isinstance(error, NoHostAvailable) else ()
    return any(isinstance(cause, AuthenticationFailed) for cause in (error, *causes))


@contextmanager
def _errors(table: ForeignTable) -> Iterator[None]:
    """Turns refusal and silence into errors that say what could not be read."""
    try:
        yield
    except Unauthorized as error:
        raise Forbidden(f"this user may not read {table.name} there", field="from") from error
    except StoreUnavailable as error:
        raise StoreUnavailable(
            "the keyspace to read did not answer", field=error.field, detail=error.detail
        ) from error


def _row(columns: Sequence[str], raw: Sequence[Any]) -> Row:
    return {name: _plain(value) for name, value in zip(columns, raw, strict=True)}


def _plain(value: Any) -> Any:
    """A value of the driver as one of the rows port: aware moments, dicts, lists, floats."""
    match value:
        case None | str() | bool() | int() | float():
            return value
        case datetime():
            return value.replace(tzinfo=UTC)
        case Decimal():
            return float(value)
        case tuple() if hasattr(value, "_asdict"):
            return {name: _plain(part) for name, part in value._asdict().items()}
        case list() | tuple():
            return [_plain(part) for part in value]
    if hasattr(value, "items"):
        return {key: _plain(part) for key, part in value.items()}
    if hasattr(value, "__iter__") and not isinstance(value, bytes):
        return [_plain(part) for part in value]
    return value
