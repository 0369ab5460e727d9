"""Handlers of calls about a content or a collection by itself: create, read, change, retire, publish."""

from typing import Any

from gateway.rest.framework.endpoints import Call
from gateway.rest.framework.envelope import Json
from gateway.rest.nouns.collections.answers import DraftTold, Retired
from gateway.rest.nouns.collections.requests import (
    CreateCollection,
    CreateContent,
    Object,
    ReadContent,
    Retire,
    checked_text,
)
from gateway.rest.nouns.contents import among
from resolvers import collections, drafts
from resolvers.nouns import (
    COLLECTION_MIME_TYPE,
    Absent,
    Draft,
    HierarchyMode,
    InvalidInput,
    NewContent,
    Session,
    checked_id,
)


async def create(session: Session, call: Call[CreateContent]) -> DraftTold:
    return _told(await drafts.create_content(session, _new(call.request.body)))


async def create_collection(session: Session, call: Call[CreateCollection]) -> DraftTold:
    new = _new(call.request.body)
    if new.mime_type != COLLECTION_MIME_TYPE:
        raise InvalidInput(f"mimeType must be {COLLECTION_MIME_TYPE}", field="mimeType")
    return _told(await drafts.create_content(session, new))


async def read(session: Session, call: Call[ReadContent]) -> Json:
    return {"content": await _read(session, call)}


async def read_collection(session: Session, call: Call[ReadContent]) -> Json:
    return {"collection": await _read(session, call)}


async def update(session: Session, call: Call[CreateContent] | Call[CreateCollection]) -> DraftTold:
    changes = dict(call.request.body)
    version_key = checked_text(changes, "versionKey")
    changes.pop("versionKey", None)
    return _told(await drafts.update_content(session, call.path["identifier"], version_key, changes))


async def retire(session: Session, call: Call[Retire]) -> Retired:
    draft = await drafts.retire_content(session, call.path["identifier"])
    return {"identifier": draft.identifier, "node_id": draft.identifier}


async def _read(session: Session, call: Call[ReadContent]) -> dict[str, Any]:
    identifier, asked = call.path["identifier"], call.request
    if asked.mode is HierarchyMode.EDIT:
        found = drafts.described(await drafts.draft(session, identifier))
        found.pop("children", None)  # those are the tree's
    else:
        found = await _published(session, identifier)
    names = None if asked.fields is None else {"identifier", *asked.fields}
    return {"identifier": found["identifier"], **among(found, names)}


async def _published(session: Session, identifier: str) -> dict[str, Any]:
    """All metadata that was published, with what Cohort itself knows of it by now."""
    content = await collections.content(session, checked_id(identifier, "identifier"))
    metadata = (await collections.metadata(session, [content]))[content.identifier]
    known = {"identifier": content.identifier, "name": content.name, "status": content.status}
    return {**metadata, **known}


def _new(body: Object) -> NewContent:
    for name in ("name", "mimeType"):
        if not (checked_text(body, name) or "").strip():
            raise Absent(f"Required Metadata {name} not set", field=name)
    own = ("identifier", "name", "mimeType")
    return NewContent(
        body["name"],
        body["mimeType"],
        checked_text(body, "identifier"),
        {name: value for name, value in body.items() if name not in own and value is not None},
    )


def _told(draft: Draft) -> DraftTold:
    return {"identifier": draft.identifier, "node_id": draft.identifier, "versionKey": draft.version_key}
