"""The one rule: floor(100 × completed / required), 100 only when nothing is missing."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.progress import Progress, Status, percentage, progress_of

LEAVES = st.sets(st.sampled_from("abcdefgh"))
STATUSES = st.dictionaries(st.sampled_from("abcdefghxyz"), st.integers(0, 2))


@pytest.mark.parametrize(
    ("completed", "required", "expected"),
    [
        (0, 3, 0),
        (1, 3, 33),
        (2, 3, 66),  # the platform's clients round it to 67, its lists say 66 (P-4.8)
        (3, 3, 100),
        (199, 200, 99),
        (210, 211, 99),
        (1, 1000, 0),
        (0, 0, 0),
        (5, 0, 0),
    ],
)
def test_percentages_are_floors(completed: int, required: int, expected: int) -> None:
    assert percentage(completed, required) == expected


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_hundred_means_that_nothing_is_missing(completed: int, required: int) -> None:
    found = percentage(completed, required)
    assert (found == 100) == (completed >= required)
    exact = Fraction(100 * min(completed, required), required)
    assert found <= exact < found + 1


@given(LEAVES, STATUSES)
def test_only_required_leaves_count(required: set[str], statuses: dict[str, int]) -> None:
    done = {leaf for leaf in required if statuses.get(leaf) == 2}
    begun = {leaf for leaf in required if statuses.get(leaf, 0) > 0}
    expected = Status.NOT_STARTED
    if begun:
        expected = Status.IN_PROGRESS
    if required and done == required:
        expected = Status.COMPLETED
    assert progress_of(required, statuses) == Progress(expected, len(done), len(required))


def test_a_collection_that_requires_nothing_is_never_completed() -> None:
    """All leaves are optional: there is nothing to complete, so nobody gets a certificate for nothing."""
    assert progress_of(set(), {"a": 2}) == Progress(Status.NOT_STARTED, 0, 0)
