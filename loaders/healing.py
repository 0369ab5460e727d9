"""What a read does when it finds a change that no aggregate has seen: it sends the trigger again."""

import logging

from cachetools import TTLCache

from loaders.background import Background
from rules.errors import CohortError
from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind
from stores.events import Events, Message
from stores.topics import TRIGGERS

log = logging.getLogger(__name__)

AGAIN_AFTER = 10.0
"""Seconds before this process sends a trigger for the same unseen change again."""


class Healing:
    """Of one process. Harmless where the trigger is merely still on its way; it costs the workers one look more."""

    def __init__(self, events: Events, background: Background) -> None:
        self._events = events
        self._background = background
        self._sent: TTLCache[tuple[ProgressKey, int | None], None] = TTLCache(10_000, AGAIN_AFTER)

    def heal(self, kind: TriggerKind, key: ProgressKey, changed_at: int | None) -> None:
        """Neither delays nor fails the read it serves: with the log away, a later read tries again."""
        if (key, changed_at) not in self._sent:
            self._sent[key, changed_at] = None
            self._background.start(
                self._send(Trigger(kind, key.user_id, key.collection_id, key.context_id), key)
            )

    async def _send(self, trigger: Trigger, key: ProgressKey) -> None:
        try:
            await self._events.send(TRIGGERS.name, Message(key.user_id, trigger.encode()))
        except CohortError as error:
            log.warning("could not send a trigger for %s: %s", key, error)
