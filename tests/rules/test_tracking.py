"""Where a view is kept, by mode (R-MODE-1, the table of docs/modes.md), in the three scenarios (R-VIEW-3)."""

import pytest

from rules.errors import InvalidInput
from rules.identifiers import ProgressKey, ViewKey, either, view_key
from rules.tracking import Tracking, TrackingMode

BY_ITSELF = ("leaf", "leaf")


@pytest.mark.parametrize(
    ("modes", "in_context", "in_collection", "alone"),
    [
        ((TrackingMode.STRICT, TrackingMode.COPY, TrackingMode.MOVE), ("C", "B"), ("C", "C"), BY_ITSELF),
        ((TrackingMode.CARRY_FORWARD_FULL,), BY_ITSELF, BY_ITSELF, BY_ITSELF),
        ((TrackingMode.CARRY_FORWARD_COLLECTION,), ("C", "C"), ("C", "C"), BY_ITSELF),
    ],
)
def test_a_view_is_kept_where_the_mode_says(
    modes: tuple[TrackingMode, ...],
    in_context: tuple[str, str],
    in_collection: tuple[str, str],
    alone: tuple[str, str],
) -> None:
    for mode in modes:
        tracking = Tracking(mode)
        for place, expected in (
            (("C", "B"), in_context),
            (("C", None), in_collection),
            ((None, None), alone),
        ):
            asked = view_key("ada", "leaf", *place)
            assert tracking.stored(asked) == ViewKey("ada", *expected, "leaf"), (mode, place)


@pytest.mark.parametrize("mode", TrackingMode)
def test_what_is_kept_is_found_again_under_its_own_name(mode: TrackingMode) -> None:
    tracking = Tracking(mode)
    for place in (("C", "B"), ("C", None), (None, None)):
        stored = tracking.stored(view_key("ada", "leaf", *place))
        assert tracking.stored(stored) == stored


def test_views_of_a_context_are_kept_under_the_collection_where_that_is_carried_forward() -> None:
    asked = ProgressKey("ada", "C", "B")
    assert Tracking().source(asked) == asked
    assert Tracking(TrackingMode.CARRY_FORWARD_COLLECTION).source(asked) == ProgressKey("ada", "C", "C")


@pytest.mark.parametrize(
    ("value", "legacy", "expected"),
    [(None, None, None), ("c", None, "c"), (None, "c", "c"), ("c", "c", "c"), ("c", " c ", "c")],
)
def test_an_id_may_have_either_of_its_names(
    value: str | None, legacy: str | None, expected: str | None
) -> None:
    assert either(value, legacy, "collectionId", "courseId") == expected


def test_an_id_with_two_values_is_refused_by_its_older_name() -> None:
    with pytest.raises(InvalidInput, match="collectionId and courseId are the same id") as refused:
        either("one", "two", "collectionId", "courseId")
    assert refused.value.field == "courseId"
