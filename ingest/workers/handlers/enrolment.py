"""A learner enrolled, or left."""

from ingest.workers.work import Handler, Work
from rules.triggers import Trigger, TriggerKind
from stores.events import Record


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    key = work.recompute(trigger, record)
    work.enrolled.add(key)


HANDLER = Handler(TriggerKind.ENROLMENT, _ask)
