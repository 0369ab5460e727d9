"""Edits of a collection's tree, each whole or not at all (R-COLL-4).

``version_key`` names the draft that an edit was made from: Conflict says that it is not the current one. None means: on
top of whatever is there.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.commands.draft_changes import Change, Outdated, change_draft, check_author
from ingest.commands.draft_origins import import_published
from ingest.commands.generated_ids import generated_ids
from loaders.drafts import drafts_by_id, edit_form
from loaders.session import Session
from rules.contents import Content, ContentKind, Metadata
from rules.drafts import Draft, DraftStatus, EditForm
from rules.errors import Absent, InvalidInput
from rules.form_checks import named
from rules.form_edits import (
    Edited,
    reordered,
    updated,
    with_children,
    with_relation,
    without_children,
    without_leaves,
)
from rules.hierarchy_updates import HierarchyUpdate
from rules.identifiers import checked_id

Leaves = Mapping[str, Metadata]


@dataclass(frozen=True, slots=True)
class HierarchyEdited:
    """What became of an edit.

    - ``identifiers``: the generated id of each new unit, by the temporary one that the call had for it.
    - ``removed``: units and leaves that were in the tree before and are not any more.
    """

    draft: Draft
    identifiers: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


async def update_hierarchy(
    session: Session,
    root_id: str,
    nodes_modified: Mapping[str, Any],
    hierarchy: Mapping[str, Any],
    version_key: str | None = None,
) -> HierarchyEdited:
    """Changes metadata of the root and of units, makes new units, and gives the parents in ``hierarchy`` new children
    (P-2.8). Parents that are not in it keep theirs. A unit that loses its only place is removed."""
    root_id, limits = checked_id(root_id, "rootId"), session.shared.form_limits
    asked = HierarchyUpdate.of(root_id, nodes_modified, hierarchy)
    generated = dict(zip(asked.temporary, generated_ids(len(asked.temporary), session.now()), strict=True))
    update = asked.with_ids(generated)

    def edit(form: EditForm, root: Metadata, leaves: Leaves) -> Edited:
        asked.check_temporary({*form.units, *form.leaves})
        return updated(form, root, update, leaves, limits)

    def touched(form: EditForm) -> list[str]:
        """Children that come to a parent. Those that it had stay as they are: whoever sends a whole tree may not know yet
        that one of them was retired."""
        return [
            child
            for parent, change in update.parents.items()
            for child in change.children or ()
            if child not in form.children.get(parent, ())
        ]

    new = [child for child in update.children if child not in update.nodes or not update.nodes[child].is_new]
    try:
        edited = await _edit(session, root_id, version_key, edit, new, "hierarchy", touched)
    except InvalidInput as error:
        raise _with_temporary_ids(error, generated) from error
    return replace(edited, identifiers=generated)


async def add_children(
    session: Session,
    root_id: str,
    unit_id: str,
    children: Sequence[str],
    places: Mapping[str, Metadata] | None = None,
    position: int | None = None,
    version_key: str | None = None,
) -> HierarchyEdited:
    """Adds contents to the root or a unit, at ``position`` (from 0) or behind the others. One that is there already keeps
    its place unless a position is given.

    ``places``: the relational metadata of a child there, by its id.
    """
    limits, unit_id, children = (
        session.shared.form_limits,
        checked_id(unit_id, "unitId"),
        _checked_ids(children),
    )

    def edit(form: EditForm, root: Metadata, leaves: Leaves) -> Edited:
        return with_children(form, root, unit_id, children, places or {}, position, leaves, limits)

    def touched(form: EditForm) -> list[str]:
        counted = () if position is None else form.children.get(unit_id, ())
        return [*counted, *children]

    return await _edit(session, root_id, version_key, edit, children, "children", touched)


async def remove_children(
    session: Session, root_id: str, unit_id: str, children: Sequence[str], version_key: str | None = None
) -> HierarchyEdited:
    """Removes children from the root or a unit. One that is not there is as good as removed."""
    unit_id, children = checked_id(unit_id, "unitId"), _checked_ids(children)

    def edit(form: EditForm, root: Metadata, _: Leaves) -> Edited:
        return without_children(form, root, unit_id, children)

    return await _edit(session, root_id, version_key, edit)


async def update_relation(
    session: Session,
    root_id: str,
    parent_id: str,
    child_id: str,
    changes: Mapping[str, Any],
    version_key: str | None = None,
) -> HierarchyEdited:
    """Changes what a child says of itself below this parent (``optional``, ``keywords``, ``relName``), and the ``name`` of
    a unit. None clears."""
    parent_id, child_id = checked_id(parent_id, "parentId"), checked_id(child_id, "childId")

    def edit(form: EditForm, root: Metadata, _: Leaves) -> Edited:
        return with_relation(form, root, parent_id, child_id, changes)

    return await _edit(session, root_id, version_key, edit)


async def reorder_children(
    session: Session, root_id: str, parent_id: str, children: Sequence[str], version_key: str | None = None
) -> HierarchyEdited:
    """Puts the children of the root or a unit in this order. InvalidInput names what is missing or unknown."""
    parent_id, children = checked_id(parent_id, "parentId"), _checked_ids(children)

    def edit(form: EditForm, root: Metadata, _: Leaves) -> Edited:
        return reordered(form, root, parent_id, children)

    def touched(form: EditForm) -> list[str]:
        return [child for child in form.children.get(parent_id, ()) if child not in children]

    return await _edit(session, root_id, version_key, edit, touched=touched)


async def _edit(
    session: Session,
    root_id: str,
    version_key: str | None,
    edit: Callable[[EditForm, Metadata, Leaves], Edited],
    children: Sequence[str] = (),
    field: str = "children",
    touched: Callable[[EditForm], Sequence[str]] | None = None,
) -> HierarchyEdited:
    """Carries out an edit. ``children``: those that may be new to the tree; they must be contents that are available.

    ``touched``: the nodes that the edit counts, misses or gives a place. Retired leaves among them leave the form first:
    authors are not shown them, and a retired content is not added.

    Needs the role creator, admin or service. Raises NotFound, InvalidInput, Conflict.
    """
    check_author(session)
    removed: tuple[str, ...] = ()

    async def decide(stored: Draft) -> Change | None:
        nonlocal removed
        if stored.kind is not ContentKind.COLLECTION:
            raise InvalidInput(f"{root_id} is a content, and has no children", field="rootId")
        if stored.is_shallow_copy:
            raise InvalidInput(
                f"{root_id} is a shallow copy: its tree is changed in the collection it was copied from",
                field="originData",
            )
        form = await edit_form(session.stores.rows, stored)
        if form is None:
            raise Outdated
        if touched is not None:
            form = without_leaves(form, await _retired(session, form, touched(form)))
        known = {form.root, *form.units, *form.leaves}
        new = [child for child in children if child not in known]
        leaves = await _available(session, new, root_id, field)
        edited = await asyncio.to_thread(edit, form, stored.metadata, leaves)
        removed = edited.removed
        if edited.form == form and edited.root == stored.metadata:
            return None
        return replace(stored, metadata=edited.root, status=DraftStatus.DRAFT), edited.form

    draft = await change_draft(session, checked_id(root_id, "rootId"), version_key, decide, "rootId")
    return HierarchyEdited(draft, removed=removed)


async def _retired(session: Session, form: EditForm, nodes: Sequence[str]) -> set[str]:
    """Returns those of the nodes that are retired leaves of the form."""
    leaves = sorted({*nodes}.intersection(form.leaves))
    if not leaves:
        return set()
    drafts, contents = await asyncio.gather(
        drafts_by_id(session.stores.rows, leaves), session.library.current(leaves)
    )
    return {
        leaf
        for leaf, draft, content in zip(leaves, drafts, contents, strict=True)
        if _is_retired(draft, content)
    }


async def _available(
    session: Session, identifiers: Sequence[str], root_id: str, field: str
) -> dict[str, Metadata]:
    """Returns the metadata of contents that are to become leaves, as far as the checks need it.

    A collection may be put into another one, which shows its published tree. It must not hold that one.
    """
    if not identifiers:
        return {}
    drafts, contents = await asyncio.gather(
        drafts_by_id(session.stores.rows, identifiers), session.library.current(identifiers)
    )
    found: dict[str, Metadata] = {}
    missing, published = [], []
    for identifier, draft, content in zip(identifiers, drafts, contents, strict=True):
        kind = draft.kind if draft else content.kind if content else None
        if kind is None or _is_retired(draft, content):
            missing.append(identifier)
            continue
        found[identifier] = {"visibility": "Parent"} if kind is ContentKind.UNIT else {}
        if (
            content is not None
            and kind is not ContentKind.UNIT
            and (draft is None or kind is ContentKind.COLLECTION)
        ):
            published.append(content)
    if missing:
        raise InvalidInput(f"children which are not available: {named(missing)}", field=field)
    await _check_not_above(
        session, [c for c in published if c.kind is ContentKind.COLLECTION], root_id, field
    )
    await import_published(session, published)
    return found


async def _check_not_above(
    session: Session, collections: Sequence[Content], root_id: str, field: str
) -> None:
    trees = await session.library.published([content.identifier for content in collections])
    for identifier, (_, tree) in trees.items():
        if tree is not None and root_id in tree.nodes:
            raise InvalidInput(f"below itself: {root_id} > {identifier} > {root_id}", field=field)


def _with_temporary_ids(error: InvalidInput, generated: Mapping[str, str]) -> InvalidInput:
    """Returns the error in the words of the call: who was refused never saw the ids that new units would have got."""
    message, field = error.message, error.field or ""
    for temporary, identifier in generated.items():
        message, field = message.replace(identifier, temporary), field.replace(identifier, temporary)
    return type(error)(message, field=field or None)


def _is_retired(draft: Draft | None, content: Content | None) -> bool:
    return (draft is not None and draft.status is DraftStatus.RETIRED) or (
        content is not None and content.is_retired
    )


def _checked_ids(children: Sequence[str]) -> list[str]:
    if not children:
        raise Absent("children must not be empty", field="children")
    return [checked_id(child, "children") for child in children]
