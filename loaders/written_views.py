"""Views as this process wrote them last, so that the next call need not read what it changes (R-VIEW-2).

Such a view is a guess: another process may have changed the row since, or an erasure deleted it. So it never counts by itself. A call
writes by it on condition that the row still has what every change of a view changes (loaders/views.py, ``as_read``) and the same
ids of calls; if it has not, nothing is written and the row is read. What a player put in, the details, is not kept.
"""

from dataclasses import replace

from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from rules.identifiers import ViewKey
from rules.views import View

KEPT_FOR = 300.0
"""Seconds that a view is kept after its last change here: players tell of progress every minute or so."""
MOST = 16 * MEGABYTE
"""Bytes of some 20,000 views."""
LEAST_RIGHT = 0.8
"""The part of guesses that must be right: a wrong one costs a conditional write, a right one saves a read."""
WEIGHT = 0.1
"""Of the last guess in that part."""
TRY_EVERY = 50
"""Of so many views one is guessed where too many guesses are wrong, as with processes that learners' calls go to in turns."""


class WrittenViews:
    def __init__(self) -> None:
        self._kept: Kept[ViewKey, View] = Kept(MOST, _size, ttl=KEPT_FOR)
        self._right = 1.0
        self._left_out = 0

    def guess(self, key: ViewKey) -> View | None:
        """Takes out what may be there now, without its details; None where the row had better be read."""
        view = self._kept.pop(key, None)
        if view is None or self._right >= LEAST_RIGHT:
            return view
        self._left_out = (self._left_out + 1) % TRY_EVERY
        return view if self._left_out == 0 else None

    def tell(self, *, right: bool) -> None:
        """Tells whether the row was as guessed."""
        self._right += WEIGHT * (right - self._right)

    def keep(self, view: View) -> None:
        """Keeps a view that was written just now."""
        self._kept[view.key] = view if view.progress_details is None else replace(view, progress_details=None)

    def forget(self, user_id: str) -> None:
        """Forgets the views of a learner who is erased."""
        for key in [key for key in self._kept if key.user_id == user_id]:
            self._kept.pop(key, None)


def _size(key: ViewKey, view: View) -> int:
    return ENTRY + texts(*key, *view.recent_calls)
