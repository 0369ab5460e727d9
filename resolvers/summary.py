"""One learner in one collection, in detail."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from loaders.session import Session
from resolvers import collections
from resolvers.enrolments import heal
from resolvers.learner_trees import LearnerTree
from resolvers.progress import placed_key
from rules.errors import NotFound
from rules.identifiers import ProgressKey
from rules.progress import Progress
from rules.standings import FirstCompletion


@dataclass(frozen=True, slots=True)
class Summary:
    """``learner_tree`` has each leaf and unit. ``time_spent``: seconds in all of the leaves."""

    key: ProgressKey
    learner_tree: LearnerTree
    progress: Progress
    completed: FirstCompletion | None
    last_accessed_on: datetime | None
    time_spent: int

    @property
    def completed_on(self) -> datetime | None:
        return self.completed.on if self.completed else None

    @property
    def completed_version(self) -> int | None:
        return self.completed.version if self.completed else None


async def summary(session: Session, user_id: str, collection_id: str, context_id: str | None) -> Summary:
    """The summary, even if the learner is not enrolled. NotFound, InvalidInput, Forbidden, StoreUnavailable."""
    session.viewer.check_may_see(user_id)
    content = await collections.collection(session, collection_id, "collectionId")
    key = await placed_key(session, user_id, content, context_id)
    tree, standing, enrolment = await asyncio.gather(
        collections.tree(session, content),
        session.loaders.standings.load(key),
        session.loaders.enrolments.load(key),
    )
    if standing is None:
        raise NotFound(f"there is no collection {collection_id}", field="collectionId")
    if enrolment is not None:
        heal(session, [enrolment])
    return Summary(
        key,
        LearnerTree(tree, standing.statuses),
        standing.progress(tree.relations),
        (enrolment.completed if enrolment else None) or standing.completed,
        standing.last_accessed_on,
        standing.time_spent,
    )
