"""Copy mode: which completion elsewhere becomes a completed view in a context, and how it says so (R-MODE-5,
P-4.7)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rules.carry_rules import CarryRules, Completion
from rules.contexts import Context
from rules.identifiers import ProgressKey, ViewKey
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.views import View


@dataclass(frozen=True, slots=True)
class Completed:
    """The part of a completed view that copying looks at.

    - ``place``: the collection and the context where it was earned. A copy has the place of the first one, so that no
      chain of copies hides it.
    - ``key``: where the view stands, and with it the attempts that were made there.
    - ``is_copy``: copy mode has written it there.
    """

    content_id: str
    place: tuple[str, str]
    completed_on: datetime
    key: ViewKey
    is_copy: bool = False

    @classmethod
    def of(cls, key: ViewKey, completed_on: datetime, origin: Origin | None) -> "Completed":
        carried = origin is not None and origin.kind in (OriginKind.COPIED, OriginKind.MOVED)
        place = origin.place if origin is not None and carried else None
        is_copy = origin is not None and origin.kind is OriginKind.COPIED
        return cls(key.content_id, place or (key.collection_id, key.context_id), completed_on, key, is_copy)


@dataclass(frozen=True, slots=True)
class Taker:
    """An active enrolment that completions elsewhere may be copied into, and when it was begun."""

    key: ProgressKey
    begun_on: datetime
    context: Context

    def copy_of(self, completed: Completed, rules: CarryRules) -> View | None:
        """Returns the view to be written here, None where the rules do not let the completion count.

        A completion of before the enrolment is judged at the time of the enrolment. A later one is judged at its own
        time, as long as the context has not ended before. So the answer is the same whenever somebody asks. The copy
        has neither time spent nor last access, because the learner was not here.
        """
        done, ends = completed.completed_on, self.context.end_date
        if done > self.begun_on and ends is not None and done > ends:
            return None
        at = max(done, self.begun_on)
        reason = rules.reason(Completion(done, at, self.context.start_date, ends))
        if reason is None:
            return None
        return View(
            ViewKey(self.key.user_id, self.key.collection_id, self.key.context_id, completed.content_id),
            Status.COMPLETED,
            100,
            last_updated_on=at,
            completed_on=done,
            origin=Origin(OriginKind.COPIED, completed.place, reason, at),
        )

    def copies(self, completed: Iterable[Completed], rules: CarryRules) -> dict[str, View]:
        """Returns the views to be written by content. Of several completions that may count, the latest is taken: it
        counts longest."""
        found: dict[str, View] = {}
        for each in sorted(completed, key=lambda each: (each.completed_on, each.place)):
            view = self.copy_of(each, rules)
            if view is not None:
                found[each.content_id] = view
        return found

    def assessed_at(self, completed: Iterable[Completed], rules: CarryRules) -> list[ViewKey]:
        """Returns where the attempts stand that come along: wherever a completion counts here, be it a copy or not, and
        be the content completed here or not. So the order in which things happen decides nothing."""
        return [each.key for each in completed if self.copy_of(each, rules) is not None]
