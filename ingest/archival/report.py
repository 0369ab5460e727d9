"""What a run has done so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class ArchivalReport:
    """What a run did.

    - ``walked``: attempts with questions that were looked at. ``due``: those of them that are old enough.
    - ``archived``: attempts whose questions are now in files alone. ``files`` and ``size`` (bytes): of these files.
    - ``left``: attempts that are due and stay live: they have no slim row of the same version, or no known time, or are too
      large for a line of a file.
    - ``failed``: requests that failed. The catalogue says why.
    - ``settled``: requests of earlier runs that were finished or discarded.
    """

    walked: int = 0
    due: int = 0
    archived: int = 0
    files: int = 0
    size: int = 0
    left: int = 0
    failed: int = 0
    settled: int = 0
