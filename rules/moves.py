"""Move mode: which progress a learner takes along into another context of the same collection, and what it becomes
there (R-MODE-7)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from rules.carry_rules import CarryRules, Completion
from rules.contexts import Context
from rules.enrolments import Enrolment
from rules.identifiers import ProgressKey, ViewKey
from rules.moments import earlier, later
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.views import MARK, View, remembered

LONGEST_CHAIN = 16
"""The most moves that a read follows, one after the other."""

_MOVED = f"{MARK}moved{MARK}"
"""The beginning of an entry among a view's recent calls: ``\\tmoved\\t<context>\\t<seconds>``. It says how many seconds
were spent in that context."""


def current_place(enrolments: Mapping[str, Enrolment], context_id: str) -> str:
    """Follows the pointers of the enrolments in one collection (by context), and returns the context where they end."""
    for _ in range(LONGEST_CHAIN):
        enrolment = enrolments.get(context_id)
        if enrolment is None or not enrolment.has_moved or enrolment.moved_to is None:
            break
        context_id = enrolment.moved_to
    return context_id


@dataclass(frozen=True, slots=True)
class Taking:
    """What is taken along into the enrolment ``to``, and when that was begun."""

    to: ProgressKey
    begun_on: datetime
    context: Context
    rules: CarryRules

    def merged(self, there: View | None, view: View) -> View | None:
        """Returns the view at the new place after ``view`` has come along, None where that changes nothing, or where
        the rules leave it behind. ``there`` is what is at the new place already.

        Neither status nor progress goes down. Time spent is kept for each place, where it only grows, and of each place
        the larger number counts. So a view may come along again, and by any way.
        """
        reason = self._reason(view)
        if reason is None:
            return None
        before = there or View(
            ViewKey(self.to.user_id, self.to.collection_id, self.to.context_id, view.key.content_id),
            Status.NOT_STARTED,
        )
        spent = _spent(before)
        for place, seconds in _spent(view).items():
            spent[place] = max(spent.get(place, 0), seconds)
        rises = there is None or view.status > before.status
        after = replace(
            before,
            status=max(before.status, view.status),
            progress=max(before.progress, view.progress),
            time_spent=sum(spent.values()),
            started_on=earlier(before.started_on, view.started_on),
            last_accessed_on=later(before.last_accessed_on, view.last_accessed_on),
            last_updated_on=later(before.last_updated_on, view.last_updated_on),
            completed_on=before.completed_on if before.status is Status.COMPLETED else view.completed_on,
            progress_details=_latest_details(before, view),
            origin=Origin(OriginKind.MOVED, _earned_at(view), reason, self.begun_on)
            if rises
            else before.origin,
        )
        calls = dict.fromkeys((*before.recent_calls, *view.recent_calls))
        marks = [f"{_MOVED}{place}{MARK}{spent[place]}" for place in sorted(spent) if spent[place]]
        elsewhere = [mark for mark in marks if not mark.startswith(f"{_MOVED}{self.to.context_id}{MARK}")]
        kept = [call for call in calls if not call.startswith(_MOVED)]
        after = replace(after, recent_calls=remembered((*kept, *elsewhere)))
        return None if after == there else after

    def takes(self, view: View) -> bool:
        return self._reason(view) is not None

    def _reason(self, view: View) -> str | None:
        """Whether the view goes along. The rules judge completions. What is in progress goes along with the collection,
        if there are any rules."""
        if not self.rules.rules:
            return None
        if view.status is not Status.COMPLETED or view.completed_on is None:
            return "under way in an open context"
        at = max(view.completed_on, self.begun_on)
        context = self.context
        return self.rules.reason(Completion(view.completed_on, at, context.start_date, context.end_date))


def _spent(view: View) -> dict[str, int]:
    """Returns the seconds spent on the view by context. What did not come along was spent in the view's own context."""
    marks = [call.removeprefix(_MOVED) for call in view.recent_calls if call.startswith(_MOVED)]
    spent = {place: int(seconds) for place, _, seconds in (mark.partition(MARK) for mark in marks)}
    return {**spent, view.key.context_id: max(0, view.time_spent - sum(spent.values()))}


def _earned_at(view: View) -> tuple[str, str]:
    """Returns where the view was earned first, however often it has moved since."""
    origin = view.origin
    if origin is not None and origin.kind is OriginKind.MOVED and origin.place is not None:
        return origin.place
    return view.key.collection_id, view.key.context_id


def _latest_details(there: View, view: View) -> object:
    if there.progress_details is None or view.progress_details is None:
        return there.progress_details if view.progress_details is None else view.progress_details
    ours, theirs = there.last_updated_on, view.last_updated_on
    return view.progress_details if ours is None or (theirs and theirs > ours) else there.progress_details
