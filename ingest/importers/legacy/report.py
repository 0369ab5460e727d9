"""What became of the existing platform's rows, table by table, and how its figures compare with ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ingest.importers.legacy.rejects import Rejected
from rules.identifiers import ProgressKey
from rules.jobs import JobState
from rules.legacy.comparison import UNEXPLAINED
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Unreadable

EXAMPLES = 5
"""How many rows are named of each reason in one table."""
MOST_NAMES = 200
"""How many collections and contexts are counted one by one in one table."""
MOST_NAMED = 100
"""How many rejected rows the report names. The file beside it names all."""
OTHERS = "others"
NOT_STARTED = "not started"
ERASED = "erased here since"
GONE = "not there any more"
EXPECTED = frozenset({NOT_STARTED, ERASED, GONE})
"""Reasons to skip a row that say nothing is wrong. Such rows are not rejected."""

Counts = dict[str, int]
T = TypeVar("T")


@dataclass(slots=True)
class TableReport:
    """What became of rows of a table: of a page, of a part, or of all.

    ``read`` = ``written`` + ``unchanged`` + ``left`` + ``older`` + all of ``skipped``.

    - ``left``: rows where something newer is here.
    - ``older``: rows that were not looked at, as nobody has changed them since the time that was asked for.
    - ``notes``: what was left behind or guessed of a row that was taken.
    - ``examples``: some rows of each reason.
    - ``rejected``: the rows that can't be read (Rejected). A page names all of them, a sum of reports MOST_NAMED.
    - ``unpublished`` and ``unknown_contexts``: rows of collections that are not published here, and of contexts that do
      not exist. They are copied, and computed once those are there.
    """

    table: str
    read: int = 0
    written: int = 0
    unchanged: int = 0
    left: int = 0
    older: int = 0
    skipped: Counts = field(default_factory=dict)
    notes: Counts = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    unpublished: Counts = field(default_factory=dict)
    unknown_contexts: Counts = field(default_factory=dict)
    changed_contexts: list[str] = field(default_factory=list)
    """For batches: contexts that were written, though rows of theirs may have been brought before."""
    filled: int = 0
    """For enrolments: contents that contentstatus alone knows, or knows to be further."""
    granted: int = 0
    """For enrolments: contents that the platform completed with the whole, of which it keeps no details."""
    triggers: int = 0
    compared: int = 0
    same: int = 0
    not_compared: int = 0
    """Of a sample of enrolments: those in collections that are not published here."""
    differences: Counts = field(default_factory=dict)
    """How many differences there are, by reason."""

    @classmethod
    def parse(cls, table: str, document: Mapping[str, Any]) -> "TableReport":
        """Returns the report that ``document`` wrote. What the document does not name is zero."""
        known = {one.name: document[one.name] for one in fields(cls) if one.name in document}
        return cls(**{**known, "table": table})

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def merged(self, others: "Iterable[TableReport]") -> "TableReport":
        """Returns what became of the rows of all these reports together."""
        whole = TableReport.parse(self.table, self.document())
        for other in others:
            whole._add(other)
        return whole

    def _add(self, other: "TableReport") -> None:
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, int):
                setattr(self, one.name, mine + theirs)
        for name in ("skipped", "notes", "differences", "unpublished", "unknown_contexts"):
            for reason, number in getattr(other, name).items():
                count(getattr(self, name), reason, number)
        for reason, rows in other.examples.items():
            for row in rows:
                self._exemplify(reason, row)
        self.changed_contexts = [*self.changed_contexts, *other.changed_contexts]
        self.rejected = [*self.rejected, *other.rejected][:MOST_NAMED]

    @property
    def unreadable(self) -> int:
        """How many rows were rejected."""
        return sum(number for reason, number in self.skipped.items() if reason not in EXPECTED)

    def readable(
        self, rows: Iterable[LegacyRow], key: Sequence[str], read: Callable[[LegacyRow], T]
    ) -> Iterator[tuple[str, T]]:
        """Counts the rows and gives each that can be read: its name, which is made of the columns ``key``, and what
        ``read`` makes of it. The others are skipped, and rejected if something is wrong with them."""
        for row in rows:
            self.read += 1
            name = " ".join(str(row[column]) for column in key)
            try:
                value = read(row)
            except Unreadable as error:
                self.skip(error.reason, name)
                if error.reason not in EXPECTED:
                    self.rejected.append(Rejected.of(self.table, row, error).document())
            else:
                yield name, value

    def skip(self, reason: str, row: str) -> None:
        count(self.skipped, reason)
        if reason not in EXPECTED:
            self._exemplify(reason, row)

    def note(self, notes: Iterable[str], row: str) -> None:
        for reason in notes:
            count(self.notes, reason)
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
        count(self.differences, reason)
        self._exemplify(reason, told)

    def _exemplify(self, reason: str, row: str) -> None:
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES and row not in examples:
            examples.append(row)


def count(counts: Counts, name: str, number: int = 1) -> None:
    """Counts the name. Beyond MOST_NAMES it counts under OTHERS."""
    name = name if name in counts or len(counts) < MOST_NAMES else OTHERS
    counts[name] = counts.get(name, 0) + number


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The report of a migration, or of one so far.

    - ``arguments``: what was asked for, without a password.
    - ``columns``: of each table that the platform has, which columns were found, which of them are used and which not,
      and what follows without those that are missing.
    - ``missing``: tables that the platform does not have.
    """

    job: str
    state: JobState
    arguments: Mapping[str, Any]
    tables: Mapping[str, TableReport]
    columns: Mapping[str, Any] = field(default_factory=dict)
    missing: Sequence[str] = ()
    error: str | None = None

    @property
    def dry_run(self) -> bool:
        return bool(self.arguments["dry_run"])

    @property
    def is_whole(self) -> bool:
        """True if every row with something to bring was brought over, and each difference has a known reason."""
        return self.state is JobState.DONE and not any(
            table.unreadable or UNEXPLAINED in table.differences for table in self.tables.values()
        )

    @property
    def rejected(self) -> int:
        """How many rows can't be read."""
        return sum(table.unreadable for table in self.tables.values())

    def document(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "state": self.state.value,
            "error": self.error,
            "dryRun": self.dry_run,
            "whole": self.is_whole,
            "arguments": dict(self.arguments),
            "missingTables": list(self.missing),
            "columns": dict(self.columns),
            "rejected": [row for table in self.tables.values() for row in table.rejected][:MOST_NAMED],
            "tables": {
                name: {key: value for key, value in table.document().items() if key not in _TOLD_ABOVE}
                for name, table in self.tables.items()
            },
        }


_TOLD_ABOVE = frozenset({"table", "rejected", "changed_contexts"})


def told(key: ProgressKey, *more: str) -> str:
    """Returns a row's name as examples have it."""
    return " ".join((key.user_id, key.collection_id, key.context_id, *more))
