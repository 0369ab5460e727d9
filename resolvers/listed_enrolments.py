"""Enrolments as lists show them, from narrow rows: what a member of a list does not show is made when it is asked for."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from loaders.enrolments import NarrowEnrolment, Place, narrow_enrolments_page
from loaders.narrow_figures import NarrowFigures
from loaders.session import Session
from resolvers.enrolments import Enrolled, enrolled
from resolvers.paging import Page, checked_first
from rules.contents import Content
from rules.contexts import Context
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.moments import milliseconds, moment
from rules.progress import Progress, Status, percentage
from rules.standings import FirstCompletion
from rules.triggers import TriggerKind


class ListedEnrolment(NamedTuple):
    """As Enrolled. Moments are epoch milliseconds."""

    user_id: str
    row: NarrowEnrolment
    status: Status
    completed_count: int
    required_count: int
    completed_on: int | None
    completed_version: int | None
    last_accessed_on: int | None
    time_spent: int | None
    collection: Content | None
    context: Context | None

    @property
    def completion_percentage(self) -> int:
        return percentage(self.completed_count, self.required_count)

    @property
    def enrolled(self) -> Enrolled:
        on, last = self.completed_on, self.last_accessed_on
        return Enrolled(
            self.row.enrolment(self.user_id),
            Progress(self.status, self.completed_count, self.required_count),
            None if on is None else FirstCompletion(moment(on), self.completed_version),
            None if last is None else moment(last),
            self.collection,
            self.context,
            None,
            self.time_spent,
        )


async def listed_enrolments(
    session: Session, user_id: str, *, first: int, after: Place | None, active: bool | None
) -> Page[ListedEnrolment]:
    """As ``resolvers.enrolments.enrolments_page``, without the status of each leaf."""
    session.viewer.check_may_see(user_id)
    rows, more = await narrow_enrolments_page(
        session.stores.rows, user_id, after=after, limit=checked_first(first), active=active
    )
    _heal(session, user_id, rows)
    return Page(await _listed(session, user_id, rows), more)


async def _listed(session: Session, user_id: str, rows: Sequence[NarrowEnrolment]) -> list[ListedEnrolment]:
    ids, context_ids = [row.collection_id for row in rows], [row.context_id for row in rows]
    published, read_contexts = await asyncio.gather(
        session.library.published(list(dict.fromkeys(ids))),
        session.library.contexts.load_many(list(dict.fromkeys(context_ids))),
    )
    contexts = {context.context_id: context for context in read_contexts if context is not None}
    trees = {identifier: tree for identifier, (_, tree) in published.items() if tree is not None}
    keys = [ProgressKey(user_id, row.collection_id, row.context_id) for row in rows]
    figures = await session.loaders.narrow_figures(keys, trees, contexts)
    # What the workers last computed in collections that are gone is read as ever.
    gone = [row for row in rows if row.collection_id not in trees]
    wide = await enrolled(session, [row.enrolment(user_id) for row in gone]) if gone else []
    of_gone = {(one.enrolment.key.collection_id, one.enrolment.key.context_id): one for one in wide}
    listed: list[ListedEnrolment] = []
    for row, shown in zip(rows, figures, strict=True):
        tree = trees.get(row.collection_id)
        if tree is None or shown is None:
            listed.append(_of_gone(user_id, row, of_gone[row.collection_id, row.context_id]))
        else:
            content, context = published[row.collection_id][0], contexts.get(row.context_id)
            listed.append(_of_figures(user_id, row, shown, tree, content, context))
    return listed


def _of_figures(
    user_id: str,
    row: NarrowEnrolment,
    shown: NarrowFigures,
    tree: RelationTree,
    content: Content,
    context: Context | None,
) -> ListedEnrolment:
    """By the rules of Enrolment.completed, shown_progress and Enrolled."""
    moved = row.has_moved
    completed_on: int | None
    version: int | None
    if row.granted_on is not None and not moved:
        completed_on, version = row.granted_on, None
    elif row.completed_on is not None:
        completed_on, version = row.completed_on, row.completed_version
    else:
        completed_on, version = shown.completed_on, shown.completed_version
    return ListedEnrolment(
        user_id,
        row,
        Status.NOT_STARTED if moved else shown.status,
        0 if moved else shown.completed_count,
        len(tree.required(tree.root)) if moved else shown.required_count,
        completed_on,
        version,
        row.last_accessed_on if shown.last_accessed_on is None else shown.last_accessed_on,
        0 if moved else shown.time_spent,
        content,
        context,
    )


def _of_gone(user_id: str, row: NarrowEnrolment, found: Enrolled) -> ListedEnrolment:
    progress, last = found.progress, found.last_accessed_on
    return ListedEnrolment(
        user_id,
        row,
        progress.status,
        progress.completed_count,
        progress.required_count,
        None if found.completed_on is None else milliseconds(found.completed_on),
        found.completed_version,
        None if last is None else milliseconds(last),
        found.time_spent,
        found.collection,
        found.context,
    )


def _heal(session: Session, user_id: str, rows: Sequence[NarrowEnrolment]) -> None:
    """As ``resolvers.enrolments.heal``."""
    for row in rows:
        changed_at = row.changed_at or 0
        if changed_at != row.seen_changed_at:
            key = ProgressKey(user_id, row.collection_id, row.context_id)
            session.shared.healing.heal(TriggerKind.ENROLMENT, key, changed_at)
