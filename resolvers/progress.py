"""The viewer's own progress on the nodes of a collection: read once for a whole page, however many nodes it shows."""

from collections.abc import Mapping
from dataclasses import dataclass

from loaders.session import Session
from rules.contents import Content
from rules.contexts import check_contains
from rules.enrolments import under_way
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, ViewKey, optional_id
from rules.moves import current_place
from rules.progress import Progress, Status, progress_of
from rules.standings import Touch
from rules.tracking import TrackingMode

UNTOUCHED = Touch(Status.NOT_STARTED, 0)


@dataclass(frozen=True, slots=True)
class OwnProgress:
    """The viewer's progress under one context, or under none."""

    key: ProgressKey
    relations: RelationTree
    touches: Mapping[str, Touch]
    statuses: Mapping[str, int]

    def of(self, node: str) -> Progress:
        """The viewer's progress on one node. A leaf is done or not done."""
        leaf = node in self.relations.leaf_nodes
        return progress_of({node} if leaf else self.relations.required(node), self.statuses)

    def view(self, leaf: str) -> Touch:
        return self.touches.get(leaf, UNTOUCHED)


async def placed_key(
    session: Session, user_id: str, collection: Content, context_id: str | None
) -> ProgressKey:
    """The key under a context, or that of the collection by itself; in copy and move mode the key of ``place_read``.
    NotFound or InvalidInput if the collection has no such context."""
    wanted = optional_id(context_id, "contextId")
    if wanted is not None and wanted != collection.identifier:
        check_contains(await session.library.context(wanted), collection.identifier)
    return await place_read(session, user_id, collection.identifier, wanted)


async def place_read(
    session: Session, user_id: str, collection_id: str, context_id: str | None
) -> ProgressKey:
    """Where a read of these ids looks. A collection without a context is the collection by itself, but in copy and move
    mode under the learner's active context of it: the latest enrolment that is under way, if there is one (R-MODE-9).
    In move mode a context that was left leads to the place where it has moved to.

    One statement in these modes, whatever is asked of the collection in a request; none in the others.
    """
    mode = session.shared.tracking.mode
    key = ProgressKey(user_id, collection_id, context_id or collection_id)
    if mode is TrackingMode.MOVE and key.has_context:
        enrolments = await session.loaders.enrolled.load((user_id, collection_id))
        by_context = {enrolment.key.context_id: enrolment for enrolment in enrolments}
        return key._replace(context_id=current_place(by_context, key.context_id))
    if mode in (TrackingMode.COPY, TrackingMode.MOVE) and context_id is None:
        enrolments = await session.loaders.enrolled.load((user_id, collection_id))
        contexts = await session.library.contexts.load_many([each.key.context_id for each in enrolments])
        found = under_way(zip(enrolments, contexts, strict=True), session.now())
        return found[0].key if found else key
    return key


def begun_without(place: ProgressKey, context_id: str | None) -> ProgressKey | None:
    """The second place of a read of views that names no context, for what it does not find under the active one
    (``place_read``). What was begun without a context is kept and read back without one."""
    if context_id is not None or not place.has_context:
        return None
    return place._replace(context_id=place.collection_id)


async def kept_at(session: Session, asked: ViewKey) -> ViewKey:
    """Where views and attempts are kept that a client asks for by these ids."""
    if asked.is_content_alone:
        return asked
    place = await place_read(session, asked.user_id, asked.collection_id, asked.context_id)
    return session.shared.tracking.stored(within(place, asked.content_id))


async def trees_of(session: Session, place: ProgressKey) -> dict[str, RelationTree]:
    """The tree of the place's collection where it says which attempts count there: where they are kept by content."""
    if not session.shared.tracking.keeps_by_content:
        return {}
    published = await session.library.published([place.collection_id])
    return {identifier: tree for identifier, (_, tree) in published.items() if tree is not None}


def within(place: ProgressKey, content_id: str) -> ViewKey:
    return ViewKey(place.user_id, place.collection_id, place.context_id, content_id)


async def own_progress(session: Session, collection: Content, context_id: str | None) -> OwnProgress:
    """The viewer's own progress. Unauthenticated, NotFound, InvalidInput, StoreUnavailable."""
    key = await placed_key(session, session.viewer.known(), collection, context_id)
    relations = await session.library.relation_tree(collection)
    touches = await session.loaders.touches.load(key)
    return OwnProgress(
        key, relations, touches, {content: int(touch.status) for content, touch in touches.items()}
    )
