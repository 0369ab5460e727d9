"""The rows of periods in which nothing happened."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.metric_gaps import MOST_FILLED, filled
from rules.metric_queries import Key, MetricQuery, metric_query
from rules.metrics import Counts, Metric

ONE: Counts = {"enrolled": 1}


def query(*dimensions: str, filter: Any = None, zone: str | None = None) -> MetricQuery:  # noqa: A002
    return metric_query(
        metrics=[Metric.ENROLLED_COUNT],
        dimensions=dimensions,
        filter=filter,
        zone=zone,
        fill_gaps=True,
    )


def keys(asked: MetricQuery, *there: Key) -> list[Key]:
    """Those with an enrolment come back as they were, the others with nothing."""
    groups = dict.fromkeys(there, ONE)
    found = filled(asked, groups)
    assert {key: counts for key, counts in found.items() if counts} == groups
    return sorted(found, key=str)


def enrolled(**bounds: str) -> dict[str, Any]:
    return {"moment": {"moment": "enrolled_on", "range": bounds}}


def test_every_week_between_the_first_and_the_last_has_a_row() -> None:
    """2026 has 53 weeks."""
    weeks = keys(query("enrolled_week"), ("2026-W51",), ("2027-W02",))
    assert weeks == [("2026-W51",), ("2026-W52",), ("2026-W53",), ("2027-W01",), ("2027-W02",)]


def test_each_combination_of_the_other_values_has_every_month() -> None:
    """Not those that nobody has: no man in Pune. Who never completed stays a row by themselves."""
    asked = query("gender", "completed_month", "district")
    there: list[Key] = [("F", "2026-01", "Pune"), ("M", "2026-03", None), ("F", None, "Pune")]
    assert keys(asked, *there) == sorted(
        [
            *(
                (gender, month, district)
                for gender, district in (("F", "Pune"), ("M", None))
                for month in ("2026-01", "2026-02", "2026-03")
            ),
            ("F", None, "Pune"),
        ],
        key=str,
    )


def test_without_any_moment_there_is_nothing_to_fill() -> None:
    assert keys(query("enrolled_day")) == []
    assert keys(query("enrolled_day"), (None,)) == [(None,)]
    assert keys(query("enrolled_day", "gender"), (None, "F")) == [(None, "F")]


def test_a_filter_by_the_moment_says_the_first_and_the_last() -> None:
    """In UTC until the last moment of 3 March; by the clocks of Kolkata that is 4 March, 05:29."""
    asked = enrolled(gte="2026-03-01T00:00:00Z", lt="2026-03-04T00:00:00Z")
    assert keys(query("enrolled_day", filter=asked)) == [("2026-03-01",), ("2026-03-02",), ("2026-03-03",)]
    there = keys(query("enrolled_day", filter=asked, zone="Asia/Kolkata"), ("2026-03-02",))
    assert there == [("2026-03-01",), ("2026-03-02",), ("2026-03-03",), ("2026-03-04",)]
    # Of two the narrower counts, without its ends where they are not meant. What is filtered otherwise is no end.
    narrower = [
        asked,
        enrolled(gt="2026-03-01T23:59:59.999Z"),
        {"not": enrolled(gt="2026-03-02T00:00:00Z")},
        {"moment": {"moment": "completed_on", "range": {"lte": "2020-01-01T00:00:00Z"}}},
    ]
    assert keys(query("enrolled_day", filter={"and": narrower})) == [("2026-03-02",), ("2026-03-03",)]


def test_an_open_end_is_the_first_or_the_last_that_there_is() -> None:
    asked = query("enrolled_year", filter=enrolled(gte="2023-06-01T00:00:00Z"))
    assert keys(asked, ("2025",)) == [("2023",), ("2024",), ("2025",)]
    assert keys(asked) == []


def test_only_periods_that_the_filter_names_have_rows() -> None:
    asked = {"dimension": {"dimension": "enrolled_month", "in": ["2026-01", "2026-03", "2026-04"]}}
    found = keys(query("enrolled_month", filter=asked), ("2026-01",), ("2026-04",))
    assert found == [("2026-01",), ("2026-03",), ("2026-04",)]


def test_a_table_without_gaps_is_bounded() -> None:
    """From 1 January 1970 to 18 May 1997 are 10,000 days."""
    assert MOST_FILLED == 10_000
    with pytest.raises(InvalidInput, match="more than 10,000 groups") as refused:
        filled(query("enrolled_day"), dict.fromkeys([("1970-01-01",), ("1997-05-19",)], ONE))
    assert refused.value.field == "fillGaps"
    assert (
        len(filled(query("enrolled_day"), dict.fromkeys([("1970-01-01",), ("1997-05-18",)], ONE)))
        == MOST_FILLED
    )
    many: dict[Key, Counts] = {(f"{1000 + n}", f"d{n}"): ONE for n in range(300)}
    with pytest.raises(InvalidInput):
        filled(query("enrolled_year", "district"), many)


@given(
    st.dictionaries(
        st.tuples(st.none() | st.integers(1999, 2009).map(str), st.sampled_from("ab")), st.just(ONE)
    )
)
def test_what_is_there_stays_and_years_have_no_gap(groups: Any) -> None:
    found = filled(query("enrolled_year", "gender"), groups)
    assert groups.items() <= found.items()
    known = [int(year) for year, _ in groups if year is not None]
    years = {str(year) for year in range(min(known), max(known) + 1)} if known else set()
    for gender in {gender for _, gender in groups}:
        assert {year for year, of in found if of == gender} - {None} == years
