"""A repair: the workers look again at all that may have happened to the key."""

from ingest.workers.work import Handler, Work
from rules.triggers import Trigger, TriggerKind
from stores.events import Record


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    key = work.recompute(trigger, record)
    work.whole.add(key)
    work.enrolled.add(key)
    work.view(key, trigger.content_id)
    work.assess(key, None, record)


HANDLER = Handler(TriggerKind.RECONCILE, _ask)
