"""What a read does when it finds a change that no aggregate has seen: it sends the trigger again."""

import logging

from cachetools import TTLCache

from rules.errors import StoreUnavailable
from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind
from stores.events import Events, Message
from stores.topics import TRIGGERS

log = logging.getLogger(__name__)

AGAIN_AFTER = 10.0
"""Seconds before this process sends a trigger for the same unseen change again."""


class Healing:
    """Of one process. Harmless where the trigger is merely still on its way; it costs the workers one look more."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._sent: TTLCache[tuple[ProgressKey, int | None], None] = TTLCache(10_000, AGAIN_AFTER)

    async def heal(self, kind: TriggerKind, key: ProgressKey, changed_at: int | None) -> None:
        """Never fails the read it serves: with the log away, the next read tries again."""
        if (key, changed_at) in self._sent:
            return
        self._sent[key, changed_at] = None
        trigger = Trigger(kind, key.user_id, key.collection_id, key.context_id)
        try:
            await self._events.send(TRIGGERS.name, Message(key.user_id, trigger.encode()))
        except StoreUnavailable as error:
            self._sent.pop((key, changed_at), None)
            log.warning("could not send a trigger for %s: %s", key, error.message)
