"""The protocol of a call that writes views: what makes an acknowledged call one that is never lost (R-VIEW-4).

1. ``Announcement.writing`` marks the learner's hashes: a call is under way.
2. The rows are written by condition, with the partition's ``changed_at``. A refusal takes the marks back.
3. ``acknowledge`` forwards the views where the tracking mode has moved their place meanwhile.
4. It sends the triggers.
5. It has the hashes settled behind the caller's back: the views go in, the marks go.

A call that dies before 2 has changed nothing. After 2 the next reader finds the mark and, once the call must have died,
sends its trigger; a caller who got no answer sends the call again, and the row repeats or refuses it. The keys of views
that follow from others (ingest/writes/transfers.py) need 1, 2 and 5 alone: the worker who writes them recomputes them.
"""

from collections.abc import Sequence

from ingest.modes.strategies import added_by
from ingest.writes.announcement import Announcement
from ingest.writes.triggers import trigger_of
from loaders.session import Shared
from rules.identifiers import ProgressKey, ViewKey
from rules.triggers import TriggerKind
from rules.views import View
from stores.topics import TRIGGERS


async def acknowledge(
    shared: Shared, announcement: Announcement, views: Sequence[View]
) -> dict[ViewKey, View]:
    """Steps 3 to 5 for ``views`` as they were written: by key, those that have moved on to another place.

    One send of all triggers. StoreUnavailable: the call may be sent again.
    """
    moved = await added_by(shared.tracking).forward(shared, [view.key for view in views])
    by_key: dict[ProgressKey, list[str]] = {}
    for view in views:
        by_key.setdefault(view.key.progress_key, []).append(view.key.content_id)
    triggers = [
        # It names the content where there is but one.
        trigger_of(TriggerKind.VIEW, key, contents[0] if len(contents) == 1 else None)
        for key, contents in by_key.items()
    ]
    if triggers:
        await shared.stores.events.send(TRIGGERS.name, *triggers)
    shared.background.start(announcement.settle(views))
    return moved
