"""Tells the workers about the learners of a collection whose new version counts otherwise than the one before.

Told are all who are or were enrolled: under the collection's contexts, and under the collection by itself. Nobody else has
to be found. A learner who has only views is mended by their next read (loaders/standings.py), and by ``cohort
reconcile --collection``. A program that holds the collection has its own copy of the tree: its learners are told when
the program is published.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson

from ingest.jobs.plans import Checkpoint
from ingest.jobs.runner import Pace
from ingest.writes.triggers import trigger_of
from loaders.context_learners import learners_in
from loaders.contexts import context_ids_of
from loaders.session import Shared
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.triggers import TriggerKind
from stores.topics import TRIGGERS

PAGE = 500
"""Learners of each bucket of a context that are read at once."""
RATE = 5_000.0
"""Learners a second that are told at most: the workers have other work, too."""
SIGN_OF_LIFE = 100
"""Contexts without any learner after which the job says that it is alive."""


@dataclass(frozen=True, slots=True)
class _Position:
    """How far the learners are told: up to this learner of this context, or all of it if ``user_id`` is None."""

    context_id: str
    user_id: str | None

    def encode(self) -> str:
        return orjson.dumps([self.context_id, self.user_id]).decode()

    @classmethod
    def decode(cls, resume: str | None) -> "_Position | None":
        return None if resume is None else cls(*orjson.loads(resume))


async def recompute_learners(
    shared: Shared,
    root: str,
    before: int | None,
    version: int,
    start: Checkpoint,
    *,
    rate: float = RATE,
) -> AsyncIterator[Checkpoint]:
    """Sends the trigger of each learner to recompute, a page at a time. ``done`` counts them.

    ``before`` is the version that was live until ``version`` was, None if there was none. Sends nothing if
    the figures of that version are those of the new one. Raises NotFound if there is no such collection.
    """
    tree = await shared.library.relations.load((root, version)) or await _live_tree(shared, root)
    if tree.covers(before):
        yield Checkpoint(None, start.done)
        return
    rows, pace, done = shared.stores.rows, Pace(rate, PAGE), start.done
    position = _Position.decode(start.resume)
    # By id, not as the list has them: a context may move in the list while the job is interrupted.
    context_ids = sorted({root, *await context_ids_of(rows, root)})
    quiet = 0
    for context_id in context_ids:
        if position is not None and context_id < position.context_id:
            continue
        if position is not None and position == _Position(context_id, None):
            continue
        after = position.user_id if position and position.context_id == context_id else None
        async for users in learners_in(rows, shared.library, context_id, root, after=after, size=PAGE):
            async with pace.of(len(users)):
                keys = [ProgressKey(user_id, root, context_id) for user_id in users]
                messages = [trigger_of(TriggerKind.RECONCILE, key) for key in keys]
                await shared.stores.events.send(TRIGGERS.name, *messages)
            done += len(users)
            yield Checkpoint(_Position(context_id, users[-1]).encode(), done)
            quiet = 0
        quiet += 1
        if quiet >= SIGN_OF_LIFE:
            yield Checkpoint(_Position(context_id, None).encode(), done)
            quiet = 0
    yield Checkpoint(None, done)


async def _live_tree(shared: Shared, root: str) -> RelationTree:
    """The tree of a version that was published since, if the one to be told of is dropped already. It covers no version
    before that one, unless nothing has changed in all of them."""
    await shared.library.current([root])
    return await shared.library.relation_tree(await shared.library.collection(root))
