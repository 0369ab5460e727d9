"""What the workers take away of a key that was erased: its aggregates, its place in lists, and what group queries know.

They write these alone, USING TIMESTAMP version, so they delete them alone, in the same way: whatever a slower worker
still writes of before is older and loses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loaders.aggregates import aggregate_place
from rules.aggregates import AggregateKey, next_version
from rules.identifiers import ProgressKey
from rules.states import encode_state, vanished_state
from stores.events import Message
from stores.groups import GONE
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT

WORKERS_COLUMNS = (
    "status",
    "progress",
    "completedon",
    "lastreadcontentid",
    "lastcontentaccesstime",
    "collection_name",
    "context_name",
    "context_start_date",
    "context_end_date",
    "seen_changed_at",
    "version",
)
"""Of an enrolment: what the workers wrote stays when a command deletes the row, as theirs is the later write time."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """A key with neither views of its own nor an enrolment.

    ``rows``: the key of each aggregate that is stored; ``highest``: of their versions; ``bucket``: of the list of the
    context's learners.
    """

    key: ProgressKey
    rows: Sequence[AggregateKey]
    highest: int | None
    bucket: int

    def version(self, appended_at: int, offset: int) -> int:
        """For a trigger at this place in the log."""
        return next_version(self.highest, appended_at, offset)


def vanishing_messages(gone: Vanished, version: int) -> Iterator[Message]:
    """To be sent before ``vanishing_writes``: as long as a row is there, it is found again."""
    for aggregate in gone.rows:
        state = vanished_state(aggregate, version)
        yield Message(state.key, encode_state(state), GONE)


def vanishing_writes(gone: Vanished, version: int) -> Iterator[Write]:
    """The enrolment's row is not deleted, which at this write time would hide every later one: what the workers wrote
    of it goes, and the rest is the commands'."""
    key = gone.key
    for aggregate in gone.rows:
        yield Write(AGGREGATES, aggregate_place(aggregate), {}, timestamp=version, delete=True)
    listed = (key.context_id, key.collection_id, gone.bucket, key.user_id)
    yield Write(ENROLMENTS_BY_CONTEXT, listed, {}, timestamp=version, delete=True)
    nothing = dict.fromkeys(WORKERS_COLUMNS)
    row = (key.user_id, key.collection_id, key.context_id)
    yield Write(ENROLMENTS, row, nothing, timestamp=version, insert=False)
