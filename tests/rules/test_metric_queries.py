"""What a table may be asked, where it is answered from, and how its rows are put in order."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.metric_filters import (
    DEEPEST_FILTER,
    LARGEST_FILTER,
    MOST_VALUES,
    Among,
    Every,
    Opposite,
    Unknown,
    Within,
    checked_filter,
)
from rules.metric_plans import TARGET, Extent, table_plan
from rules.metric_queries import MOST_NAMED, MetricQuery, OrderBy, metric_query
from rules.metric_tables import Key, camel, rolled_up, table_of
from rules.metrics import Counts, Metric
from rules.plans import AggregationMode, QueryPlan, Source

ENROLLED = (Metric.ENROLLED_COUNT,)
F = {"dimension": "gender", "in": ["F"]}
PACE = 1_000
SMALL, LARGE = (
    Extent(states, PACE, is_aggregated=True) for states in (int(PACE * TARGET), int(PACE * TARGET) + 1)
)
"""What is counted within the target time, and one state more."""


def refused(field: str, filter: Any) -> str:  # noqa: A002
    with pytest.raises(InvalidInput) as error:
        checked_filter(filter)
    assert error.value.field == field
    return error.value.message


# --- filters


def test_filters_of_every_kind() -> None:
    assert checked_filter({"dimension": "gender", "in": ["M", "F", "M"]}) == Among("gender", ("F", "M"))
    assert checked_filter({"dimension": "gender", "isNull": True}) == Among("gender", (None,))
    assert checked_filter({"dimension": "gender", "isNull": False}) == Opposite(Among("gender", (None,)))
    assert checked_filter({"measure": "completed_on", "isNull": True}) == Unknown("completed_on")
    assert checked_filter({"measure": "status", "range": {"gte": 1}}) == Within("status", 1)
    assert checked_filter({"measure": "status", "range": {"gt": 0, "lt": 2.5}}) == Within(
        "status", 0, 2.5, above=True, below=True
    )
    assert checked_filter({"not": {"not": F}}) == Among("gender", ("F",))


def test_a_moment_may_have_any_offset() -> None:
    """2026-02-03T04:05:06.789Z in ms: 20487 days of 86,400 s, 4 h 5 min 6 s, 789 ms."""
    milliseconds = (20487 * 86400 + 4 * 3600 + 5 * 60 + 6) * 1000 + 789
    for text in ("2026-02-03T04:05:06.789Z", "2026-02-03T09:35:06.789+05:30"):
        found = checked_filter({"measure": "enrolled_on", "range": {"lte": text}})
        assert found == Within("enrolled_on", None, milliseconds)


leaves = st.sampled_from(
    [F, {"dimension": "district", "isNull": True}, {"measure": "status", "range": {"gte": 1}}]
)
filters = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"and": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"or": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=5,
)


@given(st.lists(filters, min_size=2, max_size=4), st.sampled_from(["and", "or"]), st.data())
def test_filters_that_say_the_same_in_another_order_are_equal(
    parts: list[Any], kind: str, data: st.DataObject
) -> None:
    other = data.draw(st.permutations([*parts, parts[0]]))
    nested = [{kind: other[:2]}, *other[2:]]
    assert checked_filter({kind: parts}) == checked_filter({kind: other}) == checked_filter({kind: nested})


@pytest.mark.parametrize(
    ("field", "filter_"),
    [
        ("filter", {}),
        ("filter", {"dimension": None}),
        ("filter", {"and": [F], "not": F}),
        ("filter", {"dimension": "gender", "measure": "status", "isNull": True}),
        ("filter", {"dimension": "gender"}),
        ("filter", {"dimension": "gender", "in": ["F"], "isNull": True}),
        ("filter.range", {"dimension": "gender", "range": {"gt": 1}}),
        ("filter.in", {"measure": "status", "in": ["1"]}),
        ("filter.in", {"dimension": "gender", "in": []}),
        ("filter.in", {"dimension": "gender", "in": ["x" * 257]}),
        ("filter.in", {"dimension": "gender", "in": [str(n) for n in range(MOST_VALUES + 1)]}),
        ("filter.and", {"and": []}),
        ("filter.isNull", {"not": F, "isNull": True}),
        ("filter.and[1].not.or[0]", {"and": [F, {"not": {"or": [{}]}}]}),
        ("filter.range", {"measure": "status", "range": {}}),
        ("filter.range", {"measure": "status", "range": {"gt": 1, "gte": 1}}),
        ("filter.range.lt", {"measure": "status", "range": {"gt": 1, "lt": "2"}}),
        ("filter.range.lt", {"measure": "status", "range": {"lt": True}}),
        ("filter.range.lt", {"measure": "status", "range": {"lt": 10**30}}),
        ("filter.range.lt", {"measure": "status", "range": {"lt": float("nan")}}),
        ("filter.range.gte", {"measure": "enrolled_on", "range": {"gte": 5}}),
        ("filter.range.gte", {"measure": "enrolled_on", "range": {"gte": "2026-02-03T04:05:06"}}),
        ("filter.range.gte", {"measure": "enrolled_on", "range": {"gte": "yesterday"}}),
    ],
)
def test_a_filter_that_can_never_be_right_names_its_place(field: str, filter_: Any) -> None:
    assert refused(field, filter_)


def test_a_filter_says_what_is_needed() -> None:
    assert refused("filter", {}) == "exactly one of and, or, not, dimension, measure is needed here"


def test_a_monster_is_refused() -> None:
    deep: dict[str, Any] = F
    for _ in range(DEEPEST_FILTER - 1):
        deep = {"and": [deep]}
    assert checked_filter(deep) == Among("gender", ("F",))
    assert refused("filter" + ".and[0]" * DEEPEST_FILTER, {"and": [deep]})
    wide = [{"dimension": "district", "in": [str(number)]} for number in range(LARGEST_FILTER + 1)]
    assert isinstance(checked_filter({"and": wide[1:]}), Every)
    assert refused("filter", {"and": wide})


def test_the_values_of_a_filter_are_bounded_over_all_its_conditions() -> None:
    """Two conditions may have 500 each, which makes 1,000; one value more is too much, wherever it is."""
    full = [
        {"dimension": name, "in": [f"{name} {number}" for number in range(500)]}
        for name in ("district", "block")
    ]
    assert isinstance(checked_filter({"and": full}), Every)
    for more in (F, {"not": F}, {"or": [F, {"dimension": "age_band", "isNull": True}]}):
        why = refused("filter", {"and": [*full, more]})
        assert why == "filter may compare with at most 1,000 values, over all its conditions"


# --- queries


def test_a_query_is_in_one_form() -> None:
    found = metric_query(
        metrics=[Metric.TIME_SPENT, Metric.TIME_SPENT],
        dimensions=["gender", "gender"],
        activity_ids=["b", " a", "b"],
        order=[OrderBy("gender", descending=True), OrderBy(Metric.TIME_SPENT), OrderBy("gender")],
    )
    assert found == MetricQuery(
        (Metric.TIME_SPENT,),
        ("gender",),
        ("a", "b"),
        order=(OrderBy("gender", descending=True), OrderBy(Metric.TIME_SPENT)),
    )


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("metrics", {"metrics": ()}),
        ("limit", {"limit": 0}),
        ("limit", {"limit": 1001}),
        ("activityIds", {"activity_ids": []}),
        ("activityIds", {"activity_ids": ["x"] * (MOST_NAMED + 1)}),
        ("contextIds", {"context_ids": ["a\nb"]}),
        ("orderBy[0]", {"order": [OrderBy("gender")]}),
        (
            "orderBy[0].metric",
            {"metrics": [Metric.PROGRESS_DISTRIBUTION], "order": [OrderBy(Metric.PROGRESS_DISTRIBUTION)]},
        ),
    ],
)
def test_a_query_that_can_never_be_right_names_the_field(field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as error:
        metric_query(**({"metrics": ENROLLED} | asked))
    assert error.value.field == field


# --- where from


@pytest.mark.parametrize(
    "asked", [{"activity_ids": ["a"]}, {}, {"dimensions": ["unit", "gender"], "filter": F}]
)
def test_states_are_counted_where_that_is_quick_and_else_read_as_they_were_added_up(
    asked: dict[str, Any],
) -> None:
    query = metric_query(metrics=ENROLLED, **asked)
    assert table_plan(query, AggregationMode.QUERY, SMALL) == QueryPlan(
        Source.STATES, "about 500 states are counted within 0.5 s", 500
    )
    assert table_plan(query, AggregationMode.QUERY, LARGE) == QueryPlan(
        Source.TOTALS,
        "about 501 states are not counted within 0.5 s: the last aggregation added them up",
        501,
    )


def test_before_any_aggregation_states_are_counted_however_many_there_are() -> None:
    """There is nothing added up yet: an empty table would be wrong."""
    plan = table_plan(
        metric_query(metrics=ENROLLED), AggregationMode.QUERY, replace(LARGE, is_aggregated=False)
    )
    assert (plan.source, plan.reason) == (
        Source.STATES,
        "about 501 states are counted: no aggregation has come to its end yet",
    )


def test_where_nobody_can_tell_how_many_there_are_they_count_as_many() -> None:
    plan = table_plan(metric_query(metrics=ENROLLED), AggregationMode.QUERY, replace(LARGE, states=None))
    assert (plan.source, plan.estimate) == (Source.TOTALS, None)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"dimensions": ["gender", "district"]}, "names 2 (district, gender)"),
        ({"dimensions": ["district"], "filter": F}, "names 2 (district, gender)"),
        ({"filter": {"measure": "time_spent", "range": {"gt": 5}}}, "filters by time_spent"),
    ],
)
def test_what_is_finer_than_the_cells_is_counted_and_batch_mode_says_why_not(
    asked: dict[str, Any], why: str
) -> None:
    query = metric_query(metrics=ENROLLED, **asked)
    plan = table_plan(query, AggregationMode.QUERY, LARGE)
    assert (plan.source, plan.reason) == (
        Source.STATES,
        f"about 501 states are counted, which is slow: this {why}",
    )
    with pytest.raises(InvalidInput, match=re.escape(why)) as error:
        table_plan(query, AggregationMode.BATCH, SMALL)
    assert error.value.field == "mode"


def test_batch_mode_is_what_the_last_aggregation_computed() -> None:
    one = metric_query(metrics=ENROLLED, activity_ids=["a"], dimensions=["gender"])
    assert table_plan(one, AggregationMode.BATCH, SMALL).source is Source.TOTALS


# --- tables

GROUPS: dict[Key, Counts] = {
    ("b", None): {"enrolled": 2, "time_spent": 10},
    ("a", "F"): {"enrolled": 1, "time_spent": 10},
    (None, "F"): {"enrolled": 2, "time_spent": 30},
    ("a", None): {"enrolled": 1, "time_spent": 0},
}


def ordered(*order: OrderBy, limit: int = 100, totals: bool = False) -> Any:
    return table_of(
        MetricQuery(
            (Metric.ENROLLED_COUNT, Metric.TIME_SPENT),
            ("district", "age_band"),
            order=order,
            limit=limit,
            totals=totals,
        ),
        GROUPS,
    )


def test_rows_are_ordered_by_what_is_asked_then_by_the_dimensions() -> None:
    everything = [[None, "F", 2, 30], ["a", None, 1, 0], ["a", "F", 1, 10], ["b", None, 2, 10]]
    assert ordered().rows == everything
    assert ordered(OrderBy(Metric.ENROLLED_COUNT, descending=True)).rows == [
        [None, "F", 2, 30],
        ["b", None, 2, 10],
        ["a", None, 1, 0],
        ["a", "F", 1, 10],
    ]
    assert ordered(OrderBy("age_band", descending=True), OrderBy("district", descending=True)).rows == [
        ["a", "F", 1, 10],
        [None, "F", 2, 30],
        ["b", None, 2, 10],
        ["a", None, 1, 0],
    ]


def test_totals_are_over_all_rows() -> None:
    found = ordered(limit=1, totals=True)
    assert (found.rows, found.totals) == ([[None, "F", 2, 30]], [None, None, 6, 50])
    assert ordered().totals is None


def test_columns_have_the_names_that_clients_know() -> None:
    assert [column.name for column in ordered().columns] == [
        "district",
        "ageBand",
        "enrolledCount",
        "timeSpent",
    ]
    assert camel("enrolled_month") == "enrolledMonth"


def test_rows_roll_up_to_fewer_dimensions() -> None:
    """By the second column; of the first count the sum, of the second the latest."""
    rows: list[list[Any]] = [["x", "F", 1, 5], ["y", "F", 2, None], ["x", None, 4, None]]
    counts = {"enrolled": 2, "last_accessed_on": 3}
    assert rolled_up(rows, [1], counts) == {
        ("F",): {"enrolled": 3, "last_accessed_on": 5},
        (None,): {"enrolled": 4, "last_accessed_on": None},
    }
    assert rolled_up(rows, [], counts) == {(): {"enrolled": 7, "last_accessed_on": 5}}
    assert rolled_up([], [], counts) == {(): {"enrolled": 0, "last_accessed_on": None}}
    assert rolled_up([], [1], counts) == {}
