"""The viewer's own progress on the nodes of a collection: read once for a whole page, however many nodes it shows."""

from collections.abc import Mapping
from dataclasses import dataclass

from loaders.session import Session
from rules.contents import Content
from rules.contexts import check_contains
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, optional_id
from rules.progress import Progress, Status, progress_of
from rules.standings import Touch

UNTOUCHED = Touch(Status.NOT_STARTED, 0)


@dataclass(frozen=True, slots=True)
class OwnProgress:
    """Under one context, or under none."""

    key: ProgressKey
    relations: RelationTree
    touches: Mapping[str, Touch]
    statuses: Mapping[str, int]

    def of(self, node: str) -> Progress:
        """In the collection or a unit; in a leaf, whether it is done."""
        leaf = node in self.relations.leaf_nodes
        return progress_of({node} if leaf else self.relations.required(node), self.statuses)

    def view(self, leaf: str) -> Touch:
        return self.touches.get(leaf, UNTOUCHED)


async def placed_key(
    session: Session, user_id: str, collection: Content, context_id: str | None
) -> ProgressKey:
    """Under the context, or the collection by itself. NotFound or InvalidInput where there is no such context in it."""
    wanted = optional_id(context_id, "contextId")
    if wanted is None or wanted == collection.identifier:
        return ProgressKey(user_id, collection.identifier, collection.identifier)
    check_contains(await session.library.context(wanted), collection.identifier)
    return ProgressKey(user_id, collection.identifier, wanted)


async def own_progress(session: Session, collection: Content, context_id: str | None) -> OwnProgress:
    """Of the viewer. Unauthenticated, NotFound, InvalidInput, StoreUnavailable."""
    key = await placed_key(session, session.viewer.known(), collection, context_id)
    relations = await session.library.relation_tree(collection)
    touches = await session.loaders.touches.load(key)
    return OwnProgress(
        key, relations, touches, {content: int(touch.status) for content, touch in touches.items()}
    )
