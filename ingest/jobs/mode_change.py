"""Changes an instance to another tracking mode (rules/modes.py).

A change is a job. For each learner it takes the views that the old mode showed, at every enrolment and every place that
the learner has been at. It writes them to the place where the new mode keeps them. Then the workers are told to look
again. Old rows stay, so going back loses nothing. No other process may run meanwhile. If an old one wrote all the same,
its views come over when the change is repeated.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ingest.jobs.runner import Checkpoint, JobKind, JobPlan, JobRecord, Jobs, OnProgress, Pace
from ingest.modes.agreement import TRACKING, agreed
from ingest.writes.transfers import Step, enter_scope, put, transfer
from ingest.writes.triggers import trigger_of
from loaders.enrolments import enrolment_of
from loaders.enrolments import row_key as enrolment_key
from loaders.session import Shared
from loaders.views import row_key, view_of
from rules.contents import ContentKind
from rules.enrolments import Enrolment
from rules.errors import Conflict, InvalidInput
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.jobs import JobState
from rules.modes import Agreed, ModeChange, merged
from rules.moments import milliseconds, moment
from rules.moves import current_place
from rules.tracking import Tracking, TrackingMode
from rules.triggers import TriggerKind
from rules.views import View
from stores.rows import Equal, Row, TokenRange
from stores.tables import ENROLMENTS, INSTANCE, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS

RANGES = 16
"""Parts of the ring, each a step."""
PAGE = 500
"""How many scopes are read at a time."""
AT_ONCE = 8
"""How many learners are done at a time. All views of one learner are in memory together."""

_VIEWS, _POINTERS, _AGREE = "views", "pointers", "agree"
"""The kinds of steps, in their order."""


# --- The change


@dataclass(slots=True)
class ModeChangeReport:
    """What a change did for all ``learners`` who have viewed anything.

    It wrote so many ``views``. The workers look at so many ``enrolments``. So many were ``left`` out, as their
    collection or context is gone.
    """

    learners: int = 0
    views: int = 0
    enrolments: int = 0
    left: int = 0

    def __iadd__(self, other: "ModeChangeReport") -> "ModeChangeReport":
        self.learners += other.learners
        self.views += other.views
        self.enrolments += other.enrolments
        self.left += other.left
        return self


async def survey(shared: Shared, old: TrackingMode, new: TrackingMode) -> ModeChangeReport:
    """Returns what ``change_mode`` would do. Writes nothing."""
    change, report = ModeChange(old, new, shared.now()), ModeChangeReport()
    for token_range in shared.stores.rows.ranges(RANGES):
        last = None
        async for page in shared.stores.rows.walk(
            LEARNER_SCOPES, token_range, columns=("userid",), page_size=PAGE
        ):
            users = _users(page.rows, last)
            last = page.rows[-1]["userid"] if page.rows else last
            async for come in _coming(shared, change, users):
                report += come.report
    return report


async def change_mode(
    shared: Shared,
    old: TrackingMode,
    new: TrackingMode,
    *,
    rate: float = 500,
    on_progress: OnProgress | None = None,
) -> ModeChangeReport:
    """Runs the job to its end. ``rate`` is learners a second at most.

    - If a job was begun, it goes on where it stopped.
    - If it is done, it is done again, and takes what was written in the old mode since.

    Raises Conflict if another process is at it, or if the instance has agreed on something else.
    """
    if rate <= 0:
        raise InvalidInput("rate must be above 0", field="rate")
    rows, now = shared.stores.rows, shared.now()
    under_way = Agreed(old, new)
    there = await agreed(rows)
    if there == under_way:
        begun = await _latest(shared, old, new)
        if begun is not None and begun.state is not JobState.DONE:
            return report_of(await Jobs(shared).resume(MODE_CHANGE, begun.id, on_progress))
    elif there != Agreed(new):
        values = {"value": under_way.encode(), "changed_on": now}
        applied = await rows.update_if(INSTANCE, TRACKING, values, [Equal("value", Agreed(old).encode())])
        if not applied.applied:
            raise Conflict(f"the rows are not kept in mode {old.value} any more; look again", field="mode")
    arguments = {"from": old.value, "to": new.value, "at": milliseconds(now), "rate": rate}
    return report_of(await Jobs(shared).start(MODE_CHANGE, arguments, on_progress))


async def mode_before(shared: Shared, mode: TrackingMode) -> TrackingMode | None:
    """Returns the mode that the instance had last before this one."""
    job = await _latest(shared, None, mode)
    return None if job is None else TrackingMode(job.arguments["from"])


def report_of(job: JobRecord) -> ModeChangeReport:
    """Returns the report of all steps together."""
    report = ModeChangeReport()
    for step in job.steps:
        report += _report(step.checkpoint.report)
    return report


def _report(kept: Mapping[str, Any]) -> ModeChangeReport:
    return ModeChangeReport(*(kept.get(name, 0) for name in ("learners", "views", "enrolments", "left")))


async def _latest(shared: Shared, old: TrackingMode | None, new: TrackingMode) -> JobRecord | None:
    for job in await Jobs(shared).list():
        if job.kind != MODE_CHANGE.name or job.arguments["to"] != new.value:
            continue
        if old is None or job.arguments["from"] == old.value:
            return job
    return None


def _plan(shared: Shared, arguments: Mapping[str, Any]) -> JobPlan:
    old, new = TrackingMode(arguments["from"]), TrackingMode(arguments["to"])
    return _Change(shared, ModeChange(old, new, moment(arguments["at"])), arguments["rate"])


MODE_CHANGE = JobKind("mode-change", _plan)


class _Change:
    def __init__(self, shared: Shared, change: ModeChange, rate: float) -> None:
        self._shared = shared
        self._change = change
        self._pace = Pace(rate, PAGE)

    def steps(self) -> Sequence[str]:
        """Returns the steps. Pointers of moves end last: first what they lead to is written where they lead from."""
        kinds = (_VIEWS, _POINTERS) if self._change.old is TrackingMode.MOVE else (_VIEWS,)
        return [*(f"{kind} {number}" for kind in kinds for number in range(RANGES)), _AGREE]

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        kind, _, number = step.partition(" ")
        if kind == _AGREE:
            await self._agree()
            yield Checkpoint(None, 0)
            return
        token_range = self._shared.stores.rows.ranges(RANGES)[int(number)]
        walk = self._bring if kind == _VIEWS else self._end_pointers
        async for checkpoint in walk(token_range, start):
            yield checkpoint

    async def _bring(self, token_range: TokenRange, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        rows = self._shared.stores.rows
        report, last = _report(start.report), start.report.get("last")
        async for page in rows.walk(
            LEARNER_SCOPES, token_range, columns=("userid",), page_size=self._pace.page, resume=start.resume
        ):
            users = _users(page.rows, last)
            last = page.rows[-1]["userid"] if page.rows else last
            async with self._pace.of(len(users)):
                async for come in _coming(self._shared, self._change, users):
                    report += replace(come.report, views=await _write(self._shared, come))
            yield Checkpoint(page.resume, report.learners, {**asdict(report), "last": last})

    async def _end_pointers(self, token_range: TokenRange, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        rows, done = self._shared.stores.rows, start.done
        async for page in rows.walk(
            ENROLMENTS,
            token_range,
            columns=(*ENROLMENTS.key, "moved_to"),
            page_size=self._pace.page,
            resume=start.resume,
        ):
            pointers = {
                ProgressKey(*(row[name] for name in ENROLMENTS.key)): row["moved_to"]
                for row in page.rows
                if row["moved_to"] is not None
            }
            # An enrolment that is no pointer any more has figures of its own again, whether or not a view comes over.
            # The triggers go first: if the job is cut off between them and the rows, it does both again.
            counting = await self._there(list(pointers))
            triggers = [trigger_of(TriggerKind.RECONCILE, key) for key in counting]
            await self._shared.stores.events.send(TRIGGERS.name, *triggers)
            for key, moved_to in pointers.items():
                values: dict[str, Any] = {"moved_to": None}
                if key in counting:
                    values["changed_at"] = self._shared.change_moment()
                await rows.update_if(ENROLMENTS, enrolment_key(key), values, [Equal("moved_to", moved_to)])
                done += 1
            yield Checkpoint(page.resume, done)

    async def _there(self, keys: Sequence[ProgressKey]) -> set[ProgressKey]:
        """Returns the keys whose collection and context exist."""
        library = self._shared.library
        published, contexts = await asyncio.gather(
            library.published(list({key.collection_id for key in keys})),
            library.contexts.load_many(list({key.context_id for key in keys})),
        )
        found = {context.context_id for context in contexts if context is not None}
        return {key for key in keys if key.collection_id in published and key.context_id in found}

    async def _agree(self) -> None:
        rows, change = self._shared.stores.rows, self._change
        values = {"value": Agreed(change.new).encode(), "changed_on": self._shared.now()}
        under_way = Agreed(change.old, change.new)
        applied = await rows.update_if(INSTANCE, TRACKING, values, [Equal("value", under_way.encode())])
        if not applied.applied and await agreed(rows) != Agreed(change.new):
            raise Conflict("the instance has agreed on another mode meanwhile", field="mode")


def _users(rows: Sequence[Row], last: str | None) -> list[str]:
    """Returns the users of a page of a walk, except the one that the page before ended with."""
    return [user for user in dict.fromkeys(row["userid"] for row in rows) if user != last]


# --- One learner


@dataclass(slots=True)
class _Coming:
    """What is to be done for a learner: ``views`` to be merged into what is there, by where they go; one view of each
    partition that must look ``changed``; ``keys`` that the workers have to look at."""

    report: ModeChangeReport = field(default_factory=ModeChangeReport)
    views: dict[ProgressKey, dict[str, View]] = field(default_factory=lambda: defaultdict(dict))
    changed: list[View] = field(default_factory=list)
    keys: list[ProgressKey] = field(default_factory=list)


async def _coming(shared: Shared, change: ModeChange, user_ids: Sequence[str]) -> AsyncIterator[_Coming]:
    """Gives what is to be done for each learner. It costs two reads for all, and for each one read of the views for 100
    scopes."""
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
) -> _Coming:
    enrolments = [e for e in map(enrolment_of, enrolled) if e is not None]
    places = {(row["collectionid"], row["contextid"]): None for row in scopes}
    places |= {(e.key.collection_id, e.key.context_id): None for e in enrolments}
    partitions = {(user_id, row["scope"] or scope_of(row["collectionid"])) for row in scopes}
    found, published, contexts = await asyncio.gather(
        shared.stores.rows.partitions(VIEWS, list(partitions)),
        shared.library.published(list({collection for collection, _ in places})),
        shared.library.contexts.load_many(list({context for _, context in places})),
    )
    views = [view for stored in found.values() for view in map(view_of, stored) if view is not None]
    trees = {
        identifier: tree
        for identifier, (content, tree) in published.items()
        if tree is not None and content.kind is ContentKind.COLLECTION
    }
    there = {context.context_id for context in contexts if context is not None}
    come = _Coming()
    sources: dict[ViewKey, list[View]] = defaultdict(list)
    look = _Look(change, views, trees, enrolments)
    for place in places:
        key = ProgressKey(user_id, *place)
        for view in look.shown(key):
            to = Tracking(change.new).stored(ViewKey(user_id, *place, view.key.content_id))
            if to != view.key:
                sources[to].append(view)
        if key.collection_id in trees and (not key.has_context or key.context_id in there):
            come.keys.append(key)
    stored = {view.key: view for view in views}
    for to, shown in sources.items():
        arriving = change.arriving(shown, to)
        if merged(stored.get(to), arriving) is not None:
            come.views[to.progress_key][to.content_id] = arriving
    come.changed = list(look.changed(come.keys, come.views))
    recomputed = {(key.collection_id, key.context_id) for key in come.keys}
    alive = sum((e.key.collection_id, e.key.context_id) in recomputed for e in enrolments)
    written = sum(map(len, come.views.values()))
    come.report = ModeChangeReport(int(bool(views)), written, alive, len(enrolments) - alive)
    return come


class _Look:
    """What the old mode shows a learner, and where that differs from what the new mode keeps."""

    def __init__(
        self,
        change: ModeChange,
        views: Sequence[View],
        trees: Mapping[str, RelationTree],
        enrolments: Sequence[Enrolment],
    ) -> None:
        self._old, self._new = Tracking(change.old), Tracking(change.new)
        self._trees = trees
        self._by_place: dict[ProgressKey, dict[str, View]] = defaultdict(dict)
        for view in views:
            self._by_place[view.key.progress_key][view.key.content_id] = view
        self._enrolments: dict[str, dict[str, Enrolment]] = defaultdict(dict)
        for enrolment in enrolments:
            self._enrolments[enrolment.key.collection_id][enrolment.key.context_id] = enrolment

    def shown(self, key: ProgressKey) -> Iterator[View]:
        """Gives the views that the old mode shows under this key."""
        tree = self._trees.get(key.collection_id)
        if self._old.keeps_by_content and (tree is not None or key.has_context):
            for leaf in sorted(tree.leaf_nodes if tree is not None else ()):
                yield from self._at(ProgressKey(key.user_id, leaf, leaf))
            return
        if self._old.mode is TrackingMode.MOVE:
            context_id = current_place(self._enrolments[key.collection_id], key.context_id)
            key = replace(key, context_id=context_id)
        yield from self._at(self._old.source(key))

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


async def _write(shared: Shared, come: _Coming) -> int:
    """Writes the views and returns how many were written. Tells the workers when all are."""
    written = 0
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
