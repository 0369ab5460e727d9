"""Triggers of the workers."""

from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind
from stores.engines import Stores
from stores.events import Message
from stores.topics import TRIGGERS


def trigger_of(kind: TriggerKind, key: ProgressKey, content_id: str | None = None) -> Message:
    """Returns a trigger. Its key is the user, so that one worker sees all changes of a learner in order."""
    trigger = Trigger(kind, key.user_id, key.collection_id, key.context_id, content_id)
    return Message(key.user_id, trigger.encode())


async def send_trigger(
    stores: Stores, kind: TriggerKind, key: ProgressKey, content_id: str | None = None
) -> None:
    await stores.events.send(TRIGGERS.name, trigger_of(kind, key, content_id))
