"""Triggers of the workers, and what they send on to the learner indexers."""

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


def learner_change(user_id: str) -> Message:
    """Returns the message that the learner's profile has changed. It carries nothing of it."""
    return Message(user_id, b"{}")


LEARNER_ERASED = b'{"erased":true}'


def learner_erased(user_id: str) -> Message:
    """Returns the message that the learner was erased: the index's files are to forget them too."""
    return Message(user_id, LEARNER_ERASED)


async def send_trigger(
    stores: Stores,
    kind: TriggerKind,
    key: ProgressKey,
    content_id: str | None = None,
    *,
    at: Iterable[datetime] = (),
) -> None:
    await stores.events.send(TRIGGERS.name, trigger_of(kind, key, content_id, at=at))
