"""Profiles that a request reads: each once, and together with what else it reads at that moment."""

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from loaders.learners import LearnersKnown, learner_values, learners_by_id
from loaders.together import reads_together
from rules.errors import DeadlineExceeded, StoreUnavailable
from rules.learners import Learner
from stores.deadline import deadline
from stores.rows import Rows, Write
from stores.rows_sqlite import SqliteRows
from stores.tables import ENROLMENTS, LEARNERS

PEOPLE = [Learner(f"u{number}", f"Learner {number}") for number in range(5)]


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[SqliteRows]:
    rows = await SqliteRows.open(tmp_path / "rows.db")
    await rows.init([LEARNERS])
    await rows.write(*(Write(LEARNERS, (one.user_id,), learner_values(one)) for one in PEOPLE))
    yield rows
    await rows.close()


def known_in(rows: Rows) -> LearnersKnown:
    return LearnersKnown(partial(learners_by_id, rows))


async def test_profiles_asked_for_at_the_same_moment_are_one_statement(rows: SqliteRows) -> None:
    known = known_in(rows)
    with rows.meter.measure() as spent:
        found = await asyncio.gather(*(known.load(one.user_id) for one in PEOPLE), known.load("nobody"))
    assert [one and one.name for one in found] == [*(one.name for one in PEOPLE), None]
    assert sum(spent.values()) == 1


async def test_a_profile_is_read_once_also_where_there_is_none(rows: SqliteRows) -> None:
    known = known_in(rows)
    await known.load_many(["u0", "nobody"])
    with rows.meter.measure() as spent:
        found = await known.load_many(["nobody", "u0", "u1", "u1"])
    assert [one and one.user_id for one in found] == [None, "u0", "u1", "u1"]
    assert spent == {"select learner": 1}  # of u1


async def test_a_profile_that_was_told_is_not_read_and_does_not_replace_one_that_was(
    rows: SqliteRows,
) -> None:
    known, told = known_in(rows), Learner("u9", "As told")
    known.prime("u9", told)
    await known.load("u0")
    known.prime("u0", told)
    with rows.meter.measure() as spent:
        assert [await known.load("u9"), (await known.load("u0") or told).name] == [told, "Learner 0"]
    assert not spent


class Profiles:
    """Reads that end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def read(self, user_ids: list[str]) -> Sequence[Learner | None]:
        self.asked.append(user_ids)
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return [Learner(user_id, f"read {len(self.asked)}") for user_id in user_ids]


async def begun(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """The task, once it waits."""
    task = asyncio.create_task(work)
    for _ in range(2):
        await asyncio.sleep(0)
    return task


async def test_a_profile_that_is_being_read_is_not_read_again() -> None:
    profiles = Profiles()
    known = LearnersKnown(profiles.read)
    first, both = await begun(known.load("u0")), await begun(known.load_many(["u1", "u0"]))
    assert profiles.asked == [["u0"], ["u1"]]
    for answer in profiles.answers:
        answer.set_result(None)
    assert [one.user_id for one in await both] == ["u1", "u0"]
    assert (await first) is (await known.load("u0"))
    assert len(profiles.asked) == 2


async def test_profiles_of_the_same_moment_are_one_read_which_one_who_asked_may_leave() -> None:
    profiles = Profiles()
    known = LearnersKnown(profiles.read)
    all_of = [asyncio.create_task(known.load_many(some)) for some in (["u0"], ["u1", "u0"], ["u2"])]
    while not profiles.asked:
        await asyncio.sleep(0)
    assert profiles.asked == [["u0", "u1", "u2"]]
    all_of[1].cancel()
    profiles.answers[0].set_result(None)
    found = await asyncio.gather(*all_of, return_exceptions=True)
    assert [
        each if isinstance(each, BaseException) else [one.user_id for one in each if one] for each in found
    ][::2] == [
        ["u0"],
        ["u2"],
    ]
    assert all_of[1].cancelled()


async def test_of_those_who_ask_for_a_profile_one_may_leave() -> None:
    """Whoever reads it leaves, and then one who waits."""
    profiles = Profiles()
    known = LearnersKnown(profiles.read)
    reader, leaves, stays, other = [await begun(known.load("u0")) for _ in range(4)]
    reader.cancel()
    leaves.cancel()
    await asyncio.wait([reader, leaves])
    while len(profiles.asked) < 2:
        await asyncio.sleep(0)
    profiles.answers[1].set_result(None)
    assert (await stays) is (await other) is not None
    assert (profiles.asked, reader.cancelled(), leaves.cancelled()) == ([["u0"], ["u0"]], True, True)


async def test_what_went_wrong_is_told_to_all_who_wait_for_it_but_the_time_of_another() -> None:
    profiles = Profiles()
    known = LearnersKnown(profiles.read)
    both = [await begun(known.load("u0")) for _ in range(2)]
    profiles.answers[0].set_exception(StoreUnavailable("away"))
    assert [str(one) for one in await asyncio.gather(*both, return_exceptions=True)] == ["away", "away"]
    first, second = [await begun(known.load("u0")) for _ in range(2)]
    profiles.answers[1].set_exception(DeadlineExceeded("over"))
    with pytest.raises(DeadlineExceeded):
        await first
    while len(profiles.asked) < 3:
        await asyncio.sleep(0)
    profiles.answers[2].set_result(None)
    assert (await second).user_id == "u0"


async def test_an_error_that_many_were_told_is_freed_at_once() -> None:
    profiles = Profiles()
    known = LearnersKnown(profiles.read)

    async def failed() -> "ref[BaseException]":
        all_of = [await begun(known.load("u0")) for _ in range(3)]
        profiles.answers[0].set_exception(StoreUnavailable("away"))
        errors = await asyncio.gather(*all_of, return_exceptions=True)
        profiles.answers.clear()
        return ref(errors[0])

    gc.collect()
    gc.disable()
    try:
        with deadline(60):
            error = await failed()
        await asyncio.sleep(0)  # what has ended is let go
        assert error() is None
    finally:
        gc.enable()


async def test_who_waits_for_the_read_of_another_keeps_to_their_own_deadline() -> None:
    profiles = Profiles()
    known = LearnersKnown(profiles.read)
    reader = await begun(known.load("u0"))
    with deadline(0.01), pytest.raises(DeadlineExceeded):
        await known.load("u0")
    profiles.answers[0].set_result(None)
    assert (await reader).user_id == "u0"
    assert profiles.asked == [["u0"]]


async def test_a_profile_that_could_not_be_read_is_read_again() -> None:
    answers: list[Any] = [StoreUnavailable("away"), [PEOPLE[0]]]

    async def read(_: list[str]) -> Sequence[Learner | None]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    known = LearnersKnown(read)
    with pytest.raises(StoreUnavailable):
        await known.load("u0")
    assert await known.load("u0") is PEOPLE[0]


async def test_a_profile_is_asked_for_in_the_turn_in_which_the_list_beside_it_is() -> None:
    """So both statements of a home page go to the store in one message, however many fields of the profile it shows."""
    loop, turn = asyncio.get_running_loop(), 0
    asked_in: dict[str, int] = {}

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(asked_in) < 2:
            loop.call_soon(count)

    async def get(*_: Any) -> None:
        asked_in["profile"] = turn

    async def tuples(_: Any, keys: Sequence[Any], *__: Any, **___: Any) -> dict[Any, list[Any]]:
        asked_in["list"] = turn
        return {key: [] for key in keys}

    store: Any = SimpleNamespace(get=get, tuples=tuples)
    known, rows = known_in(store), reads_together(store)
    count()
    fields = [known.load("u0") for _ in range(5)]
    await asyncio.gather(*fields, rows.tuples(ENROLMENTS, [("u0",)], ("contextid",)))
    assert asked_in["profile"] == asked_in["list"]
