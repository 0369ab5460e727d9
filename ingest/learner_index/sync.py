"""Makes the learner index equal to the profiles."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from ingest.writes.retrying import Attempts
from loaders.learners import learners_by_id
from loaders.session import Shared
from rules.errors import Conflict
from rules.learner_search import LearnerDocument
from stores.learner_search import LearnerWrite


@dataclass(frozen=True, slots=True)
class LearnerDifferences:
    """The writes that make the index equal to the profiles of some learners.

    - ``missing``: learners whose document the index lacks.
    - ``changed``: learners of whom it has other values.
    - ``extra``: learners of whom it has a document, and who have no profile.
    """

    missing: Sequence[LearnerWrite] = field(default=())
    changed: Sequence[LearnerWrite] = field(default=())
    extra: Sequence[LearnerWrite] = field(default=())

    @property
    def writes(self) -> Sequence[LearnerWrite]:
        return [*self.missing, *self.changed, *self.extra]


@dataclass(frozen=True, slots=True)
class LearnerCounts:
    """How many documents were missing, had other values, or were of no profile."""

    missing: int = 0
    changed: int = 0
    extra: int = 0

    @classmethod
    def of(cls, found: LearnerDifferences) -> "LearnerCounts":
        return cls(len(found.missing), len(found.changed), len(found.extra))

    def joined(self, other: "LearnerCounts") -> "LearnerCounts":
        added = asdict(other)
        return LearnerCounts(**{name: value + added[name] for name, value in asdict(self).items()})

    @property
    def all(self) -> int:
        return self.missing + self.changed + self.extra


async def sync_learners(shared: Shared, user_ids: Sequence[str]) -> LearnerCounts:
    """Makes the index of these learners equal to their profiles. Returns what was found to differ.

    It compares again after it has written, until nothing differs: a profile that was erased between its read and the
    write does not stay. The same call sent again changes nothing. Raises Conflict if others are faster every time.
    """
    counts = LearnerCounts()
    async for _ in Attempts():
        found = await learner_differences(shared, user_ids)
        if not found.writes:
            return counts
        await shared.stores.learner_search.write(found.writes)
        counts = counts.joined(LearnerCounts.of(found))
    raise Conflict("the learner documents keep being changed by others; try again")


async def learner_differences(shared: Shared, user_ids: Sequence[str]) -> LearnerDifferences:
    """Compares the index of these learners with their profiles."""
    # The index first. Whoever changes a profile later meets what is written here, or makes that write be refused.
    indexed = await shared.stores.learner_search.documents(user_ids)
    profiles = await learners_by_id(shared.stores.rows, user_ids)
    wanted = {one.user_id: LearnerDocument.of(one) for one in profiles if one is not None}
    return LearnerDifferences(
        missing=[
            LearnerWrite(user_id, document, None)
            for user_id, document in wanted.items()
            if user_id not in indexed
        ],
        changed=[
            LearnerWrite(user_id, document, indexed[user_id].revision)
            for user_id, document in wanted.items()
            if user_id in indexed and indexed[user_id].document != document
        ],
        extra=[
            LearnerWrite(user_id, None, one.revision)
            for user_id, one in indexed.items()
            if user_id not in wanted
        ],
    )
