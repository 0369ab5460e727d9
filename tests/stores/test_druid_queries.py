"""What Druid is asked. Which answers follow, tests/stores/test_groups_contract.py sees on the real server."""

import copy
from typing import Any as Json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS, DATA_SOURCES, DataSource
from rules.errors import InvalidInput
from stores.druid_filters import decoded, encoded
from stores.druid_queries import Compiled, compiled
from stores.druid_supervision import compaction_of, differences, druid_name, supervisor_of
from stores.groups import (
    All,
    Any,
    Between,
    Figures,
    Kind,
    Measure,
    Not,
    OneOf,
    Order,
    Query,
    Rows,
    Value,
    Where,
)

COUNT = Measure("n", Kind.COUNT)
COURSE = (("activity_id", ("123456789",)),)
"""Its CRC-32 is CBF43926 (the check value of the standard): modulo 16 it is 6, so its day is the seventh."""
WHOLE = ["2020-01-01T00:00:00Z/2020-01-17T00:00:00Z"]
LAST = {"timeColumn": "version"}


def compile_(query: Query) -> Compiled:
    return compiled(query, druid_name("here", query.source))


def figures(*dimensions: str, where: Where | None = None, **more: Json) -> Figures:
    return Figures(ACTIVITY_STATE, dimensions, (COUNT,), COURSE, where, **more)


def inner(query: Query) -> Json:
    return compile_(query).body["dataSource"]["query"]


def test_rows_without_a_filter_are_one_grouping_by_the_key_of_what_is_asked_for() -> None:
    body = compile_(Rows(ACTIVITY_STATE, ("user_id", "status", "district"), COURSE, limit=7)).body
    assert (body["queryType"], body["dataSource"]) == ("groupBy", "here.activity-state-2")
    assert body["intervals"] == ["2020-01-07T00:00:00Z/2020-01-08T00:00:00Z"]
    assert [dimension["dimension"] for dimension in body["dimensions"]] == list(ACTIVITY_STATE.key)
    assert body["aggregations"] == [
        {"type": "stringLast", "name": "district", "fieldName": "district", "maxStringBytes": 1024, **LAST},
        {"type": "longLast", "name": "status", "fieldName": "status", **LAST},
    ]
    assert body["filter"] == {"type": "in", "dimension": "activity_id", "values": ["123456789"]}
    assert body["limitSpec"]["limit"] == 7
    assert "having" not in body


def test_a_filter_on_latest_values_waits_for_them() -> None:
    where = OneOf("status", (2,))
    on_status = {"type": "in", "dimension": "status", "values": [2]}
    rows = compile_(Rows(ACTIVITY_STATE, ("user_id",), COURSE, where)).body
    assert rows["having"] == {"type": "filter", "filter": on_status}
    assert rows["filter"]["dimension"] == "activity_id"
    assert compile_(figures(where=where)).body["filter"] == on_status
    assert [each["name"] for each in inner(figures(where=where))["aggregations"]] == ["status"]


def test_a_filter_on_the_key_does_not_wait() -> None:
    where = All((OneOf("user_id", ("u",)), OneOf("status", (2,))))
    query = figures(where=where)
    assert compile_(query).body["filter"] == {"type": "in", "dimension": "status", "values": [2]}
    assert [field["dimension"] for field in inner(query)["filter"]["fields"]] == ["activity_id", "user_id"]
    # Either of the two is no filter on the key.
    either = figures(where=Any(where.filters))
    assert compile_(either).body["filter"]["type"] == "or"
    assert inner(either)["filter"]["dimension"] == "activity_id"


def test_figures_group_the_latest_rows() -> None:
    total = Measure("seconds", Kind.SUM, "time_spent", OneOf("active", (1,)))
    latest = Measure("at", Kind.MAX, "last_accessed_on")
    query = Figures(ACTIVITY_STATE, ("status",), (COUNT, total, latest), COURSE)
    body = compile_(query).body
    assert body["dimensions"] == [
        {"type": "default", "dimension": "status", "outputName": "status", "outputType": "LONG"}
    ]
    assert body["aggregations"] == [
        {"type": "count", "name": "n"},
        {
            "type": "filtered",
            "filter": {"type": "in", "dimension": "active", "values": [1]},
            "aggregator": {"type": "longSum", "name": "seconds", "fieldName": "time_spent"},
        },
        {"type": "longMax", "name": "at", "fieldName": "last_accessed_on"},
    ]
    assert [each["name"] for each in inner(query)["aggregations"]] == [
        "active",
        "last_accessed_on",
        "status",
        "time_spent",
    ]
    # Druid would hand on pairs of version and value.
    assert inner(query)["context"] == {"finalize": True}


def test_only_the_days_of_the_activities_are_read_and_of_all_where_none_is_named() -> None:
    # The CRC-32 of "a" is E8B7BE43, modulo 16 it is 3.
    two = (("activity_id", ("123456789", "a", "123456789")),)
    days = ["2020-01-04T00:00:00Z/2020-01-05T00:00:00Z", "2020-01-07T00:00:00Z/2020-01-08T00:00:00Z"]
    query = Figures(ACTIVITY_STATE, (), (COUNT,), two)
    assert inner(query)["intervals"] == days
    # The outer level would answer once for each interval.
    assert compile_(query).body["intervals"] == WHOLE
    for keys in ((), (("user_id", ("u",)),), (("activity_id", ()),)):
        assert inner(Figures(ACTIVITY_STATE, (), (COUNT,), keys))["intervals"] == WHOLE


@pytest.mark.parametrize(
    ("where", "filter_"),
    [
        (OneOf("status", (None, 1)), {"type": "in", "dimension": "status", "values": [None, 1]}),
        (
            OneOf("district", (None, "", "N")),
            {"type": "in", "dimension": "district", "values": ["\0", "\0=", "N"]},
        ),
        (OneOf("status", ()), {"type": "false"}),
        (Any(()), {"type": "false"}),
        (
            Between("status", 1, 2, below=True),
            {
                "type": "bound",
                "dimension": "status",
                "ordering": "numeric",
                "lower": "1",
                "lowerStrict": False,
                "upper": "2",
                "upperStrict": True,
            },
        ),
        (
            Between("time_spent", least=1.5),
            {
                "type": "range",
                "column": "time_spent",
                "matchValueType": "DOUBLE",
                "lower": 1.5,
                "lowerOpen": False,
            },
        ),
        # Nothing is stored as a text here, which must not be found.
        (
            Between("district", most="N"),
            {
                "type": "range",
                "column": "district",
                "matchValueType": "STRING",
                "lower": "\0",
                "lowerOpen": True,
                "upper": "N",
                "upperOpen": False,
            },
        ),
        (Between("status"), {"type": "not", "field": {"type": "null", "column": "status"}}),
        # NOT alone would leave out the rows of which Druid can't tell.
        (
            Not(OneOf("status", (1,))),
            {
                "type": "not",
                "field": {"type": "istrue", "field": {"type": "in", "dimension": "status", "values": [1]}},
            },
        ),
    ],
)
def test_filters(where: Where, filter_: Json) -> None:
    assert compile_(figures(where=Any((where, OneOf("active", (1,)))))).body["filter"]["fields"][0] == filter_


def test_months_are_computed_from_the_latest_moment() -> None:
    query = figures("enrolled_month", where=OneOf("enrolled_month", ("2026-03",)))
    assert [each["name"] for each in inner(query)["aggregations"]] == ["enrolled_on"]
    assert inner(query)["postAggregations"] == [
        {
            "type": "expression",
            "name": "enrolled_month",
            "expression": "timestamp_format(\"enrolled_on\", 'yyyy-MM', 'UTC')",
        }
    ]
    assert compile_(query).body["filter"]["values"] == ["2026-03"]


def test_periods_are_computed_by_the_clocks_of_the_zone() -> None:
    """Kolkata's have been 5 1/2 hours (19,800 s) ahead since before 1970. So have a day's name and a week's in UTC after
    so much was added."""
    query = figures("last_accessed_day", "enrolled_week", "completed_quarter", zone="Asia/Kolkata")
    expressions = {each["name"]: each["expression"] for each in inner(query)["postAggregations"]}
    assert expressions == {
        "completed_quarter": "concat(timestamp_format((\"completed_on\" + 19800000), 'yyyy', 'UTC'), '-Q', "
        "timestamp_extract((\"completed_on\" + 19800000), 'QUARTER', 'UTC'))",
        "enrolled_week": "timestamp_format((\"enrolled_on\" + 19800000), 'xxxx-\\'W\\'ww', 'UTC')",
        "last_accessed_day": "timestamp_format((\"last_accessed_on\" + 19800000), 'yyyy-MM-dd', 'UTC')",
    }


def test_druid_orders_numbers() -> None:
    order = (Order("n", descending=True), Order("status"))
    assert compile_(figures("status", order=order, limit=3)).body["limitSpec"] == {
        "type": "default",
        "limit": 3,
        "columns": [
            {"dimension": "n", "direction": "descending", "dimensionOrder": "numeric"},
            {"dimension": "status", "direction": "ascending", "dimensionOrder": "numeric"},
        ],
    }


def test_texts_are_ordered_here_since_druid_goes_by_utf_16() -> None:
    query = figures("user_id", order=(Order("n", descending=True), Order("user_id")), limit=4)
    ready = compile_(query)
    assert "limitSpec" not in ready.body
    found: list[list[Value]] = [["\U0001f600", 2], ["\uffee", 2], ["b", 1], ["a", 1], [None, 2]]
    assert ready.rows(found) == [[None, 2], ["\uffee", 2], ["\U0001f600", 2], ["a", 1]]


def test_rows_come_back_in_the_columns_asked_for_with_texts_decoded() -> None:
    ready = compile_(Rows(ACTIVITY_STATE, ("completed_month", "district", "status", "user_id")))
    # The key, then the aggregations by name, then what is computed of them.
    assert ready.rows(
        [["Course", "123456789", "123456789", "cb:1", "u", 1_767_225_600_000, "\0", 2, "2026-01"]]
    ) == [["2026-01", None, 2, "u"]]


def test_a_measure_may_be_named_like_a_text() -> None:
    ready = compile_(Figures(ACTIVITY_STATE, ("district",), (Measure("state", Kind.COUNT),)))
    assert ready.rows([["\0=", 3]]) == [["", 3]]


def test_without_dimensions_there_is_always_one_row() -> None:
    measures = (COUNT, Measure("sum", Kind.SUM, "time_spent"), Measure("max", Kind.MAX, "time_spent"))
    assert compile_(Figures(ACTIVITY_STATE, (), measures)).rows([]) == [[0, None, None]]
    assert compile_(Figures(ACTIVITY_STATE, ("status",), measures)).rows([]) == []


@given(st.none() | st.text())
def test_every_text_comes_back_from_its_encoding(text: str | None) -> None:
    assert decoded(encoded(text)) == text
    # Druid keeps no empty text.
    assert encoded(text) != ""


@given(st.none() | st.text(), st.none() | st.text())
def test_the_encoding_keeps_the_order_with_nothing_before_every_text(
    one: str | None, other: str | None
) -> None:
    def rank(text: str | None) -> tuple[bool, str]:
        return text is not None, text or ""

    assert (encoded(one) < encoded(other)) == (rank(one) < rank(other))


@pytest.mark.parametrize("source", DATA_SOURCES, ids=lambda source: source.name)
def test_the_supervisor_encodes_every_text_that_follows_the_version(source: DataSource) -> None:
    transforms = source.supervisor["spec"]["dataSchema"].get("transformSpec", {"transforms": []})[
        "transforms"
    ]
    assert {each["name"] for each in transforms} == {
        n for n, type_ in source.latest.items() if type_ == "string"
    }
    for each in transforms:
        column = f'"{each["name"]}"'
        assert each["expression"] == (
            f"case_searched(isnull({column}), '\\u0000', "
            f"{column} < '\\u0001', concat('\\u0000=', {column}), {column})"
        )


@pytest.mark.parametrize("source", DATA_SOURCES, ids=lambda source: source.name)
def test_compaction_rolls_up_as_the_supervisor_does(source: DataSource) -> None:
    schema = source.supervisor["spec"]["dataSchema"]
    for part in ("dimensionsSpec", "metricsSpec", "granularitySpec"):
        assert source.compaction[part] == schema[part]
    assert source.compaction["taskContext"] == source.supervisor["context"] == {"useConcurrentLocks": True}
    assert source.compaction["skipOffsetFromLatest"] == "PT0S"


def test_an_instance_has_data_sources_and_topics_of_its_own() -> None:
    spec = supervisor_of(ACTIVITY_TOTALS, "here", {"bootstrap.servers": "k:9092"})["spec"]
    assert spec["dataSchema"]["dataSource"] == "here.activity-totals-2"
    assert spec["ioConfig"]["topic"] == "here.activity-totals-2"
    assert spec["ioConfig"]["consumerProperties"]["bootstrap.servers"] == "k:9092"
    assert compaction_of(ACTIVITY_TOTALS, "here")["dataSource"] == "here.activity-totals-2"
    assert ACTIVITY_TOTALS.supervisor["spec"]["dataSchema"]["dataSource"] == "activity-totals-2"


def test_only_what_we_say_is_compared_with_what_druid_says() -> None:
    ours = supervisor_of(ACTIVITY_STATE, "here", {"bootstrap.servers": "k:9092"})
    theirs = copy.deepcopy(ours) | {"suspended": False}
    theirs["spec"]["ioConfig"] |= {"taskDuration": "PT3600S", "period": "PT30S"}
    theirs["spec"]["dataSchema"]["granularitySpec"]["queryGranularity"] = {"type": "none"}
    theirs["spec"]["dataSchema"]["metricsSpec"][1]["maxStringBytes"] = 1024
    assert differences(ours, theirs) == []

    del theirs["spec"]["dataSchema"]["metricsSpec"][-1]
    theirs["spec"]["ioConfig"]["taskDuration"] = "PT30M"
    del theirs["spec"]["tuningConfig"]["maxRowsInMemory"]
    assert differences(ours, theirs) == [
        "spec.dataSchema.metricsSpec differs",
        "spec.ioConfig.taskDuration differs",
        "spec.tuningConfig.maxRowsInMemory is not there",
    ]
    assert differences(ours, None) == ["all of it is not there"]


@pytest.mark.parametrize(
    "query",
    [
        Rows(ACTIVITY_STATE, ("version",)),
        figures(where=Not(OneOf("nobody", ("x",)))),
        Figures(ACTIVITY_STATE, ("value",), (COUNT,)),
    ],
)
def test_a_column_that_does_not_exist_is_refused(query: Query) -> None:
    with pytest.raises(InvalidInput, match="no column"):
        compile_(query)


def test_values_are_data() -> None:
    value: Value = '"}, {"type": "true'
    assert compile_(figures(where=OneOf("district", (value,)))).body["filter"]["values"] == [value]
