"""Reads of one request that begin at the same moment are one call of the rows port; each caller is told its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.together import reads_together
from loaders.views import row_key, views_by_key
from rules.errors import DeadlineExceeded, InvalidInput, StoreUnavailable
from rules.identifiers import ViewKey
from rules.tracking import Tracking
from stores.columns import INT, TEXT, Table, static
from stores.deadline import deadline
from stores.rows import Rows, Write
from stores.rows_sqlite import SqliteRows
from stores.tables import VIEWS

NOTES = Table(
    "notes",
    partition={"owner": TEXT},
    clustering={"a": TEXT, "b": INT},
    columns={"v": INT, "changed_at": static(INT)},
)
USERS = [f"u{n}" for n in range(40)]


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[SqliteRows]:
    """Each user has x/0 to x/4, and y/0; of v their number."""
    rows = await SqliteRows.open(tmp_path / "rows.db")
    await rows.init([NOTES])
    keys = [(u, "x", n) for u in USERS for n in range(5)] + [(u, "y", 0) for u in USERS]
    await rows.write(*(Write(NOTES, key, {"v": int(key[0][1:])}) for key in keys))
    await rows.write(*(Write(NOTES, (u, "y", 0), {"changed_at": 7}) for u in USERS))
    yield rows
    await rows.close()


async def cost(rows: Rows, *reads: Any) -> tuple[list[Any], int]:
    with rows.meter.measure() as spent:
        found = await asyncio.gather(*reads)
    return found, sum(spent.values())


async def test_reads_of_a_shape_are_one_statement_and_each_has_what_it_would_have_alone(
    rows: SqliteRows,
) -> None:
    asked = reads_together(rows)
    slices: dict[str, Any] = {"prefix": ("x",), "after": ("x", 1), "limit": 2, "columns": ["b", "v"]}
    found, spent = await cost(rows, *(asked.partition(NOTES, (u,), **slices) for u in USERS))
    assert spent == 1
    assert found == [[{"b": 2, "v": n}, {"b": 3, "v": n}] for n in range(40)]
    found, spent = await cost(
        rows, *(asked.get(NOTES, (u, "y", 0), ["v"]) for u in USERS), asked.get(NOTES, ("no", "y", 0), ["v"])
    )
    assert (found, spent) == ([*({"v": n} for n in range(40)), None], 1)
    found, spent = await cost(
        rows, *(asked.get_many(NOTES, [(u, "x", 0), (u, "z", 0)], ["b"]) for u in USERS)
    )
    assert (found, spent) == ([{(u, "x", 0): {"b": 0}} for u in USERS], 1)
    found, spent = await cost(rows, *(asked.partitions(NOTES, [(u,)], ["a"], among=["y"]) for u in USERS))
    assert (found, spent) == ([{(u,): [{"a": "y"}]} for u in USERS], 1)
    found, spent = await cost(rows, *(asked.tuples(NOTES, [(u,)], ["a", "v"], among=["y"]) for u in USERS))
    assert (found, spent) == ([{(u,): [("y", n)]} for n, u in enumerate(USERS)], 1)
    found, spent = await cost(rows, *(asked.statics(NOTES, [(u,), ("no",)]) for u in USERS))
    assert (found, spent) == ([{(u,): {"changed_at": 7}} for u in USERS], 1)
    found, spent = await cost(
        rows, *(asked.static_values(NOTES, [(u,), ("no",)], "changed_at") for u in USERS)
    )
    assert (found, spent) == ([{(u,): 7, ("no",): None} for u in USERS], 1)
    assert not await asked.static_values(NOTES, [], "changed_at")
    assert not await asked.get_many(NOTES, [])
    assert not await asked.partitions(NOTES, [])
    assert not await asked.tuples(NOTES, [], ["v"])


async def test_what_differs_in_more_than_the_key_is_apart(rows: SqliteRows) -> None:
    asked = reads_together(rows)
    found, spent = await cost(
        rows,
        asked.partition(NOTES, ("u1",), limit=1),
        asked.partition(NOTES, ("u2",), limit=2),
        asked.partition(NOTES, ("u3",), limit=2, columns=["v"]),
        asked.partition(NOTES, ("u4",), prefix=("y",)),
    )
    assert [len(each) for each in found] == [1, 2, 2, 1]
    assert spent == 4


async def test_what_begins_later_reads_anew(rows: SqliteRows) -> None:
    asked = reads_together(rows)
    assert (await asked.get(NOTES, ("u1", "y", 0), ["v"])) == {"v": 1}
    await asked.write(Write(NOTES, ("u1", "y", 0), {"v": 100}))
    assert (await asked.get(NOTES, ("u1", "y", 0), ["v"])) == {"v": 100}


async def test_an_error_is_everybodys_and_a_wrong_key_its_callers(
    rows: SqliteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = reads_together(rows)
    found: Any = await asyncio.gather(
        asked.get(NOTES, ("u1", "y", 0), ["v"]), asked.get(NOTES, ("u1", 3, 0)), return_exceptions=True
    )
    right, wrong = found
    assert right == {"v": 1}
    assert isinstance(wrong, InvalidInput)

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the rows are away")

    monkeypatch.setattr(rows, "get_many", away)
    failed = await asyncio.gather(*(asked.get(NOTES, (u, "y", 0)) for u in USERS[:3]), return_exceptions=True)
    assert [type(error) for error in failed] == [StoreUnavailable] * 3


async def test_each_caller_waits_until_its_own_deadline(
    rows: SqliteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has less time does not take it from the others, nor get more by them."""
    asked, sound = reads_together(rows), rows.get_many

    async def slow(*args: Any) -> Any:
        await asyncio.sleep(0.3)
        return await sound(*args)

    monkeypatch.setattr(rows, "get_many", slow)

    async def within(seconds: float, user: str) -> Any:
        with deadline(seconds):
            return await asked.get(NOTES, (user, "y", 0), ["v"])

    found: Any = await asyncio.gather(
        within(0.1, "u1"), within(5, "u2"), asked.get(NOTES, ("u3", "y", 0), ["v"]), return_exceptions=True
    )
    hasty, patient, unhurried = found
    assert isinstance(hasty, DeadlineExceeded)
    assert (patient, unhurried) == ({"v": 2}, {"v": 3})


async def test_a_deadline_is_told_as_such_also_where_the_loops_clock_is_a_moment_early(
    rows: SqliteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that stands still has time left for ever, when the loop's timer has run out."""
    began = time.monotonic()
    monkeypatch.setattr("stores.deadline.time", SimpleNamespace(monotonic=lambda: began))
    monkeypatch.setattr(rows, "get_many", lambda *_: asyncio.Event().wait())
    asked = reads_together(rows)
    with deadline(0.05):
        found = await asyncio.gather(
            *(asked.get(NOTES, (u, "y", 0)) for u in USERS[:2]), return_exceptions=True
        )
    assert [type(error) for error in found] == [DeadlineExceeded] * 2


async def test_once_the_last_caller_has_left_nothing_goes_on(
    rows: SqliteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    began = asyncio.Event()

    async def endless(*_: Any, **__: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    monkeypatch.setattr(rows, "get_many", endless)
    asked = reads_together(rows)
    callers = [asyncio.create_task(asked.get(NOTES, (u, "y", 0))) for u in USERS[:2]]
    await began.wait()
    callers[0].cancel()
    await asyncio.sleep(0.05)
    assert ended == []
    callers[1].cancel()
    while not ended:
        await asyncio.sleep(0.01)
    assert ended == ["cancelled"]


async def test_who_leaves_at_once_leaves_the_read_to_those_who_have_joined(rows: SqliteRows) -> None:
    asked = reads_together(rows)
    first, *others = (asyncio.create_task(asked.get(NOTES, (u, "y", 0), ["v"])) for u in USERS[:3])
    asyncio.get_running_loop().call_soon(first.cancel)  # before the first one's next turn
    found = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [{"v": 1}, {"v": 2}]
    assert await asked.get(NOTES, ("u0", "y", 0), ["v"]) == {"v": 0}


async def test_who_leaves_at_once_leaves_a_single_other_one_what_it_asked_for(rows: SqliteRows) -> None:
    asked = reads_together(rows)
    slices: dict[str, Any] = {"prefix": ("x",), "limit": 1, "columns": ["v"]}
    for first, other, expected in (
        (asked.get(NOTES, ("u1", "y", 0)), asked.get(NOTES, ("u2", "y", 0), ["v"]), {"v": 2}),
        (
            asked.get(NOTES, ("u1", "y", 0), ["v"]),
            asked.get_many(NOTES, [("u2", "y", 0), ("u3", "y", 0)], ["v"]),
            {("u2", "y", 0): {"v": 2}, ("u3", "y", 0): {"v": 3}},
        ),
        (asked.partition(NOTES, ("u1",), **slices), asked.partition(NOTES, ("u2",), **slices), [{"v": 2}]),
        (
            asked.tuples(NOTES, [("u1",)], ["v"], among=["y"]),
            asked.tuples(NOTES, [("u2",)], ["v"], among=["y"]),
            {("u2",): [(2,)]},
        ),
    ):
        leaving, staying = asyncio.create_task(first), asyncio.create_task(other)
        asyncio.get_running_loop().call_soon(leaving.cancel)
        assert await staying == expected
        assert leaving.cancelled()


async def test_a_lone_read_ends_with_its_caller(rows: SqliteRows, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless(*_: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(rows, "get", endless)
    caller = asyncio.create_task(reads_together(rows).get(NOTES, ("u1", "y", 0)))
    await began.wait()
    caller.cancel()
    await asyncio.wait([caller])
    assert ended.is_set()


async def test_views_of_many_collections_are_read_by_partition_and_what_is_beyond_by_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their keys share no statement: each collection is a partition with leaves of its own."""
    rows = await SqliteRows.open(tmp_path / "views.db")
    await rows.init([VIEWS])

    def key(course: int, leaf: int, context: str = "batch") -> ViewKey:
        return ViewKey("ann", f"c{course}", context, f"c{course}-{leaf}")

    keys = [key(course, leaf) for course in range(40) for leaf in range(3)]
    stored = [*keys[::2], *(key(7, leaf, "an earlier one") for leaf in range(20))]
    await rows.write(
        *(Write(VIEWS, row_key(each), {"status": 1, "timespent": len(each.content_id)}) for each in stored)
    )
    for at_once, statements in ((300, 1), (4, 2)):
        monkeypatch.setattr("loaders.views.AT_ONCE", at_once)
        with rows.meter.measure() as spent:
            found = await views_by_key(rows, Tracking(), keys)
        assert [view is not None for view in found] == [each in stored for each in keys]
        assert all(view.key == each for view, each in zip(found, keys, strict=True) if view)
        assert sum(spent.values()) == statements
    await rows.close()
