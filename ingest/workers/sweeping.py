"""Behind an erasure: views that were written while it went on."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from ingest.commands.erased_rows import ErasedRows
from loaders.enrolments import enrolments_by_key
from loaders.erasures import erased_learners
from loaders.session import Shared
from rules.identifiers import ProgressKey


async def sweep(shared: Shared, erased: Mapping[ProgressKey, datetime]) -> None:
    """For the workers, before they look at what is left: views that a call or a copy under way when the erasure began
    has written behind it. Not where there is an enrolment again, which may have brought older views along; in the
    carry-forward modes only behind the erasure of a whole learner, as that of a place keeps views that others show.

    A call that writes even later, behind the workers, leaves its view; then the list of scopes names it again: the
    workers enter that of a collection with its figures, while a content by itself is entered by its next start.
    """
    rows = shared.stores.rows
    if shared.tracking.carries:
        whole = await erased_learners(rows, {key.user_id for key in erased})
        erased = {key: at for key, at in erased.items() if whole.get(key.user_id) == at}
    enrolments = await enrolments_by_key(rows, list(erased))
    keys = [key for key, enrolment in zip(erased, enrolments, strict=True) if enrolment is None]
    places = {shared.tracking.source(key): erased[key] for key in keys}
    await asyncio.gather(
        *(
            ErasedRows(shared, place.user_id, at, 0).delete_views_of_before(place)
            for place, at in places.items()
        )
    )
