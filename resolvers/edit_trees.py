"""Collections as their authors see them: the draft, its edit form, and what its leaves say of themselves (R-COLL-3)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from loaders.drafts import drafts_by_id, edit_form
from loaders.session import Session
from resolvers import collections
from resolvers.collections import Tree
from resolvers.paging import checked_many
from rules.contents import Content, ContentKind, HierarchyMode, Metadata
from rules.drafts import Draft, DraftStatus, EditForm, nested
from rules.errors import Conflict, NotFound
from rules.hierarchy import Hierarchy, relations_of
from rules.identifiers import checked_id
from rules.viewers import Role

AUTHORS = (Role.CREATOR, Role.ADMIN, Role.SERVICE)
READS = 5
"""How often a draft is read whose form others replace between the two reads."""


async def edit_tree(session: Session, identifier: str, field: str = "identifier") -> Tree:
    """What is edited of a collection. One that was only published answers with what is live, which an edit begins with.

    Unauthenticated, Forbidden, InvalidInput, NotFound; Conflict if others change it all the time.
    """
    session.viewer.check_role(*AUTHORS)
    (found,) = await _edit_trees(session, [checked_id(identifier, field)])
    if found is None:
        raise NotFound(f"there is no collection {identifier}, published or drafted", field=field)
    return found


async def edit_trees(session: Session, identifiers: Sequence[str]) -> list[Tree | None]:
    """What is edited of these collections, in their order; None for what is no collection."""
    session.viewer.check_role(*AUTHORS)
    wanted = checked_many(identifiers, "identifiers")
    return await _edit_trees(session, [checked_id(identifier, "identifiers") for identifier in wanted])


async def tree_with(session: Session, node: str, collection_id: str | None, mode: HierarchyMode) -> Tree:
    """The tree that a node is in: of the collection that is named, or else of the published one that holds it. NotFound
    names what is missing."""
    if mode is HierarchyMode.EDIT:
        if collection_id is not None:
            return await edit_tree(session, collection_id, "collectionId")
        return await _edit_tree_with(session, checked_id(node, "identifier"))
    if collection_id is not None:
        root = await collections.collection(session, collection_id, "collectionId")
    else:
        root = await collections.root_of(session, node)
    return await collections.tree(session, root)


async def _edit_tree_with(session: Session, node: str) -> Tree:
    session.viewer.check_role(*AUTHORS)
    (found,) = await _edit_trees(session, [node])
    if found is not None:
        return found
    try:
        root = await collections.root_of(session, node)
    except NotFound as error:
        raise NotFound(
            f"{error}; collectionId must name the collection of what is in a draft alone", field="identifier"
        ) from None
    return await edit_tree(session, root.identifier)


async def _edit_trees(session: Session, identifiers: Sequence[str]) -> list[Tree | None]:
    drafts, contents = await asyncio.gather(
        drafts_by_id(session.stores.rows, identifiers), session.library.contents.load_many(identifiers)
    )
    return await asyncio.gather(
        *(_edit_tree(session, draft, content) for draft, content in zip(drafts, contents, strict=True))
    )


async def _edit_tree(session: Session, draft: Draft | None, content: Content | None) -> Tree | None:
    if content is not None and content.kind is not ContentKind.COLLECTION:
        content = None
    if draft is not None:
        return await _of_draft(session, draft, content) if draft.kind is ContentKind.COLLECTION else None
    if content is None:
        return None
    return replace(await collections.tree(session, content), mode=HierarchyMode.EDIT)


async def _of_draft(session: Session, draft: Draft, live: Content | None) -> Tree:
    draft, form = await _with_form(session, draft)
    leaves = await _leaves(session, form)
    shown = replace(
        form,
        children={
            parent: [child for child in children if child in form.units or child in leaves]
            for parent, children in form.children.items()
        },
    )
    version = live.live_version if live is not None else 0

    def made() -> Tree:
        root = {
            "identifier": draft.identifier,
            **draft.metadata,
            "status": draft.status.value,
            "versionKey": draft.version_key,
        }
        hierarchy = Hierarchy(nested(root, shown, leaves), version)
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
            published_on=live.published_on if live is not None else None,
        )
        return Tree(content, hierarchy, relations, HierarchyMode.EDIT, draft.version_key)

    return await asyncio.to_thread(made)


async def _with_form(session: Session, draft: Draft) -> tuple[Draft, EditForm]:
    """The draft and its form, both of one moment: an edit that comes between the two reads takes the form away."""
    for _ in range(READS):
        form = await edit_form(session.stores.rows, draft)
        if form is not None:
            return draft, form
        (anew,) = await drafts_by_id(session.stores.rows, [draft.identifier])
        draft = anew or draft
    raise Conflict(f"{draft.identifier} is being changed; try again", field="identifier")


async def _leaves(session: Session, form: EditForm) -> Mapping[str, Metadata]:
    """What each leaf says of itself: as it is published, if it is so by itself, or else as it is drafted. A retired leaf is
    left out, as the next publish does."""
    leaves = form.leaves
    drafts, contents = await asyncio.gather(
        drafts_by_id(session.stores.rows, leaves), session.library.contents.load_many(leaves)
    )
    published = await session.library.metadata_of([content for content in contents if content is not None])
    said: dict[str, Metadata] = {}
    for leaf, draft, content in zip(leaves, drafts, contents, strict=True):
        statuses = (draft and draft.status.value, content and content.status)
        if DraftStatus.RETIRED.value in statuses:
            continue
        by_itself = content is not None and content.root == leaf
        if draft is not None and not by_itself:
            status = {} if draft.imported else {"status": draft.status.value}
            said[leaf] = {"identifier": leaf, **draft.metadata, **status}
        else:
            said[leaf] = published.get(leaf) or {"identifier": leaf, "name": leaf}
    return said
