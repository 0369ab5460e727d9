"""Deletes views and attempts that were written while an erasure ran."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from ingest.commands.erased_rows import ErasedRows
from loaders.enrolments import enrolments_by_key
from loaders.erasures import erased_learners
from loaders.session import Shared
from rules.identifiers import ProgressKey


async def sweep(shared: Shared, erased: Mapping[ProgressKey, datetime]) -> None:
    """A call may have written views while the erasure ran, and an attempt taker attempts. This deletes them, before the
    workers look at what is left.

    A copy that was under way may have written some too. Exceptions:

    - If there is an enrolment again, its views stay: it may have brought older ones along.
    - In the carry-forward modes only the erasure of a whole learner is swept. The erasure of a place keeps views and
      attempts that other enrolments show.

    If a call writes even later, behind the workers, its view stays. Then the list of scopes names it again:

    - The workers enter the scope of a collection with its figures.
    - The scope of a content by itself is entered by its next start.
    """
    rows = shared.stores.rows
    if shared.tracking.carries:
        whole = await erased_learners(rows, {key.user_id for key in erased})
        erased = {key: at for key, at in erased.items() if whole.get(key.user_id) == at}
    enrolments = await enrolments_by_key(rows, list(erased))
    keys = [key for key, enrolment in zip(erased, enrolments, strict=True) if enrolment is None]
    places = {shared.tracking.source(key): erased[key] for key in keys}
    attempted_at = {shared.tracking.source(key): at for key, at in erased.items()}
    await asyncio.gather(
        *(
            ErasedRows(shared, place.user_id, at, 0).delete_views_of_before(place)
            for place, at in places.items()
        ),
        *(
            ErasedRows(shared, place.user_id, at, 0).delete_attempts_of_before(place)
            for place, at in attempted_at.items()
        ),
    )
