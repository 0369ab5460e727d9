"""An attempt at an assessment was scored."""

from ingest.workers.work import Handler, Work
from rules.triggers import Trigger, TriggerKind
from stores.events import Record


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    key = work.recompute(trigger, record)
    work.view(key, trigger.content_id)


HANDLER = Handler(TriggerKind.ATTEMPT, _ask)
