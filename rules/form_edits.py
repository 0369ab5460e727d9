"""Edits of a collection's tree, as functions from one edit form to the next (R-COLL-4). What an edit does not name stays."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rules.content_metadata import changed_metadata
from rules.contents import ContentKind, Metadata
from rules.drafts import EditForm
from rules.errors import InvalidInput, NotFound
from rules.form_checks import (
    FormLimits,
    check_children,
    check_form,
    check_nested,
    named,
    repeated,
    unreachable,
)
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.hierarchy_updates import HierarchyUpdate, checked_relation


@dataclass(frozen=True, slots=True)
class Edited:
    """The form after an edit, the root's metadata, and the nodes that are not in the tree any more."""

    form: EditForm
    root: Metadata
    removed: tuple[str, ...] = ()


def updated(
    form: EditForm,
    root: Metadata,
    update: HierarchyUpdate,
    leaves: Mapping[str, Metadata],
    limits: FormLimits,
) -> Edited:
    """Returns what a hierarchy update makes of the form (P-2.8).

    Parents that it does not name keep their children. Units that lose their only place are removed. ``leaves``: the
    metadata of the leaves that are new to the form.
    """
    units, root = _units_after(form, root, update)
    parents = {
        parent: change for parent, change in update.parents.items() if parent == form.root or parent in units
    }
    if wrong := [
        parent for parent, change in update.parents.items() if parent not in parents and change.children
    ]:
        known = {*form.leaves, *leaves}
        if below_leaves := [parent for parent in wrong if parent in known]:
            raise InvalidInput(f"leaves can't have children: {named(below_leaves)}", field="hierarchy")
        raise InvalidInput(f"parents that are no units of {form.root}: {named(wrong)}", field="hierarchy")
    children = dict(form.children) | {
        parent: list(change.children) for parent, change in parents.items() if change.children is not None
    }
    places = dict(form.places)
    for parent, change in parents.items():
        below = children.get(parent, ())
        if strangers := [child for child in change.relations if child not in below]:
            raise InvalidInput(
                f"{parent} has no children {named(strangers)}", field=f"hierarchy.{parent}.relationalMetadata"
            )
        places[parent] = {
            **places.get(parent, {}),
            **{child: _place(said) for child, said in change.relations.items()},
        }
    return _checked(form, root, EditForm(form.root, units, children, places), leaves, limits, "hierarchy")


def with_children(
    form: EditForm,
    root: Metadata,
    unit: str,
    children: Sequence[str],
    relations: Mapping[str, Metadata],
    position: int | None,
    leaves: Mapping[str, Metadata],
    limits: FormLimits,
) -> Edited:
    """Returns the form with these children in the unit, at ``position`` or behind the others. A child that is there
    already keeps its place unless a position is given."""
    present = _children(form, unit, "unitId")
    if twice := repeated(children):
        raise InvalidInput(f"children are named twice: {named(twice)}", field="children")
    if strangers := [child for child in relations if child not in children]:
        raise InvalidInput(f"children do not have {named(strangers)}", field="relationalMetadata")
    if position is None:
        after = list(dict.fromkeys([*present, *children]))
    else:
        named_ones = set(children)
        others = [child for child in present if child not in named_ones]
        if not 0 <= position <= len(others):
            raise InvalidInput(f"position must be from 0 to {len(others)}", field="position")
        after = [*others[:position], *children, *others[position:]]
    said = {child: _place(checked_relation(one, "relationalMetadata")) for child, one in relations.items()}
    places = {**form.places, unit: {**form.places.get(unit, {}), **said}} if said else form.places
    wanted = replace(form, children={**form.children, unit: after}, places=places)
    return _checked(form, root, wanted, leaves, limits, "children")


def without_children(form: EditForm, root: Metadata, unit: str, children: Sequence[str]) -> Edited:
    """Returns the form without these children of the unit. One that is not there is as good as removed."""
    gone = set(children)
    after = [child for child in _children(form, unit, "unitId") if child not in gone]
    return _pruned(form, root, replace(form, children={**form.children, unit: after}))


def with_relation(
    form: EditForm, root: Metadata, parent: str, child: str, changes: Mapping[str, Any]
) -> Edited:
    """Returns the form with what the child says of itself below this parent changed, and the name of a unit."""
    if child not in _children(form, parent, "parentId"):
        raise NotFound(f"{parent} has no child {child}", field="childId")
    units = form.units
    said = {name: value for name, value in changes.items() if name != "name"}
    if "name" in changes:
        if child not in units:
            raise InvalidInput(f"{child} is a content of its own, which is renamed by itself", field="name")
        renamed = changed_metadata(units[child], {"name": changes["name"]}, ContentKind.UNIT)
        units = {**units, child: renamed}
    places = form.places
    if said:
        checked = checked_relation(
            {name: value for name, value in said.items() if value is not None}, "relation"
        )
        place = dict(places.get(parent, {}).get(child, {}))
        relation = {
            name: value
            for name, value in (place.pop("relationalMetadata", None) or {}).items()
            if name not in said
        } | checked
        if "optional" in said:
            place.pop("optional", None)
        places = {**places, parent: {**places.get(parent, {}), child: {**place, **_place(relation)}}}
    return _pruned(form, root, replace(form, units=units, places=places))


def reordered(form: EditForm, root: Metadata, parent: str, children: Sequence[str]) -> Edited:
    """Returns the form with the parent's children in this order."""
    present, wanted = _children(form, parent, "parentId"), set(children)
    if missing := [child for child in present if child not in wanted]:
        raise InvalidInput(
            f"the order must have every child of {parent}; missing: {named(missing)}", field="children"
        )
    if unknown := wanted.difference(present):
        raise InvalidInput(f"{parent} has no children {named(sorted(unknown))}", field="children")
    if twice := repeated(children):
        raise InvalidInput(f"children are named twice: {named(twice)}", field="children")
    return Edited(replace(form, children={**form.children, parent: list(children)}), root)


def nested_collections(form: EditForm) -> set[str]:
    """Returns the units that were collections by themselves when the tree was loaded."""
    return {unit for unit, metadata in form.units.items() if metadata.get("visibility") == "Default"}


def without_leaves(form: EditForm, gone: Collection[str]) -> EditForm:
    """Returns the form without these leaves, wherever they stand."""
    if not gone:
        return form
    children = {
        parent: [child for child in below if child not in gone] for parent, below in form.children.items()
    }
    return replace(form, children=children)


def _units_after(
    form: EditForm, root: Metadata, update: HierarchyUpdate
) -> tuple[dict[str, Metadata], Metadata]:
    units = dict(form.units)
    for identifier, change in update.nodes.items():
        field = f"nodesModified.{identifier}"
        if identifier == form.root:
            root = _changed(root, change.metadata, ContentKind.COLLECTION, field)
        elif change.is_new:
            entry = update.parents.get(identifier)
            begun = {"identifier": identifier} | ({"name": entry.name} if entry and entry.name else {})
            if "name" not in begun and not change.metadata.get("name"):
                raise InvalidInput(f"unit {identifier} has no name", field=f"{field}.metadata.name")
            made = _changed(begun, change.metadata, ContentKind.UNIT, field)
            units[identifier] = made | {"mimeType": COLLECTION_MIME_TYPE, "visibility": "Parent"}
        elif identifier in units:
            units[identifier] = _changed(units[identifier], change.metadata, ContentKind.UNIT, field)
        elif change.metadata:
            raise InvalidInput(
                f"{identifier} is no unit of {form.root}; a content is changed by itself, and a new unit has isNew",
                field=field,
            )
    return units, root


def _changed(metadata: Metadata, changes: Metadata, kind: ContentKind, path: str) -> dict[str, Any]:
    """Returns the metadata of one node after the changes. InvalidInput says which node it is, and names the path."""
    try:
        return changed_metadata(metadata, changes, kind)
    except InvalidInput as error:
        field = f"{path}.metadata" if error.field in (None, "metadata") else f"{path}.metadata.{error.field}"
        raise type(error)(f"{metadata['identifier']}: {error.message}", field=field) from error


def _checked(
    before: EditForm,
    root: Metadata,
    wanted: EditForm,
    leaves: Mapping[str, Metadata],
    limits: FormLimits,
    field: str,
) -> Edited:
    known = {**{leaf: {} for leaf in before.leaves}, **leaves}
    check_children(wanted, known, field)
    if lost := [unit for unit in unreachable(wanted) if unit not in before.units]:
        raise InvalidInput(f"new units that no parent holds: {named(lost)}", field=field)
    edited = _pruned(before, root, wanted)
    check_form(edited.form, known, limits, published=nested_collections(before), field=field)
    check_nested(edited.root, edited.form, known, limits, field)
    _check_single_places(before, edited.form, field)
    return edited


def _check_single_places(before: EditForm, after: EditForm, field: str) -> None:
    """Checks that the edit gave no unit a second place. Shared leaves are right; a unit is moved by naming both parents."""
    there, now = _parents_of_units(before), _parents_of_units(after)
    for unit, parents in now.items():
        if len(parents) > max(1, len(there.get(unit, ()))):
            raise InvalidInput(
                f"unit {unit} would stand in {named(parents)}: a unit has one place", field=field
            )


def _parents_of_units(form: EditForm) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for parent, below in form.children.items():
        for child in below:
            if child in form.units:
                found.setdefault(child, []).append(parent)
    return found


def _pruned(before: EditForm, root: Metadata, wanted: EditForm) -> Edited:
    """Returns ``wanted`` without units that can't be reached and without what was said of places that are gone."""
    lost = set(unreachable(wanted))
    children = {parent: below for parent, below in wanted.children.items() if parent not in lost}
    below = {parent: set(children.get(parent, ())) for parent in wanted.places}
    places = {
        parent: kept
        for parent, said in wanted.places.items()
        if parent not in lost
        and (kept := {child: place for child, place in said.items() if place and child in below[parent]})
    }
    form = EditForm(
        wanted.root, {unit: node for unit, node in wanted.units.items() if unit not in lost}, children, places
    )
    there = {*form.units, *form.leaves}
    removed = tuple(node for node in (*before.units, *before.leaves) if node not in there)
    return Edited(form, root, removed)


def _children(form: EditForm, parent: str, field: str) -> Sequence[str]:
    """Returns the children of the root or a unit. NotFound if the collection has no such unit."""
    if parent != form.root and parent not in form.units:
        raise NotFound(f"{field} {parent} does not exist in {form.root}", field=field)
    return form.children.get(parent, ())


def _place(relation: Metadata) -> Metadata:
    """Returns what stands in ``places`` for a relation; nothing for an empty one."""
    return {"relationalMetadata": dict(relation)} if relation else {}
