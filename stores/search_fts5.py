"""The embedded engine of the search port: one SQLite file with a full-text table (FTS5)."""

# ruff: noqa: S608 - names are the module's own, values are always bound

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from rules.search import JOINERS, PARENT, SearchDocument, parted
from stores.search import (
    FACET_VALUES,
    WEIGHTS,
    Hit,
    Hits,
    Indexed,
    IndexWrite,
    Search,
    SearchOrder,
    SearchQuery,
    UnitHit,
    place_value,
)
from stores.sqlite_index import SqliteIndex
from stores.timing import timed

VERSION = 1
"""Of the tables below. A file of another version is emptied by ``init``, to be filled anew."""
PAGE = 500
"""Collections of a page of ``roots``."""
_BIND = 500
"""Values of one statement."""
BETWEEN = " \ue000 "
"""Between two names in a column: a word that nobody can search for, so that no phrase goes from one to the next."""
_TABLES = f"""
CREATE TABLE documents (
  revision INTEGER PRIMARY KEY AUTOINCREMENT, root TEXT NOT NULL, identifier TEXT NOT NULL, name TEXT NOT NULL,
  name_in_order TEXT NOT NULL, published_on INTEGER NOT NULL, leaf_nodes_count INTEGER NOT NULL, document BLOB NOT NULL,
  UNIQUE (root, identifier)
);
CREATE TABLE filters (
  field TEXT, value TEXT, revision INTEGER, PRIMARY KEY (field, value, revision)
) WITHOUT ROWID;
CREATE INDEX filters_of_document ON filters (revision);
CREATE VIRTUAL TABLE words USING fts5(
  name, keywords, description, unit_names, prefix='2 3',
  tokenize="unicode61 remove_diacritics 2 categories 'L* M* N*' tokenchars '{JOINERS}{BETWEEN.strip()}'"
);
"""
# Marks (M*) belong to words: in Devanagari and others they are vowels.
_COLUMN = {
    SearchOrder.NAME: "name_in_order",
    SearchOrder.LAST_PUBLISHED_ON: "published_on",
    SearchOrder.LEAF_NODES_COUNT: "leaf_nodes_count",
}


@timed("search", Search)
class Fts5Search(SqliteIndex):
    called = "search documents"
    counted = "documents"
    tables = ("documents", "filters", "words")
    created = "created the search index; `cohort search check --repair` fills it"

    async def init(self) -> list[str]:
        return await self._made_anew(VERSION, _TABLES)

    async def find(self, query: SearchQuery) -> Hits:
        self.meter.count("search")
        found = _Found.of(query)
        return await self._readers.run(lambda connection: _hits(connection, found, query))

    async def units(
        self, words: Sequence[str], roots: Sequence[str], each: int
    ) -> Mapping[str, Sequence[UnitHit]]:
        if not words or not roots:
            return {}
        self.meter.count("search units")
        match = " OR ".join(_phrases(words))
        found = await self._readers.run(lambda connection: _units(connection, match, roots, each))
        return {root: [UnitHit(*unit) for of, *unit in found if of == root] for root in roots}

    async def documents(self, root: str) -> list[Indexed]:
        self.meter.count("read documents")
        return await self._readers.run(lambda connection: _documents(connection, root))

    def roots(self) -> AsyncIterator[Sequence[str]]:
        return self._pages(_roots)

    async def write(self, writes: Sequence[IndexWrite]) -> Sequence[IndexWrite]:
        """In one transaction."""
        return await self._written(writes, _write)


class _Found(NamedTuple):
    """All that a query finds, as SQL: ``source`` selects revision, identifier and value, which it is ordered by."""

    source: str
    bound: tuple[Any, ...]

    @classmethod
    def of(cls, query: SearchQuery) -> "_Found":
        weights = ", ".join(map(str, WEIGHTS.values()))
        relevance = f"-bm25(words, {weights})" if query.words else "0.0"
        value = _COLUMN.get(query.order, relevance)
        source = f"SELECT documents.revision, identifier, {value} AS value FROM documents"
        conditions, bound = [], []
        if query.words:
            source += " JOIN words ON words.rowid = documents.revision"
            conditions.append("words MATCH ?")
            bound.append(" AND ".join(_phrases(query.words)))
        for name, values in query.filters.items():
            holes = ", ".join("?" * len(values))
            conditions.append(
                f"documents.revision IN (SELECT revision FROM filters WHERE field = ? AND value IN ({holes}))"
            )
            bound += [name, *values]
        return cls(f"{source} WHERE {' AND '.join(conditions) or '1'}", tuple(bound))


def _phrases(words: Sequence[str]) -> list[str]:
    """Returns each word as FTS5 is asked for it: quoted, so that it is no operator. The last one may go on."""
    quoted = [f'"{parted(word)}"' for word in words]
    return [*quoted[:-1], f"{quoted[-1]} *"]


def _hits(connection: sqlite3.Connection, found: _Found, query: SearchQuery) -> Hits:
    """In one transaction, so that page, total and facets are of one moment."""
    connection.execute("BEGIN")
    try:
        # Once for all that is asked of it: bm25 works beside MATCH alone.
        source = f"WITH found AS MATERIALIZED ({found.source}) "
        total = connection.execute(f"{source} SELECT count(*) FROM found", found.bound).fetchone()[0]
        after, place = "", tuple[Any, ...]()
        if query.after is not None:
            value = place_value(query.order, query.after)
            beyond = "<" if query.descending else ">"
            after = f"WHERE value {beyond} ? OR (value = ? AND identifier > ?)"
            place = (value, value, query.after[1])
        direction = "DESC" if query.descending else "ASC"
        page = connection.execute(
            f"{source} SELECT identifier, value FROM found {after} ORDER BY value {direction}, identifier LIMIT ?",
            (*found.bound, *place, query.first + 1),
        ).fetchall()
        counts = f"{source} SELECT value, count(*) FROM filters WHERE field = ? AND revision IN (SELECT revision FROM found) "
        counts += "GROUP BY value ORDER BY 2 DESC, 1 LIMIT ?"
        facets = {
            name: [
                (value, count)
                for value, count in connection.execute(counts, (*found.bound, name, FACET_VALUES))
            ]
            for name in query.facets
        }
    finally:
        connection.execute("ROLLBACK")
    hits = [Hit(identifier, (_text(value), identifier)) for identifier, value in page[: query.first]]
    return Hits(hits, total, len(page) > query.first, facets)


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else repr(value)


def _units(
    connection: sqlite3.Connection, match: str, roots: Sequence[str], each: int
) -> list[tuple[str, str, str]]:
    weights = ", ".join(map(str, WEIGHTS.values()))
    found: list[tuple[str, str, str]] = []
    for first in range(0, len(roots), _BIND):
        some = roots[first : first + _BIND]
        holes = ", ".join("?" * len(some))
        found += connection.execute(
            f"""
            WITH found AS MATERIALIZED (
              SELECT root, identifier, documents.name, bm25(words, {weights}) AS score
              FROM words JOIN documents ON documents.revision = words.rowid
              WHERE words MATCH ? AND root IN ({holes})
                AND documents.revision IN (SELECT revision FROM filters WHERE field = 'visibility' AND value = ?)
            ), ranked AS (
              SELECT *, row_number() OVER (PARTITION BY root ORDER BY score, identifier) AS rank FROM found
            )
            SELECT root, identifier, name FROM ranked WHERE rank <= ? ORDER BY root, rank
            """,
            (match, *some, PARENT, each),
        ).fetchall()
    return found


def _documents(connection: sqlite3.Connection, root: str) -> list[Indexed]:
    found = connection.execute(
        "SELECT document, revision FROM documents WHERE root = ? ORDER BY identifier", (root,)
    )
    return [Indexed(SearchDocument.decode(document), str(revision)) for document, revision in found]


def _roots(connection: sqlite3.Connection, after: str) -> list[str]:
    found = connection.execute(
        "SELECT DISTINCT root FROM documents WHERE root > ? ORDER BY root LIMIT ?", (after, PAGE)
    )
    return [root for (root,) in found]


def _write(connection: sqlite3.Connection, write: IndexWrite) -> bool:
    """Returns whether the document was still as it had been read."""
    document = write.document
    stored = connection.execute(
        "SELECT revision FROM documents WHERE root = ? AND identifier = ?", document.key
    ).fetchone()
    if (None if stored is None else str(stored[0])) != write.revision:
        return False
    if stored is not None:
        connection.execute("DELETE FROM documents WHERE revision = ?", stored)
        connection.execute("DELETE FROM filters WHERE revision = ?", stored)
        connection.execute("DELETE FROM words WHERE rowid = ?", stored)
    if write.delete:
        return True
    values = (*document.key, document.name, document.name_in_order, document.published_on)
    revision = connection.execute(
        "INSERT INTO documents (root, identifier, name, name_in_order, published_on, leaf_nodes_count, document) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*values, document.leaf_nodes_count, document.encode()),
    ).lastrowid
    connection.executemany(
        "INSERT INTO filters VALUES (?, ?, ?)",
        [(name, value, revision) for name, values in document.filters.items() for value in values],
    )
    connection.execute(
        "INSERT INTO words (rowid, name, keywords, description, unit_names) VALUES (?, ?, ?, ?, ?)",
        (
            revision,
            parted(document.name),
            parted(BETWEEN.join(document.keywords)),
            parted(document.description),
            parted(BETWEEN.join(document.unit_names)),
        ),
    )
    return True
