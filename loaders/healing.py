"""A read that finds a change no aggregate has seen sends the trigger again."""

import logging
from collections.abc import Mapping, Sequence

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
    """The repairs of one process. A repair does no harm if the trigger is still on its way: it only costs the workers
    one more look."""

    def __init__(self, events: Events, background: Background) -> None:
        self._events = events
        self._background = background
        self._sent: TTLCache[tuple[ProgressKey, int | None], None] = TTLCache(10_000, AGAIN_AFTER)

    def heal(self, kind: TriggerKind, key: ProgressKey, changed_at: int | None) -> None:
        """Sends the trigger of one key. The read that calls this is neither delayed nor failed: if the log is away, a
        later read tries again."""
        self.heal_all(kind, {key: changed_at})

    def heal_all(self, kind: TriggerKind, keys: Mapping[ProgressKey, int | None]) -> None:
        """As ``heal``, for many keys in one send. ``keys`` have the unseen change, or the published version that was
        not seen."""
        due = [(key, unseen) for key, unseen in keys.items() if (key, unseen) not in self._sent]
        self._sent.update(dict.fromkeys(due))
        if due:
            triggers = [Trigger(kind, k.user_id, k.collection_id, k.context_id) for k, _ in due]
            self._background.start(self._send(triggers))

    async def _send(self, triggers: Sequence[Trigger]) -> None:
        messages = [Message(trigger.user_id, trigger.encode()) for trigger in triggers]
        try:
            await self._events.send(TRIGGERS.name, *messages)
        except CohortError as error:
            log.warning("could not send triggers, of %s and others: %s", triggers[0], error)
