"""What authors edit, from the rows: drafts, and the edit forms of collections."""

import asyncio
import zlib
from collections.abc import Sequence

import orjson

from loaders.chunks import IN_THREAD_FROM, chunks_of, joined
from loaders.library import Library
from rules.contents import ContentKind, Metadata
from rules.drafts import Draft, DraftStatus, EditForm, described
from stores.rows import Row, Rows
from stores.tables import DRAFTS, HIERARCHIES


async def drafts_by_id(rows: Rows, identifiers: Sequence[str]) -> list[Draft | None]:
    """Returns the draft of each content or collection, None where there is none."""
    found = await rows.get_many(DRAFTS, [(identifier,) for identifier in identifiers])
    return [_draft(found.get((identifier,))) for identifier in identifiers]


async def edit_form(rows: Rows, draft: Draft) -> EditForm | None:
    """Returns the edit form that the draft leads to. None if another call has replaced it since the draft was read."""
    if draft.form_key is None:
        return EditForm(draft.identifier)
    data = joined(await rows.partition(HIERARCHIES, (draft.identifier, form_mode(draft.form_key))))
    if data is None:
        return None
    if len(data) < IN_THREAD_FROM:
        return EditForm.decode(zlib.decompress(data))
    return await asyncio.to_thread(lambda: EditForm.decode(zlib.decompress(data)))


async def leaf_metadata(rows: Rows, library: Library, leaves: Sequence[str]) -> dict[str, Metadata]:
    """Returns the metadata of leaves as authors see them: as they were published by themselves, or else their draft. Of a
    collection within the tree it is its published tree.

    Leaves that are retired or gone are left out.
    """
    drafts, contents = await asyncio.gather(
        drafts_by_id(rows, leaves), library.contents.load_many(list(leaves))
    )
    own = [content for content in contents if content is not None and content.root == content.identifier]
    inner = [content for content in own if content.kind is ContentKind.COLLECTION and not content.is_retired]
    published = await library.metadata_of([content for content in own if content not in inner])
    trees = await asyncio.gather(*map(library.hierarchy, inner))
    published |= {tree.identifier: tree.root for tree in trees}
    found: dict[str, Metadata] = {}
    for leaf, draft, content in zip(leaves, drafts, contents, strict=True):
        retired = (draft and draft.status is DraftStatus.RETIRED) or (content and content.is_retired)
        if retired:
            continue
        if leaf in published:
            found[leaf] = published[leaf]
        elif draft is not None:
            found[leaf] = draft.metadata if draft.imported else described(draft)
    return found


async def form_chunks(form: EditForm) -> list[bytes]:
    """Returns the chunks that are stored of an edit form."""

    def packed() -> bytes:
        return zlib.compress(form.encode(), 1)

    return chunks_of(await asyncio.to_thread(packed))


def form_mode(form_key: str) -> str:
    """Returns the ``mode`` of the partition that an edit form is stored in. Each has one of its own, so that no read
    meets what was deleted of others."""
    return f"edit:{form_key}"


def draft_values(draft: Draft) -> dict[str, object]:
    """The columns that ``content_draft`` stores of a draft, apart from its key."""
    return {
        "kind": draft.kind.value,
        "status": draft.status.value,
        "mime_type": draft.mime_type,
        "metadata": orjson.dumps(dict(draft.metadata)).decode(),
        "version_key": draft.version_key,
        "form_key": draft.form_key,
        "imported": draft.imported,
        "created_by": draft.created_by,
        "created_on": draft.created_on,
        "updated_by": draft.updated_by,
        "updated_on": draft.updated_on,
    }


def _draft(row: Row | None) -> Draft | None:
    if row is None or row["version_key"] is None:
        return None
    return Draft(
        identifier=row["identifier"],
        kind=ContentKind(row["kind"]),
        status=DraftStatus(row["status"]),
        metadata=orjson.loads(row["metadata"]),
        version_key=row["version_key"],
        mime_type=row["mime_type"],
        form_key=row["form_key"],
        imported=bool(row["imported"]),
        created_by=row["created_by"],
        created_on=row["created_on"],
        updated_by=row["updated_by"],
        updated_on=row["updated_on"],
    )
