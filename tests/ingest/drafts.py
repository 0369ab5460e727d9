"""Drafts of collections as the editing of authors leaves them, for tests of what comes after."""

from collections.abc import Mapping
from typing import Any

from loaders.drafts import draft_values, form_chunks, form_mode
from rules.contents import ContentKind
from rules.drafts import Draft, DraftStatus, flattened
from rules.hierarchy import COLLECTION_MIME_TYPE, Json
from stores.rows import Rows, Write
from stores.tables import DRAFTS, HIERARCHIES
from tests.conftest import NOW


async def save_collection(rows: Rows, document: Json, version_key: str = "first") -> None:
    """The draft of this nested tree, with its edit form; its leaves as a loaded tree brings them (``save_leaf``)."""
    form, leaves = flattened(document)
    chunks = await form_chunks(form)
    key = f"form-{version_key}"
    root = {**document, "children": []}  # where the key stood
    draft = collection_draft(root, version_key, form_key=key)
    await rows.write(
        Write(DRAFTS, (draft.identifier,), draft_values(draft)),
        *(leaf_write(leaf) for leaf in leaves.values()),
        *(
            Write(
                HIERARCHIES,
                (draft.identifier, form_mode(key), 0, number),
                {"chunks": len(chunks), "data": data},
            )
            for number, data in enumerate(chunks)
        ),
    )


def collection_draft(metadata: Mapping[str, Any], version_key: str, **more: Any) -> Draft:
    return Draft(
        metadata["identifier"],
        ContentKind.COLLECTION,
        DraftStatus.DRAFT,
        metadata,
        version_key,
        mime_type=COLLECTION_MIME_TYPE,
        created_on=NOW,
        updated_on=NOW,
        **more,
    )


def leaf_write(
    metadata: Mapping[str, Any],
    *,
    imported: bool = True,
    status: DraftStatus = DraftStatus.LIVE,
    version_key: str = "loaded",
) -> Write:
    draft = Draft(
        metadata["identifier"],
        ContentKind.CONTENT,
        status,
        metadata,
        version_key,
        mime_type=metadata.get("mimeType"),
        imported=imported,
    )
    return Write(DRAFTS, (draft.identifier,), draft_values(draft))
