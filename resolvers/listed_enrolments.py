"""Enrolments as lists show them, from narrow rows: whatever else there is of one is made when it is asked for."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

from loaders.enrolments import NarrowEnrolment, Place, narrow_enrolments_page
from loaders.narrow_figures import NarrowFigures
from loaders.session import Session
from resolvers.enrolments import Enrolled, enrolled, heal
from resolvers.paging import Page, checked_first
from rules.contents import Content
from rules.contexts import Context
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.moments import known_milliseconds, known_moment, moment
from rules.progress import Progress, Status, percentage
from rules.standings import FirstCompletion


class ListedEnrolment(NamedTuple):
    """As Enrolled, flat, with what a client sees under its name. Moments are epoch milliseconds."""

    user_id: str
    collection_id: str
    context_id: str
    active: bool
    enrolled_on: int
    reenrolled_on: int | None
    unenrolled_on: int | None
    status: Status
    completed_count: int
    required_count: int
    completion_percentage: int
    completed_on: int | None
    completed_version: int | None
    last_accessed_on: int | None
    time_spent: int | None
    moved_to: str | None
    moved_from: str | None
    collection: Content | None
    context: Context | None
    row: NarrowEnrolment

    @property
    def node(self) -> "ListedEnrolment":
        """It is its own edge."""
        return self

    @property
    def enrolled(self) -> Enrolled:
        on, last = self.completed_on, self.last_accessed_on
        return Enrolled(
            self.row.enrolment(self.user_id),
            Progress(self.status, self.completed_count, self.required_count),
            None if on is None else FirstCompletion(moment(on), self.completed_version),
            known_moment(last),
            self.collection,
            self.context,
            None,
            self.time_spent,
        )


class ListedPage(Page[ListedEnrolment]):
    """A page in the order of the store."""


async def listed_enrolments(
    session: Session, user_id: str, *, first: int, after: Place | None, active: bool | None
) -> ListedPage:
    """As ``resolvers.enrolments.enrolments_page``, without the status of each leaf."""
    session.viewer.check_may_see(user_id)
    rows, more = await narrow_enrolments_page(
        session.stores.rows, user_id, after=after, limit=checked_first(first), active=active
    )
    heal(session, [row.enrolment(user_id) for row in rows if row.is_unseen])
    return ListedPage(await listed(session, rows, repeat(user_id)), more)


async def listed(
    session: Session, rows: Sequence[NarrowEnrolment], user_ids: Iterable[str]
) -> list[ListedEnrolment]:
    """The enrolments in these rows, with all that a list shows of them. ``user_ids``: whose each is, at least as many."""
    users = list(islice(user_ids, len(rows)))
    library = session.library
    collection_ids = list(dict.fromkeys([row.collection_id for row in rows]))
    context_ids = list(dict.fromkeys([row.context_id for row in rows]))
    kept_contexts = library.contexts.kept(context_ids)
    if kept_contexts is not None:  # as ever but at first: nothing is read beside what is published
        published = await library.published(collection_ids)
        contexts = dict(zip(context_ids, kept_contexts, strict=True))
    else:
        published, read_contexts = await asyncio.gather(
            library.published(collection_ids), library.contexts.load_many(context_ids)
        )
        contexts = {context.context_id: context for context in read_contexts if context is not None}
    trees = {identifier: tree for identifier, (_, tree) in published.items() if tree is not None}
    new = tuple.__new__  # counts and names nothing
    keys = [new(ProgressKey, (user_id, row[0], row[1])) for user_id, row in zip(users, rows, strict=True)]
    there = keys if len(trees) == len(collection_ids) else [key for key in keys if key.collection_id in trees]
    figures: Sequence[NarrowFigures | None] = await session.loaders.narrow_figures(there, trees, contexts)
    if len(there) < len(keys):
        by_key = dict(zip(there, figures, strict=True))
        figures = [by_key.get(key) for key in keys]
    # What the workers last computed in collections that are gone is read as ever. One may go, or come, between two reads.
    gone = [
        row.enrolment(user_id)
        for user_id, row, shown in zip(users, rows, figures, strict=True)
        if shown is None
    ]
    of_gone = {one.enrolment.key: one for one in (await enrolled(session, gone) if gone else ())}
    found: list[ListedEnrolment] = []
    for user_id, row, shown in zip(users, rows, figures, strict=True):
        collection_id, context_id = row[:2]
        if shown is None:
            found.append(_of_gone(user_id, row, of_gone[ProgressKey(user_id, collection_id, context_id)]))
            continue
        if row.moved_to is not None and row.has_moved:
            shown = _of_moved(shown, trees[collection_id])
        found.append(_of_figures(user_id, row, shown, published[collection_id][0], contexts.get(context_id)))
    return found


def _of_moved(shown: NarrowFigures, tree: RelationTree) -> NarrowFigures:
    """What is shown of a place that the learner has left, by the rule of shown_progress."""
    return shown._replace(
        status=Status.NOT_STARTED,
        completed_count=0,
        required_count=len(tree.required(tree.root)),
        time_spent=0,
    )


def _of_gone(user_id: str, row: NarrowEnrolment, found: Enrolled) -> ListedEnrolment:
    """Of a collection that is gone. What the row says of a completion is in what was ``found``, too."""
    progress = found.progress
    figures = (
        *(progress.status, progress.completed_count, progress.required_count),
        *(known_milliseconds(found.completed_on), found.completed_version),
        *(known_milliseconds(found.last_accessed_on), found.time_spent),
    )
    return _of_figures(user_id, row, figures, found.collection, found.context)


def _of_figures(
    user_id: str,
    row: NarrowEnrolment,
    figures: tuple[Any, ...],
    collection: Content | None,
    context: Context | None,
) -> ListedEnrolment:
    """By the rules of Enrolment.completed and Enrolled. ``figures``: what is shown, in the order of NarrowFigures."""
    status, completed, required, completed_on, version, last_accessed_on, time_spent = figures
    collection_id, context_id, active, enrolled_on, unenrolled_on, reenrolled_on = row[:6]
    own_completed_on, own_version, own_last, moved_to, moved_from, granted_on = row[10:]
    if granted_on is not None and not row.has_moved:
        completed_on, version = granted_on, None
    elif own_completed_on is not None:
        completed_on, version = own_completed_on, own_version
    return tuple.__new__(  # does not count the values again, as `_make` does
        ListedEnrolment,
        (
            user_id,
            collection_id,
            context_id,
            bool(active),
            enrolled_on,
            reenrolled_on,
            unenrolled_on,
            status,
            completed,
            required,
            percentage(completed, required),
            completed_on,
            version,
            own_last if last_accessed_on is None else last_accessed_on,
            time_spent,
            None if active else moved_to,
            moved_from,
            collection,
            context,
            row,
        ),
    )
