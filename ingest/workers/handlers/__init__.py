"""Every kind of trigger, and every topic that the workers read.

A new kind of trigger needs:

1. A value of ``TriggerKind`` in ``rules/triggers.py``, and a look at ``parse_trigger`` there: which ids it must name.
2. A module here with its ``HANDLER``, and that handler's line in ``HANDLERS``.
3. A field of ``Work`` (``ingest/workers/work.py``), if the kind asks for something new.
4. A look at ``ingest/aggregation/touched.py``: the batch aggregation reads triggers too. Every kind counts as one that
   touches figures, unless it is left out there.

Upgrade the workers and the aggregation before the gateways: an older reader can't read the new kind. A worker makes a
dead letter of it, and the aggregation passes it over.
"""

from collections.abc import Callable, Mapping, Sequence

from ingest.workers.handlers import attempt, enrolment, erasure, forgetting, profile, reconciliation, view
from ingest.workers.work import Handler, Work
from rules.triggers import TriggerKind, parse_trigger
from stores.events import Record
from stores.topics import PROFILES, TRIGGERS

HANDLERS: Sequence[Handler] = (
    view.HANDLER,
    attempt.HANDLER,
    enrolment.HANDLER,
    profile.HANDLER,
    reconciliation.HANDLER,
    erasure.HANDLER,
    forgetting.HANDLER,
)
"""The handlers prepare and finish a batch in this order."""

_BY_KIND: Mapping[TriggerKind, Handler] = {handler.kind: handler for handler in HANDLERS}


def _read_trigger(work: Work, record: Record) -> None:
    trigger = parse_trigger(record.value)
    _BY_KIND[trigger.kind].ask(work, trigger, record)


TOPICS: Mapping[str, Callable[[Work, Record], None]] = {
    TRIGGERS.name: _read_trigger,
    PROFILES.name: profile.read_event,
}
"""Holds, by topic, what adds a record to the work of a batch. It raises InvalidInput if the record can't be read."""
