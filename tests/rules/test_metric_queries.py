"""What a table may be asked, where it is answered from, and how its rows are put in order."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.metric_columns import ColumnKind, camel
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
from rules.metric_queries import MOST_NAMED, Key, MetricQuery, OrderBy, metric_query
from rules.metric_tables import Groups, Table, first_groups, over_all, rolled_up, table_of
from rules.metrics import Counts, Metric
from rules.plans import AggregationMode, QueryPlan, Source

ENROLLED = (Metric.ENROLLED_COUNT,)
F = {"dimension": {"dimension": "gender", "in": ["F"]}}
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
    assert checked_filter({"dimension": {"dimension": "gender", "in": ["M", "F", "M"]}}) == Among(
        "gender", ("F", "M")
    )
    assert checked_filter({"dimension": {"dimension": "gender", "isNull": True}}) == Among("gender", (None,))
    assert checked_filter({"dimension": {"dimension": "gender", "isNull": False}}) == Opposite(
        Among("gender", (None,))
    )
    assert checked_filter({"moment": {"moment": "completed_on", "isNull": True}}) == Unknown("completed_on")
    assert checked_filter({"measure": {"measure": "time_spent", "range": {"gte": 1}}}) == Within(
        "time_spent", 1
    )
    assert checked_filter({"measure": {"measure": "time_spent", "range": {"gt": 0, "lt": 2.5}}}) == Within(
        "time_spent", 0, 2.5, above=True, below=True
    )
    assert checked_filter({"not": {"not": F}}) == Among("gender", ("F",))
    done = Among("status", (0, 2))
    assert checked_filter({"status": ["COMPLETED", "NOT_STARTED", "COMPLETED"]}) == done
    by_name = {"dimension": "status", "in": ["NOT_STARTED", "COMPLETED"]}
    assert checked_filter({"dimension": by_name}) == done
    weeks = {"dimension": "enrolled_week", "in": ["2026-W53"]}
    assert checked_filter({"dimension": weeks}) == Among("enrolled_week", ("2026-W53",))


def test_a_whole_number_is_the_same_however_it_is_written() -> None:
    """GraphQL's floats have 1 as 1.0. The text of a filter is a part of the key that its answer is kept under."""
    one = checked_filter({"measure": {"measure": "time_spent", "range": {"gte": 1.0}}})
    assert repr(one) == repr(Within("time_spent", 1))


def test_a_moment_may_have_any_offset() -> None:
    """2026-02-03T04:05:06.789Z in ms: 20487 days of 86,400 s, 4 h 5 min 6 s, 789 ms."""
    milliseconds = (20487 * 86400 + 4 * 3600 + 5 * 60 + 6) * 1000 + 789
    for text in ("2026-02-03T04:05:06.789Z", "2026-02-03T09:35:06.789+05:30"):
        found = checked_filter({"moment": {"moment": "enrolled_on", "range": {"lte": text}}})
        assert found == Within("enrolled_on", None, milliseconds)


leaves = st.sampled_from(
    [
        F,
        {"dimension": {"dimension": "district", "isNull": True}},
        {"measure": {"measure": "time_spent", "range": {"gte": 1}}},
    ]
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
        ("filter", {**F, "measure": {"measure": "time_spent", "isNull": True}}),
        ("filter.dimension", {"dimension": "gender"}),
        ("filter.dimension", {"dimension": {"in": ["F"]}}),
        ("filter.dimension", {"dimension": {"dimension": "gender"}}),
        ("filter.dimension", {"dimension": {"dimension": "gender", "in": ["F"], "isNull": True}}),
        ("filter.dimension.range", {"dimension": {"dimension": "gender", "range": {"gt": 1}}}),
        ("filter.measure.in", {"measure": {"measure": "time_spent", "in": ["1"]}}),
        ("filter.status", {"status": []}),
        ("filter.status", {"status": ["DONE"]}),
        ("filter.dimension.in", {"dimension": {"dimension": "status", "in": ["2"]}}),
        ("filter.dimension.in", {"dimension": {"dimension": "enrolled_week", "in": ["2026-03"]}}),
        (
            "filter.and[0].dimension.in",
            {"and": [{"dimension": {"dimension": "completed_month", "in": ["2026-3"]}}]},
        ),
        ("filter.dimension.in", {"dimension": {"dimension": "gender", "in": []}}),
        ("filter.dimension.in", {"dimension": {"dimension": "gender", "in": ["x" * 257]}}),
        (
            "filter.dimension.in",
            {"dimension": {"dimension": "gender", "in": [str(n) for n in range(MOST_VALUES + 1)]}},
        ),
        ("filter.and", {"and": []}),
        ("filter.isNull", {"not": F, "isNull": True}),
        ("filter.and[1].not.or[0]", {"and": [F, {"not": {"or": [{}]}}]}),
        ("filter.measure.range", {"measure": {"measure": "time_spent", "range": {}}}),
        ("filter.measure.range", {"measure": {"measure": "time_spent", "range": {"gt": 1, "gte": 1}}}),
        ("filter.measure.range.lt", {"measure": {"measure": "time_spent", "range": {"gt": 1, "lt": "2"}}}),
        ("filter.measure.range.lt", {"measure": {"measure": "time_spent", "range": {"lt": True}}}),
        ("filter.measure.range.lt", {"measure": {"measure": "time_spent", "range": {"lt": 10**30}}}),
        ("filter.measure.range.lt", {"measure": {"measure": "time_spent", "range": {"lt": float("nan")}}}),
        ("filter.moment.range.gte", {"moment": {"moment": "enrolled_on", "range": {"gte": 5}}}),
        (
            "filter.moment.range.gte",
            {"moment": {"moment": "enrolled_on", "range": {"gte": "2026-02-03T04:05:06"}}},
        ),
        ("filter.moment.range.gte", {"moment": {"moment": "enrolled_on", "range": {"gte": "yesterday"}}}),
    ],
)
def test_a_filter_that_can_never_be_right_names_its_place(field: str, filter_: Any) -> None:
    assert refused(field, filter_)


def test_a_filter_says_what_is_needed() -> None:
    assert refused("filter", {}) == (
        "exactly one of and, or, not, dimension, measure, moment, status is needed here"
    )
    assert refused(
        "filter.dimension.in", {"dimension": {"dimension": "enrolled_week", "in": ["2026-03"]}}
    ) == ("'2026-03' is no week, such as 2026-W09")
    assert refused("filter.status", {"status": ["DONE"]}) == (
        "'DONE' is no status: NOT_STARTED, IN_PROGRESS, COMPLETED"
    )


def test_a_monster_is_refused() -> None:
    deep: dict[str, Any] = F
    for _ in range(DEEPEST_FILTER - 1):
        deep = {"and": [deep]}
    assert checked_filter(deep) == Among("gender", ("F",))
    assert refused("filter" + ".and[0]" * DEEPEST_FILTER, {"and": [deep]})
    wide = [
        {"dimension": {"dimension": "district", "in": [str(number)]}} for number in range(LARGEST_FILTER + 1)
    ]
    assert isinstance(checked_filter({"and": wide[1:]}), Every)
    assert refused("filter", {"and": wide})


def test_the_values_of_a_filter_are_bounded_over_all_its_conditions() -> None:
    """Two conditions may have 500 each, which makes 1,000; one value more is too much, wherever it is."""
    full = [
        {"dimension": {"dimension": name, "in": [f"{name} {number}" for number in range(500)]}}
        for name in ("district", "block")
    ]
    assert isinstance(checked_filter({"and": full}), Every)
    for more in (F, {"not": F}, {"or": [F, {"dimension": {"dimension": "age_band", "isNull": True}}]}):
        why = refused("filter", {"and": [*full, more]})
        assert why == "filter may compare with at most 1,000 values, over all its conditions"


# --- queries


def test_a_query_is_in_one_form() -> None:
    found = metric_query(
        metrics=[Metric.TIME_SPENT, Metric.TIME_SPENT],
        dimensions=["gender", "gender"],
        activity_ids=["b", " a", "b"],
        order=[OrderBy("gender", descending=True), OrderBy("timeSpent"), OrderBy("gender")],
    )
    assert found == MetricQuery(
        (Metric.TIME_SPENT,),
        ("gender",),
        ("a", "b"),
        order=(OrderBy("gender", descending=True), OrderBy("timeSpent")),
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
        ("orderBy[0]", {"dimensions": ["age_band"], "order": [OrderBy("age_band")]}),
        ("orderBy[0]", {"dimensions": ["unit"], "order": [OrderBy("unitName")]}),
        ("orderBy[1]", {"order": [OrderBy("enrolledCount"), OrderBy("averageProgress")]}),
        (
            "orderBy[0]",
            {"metrics": [Metric.PROGRESS_DISTRIBUTION], "order": [OrderBy("progressDistribution")]},
        ),
        ("zone", {"zone": "Europe/Berln", "dimensions": ["enrolled_day"]}),
        ("zone", {"zone": "Europe/Berln"}),
        ("fillGaps", {"fill_gaps": True, "dimensions": ["gender"]}),
        ("fillGaps", {"fill_gaps": True, "dimensions": ["enrolled_day", "completed_day"]}),
    ],
)
def test_a_query_that_can_never_be_right_names_the_field(field: str, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as error:
        metric_query(**({"metrics": ENROLLED} | asked))
    assert error.value.field == field


def test_a_zone_is_nothing_to_a_query_without_time() -> None:
    """Tables that ask the same are answered by one query."""
    plain = metric_query(metrics=ENROLLED, dimensions=["gender"])
    assert metric_query(metrics=ENROLLED, dimensions=["gender"], zone="Asia/Kolkata") == plain
    for timed in (
        {"dimensions": ["enrolled_day"]},
        {"filter": {"dimension": {"dimension": "enrolled_day", "in": ["2026-03-01"]}}},
    ):
        assert metric_query(metrics=ENROLLED, zone="Asia/Kolkata", **timed).zone == "Asia/Kolkata"


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
        ({"dimensions": ["enrolled_week"]}, "names enrolled_week, which there are no sums by"),
        ({"dimensions": ["status"]}, "names status, which there are no sums by"),
        ({"filter": {"status": ["COMPLETED"]}}, "names status, which there are no sums by"),
        (
            {"dimensions": ["enrolled_month"], "zone": "Asia/Kolkata"},
            "names months in Asia/Kolkata, and there are sums by months in UTC",
        ),
        ({"filter": {"measure": {"measure": "time_spent", "range": {"gt": 5}}}}, "filters by time_spent"),
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
    month = metric_query(metrics=ENROLLED, dimensions=["enrolled_month"], zone="UTC", fill_gaps=True)
    assert table_plan(month, AggregationMode.BATCH, SMALL).source is Source.TOTALS


# --- tables

GROUPS: dict[Key, Counts] = {
    ("b", None): {"enrolled": 2, "time_spent": 10},
    ("a", "F"): {"enrolled": 1, "time_spent": 10},
    (None, "F"): {"enrolled": 2, "time_spent": 30},
    ("a", None): {"enrolled": 1, "time_spent": 0},
}


def ordered(*order: OrderBy, limit: int = 100, totals: bool = False) -> Any:
    return tabulated(
        MetricQuery(
            (Metric.ENROLLED_COUNT, Metric.TIME_SPENT),
            ("district", "age_band"),
            order=order,
            limit=limit,
            totals=totals,
        ),
        GROUPS,
    )


def tabulated(query: MetricQuery, by_key: Mapping[Key, Counts], names: Any = None) -> Table:
    groups = Groups(by_key, over_all(query, by_key))
    return table_of(query, first_groups(query, groups, names), groups, names)


def test_rows_are_ordered_by_what_is_asked_then_by_the_dimensions() -> None:
    everything = [[None, "F", 2, 30], ["a", None, 1, 0], ["a", "F", 1, 10], ["b", None, 2, 10]]
    assert ordered().rows == everything
    assert ordered(OrderBy("enrolledCount", descending=True)).rows == [
        [None, "F", 2, 30],
        ["b", None, 2, 10],
        ["a", None, 1, 0],
        ["a", "F", 1, 10],
    ]
    assert ordered(OrderBy("ageBand", descending=True), OrderBy("district", descending=True)).rows == [
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


def test_ids_have_their_names_after_the_dimensions_and_rows_go_by_them() -> None:
    """Nothing has no name, and neither has what is gone; both are the smallest."""
    query = MetricQuery(
        ENROLLED, ("unit", "gender", "context"), order=(OrderBy("unitName", descending=True),), labels=True
    )
    groups: dict[Key, Counts] = {
        ("u1", "F", "c1"): {"enrolled": 1},
        ("u2", "F", None): {"enrolled": 2},
        ("gone", "F", "c1"): {"enrolled": 3},
    }
    found = tabulated(query, groups, {"u1": "Angles", "u2": "Lines", "c1": "Spring", "None": "wrong"})
    assert [(column.name, column.kind) for column in found.columns] == [
        ("unit", ColumnKind.DIMENSION),
        ("gender", ColumnKind.DIMENSION),
        ("context", ColumnKind.DIMENSION),
        ("unitName", ColumnKind.LABEL),
        ("contextName", ColumnKind.LABEL),
        ("enrolledCount", ColumnKind.NUMBER),
    ]
    assert found.rows == [
        ["u2", "F", None, "Lines", None, 2],
        ["u1", "F", "c1", "Angles", "Spring", 1],
        ["gone", "F", "c1", None, "Spring", 3],
    ]


def test_a_status_goes_by_its_name_in_the_order_of_learning() -> None:
    query = MetricQuery(ENROLLED, ("status",), totals=True)
    groups: dict[Key, Counts] = {(2,): {"enrolled": 5}, (0,): {"enrolled": 1}, (1,): {"enrolled": 3}}
    found = tabulated(query, groups)
    assert found.rows == [["NOT_STARTED", 1], ["IN_PROGRESS", 3], ["COMPLETED", 5]]
    assert found.totals == [None, 9]


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
