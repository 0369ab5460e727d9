"""How a draft is written: the new form's chunks first, then the draft by one condition, then the old form's chunks go.

A writer that dies in between leaves chunks that no draft leads to. They are in a partition of their own, which nobody
reads, and no later write depends on them.
"""

from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from loaders.chunks import chunk_writes, delete_chunks
from loaders.drafts import draft_values, form_chunks, form_mode
from rules.drafts import Draft, EditForm
from rules.errors import StoreUnavailable
from stores.rows import Equal, Rows
from stores.tables import DRAFTS

_VERSION = 0
"""An edit form never changes, so its partition has one version of it."""


async def insert_draft(rows: Rows, draft: Draft, form: EditForm | None) -> bool:
    """Writes a new draft with its edit form. False if there is a draft under its id."""
    draft = replace(draft, form_key=await _write_form(rows, form))
    applied = await rows.insert_if_absent(DRAFTS, {"identifier": draft.identifier, **draft_values(draft)})
    if not applied.applied:
        await _delete_form(rows, draft)
    return applied.applied


async def replace_draft(
    rows: Rows,
    stored: Draft,
    changed: Draft,
    form: EditForm | None = None,
    *,
    version_key: str | None = None,
) -> Draft | None:
    """Writes ``changed`` over ``stored`` and returns it with its new version key. None if another call was faster.

    ``form``: the new edit form; None leaves the one that is stored. ``version_key``: the new one, if it follows from
    what is written; it must be another one than that of ``stored``.
    """
    form_key = stored.form_key if form is None else await _write_form(rows, form)
    written = replace(changed, form_key=form_key, version_key=version_key or uuid4().hex)
    applied = await rows.update_if(
        DRAFTS, (stored.identifier,), draft_values(written), [Equal("version_key", stored.version_key)]
    )
    if form is not None:
        await _delete_form(rows, stored if applied.applied else written)
    return written if applied.applied else None


async def _write_form(rows: Rows, form: EditForm | None) -> str | None:
    """Writes the form's chunks and returns the key that leads to them."""
    if form is None:
        return None
    form_key, chunks = uuid4().hex, await form_chunks(form)
    await rows.write(*chunk_writes((form.root, form_mode(form_key)), _VERSION, chunks))
    return form_key


async def _delete_form(rows: Rows, draft: Draft) -> None:
    """Deletes the chunks of the form that the draft leads to. What can't be deleted now does no harm."""
    if draft.form_key is None:
        return
    with suppress(StoreUnavailable):
        await delete_chunks(rows, (draft.identifier, form_mode(draft.form_key)))
