"""How much a caller may spend in a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.rates import WINDOW, Bucket, Rate, whole_seconds

RATE = Rate("user", "rate_points", 600)
"""10 points a second, 600 at once."""


def test_a_bucket_is_full_at_first_and_fills_up_evenly() -> None:
    bucket = Bucket(RATE)
    assert bucket.left(0.0) == 600
    assert bucket.wait(600, 0.0) == 0
    bucket.take(600, 0.0)
    assert bucket.left(0.0) == 0
    # 10 a second.
    assert bucket.wait(25, 0.0) == pytest.approx(2.5)
    assert bucket.left(2.5) == pytest.approx(25)
    assert bucket.left(59.0) == pytest.approx(590)
    assert bucket.left(61.0) == 600, "no more than a minute's"


def test_what_was_given_back_can_be_spent_again_and_no_more_than_fits() -> None:
    bucket = Bucket(RATE)
    bucket.take(500, 0.0)
    bucket.take(-450, 0.0)
    assert bucket.left(0.0) == pytest.approx(550)
    bucket.take(-450, 0.0)
    assert bucket.left(0.0) == 600
    bucket.take(600, 0.0)
    assert bucket.left(0.0) == pytest.approx(0), "what was given back beyond a full bucket is nowhere"


def test_what_costs_more_than_a_minute_waits_for_a_full_bucket_and_is_paid_off() -> None:
    bucket = Bucket(RATE)
    assert bucket.wait(1_000, 0.0) == 0
    bucket.take(1_000, 0.0)
    assert bucket.left(0.0) == -400
    # 401 points of 10 a second.
    assert bucket.wait(1, 0.0) == pytest.approx(40.1)


def test_who_must_wait_is_told_whole_seconds_that_are_enough() -> None:
    assert [whole_seconds(wait) for wait in (0.0, 0.01, 1.0, 1.0 + 1e-9, 1.2, 59.1)] == [1, 1, 1, 1, 2, 60]


@given(
    st.integers(1, 10_000),
    st.lists(st.tuples(st.floats(0, 90), st.integers(1, 12_000)), min_size=1, max_size=60),
)
def test_no_time_has_more_than_its_points_and_those_of_a_full_bucket(
    points: int, asked: list[tuple[float, int]]
) -> None:
    """In any time the sum of what was let through is at most a full bucket and what flows in meanwhile; and a request that
    alone is more than a bucket holds ends such a time, as it leaves a debt."""
    rate = Rate("user", "rate_points", points)
    bucket, now, taken = Bucket(rate), 0.0, list[tuple[float, int]]()
    for pause, price in asked:
        now += pause
        if bucket.wait(price, now) == 0:
            bucket.take(price, now)
            taken.append((now, price))
    for first, (begins, _) in enumerate(taken):
        spent = 0
        for until, price in taken[first:]:
            allowed = points + rate.per_second * (until - begins)
            assert spent + min(price, points) <= allowed + 1e-3
            spent += price


@given(
    st.integers(1, 10_000), st.lists(st.integers(1, 20_000), min_size=1, max_size=20), st.integers(1, 20_000)
)
def test_who_waits_as_long_as_they_are_told_gets_what_they_asked_for(
    points: int, spent: list[int], wanted: int
) -> None:
    bucket = Bucket(Rate("user", "rate_points", points))
    for price in spent:
        bucket.take(price, 0.0)
    wait = bucket.wait(wanted, 0.0)
    if wait > 0:
        assert bucket.wait(wanted, float(whole_seconds(wait))) == 0
        assert bucket.wait(wanted, wait * 0.99) > 0 or wait < 1e-3


def test_a_rate_is_points_a_minute() -> None:
    assert RATE.per_second * WINDOW == RATE.points
