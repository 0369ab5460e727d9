"""A read that finds a change no aggregate has seen sends the trigger again."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from loaders.background import Background
from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from loaders.library import Library
from rules.errors import CohortError, loggable
from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind
from stores.events import Events, Message
from stores.topics import TRIGGERS

log = logging.getLogger(__name__)

AGAIN_AFTER = 10.0
"""Seconds before this process sends a trigger for the same unseen change again."""

MOST_SENT = 8 * MEGABYTE
"""Bytes of the keys that it remembers for that: of some 10,000."""


class Healing:
    """The repairs of one process. A repair does no harm if the trigger is still on its way: it only costs the workers
    one more look.

    Of a collection or a context that is not here (as after a migration) no trigger is sent: the workers can compute
    nothing, and each would become a dead letter.
    """

    def __init__(self, events: Events, library: Library, background: Background) -> None:
        self._events = events
        self._library = library
        self._background = background
        self._sent: Kept[tuple[ProgressKey, int | None], None] = Kept(MOST_SENT, _size, ttl=AGAIN_AFTER)

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
            self._background.start(self._send(kind, [key for key, _ in due]))

    async def _send(self, kind: TriggerKind, keys: Sequence[ProgressKey]) -> None:
        try:
            messages = [
                Message(key.user_id, Trigger(kind, key.user_id, key.collection_id, key.context_id).encode())
                for key in await self._computable(keys)
            ]
            if messages:
                await self._events.send(TRIGGERS.name, *messages)
        except CohortError as error:
            log.warning("could not send triggers of %d keys: %s", len(keys), loggable(error))

    async def _computable(self, keys: Sequence[ProgressKey]) -> list[ProgressKey]:
        """Returns the keys whose collection and context are here."""
        contexts = list({key.context_id for key in keys if key.has_context})
        published, found = await asyncio.gather(
            self._library.published(list({key.collection_id for key in keys})),
            self._library.contexts.load_many(contexts),
        )
        known = {context.context_id for context in found if context is not None}
        return [
            key
            for key in keys
            if key.collection_id in published and (key.context_id in known or not key.has_context)
        ]


def _size(sent: tuple[ProgressKey, int | None], _: None) -> int:
    key, _unseen = sent
    return ENTRY + texts(key.user_id, key.collection_id, key.context_id)
