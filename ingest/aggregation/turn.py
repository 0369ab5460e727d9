"""What one portion of an aggregation has in common, and what became of all portions."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from loaders.session import Shared
from rules.totals import Cell, Total
from stores.files import Files


@dataclass(slots=True)
class AggregationReport:
    """What a run did.

    - ``everything``: all was gone through, touched or not.
    - ``records``: records read from the log.
    - ``groups``: activities of groups whose figures were written.
    - ``activities``: activities under a context whose figures were sent and written.
    - ``cells``: cells that were sent. ``vanished`` counts those of them that are gone.
    - ``removed``: rows that were removed. ``files``: files that were written or removed.
    - ``shown``: the groups store had what was sent to it before the run ended. If False, its figures are behind the
      run's time for a while.
    """

    everything: bool
    records: int = 0
    activities: int = 0
    groups: int = 0
    cells: int = 0
    vanished: int = 0
    removed: int = 0
    files: int = 0
    seconds: float = 0.0
    shown: bool = True


@dataclass(slots=True)
class Sent:
    """What a run sent last: these cells of the activity ``total``. Places are sent one after another (``in_turn``), so that
    these cells come behind all others in the log."""

    total: Total | None = None
    cells: Collection[Cell] = ()
    in_turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Turn:
    """One portion of a run.

    ``version`` is the version of all that is computed in it. ``as_of`` is when it began. If ``everything`` is set, what
    has not changed is sent and written too.
    """

    shared: Shared
    version: int
    as_of: datetime
    everything: bool
    files: Files | None
    report: AggregationReport
    sent: Sent

    @property
    def announcing(self) -> int:
        """Returns the write time of what announces the others."""
        return self.version - 1

    async def write_file(self, name: str, content: bytes) -> None:
        if self.files is not None:
            changed = await self.files.write(name, content)
            self.report.files += changed  # after the wait: others count meanwhile

    async def remove_file(self, name: str) -> None:
        if self.files is not None:
            changed = await self.files.remove(name)
            self.report.files += changed
