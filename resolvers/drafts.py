"""What authors read and change: drafts, and the trees that they edit. The roles creator, admin and service may."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.commands import drafts as commands
from ingest.commands.draft_changes import check_author
from ingest.commands.draft_origins import draft_for_edit
from ingest.commands.drafts import NewContent
from ingest.commands.hierarchy_edits import (
    HierarchyEdited,
    add_children,
    remove_children,
    reorder_children,
    update_hierarchy,
    update_relation,
)
from ingest.publishing.retiring import republish_without
from ingest.publishing.search_sync import sync_search
from ingest.writes.retrying import Attempts
from loaders.drafts import edit_form, leaf_metadata
from loaders.session import Session
from rules.contents import Content, ContentKind, Metadata
from rules.drafts import Draft, EditForm, described, nested, own_metadata
from rules.errors import Conflict, InvalidInput, NotFound
from rules.form_checks import check_nested, repeated
from rules.form_edits import without_leaves
from rules.hierarchy import COLLECTION_MIME_TYPE, Json
from rules.identifiers import checked_id

__all__ = [
    "COLLECTION_MIME_TYPE",
    "EditTree",
    "ModifiedNode",
    "ModifiedParent",
    "add_children",
    "create_content",
    "described",
    "draft",
    "edit_hierarchy",
    "edit_tree",
    "own_metadata",
    "published",
    "remove_children",
    "reorder_children",
    "retire_content",
    "update_content",
    "update_hierarchy",
    "update_relation",
]


@dataclass(frozen=True, slots=True)
class EditTree:
    """The tree of a collection as it is being edited: its draft, with the version key that an edit names, and nested JSON."""

    draft: Draft
    root: Json


@dataclass(frozen=True, slots=True)
class ModifiedNode:
    """What a hierarchy update says of a node. ``more``: metadata beyond ``said``."""

    identifier: str
    is_new: bool
    said: Mapping[str, Any]
    more: object = None


@dataclass(frozen=True, slots=True)
class ModifiedParent:
    """What a hierarchy update says of a parent. None leaves its children."""

    identifier: str
    children: Sequence[str] | None
    relations: Mapping[str, Metadata]


async def edit_hierarchy(
    session: Session,
    root_id: str,
    nodes: Sequence[ModifiedNode],
    parents: Sequence[ModifiedParent],
    version_key: str | None,
) -> HierarchyEdited:
    """A hierarchy update whose maps came as lists. InvalidInput if an id is in a list twice."""
    for field, named in (("nodesModified", nodes), ("hierarchy", parents)):
        if twice := repeated(one.identifier for one in named):
            raise InvalidInput(f"{', '.join(twice)} is given twice", field=field)
    return await update_hierarchy(
        session,
        root_id,
        {
            node.identifier: {"isNew": node.is_new, "metadata": _together(node.said, node.more)}
            for node in nodes
        },
        {
            parent.identifier: {"children": parent.children, "relationalMetadata": parent.relations}
            for parent in parents
        },
        version_key,
    )


async def create_content(session: Session, new: NewContent, more: object = None) -> Draft:
    """Creates a content or a collection. ``more``: metadata beyond what ``new`` has of it."""
    return await commands.create_content(session, replace(new, metadata=_together(new.metadata, more)))


async def update_content(
    session: Session,
    identifier: str,
    version_key: str | None,
    changes: Mapping[str, Any],
    more: object = None,
) -> Draft:
    """Changes metadata. ``more``: changes of keys beyond those of ``changes``."""
    return await commands.update_content(session, identifier, version_key, _together(changes, more))


async def retire_content(session: Session, identifier: str) -> Draft:
    """Retires a content or a collection. Published collections that hold the content are published without it; the search
    does not find the collection any more."""
    draft = await commands.retire_content(session, identifier)
    if draft.kind is ContentKind.CONTENT:
        await republish_without(session, draft.identifier)
    else:
        await sync_search(session.shared, draft.identifier)
    return draft


async def published(session: Session, identifier: str) -> tuple[Content, Metadata]:
    """What was published under this id, with its metadata. NotFound, InvalidInput, Unauthenticated."""
    session.viewer.known()
    content = await session.library.content(checked_id(identifier, "identifier"), "identifier")
    return content, (await session.library.metadata_of([content]))[content.identifier]


async def draft(session: Session, identifier: str) -> Draft:
    """The draft of a content or a collection; of what was only published, its first draft. NotFound, Forbidden."""
    check_author(session)
    return await draft_for_edit(session, checked_id(identifier, "identifier"))


async def edit_tree(session: Session, identifier: str, field: str = "identifier") -> EditTree:
    """The tree that is being edited. Each leaf is as its own content says now; retired ones are left out.

    NotFound if it is no collection, Forbidden. Conflict if others keep changing it.
    """
    check_author(session)
    identifier = checked_id(identifier, field)
    async for _ in Attempts():
        found = await draft_for_edit(session, identifier, field)
        if found.kind is not ContentKind.COLLECTION:
            raise NotFound(f"{identifier} is a content, not a collection", field=field)
        form = await edit_form(session.stores.rows, found)
        if form is not None:
            return EditTree(found, await _nested(session, found, form))
    raise Conflict(f"{identifier} keeps changing; send the call again", field=field)


def _together(said: Mapping[str, Any], more: object) -> dict[str, Any]:
    """Metadata from fields of its own and from a JSON object. InvalidInput if a key is in both."""
    if more is None:
        return dict(said)
    if not isinstance(more, Mapping):
        raise InvalidInput("metadata must be an object", field="metadata")
    if twice := sorted(said.keys() & more.keys()):
        raise InvalidInput(f"{', '.join(twice)} is given twice", field="metadata")
    return {**said, **more}


async def _nested(session: Session, found: Draft, form: EditForm) -> Json:
    leaves = await leaf_metadata(session.stores.rows, session.library, form.leaves)
    gone = {leaf for leaf in form.leaves if leaf not in leaves}
    root, kept = described(found), without_leaves(form, gone)

    def tree() -> Json:
        check_nested(root, kept, leaves, session.shared.form_limits, "identifier")
        return nested(root, kept, leaves)

    return await asyncio.to_thread(tree)
