"""What authors read and change: drafts, and the trees that they edit. The roles creator, admin and service may."""

from dataclasses import dataclass

from ingest.commands.draft_changes import check_author
from ingest.commands.draft_origins import draft_for_edit
from ingest.commands.drafts import create_content, retire_content, update_content
from ingest.commands.hierarchy_edits import (
    add_children,
    remove_children,
    reorder_children,
    update_hierarchy,
    update_relation,
)
from ingest.writes.retrying import Attempts
from loaders.drafts import edit_form, leaf_metadata
from loaders.session import Session
from rules.contents import ContentKind
from rules.drafts import Draft, EditForm, described, nested
from rules.errors import Conflict, NotFound
from rules.form_edits import without_leaves
from rules.hierarchy import Json
from rules.identifiers import checked_id

__all__ = [
    "EditTree",
    "add_children",
    "create_content",
    "described",
    "draft",
    "edit_tree",
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


async def _nested(session: Session, found: Draft, form: EditForm) -> Json:
    leaves = await leaf_metadata(session.stores.rows, session.library, form.leaves)
    gone = {leaf for leaf in form.leaves if leaf not in leaves}
    return nested(described(found), without_leaves(form, gone), leaves)
