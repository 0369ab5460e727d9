"""Every kind of trigger, and every topic that the workers read. A new kind is a module here and a line in the list."""

from collections.abc import Callable, Mapping, Sequence

from ingest.workers.handlers import enrolment, erasure, forgetting, profile, reconciliation, view
from ingest.workers.work import Handler, Work
from rules.triggers import TriggerKind, parse_trigger
from stores.events import Record
from stores.topics import PROFILES, TRIGGERS

HANDLERS: Sequence[Handler] = (
    view.HANDLER,
    enrolment.HANDLER,
    profile.HANDLER,
    reconciliation.HANDLER,
    erasure.HANDLER,
    forgetting.HANDLER,
)
"""In this order they prepare and finish a batch."""

_BY_KIND: Mapping[TriggerKind, Handler] = {handler.kind: handler for handler in HANDLERS}


def _read_trigger(work: Work, record: Record) -> None:
    trigger = parse_trigger(record.value)
    _BY_KIND[trigger.kind].ask(work, trigger, record)


TOPICS: Mapping[str, Callable[[Work, Record], None]] = {
    TRIGGERS.name: _read_trigger,
    PROFILES.name: profile.read_event,
}
"""By topic, what adds a record of it to the work of a batch; InvalidInput where the record can't be read."""
