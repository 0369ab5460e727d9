"""The protocol of a call that writes views. With it an acknowledged call is never lost (R-VIEW-4).

1. ``Announcement.writing`` marks the learner's hashes: a call is under way.
2. The rows are written by condition, with the partition's ``changed_at``. A refusal takes the marks back.
3. ``acknowledge`` forwards the views whose place was moved meanwhile by the tracking mode.
4. It sends the triggers.
5. It has the hashes settled, soon and in the background: the views go in, the marks go. The caller does not wait.

If a call dies before 2, it has changed nothing. If it dies after 2, the next reader finds the mark. Once the call must
have died, that reader sends its trigger. A caller who got no answer sends the call again: the row repeats or refuses
it.

The keys of views that follow from others (ingest/writes/transfers.py) need only 1, 2 and 5: the worker who writes them
also recomputes them.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from ingest.modes.strategies import added_by
from ingest.writes.announcement import Announcement
from ingest.writes.triggers import trigger_of
from loaders.session import Shared
from rules.identifiers import ProgressKey, ViewKey
from rules.triggers import TriggerKind
from rules.views import View
from stores.topics import TRIGGERS


async def acknowledge(
    shared: Shared,
    announcement: Announcement,
    views: Sequence[View],
    done_at: Mapping[ProgressKey, Collection[datetime]],
) -> dict[ViewKey, View]:
    """Does steps 3 to 5 for ``views`` as they were written. Returns, by key, those that have moved on to another place.

    ``done_at``: when the learner did what the call tells, also where it changed nothing; nothing where nobody did
    anything, as when an idle view is closed.

    Sends all triggers in one send. If it raises StoreUnavailable, the call may be sent again.
    """
    moved = await added_by(shared.tracking).forward(shared, [view.key for view in views])
    by_key: dict[ProgressKey, list[str]] = {}
    for view in views:
        by_key.setdefault(view.key.progress_key, []).append(view.key.content_id)
    triggers = [
        # The trigger names the content if there is only one.
        trigger_of(
            TriggerKind.VIEW,
            key,
            contents[0] if len(contents) == 1 else None,
            at=shared.day_zone.one_a_day(done_at.get(key, ())),
        )
        for key, contents in by_key.items()
    ]
    if triggers:
        await shared.stores.events.send(TRIGGERS.name, *triggers)
    announcement.settle(views)
    return moved
