"""Profiles that a request reads: each once, and together with what else it reads at that moment."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loaders.learners import LearnersKnown, learner_values, learners_by_id
from loaders.together import reads_together
from rules.errors import StoreUnavailable
from rules.learners import Learner
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
    return LearnersKnown(partial(learners_by_id, reads_together(rows)))


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
    """So both statements of a home page go to the store in one message."""
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

    rows: Any = reads_together(cast("Rows", SimpleNamespace(get=get, tuples=tuples)))
    known = LearnersKnown(partial(learners_by_id, rows))
    count()
    await asyncio.gather(known.load("u0"), rows.tuples(ENROLMENTS, [("u0",)], ("contextid",)))
    assert asked_in["profile"] == asked_in["list"]
