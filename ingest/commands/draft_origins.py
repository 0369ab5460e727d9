"""Where drafts come from that nobody has created: what was published without one gets it when it is first edited."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import uuid4

from ingest.writes.drafts import insert_draft, replace_draft
from loaders.drafts import draft_values, drafts_by_id
from loaders.session import Session
from rules.contents import RETIRED, Content, ContentKind, Metadata
from rules.drafts import Draft, DraftStatus, EditForm, flattened, without_children
from rules.errors import NotFound
from rules.hierarchy import COLLECTION_MIME_TYPE, Hierarchy, Json, is_collection, walk
from stores.rows import Write
from stores.tables import DRAFTS

_BEFORE_ALL = 1
"""The write time of imported drafts. Every conditional write is later, so that no author's is undone by an import that did
not see it; a condition for each leaf would cost a large collection's first edit several seconds."""
_STATUSES = {RETIRED: DraftStatus.RETIRED, DraftStatus.UNLISTED.value: DraftStatus.UNLISTED}


async def draft_for_edit(session: Session, identifier: str, field: str = "identifier") -> Draft:
    """Returns the draft of a content or a collection. If there is none it is made of the live version.

    NotFound if nothing has the id, or a unit: units are edited with their collection.
    """
    (draft,) = await drafts_by_id(session.stores.rows, [identifier])
    if draft is not None:
        return draft
    (content,) = await session.library.current([identifier])
    if content is None:
        raise NotFound(f"there is no content {identifier}", field=field)
    if content.kind is ContentKind.UNIT:
        raise NotFound(f"{identifier} is a unit of {content.root}, and is edited with it", field=field)
    node = await _live_node(session, content)
    if content.kind is ContentKind.COLLECTION:
        return await _collection_draft(session, content, node)
    await insert_draft(session.stores.rows, _of_live(content, node), None)
    return await draft_for_edit(session, identifier, field)


async def import_published(session: Session, contents: Iterable[Content]) -> None:
    """Gives a draft to each of these contents that was published within a collection alone and has none."""
    alone = [content for content in contents if content.root != content.identifier]
    if alone:
        await import_leaves(
            session, {content.identifier: await _live_node(session, content) for content in alone}
        )


async def import_leaves(session: Session, leaves: Mapping[str, Metadata]) -> None:
    """Gives a draft to each of these leaves of a tree that has none and was not published by itself.

    ``leaves``: their nodes in the tree. It may be done again: what is there stays.
    """
    rows = session.stores.rows
    drafts, contents = await asyncio.gather(
        rows.get_many(DRAFTS, [(leaf,) for leaf in leaves], ("identifier", "version_key")),
        session.library.contents.load_many(list(leaves)),
    )
    own = {
        content.identifier
        for content in contents
        if content is not None and content.root == content.identifier
    }
    made = [
        _draft(leaf, ContentKind.CONTENT, node.get("mimeType"), node, DraftStatus.LIVE, imported=True)
        for leaf, node in leaves.items()
        if (leaf,) not in drafts and leaf not in own
    ]
    await rows.write(
        *(Write(DRAFTS, (draft.identifier,), draft_values(draft), timestamp=_BEFORE_ALL) for draft in made)
    )


async def follow_published(session: Session, published: Hierarchy) -> None:
    """Brings drafts that nobody has changed in line with a version that was published past them, such as a document that was
    loaded. What an author has changed since the last publish stays."""
    rows, root = session.stores.rows, published.root
    form, leaves = await _flattened(session, root)
    (draft, *of_leaves) = await drafts_by_id(rows, [published.identifier, *leaves])
    await asyncio.gather(
        *(
            replace_draft(rows, leaf, replace(leaf, metadata=leaves[leaf.identifier]))
            for leaf in of_leaves
            if leaf is not None and leaf.imported and leaf.metadata != leaves[leaf.identifier]
        )
    )
    if draft is not None and draft.status in (DraftStatus.LIVE, DraftStatus.UNLISTED):
        await import_leaves(session, leaves)
        metadata = without_children(root)
        # Where an author was faster, what they see is newer than this.
        await replace_draft(rows, draft, replace(draft, metadata=metadata), form)


async def _collection_draft(session: Session, content: Content, root: Json) -> Draft:
    """Makes the draft of a published collection: its leaves' first, its own last."""
    form, leaves = await _flattened(session, root)
    await import_leaves(session, leaves)
    await insert_draft(session.stores.rows, _of_live(content, root), form)
    return await draft_for_edit(session, content.identifier)


async def _flattened(session: Session, root: Json) -> tuple[EditForm, dict[str, Json]]:
    """Returns the edit form of a live tree, in which collections with a life of their own are named as leaves are."""
    inner = [node["identifier"] for node in walk(root) if node is not root and is_collection(node)]
    contents = await session.library.contents.load_many(inner)
    own = {
        content.identifier
        for content in contents
        if content is not None and content.root == content.identifier
    }
    return await asyncio.to_thread(flattened, root, own)


async def _live_node(session: Session, content: Content) -> Json:
    """Returns the content's node in the live tree that it is in."""
    library = session.library
    root = (
        content if content.root == content.identifier else await library.content(content.root, "identifier")
    )
    node = (await library.hierarchy(root)).node(content.identifier)
    if node is None:
        raise NotFound(f"{content.identifier} is not in {content.root} any more", field="identifier")
    return node


def _of_live(content: Content, node: Json) -> Draft:
    is_collection = content.kind is ContentKind.COLLECTION
    return _draft(
        content.identifier,
        content.kind,
        COLLECTION_MIME_TYPE if is_collection else content.mime_type,
        without_children(node),
        _STATUSES.get(content.status, DraftStatus.LIVE),
        imported=True,
    )


def _draft(
    identifier: str,
    kind: ContentKind,
    mime_type: str | None,
    metadata: Metadata,
    status: DraftStatus,
    *,
    imported: bool,
) -> Draft:
    return Draft(identifier, kind, status, metadata, uuid4().hex, mime_type, imported=imported)
