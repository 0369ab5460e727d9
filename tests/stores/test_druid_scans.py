"""The answer to a scan comes in pieces of any size; its batches are whole, or it is an error."""

from collections.abc import AsyncIterator, Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from druid_specs import ACTIVITY_STATE
from rules.errors import StoreUnavailable
from stores import groups_druid
from stores.druid_scans import batches, events_in, scans
from stores.groups_druid import DruidGroups

HOSTILE = 'a text, with ,{"segmentId":" in it, and ]'


def batch(*users: str) -> dict[str, object]:
    events = [["a", user, 7, {"lhs": 7, "rhs": 1}, {"lhs": 7, "rhs": "\0=" + HOSTILE}] for user in users]
    columns = ["activity_id", "user_id", "version", "active", "district"]
    return {"segmentId": f"of {users}", "columns": columns, "events": events}


async def pieces(answer: bytes, sizes: Sequence[int]) -> AsyncIterator[bytes]:
    for size in sizes:
        yield answer[:size]
        answer = answer[size:]
    yield answer


async def users_in(answer: bytes, sizes: Sequence[int]) -> list[str]:
    found = [events_in(ACTIVITY_STATE, each) async for each in batches(pieces(answer, sizes))]
    return [event["user_id"] for events in found for event in events]


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(0, 3))
async def test_batches_are_found_however_the_answer_is_cut(sizes: list[int], count: int) -> None:
    answer = orjson.dumps([batch(f"u{n}", HOSTILE) for n in range(count)])
    assert await users_in(answer, sizes) == [user for n in range(count) for user in (f"u{n}", HOSTILE)]


@pytest.mark.parametrize("lost", [1, 2, 5, 200])
async def test_an_answer_that_breaks_off_is_an_error(lost: int) -> None:
    answer = orjson.dumps([batch("one"), batch("two")])
    with pytest.raises(StoreUnavailable, match="broke off"):
        await users_in(answer[:-lost], [])


async def test_an_answer_that_breaks_off_between_two_batches_is_an_error() -> None:
    answer = orjson.dumps([batch("one"), batch("two")])
    with pytest.raises(StoreUnavailable, match="broke off"):
        await users_in(answer[: answer.index(b',{"segmentId"')], [])


async def test_an_event_has_the_values_behind_the_versions() -> None:
    (event,) = events_in(ACTIVITY_STATE, orjson.dumps(batch("ada")))
    assert (event["version"], event["active"], event["district"]) == (7, 1, HOSTILE)
    assert event["school"] is None, "a column that the segment does not have yet"


def test_the_scans_are_of_every_day_that_a_state_may_be_on() -> None:
    intervals = [scan["intervals"] for scan in scans(ACTIVITY_STATE, "x.activity-state-2")]
    assert intervals == [[f"2020-01-{day:02}/P1D"] for day in range(1, 17)]


class Broker:
    """A Druid whose segments are loaded or not, as ``looks`` says of one look after the other, and then they are."""

    def __init__(self, *looks: bool) -> None:
        self.looks = [*looks]
        self.scans = 0

    async def sql(self, _statement: str, *_: str) -> list[list[int]]:
        return [] if not self.looks or self.looks.pop(0) else [[3]]

    async def stream(self, _body: object) -> AsyncIterator[bytes]:
        self.scans += 1
        yield orjson.dumps([batch("ada")] if self.scans == 1 else [])


@pytest.mark.parametrize(
    ("looks", "scans_more"), [((), 0), ((False, False), 0), ((True, False), 1), ((True, False, False), 1)]
)
async def test_all_that_is_stored_is_read_while_segments_are_loaded(
    monkeypatch: pytest.MonkeyPatch, looks: tuple[bool, ...], scans_more: int
) -> None:
    """A scan waits until each has a server, and is repeated where one had none after it."""
    monkeypatch.setattr(groups_druid, "LOOK", 0.0)
    broker = Broker(*looks)
    groups = DruidGroups(broker, "test")  # type: ignore[arg-type]
    found = [event["user_id"] async for events in groups.stored(ACTIVITY_STATE) for event in events]
    assert found == ["ada"]
    assert broker.scans == len(scans(ACTIVITY_STATE, "test")) + scans_more


async def test_what_is_never_loaded_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_druid, "LOOK", 0.0)
    monkeypatch.setattr(groups_druid, "LOADING", 0.05)
    groups = DruidGroups(Broker(*[False] * 1_000_000), "test")  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="loads parts"):
        [events async for events in groups.stored(ACTIVITY_STATE)]
