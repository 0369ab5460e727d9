"""Create, change and retire contents and collections, as their authors see them (R-COLL-4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from ingest.commands.draft_changes import Change, change_draft, check_author
from ingest.commands.draft_origins import draft_for_edit
from ingest.commands.generated_ids import generated_ids
from ingest.writes.drafts import insert_draft
from ingest.writes.retrying import Attempts
from loaders.drafts import drafts_by_id
from loaders.session import Session
from rules.content_metadata import changed_metadata, kind_of
from rules.contents import RETIRED, Content, Metadata
from rules.drafts import Draft, DraftStatus
from rules.errors import Absent, Conflict, InvalidInput
from rules.identifiers import checked_id
from stores.rows import Equal, Write
from stores.tables import CONTENTS


@dataclass(frozen=True, slots=True)
class NewContent:
    """A content or a collection to be created; the MIME type says which. Without ``identifier`` it gets one.

    ``metadata``: whatever else is said of it, by the platform's names.
    """

    name: str
    mime_type: str
    identifier: str | None = None
    metadata: Metadata = field(default_factory=dict)


async def create_content(session: Session, new: NewContent) -> Draft:
    """Creates the content or collection and returns its draft. The same call sent again returns it too.

    Needs the role creator, admin or service. Raises InvalidInput if something different has the id.
    """
    check_author(session)
    rows, now = session.stores.rows, session.viewer.time_of_call(None, session.now())
    async for _ in Attempts():
        identifier = (
            generated_ids(1, now)[0] if new.identifier is None else checked_id(new.identifier, "identifier")
        )
        draft = replace(_draft(new, identifier), created_by=session.viewer.known(), created_on=now)
        (stored,) = await drafts_by_id(rows, [identifier])
        if stored is None and await rows.get(CONTENTS, (identifier,), ("identifier",)) is None:
            if await insert_draft(rows, draft, None):
                session.refresh()
                return draft
            (stored,) = await drafts_by_id(rows, [identifier])
        if new.identifier is None:
            continue  # somebody has the generated id
        if stored is None or (stored.kind, stored.metadata) != (draft.kind, draft.metadata):
            raise InvalidInput(f"{identifier} exists and is different", field="identifier")
        return stored
    raise Conflict("no free id was found; send the call again", field="identifier")


async def update_content(
    session: Session, identifier: str, version_key: str | None, changes: Mapping[str, Any]
) -> Draft:
    """Changes metadata by the platform's names and returns the draft; None removes a key.

    ``version_key``: which draft the change was made from; None for whichever is there. Needs the role creator, admin
    or service. Raises NotFound, InvalidInput that names the key, Conflict if ``version_key`` is not the draft's.
    """
    check_author(session)

    async def decide(stored: Draft) -> Change | None:
        metadata = changed_metadata(stored.metadata, changes, stored.kind)
        if metadata == stored.metadata:
            return None
        mime_type = metadata.get("mimeType", stored.mime_type)
        return replace(stored, metadata=metadata, mime_type=mime_type, status=DraftStatus.DRAFT), None

    return await change_draft(session, checked_id(identifier, "identifier"), version_key, decide)


async def retire_content(session: Session, identifier: str) -> Draft:
    """Retires the content or collection and returns its draft. The same call sent again returns it too.

    It takes no new enrolment and no change then. What learners have of it stays. Needs the role creator, admin or
    service. Raises NotFound.
    """
    check_author(session)
    identifier = checked_id(identifier, "identifier")

    async def decide(stored: Draft) -> Change | None:
        return replace(stored, status=DraftStatus.RETIRED), None

    draft = await draft_for_edit(session, identifier)
    if draft.status is not DraftStatus.RETIRED:
        draft = await change_draft(session, identifier, None, decide)
    await _retire_published(session, identifier)
    return draft


async def _retire_published(session: Session, identifier: str) -> None:
    """Writes the status where learners' calls and the search see it."""
    library = session.library
    async for _ in Attempts():
        (content,) = await library.current([identifier])
        if content is None or content.is_retired:
            return
        if await _write_retired(session, content):
            library.contents.forget(identifier)
            session.refresh()
            return
        library.contents.forget(identifier)
    raise Conflict(f"{identifier} keeps being published; send the call again", field="identifier")


async def _write_retired(session: Session, content: Content) -> bool:
    rows, values = session.stores.rows, {"status": RETIRED}
    if content.root == content.identifier:  # changed by conditions alone
        version = Equal("live_version", content.live_version)
        return (await rows.update_if(CONTENTS, (content.identifier,), values, [version])).applied
    await rows.write(Write(CONTENTS, (content.identifier,), values, insert=False))
    return True


def _draft(new: NewContent, identifier: str) -> Draft:
    name, mime_type = new.name.strip(), checked_id(new.mime_type, "mimeType")
    if not name:
        raise Absent("name must not be blank", field="name")
    begun = {"identifier": identifier, "name": name, "mimeType": mime_type}
    for key in ("name", "mimeType"):
        if new.metadata.get(key, begun[key]) != begun[key]:
            raise InvalidInput(f"{key} is given twice, and differs", field=key)
    kind = kind_of(mime_type)
    metadata = changed_metadata(begun, new.metadata, kind)
    metadata.setdefault("visibility", "Default")
    return Draft(identifier, kind, DraftStatus.DRAFT, metadata, uuid4().hex, mime_type)
