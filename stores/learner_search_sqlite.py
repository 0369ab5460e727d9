"""The embedded engine of the learner index: one SQLite file, in which each beginning of a word is a key."""

# ruff: noqa: S608 - names are the module's own, values are always bound

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from rules.learner_search import USER_ID_WEIGHT, LearnerDocument, LearnerOrder, LearnerText
from stores.learner_search import (
    ORDERED_BY,
    IndexedLearner,
    LearnerHit,
    LearnerHits,
    LearnerQuery,
    LearnerSearch,
    LearnerWrite,
    filter_value,
    place_values,
)
from stores.sqlite_file import write_anew
from stores.sqlite_index import SqliteIndex
from stores.timing import timed

VERSION = 1
"""Of the tables below, and of the words in them. A file of another version is emptied by ``init``, to be filled anew."""
PAGE = 1_000
"""Learners of a page of ``user_ids``."""
SCRUBBED_WITHIN = 3600.0
"""Seconds that it may take to write the file anew."""
_BIND = 500
"""Values of one statement."""
_LAST = "\U0010ffff"
"""Follows whatever begins with what is before it."""
_TABLES = """
CREATE TABLE learners (
  revision INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL UNIQUE, name_in_order TEXT NOT NULL,
  document BLOB NOT NULL
);
CREATE INDEX learners_in_order ON learners (name_in_order, user_id);
CREATE TABLE words (word TEXT, revision INTEGER, PRIMARY KEY (word, revision)) WITHOUT ROWID;
CREATE INDEX words_of_learner ON words (revision);
CREATE TABLE filters (value TEXT, revision INTEGER, PRIMARY KEY (value, revision)) WITHOUT ROWID;
CREATE INDEX filters_of_learner ON filters (revision);
"""


@timed("learner search", LearnerSearch)
class SqliteLearnerSearch(SqliteIndex):
    called = "learner documents"
    counted = "learner documents"
    tables = ("learners", "words", "filters")
    created = "created the learner index; `cohort init` fills it"

    async def init(self) -> list[str]:
        return await self._made_anew(VERSION, _TABLES)

    async def find(self, query: LearnerQuery) -> LearnerHits:
        self.meter.count("search learners")
        after = None if query.after is None else place_values(query.order, query.after)
        return await self._readers.run(lambda connection: _hits(connection, query, after))

    async def documents(self, user_ids: Sequence[str]) -> Mapping[str, IndexedLearner]:
        self.meter.count("read learner documents")
        return await self._readers.run(lambda connection: _documents(connection, user_ids))

    def user_ids(self) -> AsyncIterator[Sequence[str]]:
        return self._pages(_user_ids)

    async def write(self, writes: Sequence[LearnerWrite]) -> Sequence[LearnerWrite]:
        """In one transaction."""
        return await self._written(writes, _write)

    async def scrub(self) -> None:
        """By writing the file anew; others' writes wait for it."""
        await self._writer.run(write_anew, SCRUBBED_WITHIN)


def _found(query: LearnerQuery) -> tuple[str, list[Any]]:
    """Returns, as SQL with its values, all that the query finds: user_id, name_in_order and relevance."""
    relevance, bound = "0", list[Any]()
    if query.text is not None and query.order is LearnerOrder.RELEVANCE:
        terms = [f"(user_id = ?) * {USER_ID_WEIGHT}"]
        bound.append(query.text.user_id)
        for word in query.text.words:
            terms.append("(SELECT count(*) FROM words WHERE word = ? AND words.revision = learners.revision)")
            bound.append(word)
        relevance = " + ".join(terms)
    conditions = ["1"]
    if query.text is not None:
        named, values = _named(query.text)
        conditions.append(f"revision IN ({named})")
        bound += values
    for name, wanted in query.filters.items():
        holes = ", ".join("?" * len(wanted))
        conditions.append(f"revision IN (SELECT revision FROM filters WHERE value IN ({holes}))")
        bound += [filter_value(name, value) for value in wanted]
    columns = f"user_id, name_in_order, {relevance} AS relevance"
    return f"SELECT {columns} FROM learners WHERE {' AND '.join(conditions)}", bound


def _named(text: LearnerText) -> tuple[str, list[Any]]:
    """Returns, as SQL with its values, the revisions of those whom a text names."""
    each = " INTERSECT ".join(["SELECT revision FROM words WHERE word >= ? AND word < ?"] * len(text.words))
    by_id = "SELECT revision FROM learners WHERE user_id >= ? AND user_id < ?"
    bound = [end for word in (*text.words, text.user_id) for end in (word, word + _LAST)]
    return " UNION ".join([*filter(None, [each]), by_id]), bound


def _hits(
    connection: sqlite3.Connection, query: LearnerQuery, after: tuple[str | int, ...] | None
) -> LearnerHits:
    """In one statement, so that page and total are of one moment."""
    found, bound = _found(query)
    columns = ORDERED_BY[query.order]
    # Relevance goes down where all else goes up.
    keys = ", ".join("-relevance" if column == "relevance" else column for column in columns)
    direction, beyond = ("DESC", "<") if query.backwards else ("ASC", ">")
    place, where = list[Any](), ""
    if after is not None:
        place = [-value if isinstance(value, int) else value for value in after]
        where = f"WHERE ({keys}) {beyond} ({', '.join('?' * len(place))})"
    order = ", ".join(f"{key} {direction}" for key in keys.split(", "))
    # All of them are counted and ordered by indexes; some are looked for once, for total and page.
    kept = "NOT MATERIALIZED" if query.text is None and not query.filters else "MATERIALIZED"
    rows = connection.execute(
        f"WITH found AS {kept} ({found}), page AS ("
        f"SELECT {', '.join(columns)} FROM found {where} ORDER BY {order} LIMIT ?) "
        "SELECT (SELECT count(*) FROM found), page.* FROM (SELECT 1) LEFT JOIN page "
        f"ORDER BY {order}",
        (*bound, *place, query.first + 1),
    ).fetchall()
    total = rows[0][0]
    page = [row[1:] for row in rows if row[-1] is not None]
    hits = [LearnerHit(row[-1], tuple(map(str, row))) for row in page[: query.first]]
    return LearnerHits(hits, total, len(page) > query.first)


def _documents(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, IndexedLearner]:
    found: dict[str, IndexedLearner] = {}
    for first in range(0, len(user_ids), _BIND):
        some = user_ids[first : first + _BIND]
        holes = ", ".join("?" * len(some))
        for user_id, document, revision in connection.execute(
            f"SELECT user_id, document, revision FROM learners WHERE user_id IN ({holes})", tuple(some)
        ):
            found[user_id] = IndexedLearner(LearnerDocument(**orjson.loads(document)), str(revision))
    return found


def _user_ids(connection: sqlite3.Connection, after: str) -> list[str]:
    found = connection.execute(
        "SELECT user_id FROM learners WHERE user_id > ? ORDER BY user_id LIMIT ?", (after, PAGE)
    )
    return [user_id for (user_id,) in found]


def _write(connection: sqlite3.Connection, write: LearnerWrite) -> bool:
    """Returns whether the document was still as it had been read."""
    stored = connection.execute(
        "SELECT revision FROM learners WHERE user_id = ?", (write.user_id,)
    ).fetchone()
    if (None if stored is None else str(stored[0])) != write.revision:
        return False
    if stored is not None:
        for table in ("learners", "words", "filters"):
            connection.execute(f"DELETE FROM {table} WHERE revision = ?", stored)
    document = write.document
    if document is None:
        return True
    revision = connection.execute(
        "INSERT INTO learners (user_id, name_in_order, document) VALUES (?, ?, ?)",
        (write.user_id, document.name_in_order, orjson.dumps(document)),
    ).lastrowid
    connection.executemany("INSERT INTO words VALUES (?, ?)", [(word, revision) for word in document.words])
    connection.executemany(
        "INSERT INTO filters VALUES (?, ?)",
        [(filter_value(*attribute), revision) for attribute in document.attributes.items()],
    )
    return True
