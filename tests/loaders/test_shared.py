"""Loaders that outlive a request: one flight a key, and neither absences nor failures are kept."""

import asyncio
import gc

import pytest

from loaders.shared import SharedLoader
from rules.errors import DeadlineExceeded, StoreUnavailable
from stores.deadline import deadline, remaining


class Store:
    """What is loaded from; ``asked`` has the keys of each batch."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.allowed: list[float] = []

    async def load(self, keys: list[str]) -> list[str | None]:
        self.asked.append(sorted(keys))
        self.allowed.append(remaining(99))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return [self.values.get(key) for key in keys]

    def loader(self, ttl: float | None = None, most: int = 10) -> SharedLoader[str, str]:
        return SharedLoader(self.load, most=most, size=lambda _key, _answer: 1, ttl=ttl)


@pytest.fixture
async def store() -> Store:
    return Store()


class Clock:
    """By which answers are kept: it goes on when a test says so, however long the machine takes."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("loaders.kept.monotonic", clock)
    return clock


async def test_many_keys_are_one_batch_and_answers_are_kept(store: Store) -> None:
    store.values = {"a": "A", "b": "B"}
    loader = store.loader()
    assert await loader.load_many(["a", "b", "a"]) == ["A", "B", "A"]
    assert await loader.load("a") == "A"
    assert store.asked == [["a", "b"]]
    loader.forget("a")
    store.values["a"] = "changed"
    assert await loader.load_many(["a", "b"]) == ["changed", "B"]
    assert store.asked == [["a", "b"], ["a"]]


async def test_an_absence_is_not_kept(store: Store) -> None:
    loader = store.loader()
    assert await loader.load("a") is None
    store.values["a"] = "A"
    assert await loader.load("a") == "A"


async def test_a_failure_is_not_kept(store: Store) -> None:
    loader = store.loader()
    store.values["a"], store.failure = "A", StoreUnavailable("away")
    outcomes = await asyncio.gather(*(loader.load("a") for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    store.failure = None
    assert await loader.load("a") == "A"
    assert len(store.asked) == 2


async def test_one_who_leaves_does_not_take_it_from_the_others(store: Store) -> None:
    """The first caller too, who started the flight."""
    store.values["a"] = "A"
    store.gate.clear()
    loader = store.loader()
    callers = [asyncio.create_task(loader.load("a")) for _ in range(3)]
    await asyncio.sleep(0.01)
    callers[0].cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(loader.load("a"))
    await asyncio.sleep(0)
    store.gate.set()
    assert await asyncio.gather(*callers[1:], late) == ["A", "A", "A"]
    assert callers[0].cancelled()
    assert store.asked == [["a"]]


async def test_a_flight_is_under_no_single_callers_deadline(store: Store) -> None:
    store.values["a"] = "A"
    loader = store.loader()
    with deadline(0):
        with pytest.raises(DeadlineExceeded):
            remaining(1)
        assert await loader.load("a") == "A"
    assert store.allowed == [99]


async def test_a_caller_whose_time_is_over_is_told_so_by_whichever_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's clock is coarser: by another one a moment may be left."""
    store.gate.clear()
    loader = store.loader()
    loop = asyncio.get_running_loop()
    later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda seconds, *call: later(seconds - 60, *call))
    with deadline(60.2), pytest.raises(DeadlineExceeded):
        await loader.load("a")
    store.gate.set()


async def test_what_may_change_is_read_anew_after_its_time(store: Store, clock: Clock) -> None:
    store.values["a"] = "A"
    loader = store.loader(ttl=5)
    assert await loader.load("a") == "A"
    store.values["a"] = "changed"
    clock.now = 4.9
    assert await loader.load("a") == "A"
    clock.now = 5.1
    assert await loader.load("a") == "changed"


async def test_what_was_forgotten_in_flight_is_read_again(store: Store) -> None:
    """A change during the flight: those who ask afterwards must not get what was read before."""
    store.values["a"] = "old"
    store.gate.clear()
    loader = store.loader()
    first = asyncio.create_task(loader.load("a"))
    await asyncio.sleep(0.01)
    loader.forget("a")
    second = asyncio.create_task(loader.load("a"))
    await asyncio.sleep(0.01)
    store.values["a"] = "new"
    store.gate.set()
    await asyncio.gather(first, second)
    assert await loader.load("a") == "new"
    assert len(store.asked) == 2


async def test_no_more_is_kept_than_was_said(store: Store) -> None:
    store.values = {key: key for key in "abc"}
    loader = store.loader(most=2)
    for key in "abc":
        await loader.load(key)
    store.asked.clear()
    assert await loader.load("c") == "c"
    assert await loader.load("a") == "a"
    assert store.asked == [["a"]]


async def test_answers_are_kept_by_their_size_where_that_is_what_counts(store: Store) -> None:
    """Room for ten letters: a of 6 goes for b of 5; c of 11 is answered and not kept, and b stays."""
    store.values = {"a": "A" * 6, "b": "B" * 5, "c": "C" * 11}
    loader: SharedLoader[str, str] = SharedLoader(store.load, most=10, size=lambda _key, answer: len(answer))
    for key in "abcb":
        assert await loader.load(key) == store.values[key]
        await asyncio.sleep(0)
    assert store.asked == [["a"], ["b"], ["c"]]
    for key in "ac":
        await loader.load(key)
        await asyncio.sleep(0)
    assert store.asked == [["a"], ["b"], ["c"], ["a"], ["c"]]


async def test_what_was_read_elsewhere_can_be_kept(store: Store, clock: Clock) -> None:
    loader = store.loader(ttl=5)
    loader.keep("a", "A")
    assert await loader.load("a") == "A"
    assert store.asked == []
    clock.now = 5.1
    store.values["a"] = "changed"
    assert await loader.load("a") == "changed"


async def test_a_flight_that_fails_once_everybody_has_left_is_no_fault(store: Store) -> None:
    """The loop would log it with a traceback."""
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))

    async def leave_before_it_fails() -> None:
        store.failure = StoreUnavailable("away")
        store.gate.clear()
        loader = store.loader()
        caller = asyncio.create_task(loader.load("a"))
        while not store.asked:
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await asyncio.sleep(0)
        loader.forget("a")
        store.gate.set()
        await asyncio.gather(loader.load("b"), return_exceptions=True)  # its flight ends later

    await leave_before_it_fails()
    store.failure = None
    await asyncio.sleep(0)  # the flight's last callbacks let go of it
    gc.collect()
    assert unheard == []
