"""What both engines of the rows port promise (stores/rows.py)."""

import asyncio
import secrets
import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.errors import CohortError, DeadlineExceeded, InvalidInput, StoreUnavailable
from rules.moments import milliseconds
from stores.cassandra_address import Address
from stores.cassandra_schema import Replication
from stores.cassandra_session import CassandraSession, Routed
from stores.columns import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DOUBLE,
    INT,
    TEXT,
    TIMESTAMP,
    Column,
    Element,
    ListOf,
    Map,
    Milliseconds,
    NarrowColumn,
    SetOf,
    Table,
    Udt,
    static,
)
from stores.deadline import deadline
from stores.keys import beyond, ring, share
from stores.rows import MOST_CHANGES, Applied, Change, Condition, Equal, Exists, In, Put, Row, Rows, Write
from stores.rows_cassandra import CassandraRows
from stores.rows_sqlite import SqliteRows
from tests.conftest import examples
from tests.stores.conftest import CASSANDRA, Open, open_rows

QUESTION = Udt("question", {"id": TEXT, "score": DOUBLE, "asked_on": TIMESTAMP, "marks": Map(TEXT, INT)})

THINGS = Table(
    "things",
    comment="every column type; it's a toy",
    partition={"owner": TEXT, "kind": INT},
    clustering={"name": TEXT, "at": TIMESTAMP},
    columns={
        "changed_at": static(BIGINT),
        "labels": static(SetOf(TEXT)),
        "text": TEXT,
        "int": INT,
        "bigint": BIGINT,
        "double": DOUBLE,
        "boolean": BOOLEAN,
        "timestamp": TIMESTAMP,
        "blob": BLOB,
        "frozen_map": Map(TEXT, TIMESTAMP),
        "numbers": Map(INT, DOUBLE),
        "frozen_set": SetOf(TEXT),
        "questions": ListOf(QUESTION),
        "certificates": ListOf(Map(TEXT, TEXT)),
        "open_map": Map(TEXT, INT, frozen=False),
        "open_set": SetOf(TIMESTAMP, frozen=False),
    },
)
WIDE = Table("wide", partition={"id": TEXT}, clustering={"a": TEXT, "b": INT, "c": INT}, columns={"v": INT})
PLAIN = Table("plain", partition={"kind": TEXT, "id": INT}, columns={"v": INT, "w": TEXT})
TOYS = (THINGS, WIDE, PLAIN)

AT = datetime(2026, 3, 1, 12, 30, 0, 123_000, tzinfo=UTC)
LARGE = 1_790_000_000_000 << 20
"""A write time as the workers have them: milliseconds << 20."""

per_example = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
on_cassandra = pytest.mark.parametrize(
    "engine", [pytest.param("cassandra", marks=pytest.mark.stack)], indirect=True
)


@pytest.fixture
async def rows(rows: Rows) -> Rows:
    await rows.init(TOYS)
    return rows


@pytest.fixture
def me() -> str:
    """A partition of the test's own."""
    return secrets.token_hex(8)


def thing(me: str, **values: Any) -> dict[str, Any]:
    return {"owner": me, "kind": 1, "name": "n", "at": AT, **values}


async def patiently(rows: Rows, me: str, text: str) -> Applied:
    """As a caller does: where the store did not answer in time, the same call again."""
    while True:
        try:
            return await rows.insert_if_absent(THINGS, thing(me, text=text))
        except StoreUnavailable:
            await asyncio.sleep(0.05)


# --- values

texts = st.text(max_size=20)
ints = st.integers(-(2**31), 2**31 - 1)
bigints = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
questions = st.fixed_dictionaries(
    {
        "id": st.none() | texts,
        "score": st.none() | doubles,
        "asked_on": st.none() | moments,
        "marks": st.none() | st.dictionaries(texts, ints, max_size=3),
    }
)
values = st.fixed_dictionaries(
    {
        name: st.none() | strategy
        for name, strategy in {
            "changed_at": bigints,
            "labels": st.frozensets(texts, max_size=3),
            "text": texts,
            "int": ints,
            "bigint": bigints,
            "double": doubles,
            "boolean": st.booleans(),
            "timestamp": moments,
            "blob": st.binary(max_size=20),
            "frozen_map": st.dictionaries(texts, moments, max_size=3),
            "numbers": st.dictionaries(ints, doubles, max_size=3),
            "frozen_set": st.frozensets(texts, max_size=3),
            "questions": st.lists(questions, max_size=3),
            "certificates": st.lists(st.dictionaries(texts, texts, max_size=3), max_size=3),
            "open_map": st.dictionaries(texts, ints, min_size=1, max_size=3),
            "open_set": st.frozensets(moments, min_size=1, max_size=3),
        }.items()
    }
)


@per_example
@given(row=values, name=texts, kind=ints, at=moments)
async def test_a_value_of_every_type_comes_back_as_it_was_written(
    rows: Rows, row: Row, name: str, kind: int, at: datetime
) -> None:
    key = (secrets.token_hex(8), kind, name, at)
    await rows.write(Write(THINGS, key, row))
    whole = {**dict(zip(THINGS.key, key, strict=True)), **row}
    assert await rows.get(THINGS, key) == whole
    assert await rows.partition(THINGS, key[:2]) == [whole]
    assert await rows.partitions(THINGS, [key[:2]]) == {key[:2]: [whole]}
    assert await rows.insert_if_absent(THINGS, whole) == Applied(False, whole)


async def test_a_row_has_every_column_asked_for_in_that_order(rows: Rows, me: str) -> None:
    await rows.write(Write(THINGS, (me, 1, "n", AT), {"int": 3}))
    row = await rows.get(THINGS, (me, 1, "n", AT), ["text", "int", "owner", "changed_at"])
    assert list((row or {}).items()) == [("text", None), ("int", 3), ("owner", me), ("changed_at", None)]
    assert await rows.get(THINGS, (me, 1, "other", AT)) is None


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("int", 2**31),
        ("int", True),
        ("int", "3"),
        ("bigint", 2**63),
        ("bigint", 1.0),
        ("text", b"x"),
        ("text", "\ud800"),
        ("double", "1"),
        ("double", float("nan")),
        ("double", 10**400),
        ("boolean", 1),
        ("timestamp", datetime(2026, 1, 1)),  # noqa: DTZ001
        ("timestamp", 5),
        ("timestamp", datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))),
        ("blob", "x"),
        ("frozen_map", {"a": 1}),
        ("frozen_map", [("a", AT)]),
        ("frozen_set", ["a"]),
        ("frozen_set", {None}),
        ("questions", [{"title": "?"}]),
        ("questions", [{"score": "high"}]),
        ("questions", {"id": "1"}),
        ("frozen_map", Put({"a": AT})),
        ("unknown", 1),
        ("name", "of the key"),
    ],
)
async def test_a_value_of_the_wrong_type_names_its_column(
    rows: Rows, me: str, column: str, wrong: object
) -> None:
    key = (me, 1, "n", AT)
    with pytest.raises(InvalidInput) as write:
        await rows.write(Write(THINGS, key, {"int": 1}), Write(THINGS, key, {column: wrong}))
    with pytest.raises(InvalidInput) as update:
        await rows.update_if(THINGS, key, {column: wrong}, [Exists()])
    assert write.value.field == update.value.field == column
    assert await rows.get(THINGS, key) is None


async def test_a_wrong_key_names_its_column(rows: Rows, me: str) -> None:
    calls = {
        "at": rows.get(THINGS, (me, 1, "n", None)),
        "kind": rows.partitions(THINGS, [(me, "1")]),
        "name": rows.insert_if_absent(THINGS, {"owner": me, "kind": 1, "at": AT}),
        "id": rows.partition(WIDE, ("",)),
        "a": rows.partition(WIDE, (me,), prefix=("x" * 70_000,)),
        "things": rows.get(THINGS, (me,)),
        "w2": rows.get_many(PLAIN, [(me, 1)], ["w2"]),
    }
    for field, call in calls.items():
        with pytest.raises(InvalidInput) as error:
            await call
        assert error.value.field == field


async def test_times_are_whole_milliseconds_in_utc(rows: Rows, me: str) -> None:
    east = (AT + timedelta(microseconds=999)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    await rows.write(Write(THINGS, (me, 1, "n", east), {"timestamp": east}))
    row = await rows.get(THINGS, (me, 1, "n", AT), ["timestamp", "at"])
    assert row == {"timestamp": AT, "at": AT}
    assert row["timestamp"].tzinfo is UTC


async def test_empty_collections_that_are_not_frozen_are_none_and_frozen_ones_are_empty(
    rows: Rows, me: str
) -> None:
    empty: Row = {
        "open_map": {},
        "open_set": frozenset(),
        "frozen_map": {},
        "frozen_set": frozenset(),
        "questions": [],
    }
    await rows.write(Write(THINGS, (me, 1, "n", AT), empty))
    assert await rows.get(THINGS, (me, 1, "n", AT), [*empty]) == {**empty, "open_map": None, "open_set": None}


# --- unconditional writes


async def test_an_insert_of_nothing_leaves_a_row_and_an_update_of_nothing_none(rows: Rows, me: str) -> None:
    await rows.write(
        Write(WIDE, (me, "inserted", 0, 0), {}),
        Write(WIDE, (me, "inserted", 0, 1), {"v": None}),
        Write(WIDE, (me, "updated", 0, 0), {"v": None}, insert=False),
        Write(WIDE, (me, "updated", 0, 1), {}, insert=False),
    )
    assert await rows.partition(WIDE, (me,), columns=["a", "c"]) == [
        {"a": "inserted", "c": 0},
        {"a": "inserted", "c": 1},
    ]


async def test_an_updated_row_is_gone_with_its_last_value_and_an_inserted_one_stays(
    rows: Rows, me: str
) -> None:
    for insert in (True, False):
        key = (me, str(insert), 0, 0)
        await rows.write(Write(WIDE, key, {"v": 1}, insert=insert))
        await rows.write(Write(WIDE, key, {"v": None}, insert=False))
    assert await rows.partition(WIDE, (me,), columns=["a", "v"]) == [{"a": "True", "v": None}]


async def test_a_write_changes_only_its_own_columns(rows: Rows, me: str) -> None:
    await rows.write(Write(PLAIN, (me, 1), {"v": 1, "w": "a"}))
    await rows.write(Write(PLAIN, (me, 1), {"v": 2}))
    await rows.write(Write(PLAIN, (me, 1), {"w": None}))
    assert await rows.get(PLAIN, (me, 1)) == {"kind": me, "id": 1, "v": 2, "w": None}


@pytest.mark.parametrize("older", [5, LARGE])
async def test_a_late_write_with_an_older_timestamp_loses(rows: Rows, me: str, older: int) -> None:
    await rows.write(Write(PLAIN, (me, 1), {"v": 2, "w": None}, timestamp=older + 2))
    await rows.write(Write(PLAIN, (me, 1), {"v": 1, "w": "late"}, timestamp=older))
    assert await rows.get(PLAIN, (me, 1), ["v", "w"]) == {"v": 2, "w": None}
    await rows.write(Write(PLAIN, (me, 1), {"v": 3}, timestamp=older + 3))
    assert await rows.get(PLAIN, (me, 1), ["v"]) == {"v": 3}


@pytest.mark.parametrize("at", [5, LARGE])
async def test_a_deletion_with_a_timestamp_shadows_older_writes_and_no_newer_ones(
    rows: Rows, me: str, at: int
) -> None:
    await rows.write(Write(PLAIN, (me, 1), {"v": 1, "w": "old"}, timestamp=at))
    await rows.write(Write(PLAIN, (me, 1), {"w": "new"}, timestamp=at + 4))
    await rows.write(Write(PLAIN, (me, 1), {}, timestamp=at + 2, delete=True))
    assert await rows.get(PLAIN, (me, 1), ["v", "w"]) == {"v": None, "w": "new"}
    await rows.write(Write(PLAIN, (me, 2), {}, timestamp=at + 2, delete=True))
    await rows.write(Write(PLAIN, (me, 2), {"v": 1}, timestamp=at + 1))
    assert await rows.get(PLAIN, (me, 2)) is None
    await rows.write(Write(PLAIN, (me, 2), {"v": 1}, timestamp=at + 3))
    assert await rows.get(PLAIN, (me, 2), ["v"]) == {"v": 1}


async def test_without_timestamps_the_last_call_wins(rows: Rows, me: str) -> None:
    for v in range(5):
        await rows.write(Write(PLAIN, (me, 1), {"v": v}))
    assert await rows.get(PLAIN, (me, 1), ["v"]) == {"v": 4}
    await rows.write(Write(PLAIN, (me, 1), {}, delete=True))
    assert await rows.get(PLAIN, (me, 1)) is None
    await rows.write(Write(PLAIN, (me, 1), {"w": "again"}))
    assert await rows.get(PLAIN, (me, 1), ["v", "w"]) == {"v": None, "w": "again"}


async def test_put_adds_to_a_map_or_set_without_reading_it(rows: Rows, me: str) -> None:
    key = (me, 1, "n", AT)
    later = AT + timedelta(days=1)
    await rows.write(Write(THINGS, key, {"open_map": {"a": 1}, "open_set": {AT}}, timestamp=10))
    await rows.write(Write(THINGS, key, {"open_map": Put({"b": 2}), "open_set": Put({later})}, timestamp=12))
    await rows.write(Write(THINGS, key, {"open_map": Put({"b": 0, "c": 3}), "int": 1}, timestamp=11))
    await rows.write(Write(THINGS, key, {"open_map": Put({})}, timestamp=13))
    read = await rows.get(THINGS, key, ["open_map", "open_set", "int"])
    assert read == {"open_map": {"a": 1, "b": 2, "c": 3}, "open_set": {AT, later}, "int": 1}
    await rows.write(Write(THINGS, key, {"open_map": {"z": 9}}, timestamp=12))
    assert await rows.get(THINGS, key, ["open_map"]) in (
        {"open_map": {"z": 9}},
        {"open_map": {"b": 2, "z": 9}},
    )
    await rows.write(Write(THINGS, key, {}, timestamp=20, delete=True))
    await rows.write(Write(THINGS, key, {"open_map": Put({"y": 1})}, timestamp=21))
    assert await rows.get(THINGS, key, ["open_map", "open_set"]) == {"open_map": {"y": 1}, "open_set": None}


async def test_many_writes_of_many_shapes_are_all_done(rows: Rows, me: str) -> None:
    writes = [
        *(Write(WIDE, (me, "w", i, 0), {"v": i}) for i in range(70)),
        *(Write(PLAIN, (me, i), {"w": "x" * 3000}, timestamp=i + 1) for i in range(50)),
        Write(THINGS, (me, 1, "n", AT), {"changed_at": 7, "text": "t"}),
        Write(WIDE, (me, "w", 3, 1), {}, delete=True),
    ]
    await rows.write(*writes)
    assert [row["v"] for row in await rows.partition(WIDE, (me,))] == list(range(70))
    assert len(await rows.get_many(PLAIN, [(me, i) for i in range(50)])) == 50
    assert await rows.statics(THINGS, [(me, 1)]) == {(me, 1): {"changed_at": 7, "labels": None}}
    await rows.write()


# --- conditional writes


async def test_of_50_concurrent_conditional_inserts_one_is_applied_and_the_others_see_it(
    rows: Rows, me: str
) -> None:
    results = await asyncio.gather(*(patiently(rows, me, str(i)) for i in range(50)))
    (stored,) = await rows.partition(THINGS, (me, 1))
    assert sum(result.applied for result in results) <= 1
    refused = [result.stored for result in results if not result.applied]
    assert len(refused) >= 49
    assert all(row == stored for row in refused)


async def test_a_refused_insert_returns_every_column_that_is_stored(rows: Rows, me: str) -> None:
    assert await rows.insert_if_absent(THINGS, thing(me, int=1, changed_at=5)) == Applied(True)
    stored = await rows.get(THINGS, (me, 1, "n", AT))
    assert await rows.insert_if_absent(THINGS, thing(me, int=2, text="x")) == Applied(False, stored)
    assert await rows.get(THINGS, (me, 1, "n", AT)) == stored


async def test_statics_are_set_by_the_same_conditional_write_and_only_if_it_is_applied(
    rows: Rows, me: str
) -> None:
    async def changed_at() -> Any:
        return (await rows.statics(THINGS, [(me, 1)]))[(me, 1)]["changed_at"]

    assert (await rows.insert_if_absent(THINGS, thing(me, int=0, changed_at=1))).applied
    # What is absent is the row, not the partition.
    assert (await rows.insert_if_absent(THINGS, thing(me, name="other", int=0, changed_at=2))).applied
    assert await changed_at() == 2
    assert not (await rows.insert_if_absent(THINGS, thing(me, int=0, changed_at=3))).applied
    assert await changed_at() == 2
    key = (me, 1, "n", AT)
    assert (await rows.update_if(THINGS, key, {"int": 2, "changed_at": 4}, [In("int", (0, 1))])).applied
    assert await changed_at() == 4
    refused = await rows.update_if(THINGS, key, {"int": 2, "changed_at": 5}, [In("int", (0, 1))])
    assert refused == Applied(False, {"int": 2})
    assert await changed_at() == 4


async def test_an_update_of_a_missing_row_is_refused_and_tells_it_from_a_row_of_nulls(
    rows: Rows, me: str
) -> None:
    conditions: list[Condition] = [In("int", (0, 1)), Equal("text", "a")]
    for partition_exists in (False, True):
        together: list[list[Condition]] = [conditions, [Exists()], [*conditions, Exists()]]
        for condition in together:
            missing = await rows.update_if(THINGS, (me, 1, "n", AT), {"int": 1, "changed_at": 9}, condition)
            assert missing == Applied(False, None)
        if not partition_exists:
            await rows.write(Write(THINGS, (me, 1, "other", AT), {"changed_at": 1}))
    nulls = await rows.update_if(THINGS, (me, 1, "other", AT), {"int": 1}, conditions)
    assert nulls == Applied(False, {"int": None, "text": None})
    assert await rows.statics(THINGS, [(me, 1)]) == {(me, 1): {"changed_at": 1, "labels": None}}
    assert await rows.update_if(WIDE, (me, "a", 1, 1), {"v": 1}, [Equal("v", 0)]) == Applied(False, None)
    assert await rows.partition(WIDE, (me,)) == []


async def test_an_update_is_applied_where_every_condition_holds(rows: Rows, me: str) -> None:
    key = (me, 1, "n", AT)
    await rows.insert_if_absent(THINGS, thing(me, int=1, text="a", timestamp=AT))
    assert (await rows.update_if(THINGS, key, {"int": 2}, [Equal("int", 1), Equal("timestamp", AT)])).applied
    refused = await rows.update_if(THINGS, key, {"int": 3}, [Equal("int", 2), Equal("timestamp", None)])
    assert refused == Applied(False, {"int": 2, "timestamp": AT})
    assert (await rows.update_if(THINGS, key, {"int": 3}, [Exists()])).applied
    assert (
        await rows.update_if(THINGS, key, {"int": None}, [In("int", (3, None)), Equal("boolean", None)])
    ).applied
    assert (await rows.update_if(THINGS, key, {"int": 5}, [In("int", (3, None))])).applied
    assert (await rows.get(THINGS, key, ["int", "text"])) == {"int": 5, "text": "a"}
    assert (await rows.update_if(THINGS, key, {"text": None}, [In("text", ("a", None))])).applied
    assert (await rows.update_if(THINGS, key, {"text": "b"}, [In("text", ("a", None))])).applied
    assert not (await rows.update_if(THINGS, key, {"text": "c"}, [In("text", ("a", None))])).applied


async def test_conditions_that_ask_only_for_no_value_hold_for_a_missing_row_too(rows: Rows, me: str) -> None:
    assert (await rows.update_if(PLAIN, (me, 1), {"w": "made"}, [Equal("v", None)])).applied
    assert await rows.get(PLAIN, (me, 1), ["v", "w"]) == {"v": None, "w": "made"}
    with pytest.raises(InvalidInput, match="Exists"):
        await rows.update_if(PLAIN, (me, 2), {"w": "made"}, [Equal("v", None), Exists()])


async def test_a_conditional_update_needs_a_value_a_condition_and_a_row(rows: Rows, me: str) -> None:
    with pytest.raises(InvalidInput):
        await rows.update_if(PLAIN, (me, 1), {}, [Exists()])
    with pytest.raises(InvalidInput):
        await rows.update_if(PLAIN, (me, 1), {"v": 1}, [])
    with pytest.raises(InvalidInput):
        await rows.update_if(THINGS, (me, 1, "n", AT), {"changed_at": 1}, [Equal("changed_at", 0)])


async def test_a_write_before_all_others_undoes_no_condition_and_stands_in_no_way(
    rows: Rows, me: str
) -> None:
    """Imported rows are written so (ingest/commands/draft_origins.py)."""

    def imported(number: int, value: int) -> Write:
        return Write(PLAIN, (me, number), {"v": value, "w": "imported"}, timestamp=1)

    await rows.insert_if_absent(PLAIN, {"kind": me, "id": 1, "v": 1, "w": None})
    await rows.write(imported(1, 9), imported(2, 2))
    assert (await rows.get(PLAIN, (me, 1), ["v"])) == {"v": 1}
    assert not (await rows.insert_if_absent(PLAIN, {"kind": me, "id": 2, "v": 3})).applied
    assert (await rows.update_if(PLAIN, (me, 2), {"v": 4}, [Equal("v", 2)])).applied
    await rows.write(imported(2, 2))
    assert (await rows.get(PLAIN, (me, 2), ["v", "w"])) == {"v": 4, "w": "imported"}


async def test_concurrent_counting_by_conditions_loses_nothing(
    engine: str, shared: str, rows: Rows, me: str
) -> None:
    other = await open_rows(engine, shared)
    await rows.insert_if_absent(PLAIN, {"kind": me, "id": 1, "v": 0})

    async def count(rows: Rows) -> None:
        seen = 0
        while not (
            result := await rows.update_if(PLAIN, (me, 1), {"v": seen + 1}, [Equal("v", seen)])
        ).applied:
            assert result.stored is not None
            seen = result.stored["v"]

    await asyncio.gather(*(count(rows if i % 2 else other) for i in range(8)))
    assert await rows.get(PLAIN, (me, 1), ["v"]) == {"v": 8}
    await other.close()


# --- conditional deletions, and several rows at once


async def test_a_deletion_is_applied_where_every_condition_holds_and_says_what_is_stored(
    rows: Rows, me: str
) -> None:
    key = (me, 1, "n", AT)
    await rows.insert_if_absent(THINGS, thing(me, int=1, text="a", changed_at=1))
    await rows.insert_if_absent(THINGS, thing(me, name="other", int=1))
    refused = await rows.delete_if(THINGS, key, [Equal("int", 1), Equal("text", "b")], {"changed_at": 2})
    assert refused == Applied(False, {"int": 1, "text": "a"})
    assert await rows.statics(THINGS, [(me, 1)]) == {(me, 1): {"changed_at": 1, "labels": None}}
    assert await rows.delete_if(THINGS, key, [In("int", (0, 1))], {"changed_at": 3}) == Applied(True)
    assert await rows.get(THINGS, key) is None
    assert [row["name"] for row in await rows.partition(THINGS, (me, 1))] == ["other"]
    assert await rows.statics(THINGS, [(me, 1)]) == {(me, 1): {"changed_at": 3, "labels": None}}
    for conditions in ([Exists()], [Equal("int", 1)]):
        assert await rows.delete_if(THINGS, key, conditions, {"changed_at": 4}) == Applied(False, None)
    assert await rows.delete_if(WIDE, (me, "a", 1, 1), [Exists()]) == Applied(False, None)


async def test_what_was_deleted_by_condition_can_be_inserted_again(rows: Rows, me: str) -> None:
    for text in ("a", "b", "c"):
        assert (await rows.insert_if_absent(THINGS, thing(me, text=text))).applied
        assert (await rows.delete_if(THINGS, (me, 1, "n", AT), [Equal("text", text)])).applied
    assert (await rows.insert_if_absent(THINGS, thing(me, int=3))).applied
    assert await rows.get(THINGS, (me, 1, "n", AT), ["text", "int"]) == {"text": None, "int": 3}


async def test_a_partition_whose_last_row_goes_with_its_statics_is_gone(rows: Rows, me: str) -> None:
    await rows.insert_if_absent(THINGS, thing(me, text="a", changed_at=1))
    assert (await rows.delete_if(THINGS, (me, 1, "n", AT), [Exists()], {"changed_at": None})).applied
    assert await rows.statics(THINGS, [(me, 1)]) == {}


async def test_a_conditional_deletion_needs_a_condition_about_a_row_and_sets_statics_alone(
    rows: Rows, me: str
) -> None:
    for conditions, statics in (
        ([], {}),
        ([Equal("changed_at", 0)], {}),
        ([Exists()], {"text": "a"}),
    ):
        with pytest.raises(InvalidInput):
            await rows.delete_if(THINGS, (me, 1, "n", AT), conditions, statics)


async def test_rows_of_a_partition_change_together_or_not_at_all(rows: Rows, me: str) -> None:
    """As a move flips two enrolments: one ends, one begins."""
    await rows.insert_if_absent(THINGS, thing(me, name="from", int=1))
    await rows.insert_if_absent(THINGS, thing(me, name="gone", int=1))
    changes = [
        Change((me, 1, "from", AT), {"text": "moved", "int": 2}, [Equal("int", 1)]),
        Change((me, 1, "to", AT), {"text": "new", "changed_at": 7}),
        Change((me, 1, "gone", AT), {}, [Exists()], delete=True),
    ]
    with rows.meter.measure() as cost:
        assert await rows.write_together(THINGS, changes)
    assert cost == {"conditional batch things": 1}
    stored = await rows.partition(THINGS, (me, 1), columns=["name", "text", "int", "changed_at"])
    assert stored == [
        {"name": "from", "text": "moved", "int": 2, "changed_at": 7},
        {"name": "to", "text": "new", "int": None, "changed_at": 7},
    ]
    # Each of the three would be refused now; with any of them, nothing changes.
    back = Change((me, 1, "from", AT), {"text": "back", "changed_at": 8}, [Equal("text", "moved")])
    for refused in changes:
        assert not await rows.write_together(
            THINGS, [refused] if refused.key == back.key else [back, refused]
        )
    assert await rows.partition(THINGS, (me, 1), columns=["name", "text", "int", "changed_at"]) == stored


async def test_rows_of_a_table_without_statics_change_together_too(rows: Rows, me: str) -> None:
    await rows.insert_if_absent(WIDE, {"id": me, "a": "x", "b": 0, "c": 0, "v": 1})
    flip = [
        Change((me, "x", 0, 0), {"v": 2}, [Equal("v", 1)]),
        Change((me, "y", 0, 0), {"v": 1}, [Equal("v", None)]),
    ]
    assert await rows.write_together(WIDE, flip)
    assert not await rows.write_together(WIDE, flip)
    assert [row["v"] for row in await rows.partition(WIDE, (me,))] == [2, 1]
    gone = [Change((me, a, 0, 0), {}, [Exists()], delete=True) for a in ("x", "y")]
    assert await rows.write_together(WIDE, gone)
    assert not await rows.write_together(WIDE, gone)
    assert await rows.partition(WIDE, (me,)) == []


async def test_what_is_written_together_is_of_one_partition_and_not_too_much(rows: Rows, me: str) -> None:
    one = Change((me, "a", 0, 0), {"v": 1})
    many = [Change((me, "a", i, 0), {"v": 1}) for i in range(MOST_CHANGES + 1)]
    for changes in ([], [one, one], [one, Change((f"{me}2", "a", 0, 0), {"v": 1})], many):
        with pytest.raises(InvalidInput):
            await rows.write_together(WIDE, changes)
    assert await rows.partition(WIDE, (me,)) == []
    assert await rows.write_together(WIDE, many[:MOST_CHANGES])


# --- slices

clusterings = st.tuples(st.text("ab€𝄞", max_size=2), st.integers(-2, 2), st.integers(0, 2))


@per_example
@given(
    first=st.sets(clusterings, max_size=12), later=st.lists(clusterings, max_size=6), size=st.integers(1, 4)
)
async def test_paging_with_after_visits_each_row_once_even_when_rows_appear(
    rows: Rows, first: set[Any], later: list[Any], size: int
) -> None:
    me = secrets.token_hex(8)
    await rows.write(*(Write(WIDE, (me, *key), {"v": 0}) for key in first))
    seen: list[Any] = []
    expected = set(first)
    while True:
        page = await rows.partition(
            WIDE, (me,), after=seen[-1] if seen else None, limit=size, columns=["a", "b", "c"]
        )
        seen += [tuple(row.values()) for row in page]
        if len(page) < size:
            break
        if later:
            appeared = later.pop()
            await rows.write(Write(WIDE, (me, *appeared), {"v": 1}))
            if appeared > seen[-1]:
                expected.add(appeared)
    assert seen == sorted(expected)


@per_example
@given(
    keys=st.sets(clusterings, max_size=12),
    width=st.integers(0, 3),
    like=clusterings,
    after=st.none() | clusterings,
    limit=st.none() | st.integers(0, 5),
)
async def test_a_slice_is_what_a_sorted_list_would_give(
    rows: Rows, keys: set[Any], width: int, like: Any, after: Any, limit: int | None
) -> None:
    me = secrets.token_hex(8)
    await rows.write(*(Write(WIDE, (me, *key), {"v": 0}) for key in keys))
    found = await rows.partition(WIDE, (me,), prefix=like[:width], after=after, limit=limit)
    right = [k for k in sorted(keys) if k[:width] == like[:width] and (after is None or k > after)]
    assert [(row["a"], row["b"], row["c"]) for row in found] == right[:limit]


async def test_a_partition_larger_than_a_page_is_read_whole(rows: Rows, me: str) -> None:
    await rows.write(*(Write(WIDE, (me, "x", i, 0), {"v": i}) for i in range(4500)))
    assert [row["v"] for row in await rows.partition(WIDE, (me,), columns=["v"])] == list(range(4500))
    assert len((await rows.partitions(WIDE, [(me,)], ["v"]))[(me,)]) == 4500


# --- many partitions


async def test_of_many_partitions_only_the_rows_that_begin_so_are_read(rows: Rows, me: str) -> None:
    users = [f"{me}-{n}" for n in range(120)]
    await rows.write(*(Write(WIDE, (u, x, n, 0), {"v": n}) for u in users for x in "zyx" for n in range(2)))
    with rows.meter.measure() as cost:
        found = await rows.partitions(WIDE, [(u,) for u in users], ["a", "v"], among=["z", "x", "x", "none"])
    assert cost == {"select wide": 2}
    right = [{"a": x, "v": n} for x in "xz" for n in range(2)]
    assert found == {(user,): right for user in users}
    assert await rows.partitions(WIDE, [(users[0],)], among=[]) == {(users[0],): []}
    many = [f"x{n}" for n in range(60)]
    assert len(await rows.partitions(WIDE, [(u,) for u in users[:100]], ["v"], among=many)) == 100


@per_example
@given(
    partitions=st.lists(st.sets(clusterings, max_size=8), min_size=1, max_size=5),
    width=st.integers(0, 2),
    like=clusterings,
    after=st.none() | clusterings,
    limit=st.none() | st.integers(0, 4),
)
async def test_of_many_partitions_the_same_slice_is_what_each_alone_would_give(
    rows: Rows, partitions: list[set[Any]], width: int, like: Any, after: Any, limit: int | None
) -> None:
    me = secrets.token_hex(8)
    places = [(f"{me}-{n}",) for n in range(len(partitions) + 1)]
    of_place = dict(zip(places, [*partitions, set()], strict=True))
    await rows.write(*(Write(WIDE, (*p, *key), {"v": 0}) for p, keys in of_place.items() for key in keys))
    with rows.meter.measure() as cost:
        found = await rows.partitions(WIDE, places, prefix=like[:width], after=after, limit=limit)
    assert sum(cost.values()) <= 1
    for place, keys in of_place.items():
        right = [k for k in sorted(keys) if k[:width] == like[:width] and (after is None or k > after)]
        assert [(row["a"], row["b"], row["c"]) for row in found[place]] == right[:limit]


async def test_a_limit_is_of_each_partition_and_holds_over_pages(rows: Rows, me: str) -> None:
    users = [(f"{me}-{n}",) for n in range(3)]
    await rows.write(*(Write(WIDE, (*user, "x", i, 0), {"v": i}) for user in users for i in range(1500)))
    found = await rows.partitions(WIDE, users, ["v"], limit=1200)
    assert {key: [row["v"] for row in of_key] for key, of_key in found.items()} == {
        user: list(range(1200)) for user in users
    }
    found = await rows.partitions(WIDE, users, ["a", "b"], among=["x", "w"], limit=2)
    assert found == {user: [{"a": "x", "b": 0}, {"a": "x", "b": 1}] for user in users}


async def test_a_limit_sees_rows_and_not_statics(rows: Rows, me: str) -> None:
    await rows.insert_if_absent(THINGS, thing(me, changed_at=1))
    await rows.delete_if(THINGS, tuple(thing(me)[name] for name in THINGS.key), [Exists()], {"changed_at": 2})
    place = tuple(thing(me)[name] for name in THINGS.partition)
    assert await rows.partitions(THINGS, [place], ["name"], limit=1) == {place: []}


async def test_250_partitions_are_read_by_3_statements_and_every_key_has_an_entry(
    rows: Rows, me: str
) -> None:
    await rows.write(*(Write(PLAIN, (me, i), {"v": i}) for i in range(0, 250, 2)))
    keys = [(me, i) for i in range(250)]
    with rows.meter.measure() as cost:
        found = await rows.partitions(PLAIN, [*keys, *keys], ["v"])
    assert cost == {"select plain": 3}
    assert found == {(me, i): [] if i % 2 else [{"v": i}] for i in range(250)}
    with rows.meter.measure() as cost:
        many = await rows.get_many(PLAIN, keys)
    assert cost == {"select plain": 3}
    assert many == {(me, i): {"kind": me, "id": i, "v": i, "w": None} for i in range(0, 250, 2)}
    assert not await rows.partitions(PLAIN, [])
    assert not await rows.get_many(PLAIN, [])
    assert not await rows.statics(PLAIN, [])


async def test_keys_share_statements_by_the_column_that_gives_the_fewest(rows: Rows, me: str) -> None:
    keys = [(f"{me}{i}", n) for i in range(30) for n in range(2)]
    await rows.write(*(Write(PLAIN, key, {"v": 1}) for key in keys))
    with rows.meter.measure() as cost:
        assert len(await rows.get_many(PLAIN, keys)) == 60
    assert cost == {"select plain": 1}  # every pair of 30 and 2
    others = [*keys, (f"{me}0", 7)]
    await rows.write(Write(PLAIN, others[-1], {"v": 1}))
    with rows.meter.measure() as cost:
        assert set(await rows.get_many(PLAIN, others)) == {*others}
    assert cost == {"select plain": 2}


async def test_every_pair_of_partitions_and_rows_shares_statements(rows: Rows, me: str) -> None:
    """As of the views that a class has of the same leaves."""
    keys = [(f"{me}-{user}", f"leaf-{leaf}", leaf, 0) for user in range(30) for leaf in range(6)]
    await rows.write(*(Write(WIDE, key, {"v": key[2]}) for key in keys[::2]))
    await rows.write(Write(WIDE, (f"{me}-0", "leaf-1", 0, 0), {"v": -1}))
    with rows.meter.measure() as cost:
        found = await rows.get_many(WIDE, keys, ["v"])
    assert found == {key: {"v": key[2]} for key in keys[::2]}
    assert cost == {"select wide": 2}


async def test_rows_of_a_partition_share_statements_whatever_they_differ_in(rows: Rows, me: str) -> None:
    keys = [(me, f"leaf-{i}", i, i) for i in range(150)]
    await rows.write(*(Write(WIDE, key, {"v": key[2]}) for key in keys[::2]))
    await rows.write(Write(WIDE, (me, "leaf-0", 2, 2), {"v": -1}))
    with rows.meter.measure() as cost:
        found = await rows.get_many(WIDE, keys, ["v"])
    assert found == {key: {"v": key[2]} for key in keys[::2]}
    assert cost == {"select wide": 2}
    others = [(f"{me}-{i}", "a", 0, 0) for i in range(5)]
    await rows.write(*(Write(WIDE, key, {"v": 1}) for key in others))
    assert len(await rows.get_many(WIDE, [*keys, *others], ["v"])) == 80


async def test_statics_are_those_of_partitions_that_exist(rows: Rows, me: str) -> None:
    await rows.write(
        Write(THINGS, (me, 1, "n", AT), {"changed_at": 5, "labels": {"x"}}, insert=False),
        Write(THINGS, (me, 2, "n", AT), {"int": 1}),
        Write(THINGS, (me, 3, "n", AT), {"int": 1}),
    )
    await rows.write(Write(THINGS, (me, 3, "n", AT), {}, delete=True))
    with rows.meter.measure() as cost:
        found = await rows.statics(THINGS, [(me, kind) for kind in range(150)])
    assert found == {
        (me, 1): {"changed_at": 5, "labels": frozenset({"x"})},
        (me, 2): {"changed_at": None, "labels": None},
    }
    assert cost == {"select things": 2}


async def test_the_values_of_a_static_column_are_told_of_every_partition_asked_for(
    rows: Rows, me: str
) -> None:
    await rows.write(
        Write(THINGS, (me, 1, "n", AT), {"changed_at": 5, "labels": {"x"}}, insert=False),
        Write(THINGS, (me, 2, "n", AT), {"int": 1}),
        Write(THINGS, (f"{me}-2", 3, "n", AT), {"changed_at": 6}),
    )
    keys = [(me, kind) for kind in range(150)]
    with rows.meter.measure() as cost:
        found = await rows.static_values(THINGS, [*keys, keys[1]], "changed_at")
    assert found == {**dict.fromkeys(keys), (me, 1): 5}
    assert cost == {"select things": 2}
    two = [(me, 1), (f"{me}-2", 3)]
    assert await rows.static_values(THINGS, two, "changed_at") == {two[0]: 5, two[1]: 6}
    crossed = [*two, (me, 3), (f"{me}-2", 1)]
    with rows.meter.measure() as cost:
        found = await rows.static_values(THINGS, crossed, "labels")
    assert found == {**dict.fromkeys(crossed), two[0]: {"x"}}
    assert cost == {"select things": 1}
    assert await rows.static_values(THINGS, [(me, 1)], "changed_at") == {(me, 1): 5}
    assert await rows.static_values(THINGS, [(me, 9)], "changed_at") == {(me, 9): None}
    assert await rows.static_values(THINGS, [], "changed_at") == {}


async def test_partitions_by_moments_have_static_values(fresh: Open) -> None:
    rows = await fresh()
    days = Table(
        "days", partition={"at": TIMESTAMP}, clustering={"n": INT}, columns={"s": static(INT), "v": INT}
    )
    await rows.init([days])
    later = AT + timedelta(days=1)
    await rows.write(Write(days, (AT, 1), {"s": 5}), Write(days, (later, 1), {"s": 6}))
    assert await rows.static_values(days, [(AT,), (later,)], "s") == {(AT,): 5, (later,): 6}


async def test_a_user_defined_type_in_a_column_of_its_own_is_a_dict(fresh: Open) -> None:
    rows = await fresh()
    place = Udt("place", {"name": TEXT, "since": TIMESTAMP, "marks": ListOf(INT)})
    places = Table("places", partition={"id": TEXT}, columns={"one": place, "some": ListOf(place)})
    await rows.init([places])
    here = {"name": "here", "since": AT, "marks": [1, 2]}
    there = {"name": "there", "since": None, "marks": None}
    await rows.write(
        Write(places, ("a",), {"one": here, "some": [there, here]}), Write(places, ("b",), {"one": there})
    )
    assert await rows.get(places, ("a",)) == {"id": "a", "one": here, "some": [there, here]}
    assert await rows.get(places, ("b",), ["one"]) == {"one": there}


async def test_a_partition_of_statics_alone_has_no_rows(rows: Rows, me: str) -> None:
    await rows.write(Write(THINGS, (me, 1, "n", AT), {"changed_at": 5}, insert=False))
    assert await rows.partition(THINGS, (me, 1)) == []
    assert await rows.partitions(THINGS, [(me, 1)]) == {(me, 1): []}
    assert await rows.get(THINGS, (me, 1, "n", AT)) is None


# --- narrow rows


def of_row(row: Row, column: NarrowColumn) -> Any:
    """What ``tuples`` gives of a row that was read whole."""
    match column:
        case Milliseconds(of):
            at = of_row(row, of)
            return None if at is None else milliseconds(at)
        case Element(name, key):
            return (row[name] or {}).get(key)
    return row[column]


NARROW: tuple[NarrowColumn, ...] = (
    *THINGS.types,
    Milliseconds("at"),
    Milliseconds("timestamp"),
    Element("frozen_map", "a"),
    Milliseconds(Element("frozen_map", "a")),
    Milliseconds(Element("frozen_map", "it's")),
    Element("open_map", "a"),
    Element("open_map", "it's"),
)


@per_example
@given(
    written=st.lists(values, min_size=1, max_size=4),
    more=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "frozen_map": st.dictionaries(st.sampled_from(["a", "it's", "b"]), moments),
                "open_map": st.dictionaries(st.sampled_from(["a", "it's", "b"]), ints),
            },
        ),
        min_size=4,
        max_size=4,
    ),
    columns=st.lists(st.sampled_from(NARROW), min_size=1, max_size=6),
)
async def test_narrow_rows_have_just_the_columns_asked_for_in_that_order(
    rows: Rows, written: list[Row], more: list[Row], columns: list[NarrowColumn]
) -> None:
    me = secrets.token_hex(8)
    for number, (row, others) in enumerate(zip(written, more, strict=False)):
        await rows.write(Write(THINGS, (me, number % 2, f"n{number}", AT), {**row, **others}))
    places = [(me, 0), (me, 1), (me, 2)]
    whole = await rows.partitions(THINGS, places)
    narrow = await rows.tuples(THINGS, places, columns)
    assert list(narrow) == places
    assert narrow == {
        place: [tuple(of_row(row, column) for column in columns) for row in whole[place]] for place in places
    }


@per_example
@given(
    partitions=st.lists(st.sets(clusterings, max_size=8), min_size=1, max_size=5),
    width=st.integers(0, 2),
    like=clusterings,
    after=st.none() | clusterings,
    limit=st.none() | st.integers(0, 4),
    columns=st.lists(st.sampled_from(list(WIDE.types)), min_size=1, max_size=3),
)
async def test_narrow_rows_are_those_of_the_same_slice_by_the_same_statements(
    rows: Rows,
    partitions: list[set[Any]],
    width: int,
    like: Any,
    after: Any,
    limit: int | None,
    columns: list[str],
) -> None:
    me = secrets.token_hex(8)
    places = [(f"{me}-{n}",) for n in range(len(partitions) + 1)]
    await rows.write(
        *(Write(WIDE, (*p, *key), {"v": 0}) for p, ks in zip(places, partitions, strict=False) for key in ks)
    )
    slices: tuple[dict[str, Any], ...] = (
        {"prefix": like[:width], "after": after, "limit": limit},
        {"among": [like[0], "a"], "limit": limit},
    )
    for within in slices:
        with rows.meter.measure() as cost:
            narrow = await rows.tuples(WIDE, places, columns, **within)
        with rows.meter.measure() as cost_of_rows:
            whole = await rows.partitions(WIDE, places, columns, **within)
        assert narrow == {
            place: [tuple(row[name] for name in columns) for row in found] for place, found in whole.items()
        }
        assert cost == cost_of_rows


async def test_narrow_rows_of_250_partitions_are_read_by_3_statements(rows: Rows, me: str) -> None:
    await rows.write(*(Write(PLAIN, (me, i), {"v": i}) for i in range(0, 250, 2)))
    keys = [(me, i) for i in range(250)]
    with rows.meter.measure() as cost:
        found = await rows.tuples(PLAIN, [*keys, *keys], ["v", "w", "id"])
    assert cost == {"select plain": 3}
    assert found == {(me, i): [] if i % 2 else [(i, None, i)] for i in range(250)}
    assert await rows.tuples(PLAIN, [], ["v"]) == {}
    pairs = [(f"{me}{i}", n) for i in range(30) for n in range(2)]
    await rows.write(*(Write(PLAIN, key, {"v": key[1]}) for key in pairs))
    with rows.meter.measure() as cost:
        found = await rows.tuples(PLAIN, pairs, ["v"])
    assert cost == {"select plain": 1}
    assert found == {key: [(key[1],)] for key in pairs}


async def test_a_partition_of_statics_alone_has_no_narrow_rows(rows: Rows, me: str) -> None:
    await rows.write(Write(THINGS, (me, 1, "n", AT), {"changed_at": 5}, insert=False))
    await rows.write(Write(THINGS, (me, 2, "n", AT), {"changed_at": 6}))
    assert await rows.tuples(THINGS, [(me, 1)], ["changed_at"]) == {(me, 1): []}
    assert await rows.tuples(THINGS, [(me, 1), (me, 2)], ["changed_at"]) == {(me, 1): [], (me, 2): [(6,)]}


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("colour", "colour"),
        (Element("colour", "a"), "colour"),
        (Element("text", "a"), "text"),
        (Element("numbers", "a"), "numbers"),
        (Milliseconds("int"), "int"),
        (Milliseconds(Element("open_map", "a")), "open_map"),
    ],
)
async def test_a_narrow_column_that_is_not_there_is_named(
    rows: Rows, me: str, column: NarrowColumn, field: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        await rows.tuples(THINGS, [(me, 1)], [column])
    assert error.value.field == field


# --- walking


async def test_a_walk_over_all_ranges_visits_every_row_once_and_can_be_resumed(fresh: Open) -> None:
    rows = await fresh()
    await rows.init(TOYS)
    keys = {(f"user-{i}", "a", b, 0) for i in range(60) for b in range(i % 4)}
    await rows.write(*(Write(WIDE, key, {"v": 1}) for key in keys))
    await rows.write(Write(THINGS, ("statics", 1, "n", AT), {"changed_at": 1}, insert=False))
    seen: list[Any] = []
    for part in rows.ranges(5):
        resume: str | None = None
        while True:
            # Only the first page of each walk: the next one begins where it says.
            other = await fresh() if resume and len(seen) < 20 else rows
            page = await anext(other.walk(WIDE, part, columns=WIDE.key, page_size=4, resume=resume))
            assert len(page.rows) <= 4
            seen += [tuple(row.values()) for row in page.rows]
            resume = page.resume
            if resume is None:
                break
    assert len(seen) == len(keys)
    assert set(seen) == keys
    walked = [row async for page in rows.walk(WIDE, ring(1)[0]) for row in page.rows]
    assert len(walked) == len(keys)
    assert [page.rows async for page in rows.walk(THINGS, ring(1)[0])] == [[]]


def test_the_ranges_cover_the_ring_once() -> None:
    for count in (1, 2, 7, 100):
        parts = ring(count)
        assert len(parts) == count
        assert parts[0].start == -(2**63)
        assert parts[-1].end == 2**63 - 1
        assert all(a.end == b.start and a.start < a.end for a, b in pairwise(parts))
    with pytest.raises(ValueError, match="count"):
        ring(0)


# --- the schema


async def test_init_says_what_it_did_and_the_second_time_does_nothing(fresh: Open) -> None:
    rows = await fresh()
    assert await rows.schema_version() == 0
    with pytest.raises(StoreUnavailable, match="cohort init"):
        await rows.get(PLAIN, ("a", 1))
    said = await rows.init(TOYS)
    assert [line for line in said if "keyspace" not in line and "type" not in line] == [
        "created table things",
        "created table wide",
        "created table plain",
        "schema is at version 1",
    ]
    assert await rows.schema_version() == 1
    assert await rows.init(TOYS) == []


async def test_an_upgrade_adds_tables_and_columns_and_keeps_rows(fresh: Open) -> None:
    rows = await fresh()
    await rows.init(TOYS)
    await rows.write(Write(PLAIN, ("a", 1), {"v": 1}))
    labelled = replace(PLAIN, columns={**PLAIN.columns, "labels": Column(SetOf(TEXT), since=2)})
    noted = replace(WIDE, columns={**WIDE.columns, "noted_at": Column(TIMESTAMP, static=True, since=3)})
    new = Table("new", partition={"id": TEXT}, columns={"v": INT}, since=2)
    assert await rows.init([noted, labelled, new, THINGS]) == [
        "added column labels to plain",
        "created table new",
        "added column noted_at to wide",
        "schema is at version 3",
    ]
    assert await rows.init([noted, labelled, new, THINGS]) == []
    assert await rows.get(labelled, ("a", 1), ["v", "labels"]) == {"v": 1, "labels": None}
    await rows.write(
        Write(labelled, ("a", 1), {"labels": {"x"}}), Write(noted, ("a", "b", 1, 1), {"noted_at": AT})
    )
    assert await rows.get(labelled, ("a", 1), ["v", "labels"]) == {"v": 1, "labels": {"x"}}
    assert await rows.statics(noted, [("a",)]) == {("a",): {"noted_at": AT}}
    assert await rows.static_values(noted, [("a",), ("b",)], "noted_at") == {("a",): AT, ("b",): None}


async def test_a_table_can_be_removed_with_all_that_is_in_it(fresh: Open) -> None:
    rows = await fresh()
    assert not await rows.exists(THINGS)
    await rows.drop(THINGS)  # there is none
    await rows.init([THINGS, PLAIN])
    key = ("ada", 1, "x", AT)
    await rows.write(Write(THINGS, key, {"text": "t", "changed_at": 1}), Write(PLAIN, ("a", 1), {"v": 1}))
    assert await rows.exists(THINGS)
    await rows.drop(THINGS)
    assert not await rows.exists(THINGS)
    assert await rows.get(PLAIN, ("a", 1), ["v"]) == {"v": 1}
    other = await fresh()
    await other.init([THINGS, PLAIN])
    assert await other.get(THINGS, key) is None
    assert await other.statics(THINGS, [("ada", 1)]) == {}


async def test_a_newer_schema_is_refused(fresh: Open) -> None:
    rows = await fresh()
    newer = replace(PLAIN, columns={**PLAIN.columns, "labels": Column(SetOf(TEXT), since=2)})
    await rows.init([newer])
    with pytest.raises(InvalidInput, match="version 2 and this program knows version 1"):
        await rows.init([PLAIN, WIDE])
    assert await rows.schema_version() == 2


async def test_two_processes_may_init_at_once(fresh: Open) -> None:
    one, two = await fresh(), await fresh()
    await asyncio.gather(one.init(TOYS), two.init(TOYS))
    added = replace(PLAIN, columns={**PLAIN.columns, "x": Column(TEXT, since=2)})
    await asyncio.gather(one.init([added]), two.init([added]))
    assert await one.init([added]) == await two.init([added]) == []
    await one.write(Write(added, ("a", 1), {"x": "y"}))
    assert await two.get(added, ("a", 1), ["x"]) == {"x": "y"}


# --- trouble


@pytest.mark.parametrize("url", ["cassandra://127.0.0.1:1/none", "cassandra://no-such-host.invalid/none"])
async def test_a_server_that_cannot_be_reached_is_unavailable(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        await CassandraRows.open(url)


@pytest.mark.stack
async def test_more_copies_than_nodes_are_refused_and_nothing_is_created() -> None:
    """The server has one node."""
    rows = await CassandraRows.open(f"{CASSANDRA}/test_{secrets.token_hex(6)}?replication=3")
    try:
        with pytest.raises(InvalidInput, match="replication=3 needs as many nodes; found: 1"):
            await rows.init(TOYS)
        assert await rows.schema_version() == 0
    finally:
        await rows.close()


@on_cassandra
async def test_it_says_on_how_many_nodes_rows_are(rows: CassandraRows) -> None:
    assert await rows.replication() == Replication(copies=1, nodes=1, away=[])


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database" * 100)
    for wrong in (tmp_path / "missing" / "rows.db", tmp_path / "text.db", tmp_path):
        with pytest.raises(StoreUnavailable):
            await SqliteRows.open(wrong)


async def test_after_the_deadline_every_call_raises_deadline_exceeded(rows: Rows, me: str) -> None:
    with deadline(0):
        for call in (
            rows.get(PLAIN, (me, 1)),
            rows.partitions(PLAIN, [(me, 1)]),
            rows.write(Write(PLAIN, (me, 1), {})),
            rows.insert_if_absent(PLAIN, {"kind": me, "id": 1}),
            rows.ping(),
        ):
            with pytest.raises(DeadlineExceeded):
                await call


async def test_a_call_that_outlasts_the_deadline_is_not_waited_for(rows: Rows, me: str) -> None:
    await rows.get(PLAIN, (me, 1))
    started = time.monotonic()
    writes = [Write(PLAIN, (me, i), {"w": "x" * 200}) for i in range(4000)]
    with deadline(0.005), pytest.raises(DeadlineExceeded):
        await rows.write(*writes)
    assert time.monotonic() - started < 30
    await rows.ping()


async def test_cancelled_calls_leave_room_for_others(engine: str, shared: str, rows: Rows, me: str) -> None:
    narrow: Rows = await (
        SqliteRows.open(shared, readers=1) if engine == "sqlite" else CassandraRows.open(shared, in_flight=2)
    )
    await narrow.get(PLAIN, (me, 1))
    for _ in range(10):
        calls = [asyncio.create_task(narrow.get(PLAIN, (me, i))) for i in range(5)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    with deadline(60):
        assert await asyncio.gather(*(narrow.get(PLAIN, (me, i)) for i in range(20))) == [None] * 20
    if isinstance(narrow, CassandraRows):
        assert narrow._session.permits._value == 2
    await narrow.close()


@on_cassandra
async def test_a_group_of_keys_that_fails_is_retried_key_by_key(
    rows: CassandraRows, me: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows.write(*(Write(PLAIN, (me, i), {"v": i}) for i in range(20)))
    send, sent = rows._session.send, []

    async def failing(what: str, statement: Any, **options: Any) -> Any:
        sent.append(what)
        if len(sent) == 1:
            raise StoreUnavailable("a coordinator is down")
        return await send(what, statement, **options)

    monkeypatch.setattr(rows._session, "send", failing)
    assert len(await rows.get_many(PLAIN, [(me, i) for i in range(20)])) == 20
    assert len(sent) == 21


@on_cassandra
async def test_writes_that_need_not_be_one_are_sent_in_batches_that_the_server_does_not_warn_of(
    rows: CassandraRows, me: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many partitions: plain ones, long ones, and those of collections, each of whose elements is a cell."""
    columns: tuple[dict[str, Any], ...] = (
        {"int": 1},
        {"text": "x" * 300, "bigint": 2, "timestamp": AT},
        {"open_map": {f"leaf {n}": n for n in range(20)}},
    )
    with rows.meter.measure() as cost:
        for number, values in enumerate(columns):
            await rows.write(*(Write(THINGS, (f"{me}{n}", number, "name", AT), values) for n in range(200)))
    assert [record.getMessage() for record in caplog.records if "Server warning" in record.getMessage()] == []
    assert cost["batch"] < 200, "and yet few"


@on_cassandra
async def test_keys_are_grouped_by_the_nodes_that_hold_them(
    rows: CassandraRows, me: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows.write(*(Write(PLAIN, (me, i), {"v": i}) for i in range(40)))
    monkeypatch.setattr(CassandraSession, "nodes", 3)
    monkeypatch.setattr(CassandraSession, "replicas", lambda _, key: frozenset({key[-2] % 3}))
    with rows.meter.measure() as cost:
        assert len(await rows.get_many(PLAIN, [(me, i) for i in range(40)])) == 40
        await rows.write(*(Write(PLAIN, (me, i), {"v": i}) for i in range(40)))
    assert cost == {"select plain": 3, "batch": 3}


@on_cassandra
@pytest.mark.parametrize(
    ("table", "key"),
    [(PLAIN, ("é", -5)), (WIDE, ("x",)), (THINGS, ("", 2**31 - 1))],
    ids=lambda v: getattr(v, "name", ""),
)
async def test_the_routing_key_is_the_one_the_driver_finds(
    rows: CassandraRows, table: Table, key: Any
) -> None:
    cql = rows._cql(table)
    bound = await rows._statements.bind(cql.select(table.key[:1], cql.slice(0, 0)), cql.key(key))
    assert cql.routing_key(key) == bound.routing_key
    assert Routed.routing_key is None


def test_an_address_says_what_it_takes() -> None:
    address = Address.parse("cassandra://me:p%40ss@a,b:9043/k?dc=dc1&replication=3", prefix="t_")
    assert address == Address((("a", 9043), ("b", 9043)), "t_k", "me", "p@ss", "dc1", 3)
    assert "'NetworkTopologyStrategy', 'dc1': 3" in address.create
    assert Address.parse("cassandra://a").keyspace == "cohort"
    for wrong in (
        "http://a/k",
        "cassandra:///k",
        "cassandra://a/K-1",
        "cassandra://a:x/k",
        "cassandra://a/k?rf=1",
        "cassandra://a/k?replication=0",
    ):
        with pytest.raises(InvalidInput):
            Address.parse(wrong)


def test_keys_share_and_slices_are_worked_out_without_a_server() -> None:
    def shared(keys: list[Any], partition: int, most: int = 100) -> list[Any]:
        return [(one.differing, list(one.keys)) for one in share(keys, partition, most)]

    assert shared([(1, "a"), (2, "a"), (3, "b")], 2) == [
        (((0, 1),), [(1, "a"), (2, "a")]),
        (((0, 1),), [(3, "b")]),
    ]
    assert shared([(1, "a"), (1, "b")], 2) == [(((1, 2),), [(1, "a"), (1, "b")])]
    apart: list[Any] = [(1, "a", "a"), (1, "b", "b"), (2, "c", "c")]
    assert shared(apart, 1) == [(((1, 3),), apart[:2]), (((1, 3),), apart[2:])]
    assert len(share(apart, 3)) == 3
    # Every pair of two columns, and of a column with the whole clustering; never a key that was not asked for.
    pairs = [(x, y, 0) for x in range(4) for y in range(5)]
    assert shared(pairs, 3) == [(((0, 1), (1, 2)), pairs)]
    assert [len(keys) for _, keys in shared(pairs, 3, 10)] == [10, 10]
    assert shared(pairs, 1) == [(((0, 1), (1, 2)), pairs)]
    of_clustering = [(x, y, y) for x in range(4) for y in range(5)]
    assert shared(of_clustering, 1) == [(((0, 1), (1, 3)), of_clustering)]
    assert sorted(key for one in share([*pairs, (9, 9, 9)], 3) for key in one.keys) == [*pairs, (9, 9, 9)]
    for most in (1, 3, 7):
        parts = [one.keys for one in share(pairs, 3, most)]
        assert max(map(len, parts)) <= most
        assert sorted(key for part in parts for key in part) == pairs
    assert beyond((), None) == ()
    assert beyond(("b",), ("a", 1)) == ()
    assert beyond(("b",), ("b", 1)) == (1,)
    assert beyond(("b",), ("c", 1)) is None
    assert beyond(("b", 1), ("b", 1)) is None
    assert issubclass(InvalidInput, CohortError)


# --- what SQLite keeps of rows that are gone


def holds(folder: Path, text: str) -> bool:
    """Whether any of its files does, in whatever part of it."""
    return any(text.encode() in path.read_bytes() for path in folder.iterdir())


async def deleted_in_every_way(rows: SqliteRows, me: str) -> None:
    """By time and by condition, alone and together, with statics, and by nulls."""
    key = (me, 1, "name", AT)
    await rows.write(Write(THINGS, key, {"text": "x", "open_map": {"a": 1}, "changed_at": 3}, timestamp=5))
    await rows.write(Write(THINGS, key, {"changed_at": None}, timestamp=9))
    await rows.write(Write(THINGS, key, {}, timestamp=9, delete=True))
    for b in range(3):
        await rows.insert_if_absent(WIDE, {"id": me, "a": "x", "b": b, "c": 0, "v": b})
    await rows.delete_if(WIDE, (me, "x", 0, 0), [Equal("v", 0)])
    gone = [Change((me, "x", b, 0), {}, [Equal("v", b)], delete=True) for b in (1, 2)]
    assert await rows.write_together(WIDE, gone)
    await rows.write(Write(PLAIN, (me, 1), {"v": 1}, insert=False, timestamp=7))
    await rows.write(Write(PLAIN, (me, 1), {"v": None, "w": None}, insert=False, timestamp=8))


async def test_what_is_deleted_is_in_no_file_and_still_beats_late_writes(tmp_path: Path) -> None:
    rows = await SqliteRows.open(tmp_path / "rows.db")
    await rows.init(TOYS)
    for n in range(200):  # so that pages are split and copies are left in what they have no use for
        await deleted_in_every_way(rows, f"GONE-{n}")
        await rows.write(Write(PLAIN, (f"HERE-{n}", 1), {"v": n, "w": "w" * 50}))
    await rows.scrub()
    assert not holds(tmp_path, "GONE-")
    assert all(holds(tmp_path, f"HERE-{n}") for n in range(200))
    late = [
        Write(THINGS, ("GONE-7", 1, "name", AT), {"text": "late", "open_map": {"b": 2}}, timestamp=8),
        Write(THINGS, ("GONE-7", 1, "name", AT), {"changed_at": 1}, timestamp=8, insert=False),
        Write(PLAIN, ("GONE-7", 1), {"v": 3}, timestamp=7, insert=False),
    ]
    for writes in (late, late[:1], late[1:2], late[2:]):
        await rows.write(*writes)
        assert await rows.partition(THINGS, ("GONE-7", 1)) == []
        assert await rows.statics(THINGS, [("GONE-7", 1)]) == {}
        assert await rows.get(PLAIN, ("GONE-7", 1)) is None
    await rows.scrub()
    assert not holds(tmp_path, "GONE-")
    # What is newer holds, column by column.
    await rows.write(Write(PLAIN, ("GONE-7", 1), {"v": 4}, timestamp=9, insert=False))
    await rows.write(Write(PLAIN, ("GONE-7", 1), {"w": "late"}, timestamp=8 - 1, insert=False))
    assert await rows.get(PLAIN, ("GONE-7", 1), ["v", "w"]) == {"v": 4, "w": None}
    await rows.write(Write(THINGS, ("GONE-7", 1, "name", AT), {"text": "new"}, timestamp=10))
    found = await rows.get(THINGS, ("GONE-7", 1, "name", AT), ["text", "open_map", "changed_at"])
    assert found == {"text": "new", "open_map": None, "changed_at": None}
    await rows.close()


async def test_a_file_of_before_hides_what_it_still_shows(tmp_path: Path) -> None:
    """Made by a program that left deleted rows where they were."""
    path = tmp_path / "rows.db"
    rows = await SqliteRows.open(path)
    await rows.init(TOYS)
    await rows.write(Write(PLAIN, ("OLD", 1), {"v": 1}, timestamp=5))
    await rows.close()
    with sqlite3.connect(path) as before:
        names = "SELECT type, name FROM sqlite_master WHERE name LIKE '%\\_\\_hidden' ESCAPE '\\' OR name LIKE '%\\_\\_gone' ESCAPE '\\'"
        for type_, name in before.execute(names).fetchall():
            before.execute(f'DROP {type_} "{name}"')
        before.execute("UPDATE plain SET _live = NULL, v = NULL, _dead = 7")
    before.close()
    rows = await SqliteRows.open(path)
    assert await rows.init(TOYS) == []
    await rows.scrub()
    assert not holds(tmp_path, "OLD")
    await rows.write(Write(PLAIN, ("OLD", 1), {"v": 2}, timestamp=6))
    assert await rows.get(PLAIN, ("OLD", 1)) is None
    await rows.write(Write(PLAIN, ("OLD", 1), {"v": 2}, timestamp=8))
    assert await rows.get(PLAIN, ("OLD", 1), ["v"]) == {"v": 2}
    await rows.close()


async def test_a_column_that_comes_later_is_hidden_like_the_others(tmp_path: Path) -> None:
    later = replace(PLAIN, columns={**PLAIN.columns, "x": Column(INT, since=2)})
    rows = await SqliteRows.open(tmp_path / "rows.db")
    await rows.init([PLAIN])
    await rows.write(Write(PLAIN, ("me", 1), {}, timestamp=5, delete=True))
    await rows.init([later])
    await rows.write(Write(later, ("me", 2), {"x": 1}, timestamp=5, insert=False))
    assert await rows.get(later, ("me", 2), ["x"]) == {"x": 1}
    await rows.write(Write(later, ("me", 2), {"x": None}, timestamp=6, insert=False))
    await rows.write(Write(later, ("me", 2), {"x": 2}, timestamp=5, insert=False))
    await rows.write(Write(later, ("me", 1), {"x": 2}, timestamp=4, insert=False))
    assert await rows.partitions(later, [("me", 1), ("me", 2)]) == {("me", 1): [], ("me", 2): []}
    await rows.close()
