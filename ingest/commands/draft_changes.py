"""The course of every change to a draft: read, check, decide, write; again if another call was faster."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ingest.commands.draft_origins import draft_for_edit
from ingest.writes.drafts import replace_draft
from ingest.writes.retrying import Attempts
from loaders.session import Session
from rules.access import Access
from rules.drafts import Draft, DraftStatus, EditForm
from rules.errors import Conflict, InvalidInput

Change = tuple[Draft, EditForm | None]
"""A draft as it is to become, and its new edit form; None leaves the form."""


class Outdated(Exception):
    """What a draft leads to was replaced after the draft was read."""


def check_author(session: Session) -> None:
    """Raises Forbidden unless the viewer may see and change what is being edited."""
    session.viewer.check(Access.AUTHORS)


async def change_draft(
    session: Session,
    identifier: str,
    version_key: str | None,
    decide: Callable[[Draft], Awaitable[Change | None]],
    field: str = "identifier",
) -> Draft:
    """Changes a draft and returns it. ``decide`` says what becomes of the one that is stored; None for no change. It may
    raise Outdated.

    Without ``version_key`` the change is decided anew on top of what another call has written meanwhile. ``field``: what
    the caller named the id in. Raises NotFound, InvalidInput if it is retired, Conflict if the draft is not that of
    ``version_key``.
    """
    rows = session.stores.rows
    # Calls of this process take turns, as their conditional writes would only fail each other.
    async with session.shared.changing.setdefault(f"draft {identifier}", asyncio.Lock()):
        async for _ in Attempts():
            stored = await draft_for_edit(session, identifier, field)
            if version_key is not None and version_key != stored.version_key:
                raise Conflict(
                    f"{identifier} was changed by another call; read it and change what is there now",
                    field="versionKey",
                )
            if stored.status is DraftStatus.RETIRED:
                raise InvalidInput(f"{identifier} is retired, and can't be changed", field=field)
            try:
                wanted = await decide(stored)
            except Outdated:
                continue
            if wanted is None:
                return stored
            changed, form = wanted
            written = await replace_draft(rows, stored, _touched(session, changed), form)
            if written is not None:
                session.refresh()
                return written
    raise Conflict(f"{identifier} keeps changing; send the call again", field=field)


def _touched(session: Session, draft: Draft) -> Draft:
    """Returns the draft as changed now by the viewer."""
    at = session.viewer.time_of_call(None, session.now())
    return replace(draft, imported=False, updated_by=session.viewer.known(), updated_on=at)
