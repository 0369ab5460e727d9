"""Triggers of the workers."""

from collections.abc import Iterable
from datetime import datetime

from rules.identifiers import ProgressKey
from rules.moments import milliseconds
from rules.triggers import Trigger, TriggerKind
from stores.engines import Stores
from stores.events import Message
from stores.topics import TRIGGERS


def trigger_of(
    kind: TriggerKind,
    key: ProgressKey,
    content_id: str | None = None,
    *,
    at: Iterable[datetime] = (),
    again: bool = False,
) -> Message:
    """Returns a trigger. Its key is the user, so that one worker sees all changes of a learner in order. ``at``: when the
    learner did something, and ``again``: as Trigger has it."""
    moments = tuple(map(milliseconds, at))
    trigger = Trigger(kind, key.user_id, key.collection_id, key.context_id, content_id, moments, again)
    return Message(key.user_id, trigger.encode())


async def send_trigger(
    stores: Stores,
    kind: TriggerKind,
    key: ProgressKey,
    content_id: str | None = None,
    *,
    at: Iterable[datetime] = (),
) -> None:
    await stores.events.send(TRIGGERS.name, trigger_of(kind, key, content_id, at=at))
