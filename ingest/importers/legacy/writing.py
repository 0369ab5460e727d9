"""What the writers of all tables share: watermarks of erasures, and conditional writes that are tried again."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from ingest.writes.retrying import Attempts
from loaders.erasures import erased_places
from loaders.session import Shared
from rules.errors import Conflict
from rules.identifiers import ProgressKey
from stores.columns import Table
from stores.rows import MOST_CHANGES, Change, Key, Rows

A = TypeVar("A")
B = TypeVar("B")

AT_ONCE = 32
"""Partitions that are written at a time."""
LARGEST_PORTION = 10_000
"""Characters of one conditional batch. In any script it is below the 50 KB at which the server refuses it."""


@dataclass(frozen=True, slots=True)
class Migrating:
    """A migration.

    - ``at``: when rows are brought over.
    - ``dry_run``: it writes nothing but says what it would write.
    - ``brought_before``: another migration may have brought rows over already.
    - ``contexts``: those that this migration changed, or brought after rows of theirs. What was copied of them into rows,
      and computed without them, is made anew.
    """

    shared: Shared
    at: datetime
    dry_run: bool = False
    brought_before: bool = True
    contexts: Set[str] = frozenset()

    @property
    def rows(self) -> Rows:
        return self.shared.stores.rows


class Erasures:
    """The erasures of this instance. What was erased here stays erased, whatever the old platform still has."""

    def __init__(self, migrating: Migrating, found: Mapping[ProgressKey, datetime]) -> None:
        self._migrating = migrating
        self._found = found

    @classmethod
    async def of(cls, migrating: Migrating, keys: Iterable[ProgressKey]) -> "Erasures":
        """Reads the erasures of these keys, as clients name them."""
        asked = {each for key in keys for each in (key, migrating.shared.tracking.source(key))}
        return cls(migrating, await erased_places(migrating.rows, list(asked)))

    def cover(self, key: ProgressKey, at: datetime | None) -> bool:
        """True if a row of this time is from before an erasure. A row without a time counts as older.

        The erasure may be of the place that clients name, or of the one where its views are kept.
        """
        places = (key, self._migrating.shared.tracking.source(key))
        erased = [self._found[place] for place in places if place in self._found]
        return any(at is None or at <= erased_on for erased_on in erased)


async def each(items: Iterable[A], work: Callable[[A], Awaitable[B]]) -> list[B]:
    """Returns the results in order. AT_ONCE run at a time. The first failure ends the others."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: A) -> B:
        async with gate:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


Needed = Callable[[list[Key]], Awaitable[list[Change]]]
"""Reads some rows of one partition and returns what is left to change of them."""


async def settle(rows: Rows, table: Table, keys: Iterable[Key], needed: Needed) -> set[Key]:
    """Brings rows to what they should be, by conditional writes alone. Returns the keys of those that it changed.

    If others changed rows in between, ``needed`` is asked again. Raises Conflict if they keep doing so.
    """
    width = len(table.partition)
    partitions: dict[Key, list[Key]] = defaultdict(list)
    for key in keys:
        partitions[key[:width]].append(key)

    async def settle_partition(those: list[Key]) -> set[Key]:
        changed: set[Key] = set()
        async for _ in Attempts():
            changes = await needed(those)
            changed |= {change.key for change in changes}
            applied = True
            for portion in _portions(changes):
                applied &= await rows.write_together(table, portion)
            if applied:
                return changed
        raise Conflict(f"rows of {table.name} are being changed by others; run the migration again")

    found = await each(partitions.values(), settle_partition)
    return set().union(*found)


def _portions(changes: Sequence[Change]) -> Iterator[list[Change]]:
    portion: list[Change] = []
    size = 0
    for change in changes:
        own = len(repr(change.values))
        if portion and (len(portion) == MOST_CHANGES or size + own > LARGEST_PORTION):
            yield portion
            portion, size = [], 0
        portion.append(change)
        size += own
    if portion:
        yield portion
