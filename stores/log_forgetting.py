"""What the embedded log forgets: the list of subjects, deletion of their records, and the file without their traces.

Every function must run on the log's thread (EmbeddedEvents.run).
"""

import json
import sqlite3
import time
from collections.abc import Sequence

from stores.events import RecordFilter
from stores.log_file import LogFile, Place, transaction
from stores.sqlite_file import write_anew

QUIET = 2.0
"""Seconds without a new deletion before the file is written anew."""


def note_subjects(file: LogFile, topic: str, subjects: Sequence[RecordFilter]) -> None:
    """Lists the subjects for every partition of the topic, and deletes at once what every group has committed."""
    with transaction(file.db):
        for partition, end in file.ends(topic).items():
            for subject in subjects:
                file.db.execute(
                    "INSERT INTO forgetting VALUES (?, ?, ?, 0, ?) "
                    "ON CONFLICT DO UPDATE SET next = 0, until = excluded.until",
                    (topic, partition, json.dumps([subject.key, *subject.holding]), end),
                )
            delete_committed(file, (topic, partition), end)


def delete_committed(file: LogFile, place: Place, end: int) -> None:
    """Deletes records about listed subjects that every group has committed. Looks at each record once."""
    pending = file.db.execute(
        "SELECT subject, next, until FROM forgetting WHERE topic = ? AND partition = ?", place
    ).fetchall()
    done = file.committed_by_all(place, end) if pending else 0
    for subject, following, until in pending:
        upto = min(done, until)
        if upto > following:
            _delete_records(file.db, place, subject, following, upto)
        if upto >= until:
            file.db.execute(
                "DELETE FROM forgetting WHERE topic = ? AND partition = ? AND subject = ?", (*place, subject)
            )
            file.db.execute("DELETE FROM unclean")
            file.db.execute("INSERT INTO unclean VALUES (?)", (time.time(),))
        else:
            file.db.execute(
                "UPDATE forgetting SET next = max(next, ?) WHERE topic = ? AND partition = ? AND subject = ?",
                (upto, *place, subject),
            )


def _delete_records(db: sqlite3.Connection, place: Place, subject: str, start: int, end: int) -> None:
    """Deletes records about ``subject`` (JSON) from ``start`` up to ``end``, and lists their offsets."""
    key, *holding = json.loads(subject)
    about = "" if key is None else " AND (key = ? OR substr(key, -?) = ?)"
    bound = () if key is None else (key, len(key) + 1, f"|{key}")
    about += " AND instr(value, ?) > 0" * len(holding)
    found = db.execute(
        f"DELETE FROM records WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?{about} "  # noqa: S608
        "RETURNING offset",
        (*place, start, end, *bound, *(part.encode() for part in holding)),
    ).fetchall()
    db.executemany("INSERT INTO forgotten VALUES (?, ?, ?)", [(*place, at) for (at,) in found])


def is_unclean(file: LogFile) -> bool:
    """Whether the file may still hold bytes of deleted records."""
    return file.db.execute("SELECT 1 FROM unclean").fetchone() is not None


def is_cleaning_due(file: LogFile) -> bool:
    """Whether the file is unclean and nothing was deleted for QUIET seconds."""
    since = time.time() - QUIET
    return file.db.execute("SELECT 1 FROM unclean WHERE since < ?", (since,)).fetchone() is not None


def clean(file: LogFile) -> None:
    """Writes the file anew, so that it holds no bytes of deleted records."""
    file.db.execute("DELETE FROM unclean")
    try:
        write_anew(file.db)
    except sqlite3.Error:
        file.db.execute("INSERT INTO unclean VALUES (?)", (time.time(),))
        raise
