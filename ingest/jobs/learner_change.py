"""What a change of the tracking mode writes for one learner: all that the old mode shows them, where the new mode keeps it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.modes.rekeying import Arrivals, arrivals, bring
from ingest.writes.transfers import Step, enter_scope, put, transfer
from ingest.writes.triggers import trigger_of
from loaders.attempts import attempt_of
from loaders.enrolments import enrolment_of
from loaders.session import Shared
from loaders.views import row_key, view_of
from rules.attempts import Attempt
from rules.contents import ContentKind
from rules.enrolments import Enrolment
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.modes import ModeChange, merged
from rules.moves import current_place
from rules.origins import OriginKind
from rules.tracking import Tracking, TrackingMode
from rules.triggers import TriggerKind
from rules.views import View
from stores.rows import Equal, Row
from stores.tables import ATTEMPTS, ENROLMENTS, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS

AT_ONCE = 8
"""How many learners are done at a time. All views and slim attempts of one learner are in memory together."""


@dataclass(slots=True)
class ModeChangeReport:
    """What a change did for all ``learners`` who have viewed anything.

    It wrote so many ``views`` and ``attempts``. The workers look at so many ``enrolments``. So many were ``left`` out, as
    their collection or context is gone.
    """

    learners: int = 0
    views: int = 0
    attempts: int = 0
    enrolments: int = 0
    left: int = 0

    def __iadd__(self, other: "ModeChangeReport") -> "ModeChangeReport":
        self.learners += other.learners
        self.views += other.views
        self.attempts += other.attempts
        self.enrolments += other.enrolments
        self.left += other.left
        return self


@dataclass(slots=True)
class Coming:
    """What is to be done for a learner: ``views`` to be merged into what is there, by where they go; ``attempts`` that are
    to come; one view of each partition that must look ``changed``; ``keys`` that the workers have to look at."""

    report: ModeChangeReport = field(default_factory=ModeChangeReport)
    attempts: Arrivals = field(default_factory=Arrivals)
    views: dict[ProgressKey, dict[str, View]] = field(default_factory=lambda: defaultdict(dict))
    changed: list[View] = field(default_factory=list)
    keys: list[ProgressKey] = field(default_factory=list)


async def coming(shared: Shared, change: ModeChange, user_ids: Sequence[str]) -> AsyncIterator[Coming]:
    """Gives what is to be done for each learner. It costs two reads for all, and for each one read of the views and one of
    the attempts for 100 scopes, and one for 100 attempts to be written."""
    rows, keys = shared.stores.rows, [(user,) for user in user_ids]
    scopes, enrolled = await asyncio.gather(
        rows.partitions(LEARNER_SCOPES, keys), rows.partitions(ENROLMENTS, keys)
    )
    for start in range(0, len(keys), AT_ONCE):
        part = keys[start : start + AT_ONCE]
        for come in await asyncio.gather(
            *(_of_learner(shared, change, key[0], scopes[key], enrolled[key]) for key in part)
        ):
            yield come


async def _of_learner(
    shared: Shared, change: ModeChange, user_id: str, scopes: Sequence[Row], enrolled: Sequence[Row]
) -> Coming:
    enrolments = [e for e in map(enrolment_of, enrolled) if e is not None]
    places = {(row["collectionid"], row["contextid"]): None for row in scopes}
    places |= {(e.key.collection_id, e.key.context_id): None for e in enrolments}
    partitions = {(user_id, row["scope"] or scope_of(row["collectionid"])) for row in scopes}
    found, assessed, published, contexts = await asyncio.gather(
        shared.stores.rows.partitions(VIEWS, list(partitions)),
        shared.stores.rows.partitions(ATTEMPTS, list({(user_id, collection) for collection, _ in places})),
        shared.library.published(list({collection for collection, _ in places})),
        shared.library.contexts.load_many(list({context for _, context in places})),
    )
    attempts = [attempt_of(row) for stored in assessed.values() for row in stored]
    views = [view for stored in found.values() for view in map(view_of, stored) if view is not None]
    trees = {
        identifier: tree
        for identifier, (content, tree) in published.items()
        if tree is not None and content.kind is ContentKind.COLLECTION
    }
    there = {context.context_id for context in contexts if context is not None}
    come = Coming()
    sources: dict[ViewKey, list[View]] = defaultdict(list)
    moving: dict[ViewKey, list[Attempt]] = defaultdict(list)
    look = _Look(change, views, attempts, trees, enrolments)
    for place in places:
        key = ProgressKey(user_id, *place)
        for view in look.shown(key):
            to = Tracking(change.new).stored(ViewKey(user_id, *place, view.key.content_id))
            if to != view.key:
                sources[to].append(view)
        for attempt in look.shown_attempts(key):
            to = Tracking(change.new).stored(ViewKey(user_id, *place, attempt.key.content_id))
            if to != attempt.key:
                moving[to].append(attempt)
        if key.collection_id in trees and (not key.has_context or key.context_id in there):
            come.keys.append(key)
    stored = {view.key: view for view in views}
    for to, shown in sources.items():
        arriving = change.arriving(shown, to)
        if merged(stored.get(to), arriving) is not None:
            come.views[to.progress_key][to.content_id] = arriving
    come.attempts = await arrivals(shared, moving)
    come.changed = list(look.changed(come.keys, come.views))
    recomputed = {(key.collection_id, key.context_id) for key in come.keys}
    alive = sum((e.key.collection_id, e.key.context_id) in recomputed for e in enrolments)
    written = sum(map(len, come.views.values()))
    come.report = ModeChangeReport(
        int(bool(views or attempts)), written, len(come.attempts.due), alive, len(enrolments) - alive
    )
    return come


class _Look:
    """What the old mode shows a learner, and where that differs from what the new mode keeps."""

    def __init__(
        self,
        change: ModeChange,
        views: Sequence[View],
        attempts: Sequence[Attempt],
        trees: Mapping[str, RelationTree],
        enrolments: Sequence[Enrolment],
    ) -> None:
        self._old, self._new = Tracking(change.old), Tracking(change.new)
        self._trees = trees
        self._by_place: dict[ProgressKey, dict[str, View]] = defaultdict(dict)
        for view in views:
            self._by_place[view.key.progress_key][view.key.content_id] = view
        self._attempts: dict[ProgressKey, list[Attempt]] = defaultdict(list)
        for attempt in attempts:
            self._attempts[attempt.key.progress_key].append(attempt)
        self._enrolments: dict[str, dict[str, Enrolment]] = defaultdict(dict)
        for enrolment in enrolments:
            self._enrolments[enrolment.key.collection_id][enrolment.key.context_id] = enrolment

    def shown(self, key: ProgressKey) -> Iterator[View]:
        """Gives the views that the old mode shows under this key."""
        for source in self._sources(key):
            yield from self._at(source)

    def shown_attempts(self, key: ProgressKey) -> Iterator[Attempt]:
        """Gives the attempts that the old mode shows under this key."""
        for source in self._sources(key):
            yield from self._attempts.get(source, ())

    def _sources(self, key: ProgressKey) -> Iterator[ProgressKey]:
        """Gives the keys whose rows the old mode shows under this one."""
        tree = self._trees.get(key.collection_id)
        if self._old.keeps_by_content and (tree is not None or key.has_context):
            for leaf in sorted(tree.leaf_nodes if tree is not None else ()):
                yield ProgressKey(key.user_id, leaf, leaf)
            return
        if self._old.mode is TrackingMode.MOVE:
            context_id = current_place(self._enrolments[key.collection_id], key.context_id)
            key = key._replace(context_id=context_id)
        yield self._old.source(key)

    def _at(self, key: ProgressKey) -> list[View]:
        return list(self._by_place.get(key, {}).values())

    def changed(
        self, keys: Sequence[ProgressKey], written: Mapping[ProgressKey, Mapping[str, View]]
    ) -> Iterator[View]:
        """Picks one view in each partition that must look changed although nothing was written there.

        Other views of the partition now count for one of the keys: carry forward of collections reads other rows of one
        partition. Without this, the figures of the key would look as if they had seen them.
        """
        if self._old.keeps_by_content or self._new.keeps_by_content:
            return
        touched = {key.collection_id for key in written}
        for key in keys:
            source = self._new.source(key)
            if key.collection_id not in touched and self._old.source(key) != source:
                yield from self._at(source)[:1]
                touched.add(key.collection_id)


async def write(shared: Shared, come: Coming) -> int:
    """Writes views and attempts, and returns how many views were written. Tells the workers when all are."""
    written = 0
    await bring(shared, come.attempts, OriginKind.MODE_CHANGED)
    for key, views in come.views.items():
        written += await _bring(shared, key, views)
    rows = shared.stores.rows
    for view in come.changed:
        status = Equal("status", int(view.status))
        await rows.update_if(VIEWS, row_key(view.key), {"changed_at": shared.change_moment()}, [status])
    if come.keys:
        triggers = [trigger_of(TriggerKind.RECONCILE, key) for key in come.keys]
        await shared.stores.events.send(TRIGGERS.name, *triggers)
    return written


async def _bring(shared: Shared, key: ProgressKey, views: Mapping[str, View]) -> int:
    keys = {content: row_key(view.key) for content, view in views.items()}

    async def plan() -> list[Step]:
        found = await shared.stores.rows.get_many(VIEWS, list(keys.values()))
        return [
            Step(after, [put(after, row, shared.change_moment())])
            for content, view in views.items()
            if (after := merged(view_of(row := found.get(keys[content])), view)) is not None
        ]

    # The scope of a content by itself can't be told from its collection.
    await enter_scope(shared, key, next(iter(views.values())).key.scope)
    return await transfer(shared, key, plan)
