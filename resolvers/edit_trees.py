"""Collections as their authors see them: the draft and its tree, in the shape of a live one (R-COLL-3)."""

import asyncio
from collections.abc import Sequence

from ingest.commands.draft_changes import check_author
from loaders.session import Session
from resolvers import collections, drafts
from resolvers.collections import Tree
from resolvers.paging import checked_many
from rules.contents import Content, ContentKind, HierarchyMode
from rules.errors import NotFound
from rules.hierarchy import Hierarchy, relations_of
from rules.identifiers import checked_id

AT_ONCE = 4
"""Trees of one call that are put together side by side: threads do not make them faster, and each needs its memory."""


async def edit_tree(session: Session, identifier: str, field: str = "identifier") -> Tree:
    """What is edited of a collection. Errors as of ``drafts.edit_tree``."""
    found = await drafts.edit_tree(session, identifier, field)
    (live,) = await session.library.current([found.draft.identifier])
    return await asyncio.to_thread(_tree, found, live)


async def edit_trees(session: Session, identifiers: Sequence[str]) -> list[Tree | None]:
    """What is edited of these collections, in their order; None for what is no collection."""
    check_author(session)

    places = asyncio.Semaphore(AT_ONCE)

    async def one(identifier: str) -> Tree | None:
        async with places:
            try:
                return await edit_tree(session, identifier, "identifiers")
            except NotFound:
                return None

    wanted = list(dict.fromkeys(checked_many(identifiers, "identifiers")))
    found = dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))
    return [found[identifier] for identifier in identifiers]


async def tree_with(session: Session, node: str, collection_id: str | None, mode: HierarchyMode) -> Tree:
    """The tree that a node is in: of the collection that is named, or else of the published one that holds it. NotFound
    names what is missing."""
    if mode is HierarchyMode.EDIT:
        check_author(session)
        if collection_id is not None:
            return await edit_tree(session, collection_id, "collectionId")
        return await _edit_tree_with(session, checked_id(node, "identifier"))
    if collection_id is not None:
        root = await collections.collection(session, collection_id, "collectionId")
    else:
        root = await collections.root_of(session, node)
    return await collections.tree(session, root)


async def _edit_tree_with(session: Session, node: str) -> Tree:
    """A node of drafts alone is found in no list: its collection has to be named."""
    (content,) = await session.library.contents.load_many([node])
    if content is not None:
        root = await collections.root_of(session, node)
        return await edit_tree(session, root.identifier)
    try:
        return await edit_tree(session, node)
    except NotFound as error:
        raise NotFound(
            f"{error}; collectionId must name the collection of what is in a draft alone", field="identifier"
        ) from None


def _tree(found: drafts.EditTree, live: Content | None) -> Tree:
    draft = found.draft
    live = live if live is not None and live.kind is ContentKind.COLLECTION else None
    version = 0 if live is None else live.live_version
    hierarchy = Hierarchy(found.root, version)
    relations = relations_of(hierarchy)
    content = Content(
        identifier=draft.identifier,
        name=draft.name,
        kind=ContentKind.COLLECTION,
        status=draft.status.value,
        mime_type=draft.mime_type,
        leaf_nodes_count=len(relations.leaf_nodes),
        root=draft.identifier,
        live_version=version,
        published_on=None if live is None else live.published_on,
    )
    return Tree(content, hierarchy, relations, HierarchyMode.EDIT, draft.version_key)
