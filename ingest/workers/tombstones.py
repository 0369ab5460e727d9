"""What the workers take away: aggregates, what group queries know of them, and a key's place in lists.

Only the workers write these, USING TIMESTAMP version, so only they delete them, in the same way. If a slower worker
still writes something from before, its version is older and loses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loaders.aggregates import StoredAggregate, aggregate_place
from loaders.enrolments import row_key
from loaders.session import Shared
from rules.active_days import ActiveDay
from rules.aggregates import AggregateKey, next_version
from rules.contexts import Context, bucket_of
from rules.identifiers import ProgressKey
from rules.states import encode_state, vanished_state
from stores.events import Message
from stores.groups import GONE
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT
from stores.topics import ACTIVE_DAYS, STATES

WORKERS_COLUMNS = (
    "status",
    "progress",
    "completedon",
    "completed_version",
    "lastreadcontentid",
    "lastcontentaccesstime",
    "collection_name",
    "context_name",
    "context_start_date",
    "context_end_date",
    "seen_changed_at",
    "version",
)
"""The columns of an enrolment that the workers write. They stay when a command deletes the row: their write time is
later."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """A key of which nothing stays.

    - ``rows``: the key of each stored aggregate.
    - ``highest``: the highest version of these.
    - ``bucket``: where the key is in the list of the context's learners.
    - ``days``: on which the learner was active, of each aggregate that has such.
    """

    key: ProgressKey
    rows: Sequence[AggregateKey]
    highest: int | None
    bucket: int
    days: Mapping[AggregateKey, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, key: ProgressKey, stored: Sequence[StoredAggregate], context: Context | None) -> "Vanished":
        highest = max((aggregate.version for aggregate in stored), default=None)
        bucket = bucket_of(key.user_id, context.buckets if context else 1)
        days = {aggregate.key: aggregate.active_days for aggregate in stored if aggregate.days}
        return cls(key, [aggregate.key for aggregate in stored], highest, bucket, days)

    def version(self, appended_at: int, offset: int) -> int:
        """Returns the version for a trigger at this place in the log."""
        return next_version(self.highest, appended_at, offset)


def day_message(day: ActiveDay) -> Message:
    return Message(day.record_key, day.encode(), {} if day.is_active else GONE)


async def bury(
    shared: Shared,
    aggregates: Mapping[AggregateKey, int],
    *others: Write,
    days: Mapping[AggregateKey, frozenset[int]] = {},
) -> None:
    """Takes away aggregates, each at the version given, and the ``days`` that they have. ``others`` are written together
    with the deletions.

    The states go out first: as long as a row is there, it is found again. If a state goes out twice, it says the same.
    A unit that came back meanwhile has a higher version, so it stays.
    """
    states = [vanished_state(key, version) for key, version in aggregates.items()]
    messages = [Message(state.key, encode_state(state), GONE) for state in states]
    await shared.stores.events.send(STATES.name, *messages)
    ended = [
        day_message(ActiveDay(key, day, aggregates[key], is_active=False))
        for key, known in days.items()
        for day in sorted(known)
    ]
    if ended:
        await shared.stores.events.send(ACTIVE_DAYS.name, *ended)
    deletions = [
        Write(AGGREGATES, aggregate_place(key), {}, timestamp=version, delete=True)
        for key, version in aggregates.items()
    ]
    await shared.stores.rows.write(*deletions, *others)


def unlisting(gone: Vanished, version: int) -> Write:
    """Returns the write that takes the key out of the list of the context's learners."""
    key = gone.key
    listed = (key.context_id, key.collection_id, gone.bucket, key.user_id)
    return Write(ENROLMENTS_BY_CONTEXT, listed, {}, timestamp=version, delete=True)


def cleared_enrolment(key: ProgressKey, version: int) -> Write:
    """Returns the write that clears the workers' columns of an enrolment.

    The row is not deleted: a deletion at this write time would hide every later row. Its other columns belong to
    commands.
    """
    nothing = dict.fromkeys(WORKERS_COLUMNS)
    return Write(ENROLMENTS, row_key(key), nothing, timestamp=version, insert=False)
