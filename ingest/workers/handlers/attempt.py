"""An attempt at an assessment was scored: the scores of that assessment are computed anew, and so are the figures of
all that shows it."""

from ingest.workers.scores import refresh_scores
from ingest.workers.work import Handler, Work
from rules.triggers import Trigger, TriggerKind
from stores.events import Record


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    key = work.recompute(trigger, record)
    work.assess(key, trigger.content_id, record)
    # In copy mode the attempts at a content follow its completion, which may be older.
    work.view(key, trigger.content_id)


# It finishes after the keys, because refreshing an erased key first takes away attempts of before (sweeping.py).
HANDLER = Handler(TriggerKind.ATTEMPT, _ask, finish=refresh_scores)
