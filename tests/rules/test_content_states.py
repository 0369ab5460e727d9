"""A content's state in one call: what a view becomes that begins with it (R-LEGACY-1, P-2.2)."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from rules.content_states import ContentState, stated
from rules.identifiers import ViewKey
from rules.moments import counted_on
from rules.progress import Status
from rules.views import View

KEY = ViewKey("learner", "course", "batch", "leaf")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMES = (None, NOW - timedelta(days=2), NOW + timedelta(hours=1), datetime(1999, 1, 1, tzinfo=UTC))
STATES = [
    ContentState("leaf", status, progress=progress, last_accessed_on=accessed, last_completed_on=completed)
    for status, progress, accessed, completed in product(
        (Status.IN_PROGRESS, Status.COMPLETED), (None, 0, 40), TIMES, TIMES
    )
]


@pytest.mark.parametrize("since", [None, NOW - timedelta(days=1), NOW + timedelta(seconds=5)])
def test_a_view_that_begins_with_a_state_is_as_one_that_was_started_then_and_got_the_state(
    since: datetime | None,
) -> None:
    for state in STATES:
        accessed = counted_on(state.last_accessed_on, NOW, since)
        at = NOW if since is None else max(NOW, since)
        started = View(
            KEY, Status.IN_PROGRESS, started_on=accessed, last_accessed_on=accessed, last_updated_on=at
        )
        assert stated(None, KEY, state, NOW, since) == (stated(started, KEY, state, NOW, since) or started), (
            state
        )


def test_a_view_begins_with_what_the_device_tells() -> None:
    details = {"page": 3}
    accessed, completed = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    assert stated(
        None, KEY, ContentState("leaf", Status.IN_PROGRESS, progress=40, progress_details=details), NOW
    ) == View(KEY, Status.IN_PROGRESS, 40, 0, NOW, NOW, NOW, progress_details=details)
    assert stated(
        None,
        KEY,
        ContentState("leaf", Status.COMPLETED, last_accessed_on=accessed, last_completed_on=completed),
        NOW,
    ) == View(KEY, Status.COMPLETED, 100, 0, accessed, completed, NOW, completed)
    assert stated(None, KEY, ContentState("leaf", Status.NOT_STARTED), NOW) is None
