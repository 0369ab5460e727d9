"""Handlers of calls about the tree of a collection: read it, and edit it."""

import orjson

from gateway.rest.framework.endpoints import Call
from gateway.rest.framework.envelope import Json, Refused
from gateway.rest.nouns.collections.codes import in_platform_words
from gateway.rest.nouns.collections.requests import (
    AddToHierarchy,
    HierarchyData,
    ReadHierarchy,
    RemoveFromHierarchy,
    UpdateHierarchy,
    UpdateRelation,
)
from resolvers import collections, drafts, hierarchies
from resolvers.nouns import Absent, HierarchyMode, InvalidInput, NotFound, Session


async def live_version(session: Session, call: Call[ReadHierarchy]) -> bytes | None:
    """What a live tree depends on. What is being edited has no such thing: its leaves change by themselves."""
    if call.request.mode is HierarchyMode.EDIT:
        return None
    place = await hierarchies.live_node(session, *_ids(call))
    return place.tag + f"\n{call.request.depth}".encode()


async def read(session: Session, call: Call[ReadHierarchy]) -> Json:
    """The tree, or what is below a bookmark in it. The bytes that are stored are passed on."""
    depth = call.request.depth
    if call.request.mode is HierarchyMode.EDIT:
        found = await hierarchies.edit_json(session, *_ids(call), depth=depth)
    else:
        place = await hierarchies.live_node(session, *_ids(call))
        found = await hierarchies.live_json(session, place, depth)
    return {"content": orjson.Fragment(found)}


async def update(session: Session, call: Call[UpdateHierarchy]) -> Json:
    data = call.request.data
    if not data.nodes_modified and not data.hierarchy:
        raise Absent("Hierarchy data is empty", field="data")
    root = _root_of(data)
    edit = drafts.update_hierarchy(session, root, data.nodes_modified, data.hierarchy, data.version_key)
    edited = await in_platform_words(edit, rootId=root)
    return {
        "content_id": root,
        "identifiers": dict(edited.identifiers),
        "removed": list(edited.removed),
        "versionKey": edited.draft.version_key,
    }


async def add(session: Session, call: Call[AddToHierarchy]) -> Json:
    asked = call.request
    root, unit, children = asked.root_id, asked.unit_id, asked.children
    edit = drafts.add_children(
        session, root, unit, children, asked.relational_metadata, version_key=asked.version_key
    )
    await in_platform_words(edit, rootId=root, unitId=unit)
    return {"rootId": root, unit: children}


async def remove(session: Session, call: Call[RemoveFromHierarchy]) -> Json:
    asked = call.request
    root, unit = asked.root_id, asked.unit_id
    edit = drafts.remove_children(session, root, unit, asked.children, asked.version_key)
    await in_platform_words(edit, rootId=root, unitId=unit)
    return {"rootId": root}


async def update_relation(session: Session, call: Call[UpdateRelation]) -> Json:
    """Changes a relation of the draft; or without a child, as on the platform, makes sure of the published ones.

    The platform works its relations out anew by this call. Here they are written with each version and never without
    it, so that there is nothing to work out.
    """
    root, asked = call.path["identifier"], call.request
    if asked.child_id is None:
        if asked.unit_id is not None or asked.relational_metadata:
            raise Absent("childId is mandatory", field="childId")
        await _check_relations(session, root)
    else:
        unit = root if asked.unit_id is None else asked.unit_id
        edit = drafts.update_relation(
            session, root, unit, asked.child_id, asked.relational_metadata, asked.version_key
        )
        await in_platform_words(edit, rootId=root)
    return {"rootId": root}


async def _check_relations(session: Session, root: str) -> None:
    try:
        await collections.tree(session, await collections.collection(session, root, "rootId"))
    except NotFound:
        raise NotFound(f"Hierarchy is empty for rootId: {root}", field="rootId") from None


def _ids(call: Call[ReadHierarchy]) -> tuple[str, str | None]:
    return call.path["identifier"], call.path.get("bookmark_id")


def _root_of(data: HierarchyData) -> str:
    """The node that is marked as the root. Refused with ERR_INVALID_ROOT_ID if none is, or two are."""
    roots = {
        identifier
        for entries in (data.nodes_modified, data.hierarchy)
        for identifier, entry in entries.items()
        if entry.get("root") is True
    }
    if len(roots) != 1:
        told = "" if not roots else f": {', '.join(sorted(roots))} are several"
        error = InvalidInput(f"Please Provide Valid Root Node Identifier{told}", field="rootId")
        raise Refused(error, "ERR_INVALID_ROOT_ID")
    return roots.pop()
