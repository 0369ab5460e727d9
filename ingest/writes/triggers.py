"""Sending triggers, and the moments of change they announce."""

import time

from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind
from stores.engines import Stores
from stores.events import Message
from stores.topics import TRIGGERS

_last_change = 0


def change_moment() -> int:
    """For ``changed_at``: microseconds, never the same twice in this process. Compared for equality only, so that
    clocks of different processes need not agree."""
    global _last_change
    _last_change = max(time.time_ns() // 1000, _last_change + 1)
    return _last_change


def trigger_of(kind: TriggerKind, key: ProgressKey, content_id: str | None = None) -> Message:
    """Keyed by user, so that one worker sees all of a learner's changes in order."""
    trigger = Trigger(kind, key.user_id, key.collection_id, key.context_id, content_id)
    return Message(key.user_id, trigger.encode())


async def send_trigger(
    stores: Stores, kind: TriggerKind, key: ProgressKey, content_id: str | None = None
) -> None:
    await stores.events.send(TRIGGERS.name, trigger_of(kind, key, content_id))
