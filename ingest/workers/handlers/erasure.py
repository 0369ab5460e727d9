"""The rows of a key were deleted. Refreshing the key does what is needed (ingest/workers/refresh.py)."""

from ingest.workers.work import Handler, Work
from rules.triggers import Trigger, TriggerKind
from stores.events import Record


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    key = work.recompute(trigger, record)
    work.whole.add(key)
    work.erased.add(key)
    work.assess(key, None, record)


HANDLER = Handler(TriggerKind.ERASURE, _ask)
