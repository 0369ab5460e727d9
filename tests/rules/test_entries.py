"""One entry a member, however many places they learn in."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.entries import NO_ENTRY, Entry, best_entry
from rules.moments import milliseconds
from rules.progress import Progress, Status

ON = datetime(2026, 2, 3, tzinfo=UTC)


def entry(
    context: str = "cb:a",
    *,
    active: bool = True,
    completed: int = 0,
    status: Status = Status.IN_PROGRESS,
    spent: int = 0,
    seen: datetime | None = ON,
    since: datetime | None = ON,
) -> Entry:
    return Entry.of("course", context, active, Progress(status, completed, 3), spent, seen, since)


def test_a_batch_with_an_active_enrolment_goes_before_one_with_more_progress() -> None:
    left = entry("cb:a", active=False, completed=3, status=Status.COMPLETED, spent=900)
    assert best_entry([left, entry("cb:b")]) == entry("cb:b")
    assert best_entry([left, entry("cb:b", active=False)]) == left


def test_of_active_ones_most_completed_then_status_then_time_then_access_then_the_smaller_context() -> None:
    later = ON + timedelta(seconds=1)
    ranked = [
        entry("cb:g", completed=2),
        # Of a collection whose leaves are all done with fewer to do.
        entry("cb:f", completed=1, status=Status.COMPLETED),
        entry("cb:e", completed=1, spent=60),
        entry("cb:d", completed=1, spent=30, seen=later),
        entry("cb:b", completed=1, spent=30),
        entry("cb:c", completed=1, spent=30),
        entry("cb:a", completed=1, spent=30, seen=None),
    ]
    for start in range(len(ranked)):
        assert best_entry(reversed(ranked[start:])) == ranked[start]


def test_what_says_nothing_is_no_entry() -> None:
    """A deleted row's last state has zeros and no dates; it must not hide an enrolment that ended."""
    vanished = Entry.of("course", "cb:a", False, Progress(Status.NOT_STARTED, 0, 0), 0, None)
    left = entry("cb:b", active=False, status=Status.NOT_STARTED, seen=None)
    assert best_entry([]) is None
    assert best_entry([vanished, NO_ENTRY]) is None
    assert best_entry([vanished, left]) == left
    assert not any(
        each.says_nothing
        for each in (
            left,
            entry(status=Status.NOT_STARTED, seen=None, since=None),
            entry(active=False, seen=None, since=None),
            entry(active=False, status=Status.NOT_STARTED, since=None),
        )
    )


def test_figures_changed_with_the_last_access_or_else_the_enrolment() -> None:
    later = ON + timedelta(days=1)
    assert entry(seen=later).updated_at == milliseconds(later)
    assert entry(seen=None).updated_at == milliseconds(ON)
    assert entry(seen=None, since=None).updated_at is None


entries = st.builds(
    entry,
    st.sampled_from(["cb:a", "cb:b", "pr:c"]),
    active=st.booleans(),
    completed=st.integers(0, 3),
    status=st.sampled_from(Status),
    spent=st.integers(0, 2),
    seen=st.sampled_from([None, ON, ON + timedelta(hours=1)]),
    since=st.sampled_from([None, ON]),
)


@given(
    st.lists(entries, unique_by=lambda each: each.context_id).flatmap(
        lambda x: st.tuples(st.just(x), st.permutations(x))
    )
)
def test_the_order_in_which_batches_are_read_changes_nothing(both: tuple[list[Entry], list[Entry]]) -> None:
    one, other = both
    assert best_entry(one) == best_entry(other)
