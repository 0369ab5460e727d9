"""What became of the existing platform's rows, table by table, and how its figures compare with ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from rules.identifiers import ProgressKey
from rules.legacy.comparison import UNEXPLAINED
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Unreadable

EXAMPLES = 5
"""How many rows are named of each reason in one table."""
MOST_NAMES = 200
"""How many collections and contexts a step counts one by one."""
OTHERS = "others"
NOT_STARTED = "not started"
ERASED = "erased here since"
EXPECTED = frozenset({NOT_STARTED, ERASED})
"""Reasons to skip a row that say nothing is wrong."""

Counts = dict[str, int]
T = TypeVar("T")


@dataclass(slots=True)
class TableReport:
    """What became of a table. ``read`` = ``written`` + ``unchanged`` + ``left`` + all of ``skipped``.

    - ``left``: rows where something newer is here.
    - ``notes``: what was left behind or guessed of a row that was taken.
    - ``examples``: some rows of each reason.
    - ``unpublished`` and ``unknown_contexts``: rows of collections that are not published here, and of contexts that do
      not exist. They are copied, and computed once those are there.
    """

    read: int = 0
    written: int = 0
    unchanged: int = 0
    left: int = 0
    skipped: Counts = field(default_factory=dict)
    notes: Counts = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    unpublished: Counts = field(default_factory=dict)
    unknown_contexts: Counts = field(default_factory=dict)
    filled: int = 0
    """For enrolments: contents that contentstatus alone knows, or knows to be further."""
    granted: int = 0
    """For enrolments: those that the platform completed without keeping details of all contents."""
    triggers: int = 0
    compared: int = 0
    same: int = 0
    not_compared: int = 0
    """For a sample of enrolments: those in collections that are not published here."""
    differences: Counts = field(default_factory=dict)
    """How many differences there are, by reason."""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "TableReport":
        """Returns the report that ``document`` wrote. What the document does not name is zero."""
        return cls(**{one.name: document[one.name] for one in fields(cls) if one.name in document})

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def readable(
        self, rows: Iterable[LegacyRow], key: Sequence[str], read: Callable[[LegacyRow], T]
    ) -> Iterator[tuple[str, T]]:
        """Counts the rows and gives each that can be read: its name, which is made of the columns ``key``, and what
        ``read`` makes of it. The others are skipped."""
        for row in rows:
            self.read += 1
            name = " ".join(str(row[column]) for column in key)
            try:
                value = read(row)
            except Unreadable as error:
                self.skip(error.reason, name)
            else:
                yield name, value

    def skip(self, reason: str, row: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        if reason not in EXPECTED:
            self._exemplify(reason, row)

    def note(self, notes: Iterable[str], row: str) -> None:
        for reason in notes:
            self.notes[reason] = self.notes.get(reason, 0) + 1
            self._exemplify(reason, row)

    def leave(self, row: str) -> None:
        self.left += 1
        self._exemplify("changed here since, left as it is", row)

    def compare(self, reason: str | None, told: str) -> None:
        """Counts a comparison. If ``reason`` is None, the figures are the same."""
        self.compared += 1
        if reason is None:
            self.same += 1
            return
        self.differences[reason] = self.differences.get(reason, 0) + 1
        self._exemplify(reason, told)

    def _exemplify(self, reason: str, row: str) -> None:
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES and row not in examples:
            examples.append(row)


def count(counts: Counts, name: str) -> None:
    """Counts the name. Beyond MOST_NAMES it counts under OTHERS."""
    name = name if name in counts or len(counts) < MOST_NAMES else OTHERS
    counts[name] = counts.get(name, 0) + 1


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The report of a whole migration. ``missing`` holds tables that the platform does not have."""

    job: str
    dry_run: bool
    tables: Mapping[str, TableReport]
    missing: Sequence[str] = ()

    @property
    def is_whole(self) -> bool:
        """True if every row with something to bring was brought over, and each difference has a known reason."""
        return not any(
            table.skipped.keys() - EXPECTED or UNEXPLAINED in table.differences
            for table in self.tables.values()
        )

    def document(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "dryRun": self.dry_run,
            "whole": self.is_whole,
            "missingTables": list(self.missing),
            "tables": {name: table.document() for name, table in self.tables.items()},
        }


def told(key: ProgressKey, *more: str) -> str:
    """Returns a row's name as examples have it."""
    return " ".join((key.user_id, key.collection_id, key.context_id, *more))
