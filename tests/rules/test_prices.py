"""Prices add up, and a budget names what is furthest over it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.prices import FREE, OVERRUN, Budget, Price

numbers = st.integers(0, 10**9)
prices = st.builds(Price, numbers, numbers, numbers)


@given(prices, prices, st.integers(0, 100))
def test_prices_add_and_multiply_in_each_measure(one: Price, other: Price, times: int) -> None:
    assert one + other == other + one
    assert one + FREE == one
    assert (one + other) * times == one * times + other * times


@pytest.mark.parametrize(
    ("price", "points"),
    [
        (FREE, 1),
        (Price(1), 1),
        (Price(1, 1), 2),  # 1.001, rounded up
        (Price(0, 1_000, 10_000), 2),
        (Price(0, 500, 5_000), 1),  # half a point each
        (Price(7, 2_500, 25_000), 12),  # 7 + 2.5 + 2.5
        (Price(7, 2_500, 25_001), 13),
    ],
)
def test_a_point_is_a_partition_or_1000_rows_or_10000_bytes(price: Price, points: int) -> None:
    assert price.points == points


@given(prices, prices)
def test_more_never_costs_fewer_points(one: Price, more: Price) -> None:
    assert (one + more).points >= max(one.points, more.points)


def test_a_budget_names_what_is_furthest_over_it() -> None:
    budget = Budget(Price(10, 100, 1_000))
    assert budget.excess(Price(10, 100, 1_000)) is None
    found = budget.excess(Price(11, 500, 1_000))
    assert found is not None
    assert found.message == (
        "the request would cost 500 rows of the groups store; at most 100 are allowed: ask for shorter pages, fewer ids, "
        "fewer fields or fewer tables at a time"
    )
    assert found.details == {
        "cost": {"partitions": 11, "druidRows": 500, "bytes": 1_000, "points": 12},
        "most": {"partitions": 10, "druidRows": 100, "bytes": 1_000, "points": 11},
    }


def test_what_it_really_costs_may_be_twice_the_budget() -> None:
    budget = Budget(Price(10, 100, 1_000))
    assert budget.excess(Price(20, 200, 2_000), OVERRUN) is None
    found = budget.excess(Price(21, 200, 2_000), OVERRUN)
    assert found is not None
    assert found.message.startswith("the request has cost 21 partitions of rows; at most 20 are allowed")
