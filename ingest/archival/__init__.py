"""The archive: questions of old attempts go from rows to files in the blob store (R-ASSESS-5).

Each file is of one context and one ISO week, and is a request in the catalogue (table ``archive``). Its way, whatever dies
on it and whoever goes on:

1. ``filing.py``: the request is ``uploading``, the file is written, uploaded, read back and compared: ``verified``. Until
   then nothing leads to it. Whoever finds it left so discards it: all questions are live.
2. ``finishing.py``: slim rows are made to lead to the file. What it has of attempts that are gone or newer is taken out
   again: ``deleting``. Then the questions' rows are deleted: ``archived``. Whoever finds it left so goes on with it.

A row is marked and deleted at the write time after its own. So what is newer survives both.
"""

from ingest.archival.report import ArchivalReport
from ingest.archival.run import ArchivalOrder, archive, archive_when_due

__all__ = ["ArchivalOrder", "ArchivalReport", "archive", "archive_when_due"]
