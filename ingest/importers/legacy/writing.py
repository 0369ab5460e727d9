"""What the writers of all tables share: watermarks of erasures, and conditional writes that are tried again."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from operator import itemgetter

from ingest.importers.lanes import each
from ingest.writes.retrying import Attempts
from loaders.erasures import erasures_of, last_erased_on
from loaders.session import Shared
from rules.errors import Conflict
from rules.identifiers import ProgressKey, ViewKey
from stores.columns import Table
from stores.rows import MOST_CHANGES, Change, Key, Row, Rows

Placed = ProgressKey | ViewKey
"""What names a learner in a place."""

LARGEST_PART = 1_000
"""Rows that are read of one partition at once."""
LARGEST_PORTION = 10_000
"""Characters of one conditional batch. In any script it is below the 50 KB at which the server refuses it."""


@dataclass(frozen=True, slots=True)
class Migrating:
    """A migration.

    - ``at``: when rows are brought over.
    - ``dry_run``: it writes nothing but says what it would write.
    - ``zone``: of the platform's texts and days.
    - ``brought_before``: another migration may have brought rows over already.
    - ``contexts``: those that this migration changed, or brought after rows of theirs. What was copied of them into rows,
      and computed without them, is made anew.
    """

    shared: Shared
    at: datetime
    dry_run: bool = False
    zone: tzinfo = UTC
    brought_before: bool = True
    contexts: Set[str] = frozenset()

    @property
    def rows(self) -> Rows:
        return self.shared.stores.rows


class Erasures:
    """The erasures of some learners here. What was erased stays erased, whatever the old platform still has."""

    def __init__(self, migrating: Migrating, found: Mapping[str, Mapping[tuple[str, str], datetime]]) -> None:
        self._migrating = migrating
        self._found = found

    @classmethod
    async def of(cls, migrating: Migrating, keys: Iterable[Placed]) -> "Erasures":
        """Reads the erasures of the learners of these keys."""
        return cls(migrating, await erasures_of(migrating.rows, list({key.user_id for key in keys})))

    def cover(self, key: Placed, at: datetime | None) -> bool:
        """True if a row of this time is from before an erasure. A row without a time counts as older.

        The erasure may be of the whole learner, of the place that clients name, or of the one where its views are kept.
        """
        erasures = self._found.get(key.user_id)
        if erasures is None:
            return False
        named = ProgressKey(key.user_id, key.collection_id, key.context_id)
        kept = self._migrating.shared.tracking.source(named)
        places = ((one.collection_id, one.context_id) for one in (named, kept))
        erased_on = last_erased_on(erasures, *places)
        return erased_on is not None and (at is None or at <= erased_on)


async def stored_rows(
    rows: Rows, table: Table, keys: Iterable[Key], columns: Sequence[str] = ()
) -> dict[Key, Row]:
    """Reads the rows with these keys, as far as they exist. ``columns``: those of the key, and these; all of them without.

    They are whole partitions, or nearly so, since a page of the platform's rows has them in its order of learners. So
    partitions are read, a statement for many; only what is beyond LARGEST_PART of one is read by key.
    """
    wanted = list(keys)
    width = len(table.partition)
    partitions = list(dict.fromkeys(key[:width] for key in wanted))
    names = (*table.key, *columns) if columns else None
    found = await rows.partitions(table, partitions, names, limit=LARGEST_PART) if partitions else {}
    of_key = itemgetter(*table.key)
    stored: dict[Key, Row] = {of_key(row): row for part in found.values() for row in part}
    cut = {place for place, part in found.items() if len(part) == LARGEST_PART}
    rest = [key for key in wanted if key not in stored and key[:width] in cut] if cut else []
    return stored | await rows.get_many(table, rest, names) if rest else stored


Needed = Callable[[list[Key]], Awaitable[list[Change]]]
"""Reads some rows and returns what is left to change of them."""


async def settle(rows: Rows, table: Table, keys: Iterable[Key], needed: Needed) -> set[Key]:
    """Brings rows to what they should be, by conditional writes alone. Returns the keys of those that it changed.

    ``needed`` is asked once for all of them. If others changed rows of a partition in between, it is asked again for these.
    Raises Conflict if they keep doing so.
    """
    width = len(table.partition)
    changed: set[Key] = set()

    async def settle_partition(changes: list[Change]) -> None:
        async for attempt in Attempts():
            if attempt:
                changes = await needed([change.key for change in changes])
                changed.update(change.key for change in changes)
            applied = True
            for portion in _portions(changes):
                applied &= await rows.write_together(table, portion)
            if applied:
                return
        raise Conflict(f"rows of {table.name} are being changed by others; run the migration again")

    partitions: dict[Key, list[Change]] = defaultdict(list)
    for change in await needed(list(keys)):
        changed.add(change.key)
        partitions[change.key[:width]].append(change)
    await each(partitions.values(), settle_partition)
    return changed


def _portions(changes: Sequence[Change]) -> Iterator[list[Change]]:
    portion: list[Change] = []
    size = 0
    for change in changes:
        own = _size(change)
        if portion and (len(portion) == MOST_CHANGES or size + own > LARGEST_PORTION):
            yield portion
            portion, size = [], 0
        portion.append(change)
        size += own
    if portion:
        yield portion


def _size(change: Change) -> int:
    """Characters that a change takes, roughly."""
    return sum(
        [
            len(value) if type(value) is str else len(repr(value)) if type(value) in (list, dict) else 8
            for value in (*change.key, *change.values.values())
        ]
    )
