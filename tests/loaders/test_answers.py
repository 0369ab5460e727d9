"""Answers that are kept: one computation however many ask, fresh within their time, and an old one rather than none."""

import asyncio
import sys
import traceback
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.answers import Answer, AnswerOrigin, Answers, Written, key_of
from loaders.background import Background
from rules.errors import DeadlineExceeded, StoreUnavailable
from rules.viewers import Role
from stores.cache import Cache
from stores.cache_embedded import EmbeddedCache
from stores.cache_redis import RedisCache, ServerCache
from stores.deadline import deadline, remaining
from tests.conftest import NOW, REDIS

PATIENT = 5.0
KEY = key_of("figures")


class Query:
    """What is computed: ``began`` times; it ends when ``gate`` is open, with ``value`` or ``failure``."""

    def __init__(self) -> None:
        self.began = self.left = 0
        self.value = b"1"
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.allowed: list[float] = []

    async def __call__(self) -> bytes:
        self.began += 1
        self.allowed.append(remaining(999))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if self.failure is not None:
            raise self.failure
        return self.value

    async def under_way(self, times: int = 1) -> None:
        while self.began < times:
            await asyncio.sleep(0.005)


@dataclass
class Processes:
    """Each has Answers of its own over one cache; the clock is everybody's. A claim outlasts a test, unless it says."""

    cache: Cache
    moment: datetime = NOW
    background: Background = field(default_factory=Background)

    def another(self, **limits: float) -> Answers:
        return Answers(
            self.cache, self.background, lambda: self.moment, **{"keep": 3600, "claim_ttl": 300, **limits}
        )

    def later(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def asking(answers: Answers, query: Query, key: str = KEY) -> "asyncio.Task[Answer]":
    return asyncio.create_task(answers.answer(key, query))


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.stack)])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[ServerCache]:
    prefix = f"test-{uuid4().hex}"
    if request.param == "embedded":
        opened: ServerCache = await EmbeddedCache.open(prefix, timeout=PATIENT)
    else:
        opened = await RedisCache.open(REDIS, prefix, timeout=PATIENT)
    yield opened
    await opened.close()


@pytest.fixture
async def processes(cache: ServerCache) -> AsyncIterator[Processes]:
    made = Processes(cache)
    yield made
    await made.background.settled()


@pytest.fixture
async def query() -> Query:
    return Query()


async def test_an_answer_is_kept_for_all_processes_with_its_time(processes: Processes, query: Query) -> None:
    query.value = bytes(range(256))
    one, two = processes.another(), processes.another()
    first = await asking(one, query)
    assert first == Answer(query.value, NOW, 0, AnswerOrigin.COMPUTED)
    processes.later(50)
    assert await asking(one, query) == Answer(query.value, NOW, 50, AnswerOrigin.CACHED)
    assert await asking(two, query) == Answer(query.value, NOW, 50, AnswerOrigin.CACHED)
    assert query.began == 1
    assert one.counts() == {"hits": 1, "misses": 1, "flights": 1, "shared": 0, "stale": 0}
    assert two.counts() == {"hits": 1, "misses": 0, "flights": 0, "shared": 0, "stale": 0}


async def test_it_is_computed_anew_after_its_time(processes: Processes, query: Query) -> None:
    answers = processes.another()
    await asking(answers, query)
    query.value = b"2"
    processes.later(61)
    assert await asking(answers, query) == Answer(b"2", processes.moment, 0, AnswerOrigin.COMPUTED)


async def test_the_time_of_an_answer_is_when_its_computation_began(
    processes: Processes, query: Query
) -> None:
    """What changed while it was computed may be missing."""
    query.gate.clear()
    asked = asking(processes.another(), query)
    await query.under_way()
    processes.later(3)
    query.gate.set()
    assert await asked == Answer(b"1", NOW, 3, AnswerOrigin.COMPUTED)


async def test_keys_do_not_share_answers(processes: Processes) -> None:
    answers = processes.another()
    queries = {key_of(n): Query() for n in range(5)}
    for n, query in enumerate(queries.values()):
        query.value = b"%d" % n
    for _ in range(2):
        got = await asyncio.gather(*(asking(answers, query, key) for key, query in queries.items()))
        assert [answer.value for answer in got] == [b"0", b"1", b"2", b"3", b"4"]
    assert [query.began for query in queries.values()] == [1] * 5


async def test_many_who_ask_at_once_cause_one_computation(processes: Processes, query: Query) -> None:
    answers = processes.another()
    query.gate.clear()
    asked = [asking(answers, query) for _ in range(200)]
    await query.under_way()
    query.gate.set()
    assert await asyncio.gather(*asked) == [Answer(b"1", NOW, 0, AnswerOrigin.COMPUTED)] * 200
    assert query.began == 1
    assert answers.counts() == {"hits": 0, "misses": 200, "flights": 1, "shared": 199, "stale": 0}


async def test_many_who_ask_several_processes_at_once_cause_one_computation(
    processes: Processes, query: Query
) -> None:
    several = [processes.another() for _ in range(4)]
    query.gate.clear()
    asked = [asking(answers, query) for answers in several for _ in range(50)]
    await query.under_way()
    await asyncio.sleep(0.1)
    query.gate.set()
    assert {answer.value for answer in await asyncio.gather(*asked)} == {b"1"}
    assert query.began == 1
    assert sorted(answers.flights for answers in several) == [0, 0, 0, 1]
    assert sorted(answers.hits for answers in several) == [0, 50, 50, 50]


async def test_the_first_to_ask_may_leave_without_taking_it_from_the_others(
    processes: Processes, query: Query
) -> None:
    answers = processes.another()
    query.gate.clear()
    first, *others = (asking(answers, query) for _ in range(3))
    await query.under_way()
    first.cancel()
    await asyncio.wait({first})
    others.append(asking(answers, query))
    await asyncio.sleep(0)
    query.gate.set()
    assert {answer.value for answer in await asyncio.gather(*others)} == {b"1"}
    assert first.cancelled()
    assert (query.began, query.left) == (1, 0)


async def test_what_nobody_waits_for_any_more_is_not_computed(processes: Processes, query: Query) -> None:
    """Nor does it keep anybody from asking anew, in another process either."""
    one, two = processes.another(), processes.another()
    query.gate.clear()
    asked = [asking(one, query) for _ in range(3)]
    await query.under_way()
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    await processes.background.settled()
    assert (query.began, query.left) == (1, 1)
    query.gate.set()
    assert (await asking(two, query)).origin is AnswerOrigin.COMPUTED
    assert (await asking(one, query)).origin is AnswerOrigin.CACHED
    assert query.began == 2


async def test_another_process_computes_when_the_one_that_began_gives_up(
    processes: Processes, query: Query
) -> None:
    one, two = processes.another(), processes.another()
    query.gate.clear()
    first = asking(one, query)
    await query.under_way()
    second = asking(two, query)
    await asyncio.sleep(0.05)
    assert query.began == 1
    first.cancel()
    await query.under_way(2)
    query.gate.set()
    assert (await second).origin is AnswerOrigin.COMPUTED


COMPUTES_FOR_GOOD = """
import asyncio, sys
from datetime import UTC, datetime
from loaders.answers import Answers
from loaders.background import Background
from stores.cache_redis import RedisCache

async def compute():
    print("computing", flush=True)
    await asyncio.sleep(1000)

async def main(url, prefix, key):
    answers = Answers(await RedisCache.open(url, prefix), Background(), lambda: datetime.now(UTC), claim_ttl=2.0)
    await answers.answer(key, compute)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_that_lives_is_waited_for_and_one_that_died_is_replaced(
    processes: Processes, cache: ServerCache, query: Query
) -> None:
    path = cache._client.connection_pool.connection_kwargs.get("path")
    url = f"unix://{path}" if path else REDIS
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMPUTES_FOR_GOOD, url, cache._prefix, KEY), stdout=PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"computing\n"
    asked = asking(processes.another(claim_ttl=2.0), query)
    await asyncio.sleep(3)
    assert query.began == 0, "beyond 2 s the claim holds because it is renewed"
    holder.kill()
    await holder.communicate()
    assert (await asked).origin is AnswerOrigin.COMPUTED
    assert query.began == 1


async def test_an_old_answer_is_given_with_its_age_while_no_new_one_can_be_computed(
    processes: Processes, query: Query
) -> None:
    one, two = processes.another(), processes.another()
    await asking(one, query)
    query.failure = StoreUnavailable("the broker does not answer")
    processes.later(3599)
    for answers in (one, two):
        assert await asking(answers, query) == Answer(b"1", NOW, 3599, AnswerOrigin.STALE)
    assert (one.stale, two.stale) == (1, 1)
    processes.later(1)
    with pytest.raises(StoreUnavailable, match="the broker does not answer"):
        await asking(one, query)
    query.failure = None
    assert (await asking(two, query)).origin is AnswerOrigin.COMPUTED


async def test_a_fault_is_not_hidden_behind_an_old_answer(processes: Processes, query: Query) -> None:
    answers = processes.another()
    await asking(answers, query)
    query.failure = ZeroDivisionError("division by zero")
    processes.later(100)
    with pytest.raises(ZeroDivisionError):
        await asking(answers, query)


async def test_errors_are_not_kept_and_everybody_gets_one_of_their_own(
    processes: Processes, query: Query
) -> None:
    answers = processes.another()
    query.failure = DeadlineExceeded("the broker is slow", field="groups")
    query.gate.clear()
    asked = [asking(answers, query) for _ in range(20)]
    await query.under_way()
    query.gate.set()
    errors = await asyncio.gather(*asked, return_exceptions=True)
    told = [(type(error), error.message, error.field) for error in cast("list[DeadlineExceeded]", errors)]
    assert told == [(DeadlineExceeded, "the broker is slow", "groups")] * 20
    assert len({id(error) for error in errors}) == 20
    depths = {len(traceback.extract_tb(cast("Exception", error).__traceback__)) for error in errors}
    assert len(depths) == 1, "nobody's traceback is in another's"
    query.failure = None
    assert (await asking(answers, query)).origin is AnswerOrigin.COMPUTED
    assert query.began == 2


async def test_who_has_little_time_leaves_and_the_others_are_answered(
    processes: Processes, query: Query
) -> None:
    """Even if the flight began with the one in a hurry."""
    answers = processes.another()
    query.gate.clear()
    with deadline(0.1):
        hurried = asking(answers, query)
    with deadline(60):
        patient = asking(answers, query)
    await query.under_way()
    with pytest.raises(DeadlineExceeded):
        await hurried
    query.gate.set()
    assert (await patient).value == b"1"
    assert query.began == 1
    assert query.allowed[0] > 10, "the computation has the time of the flight"
    with deadline(0), pytest.raises(DeadlineExceeded):
        await asking(answers, query)


async def test_an_old_answer_is_given_where_a_new_one_takes_too_long_with_time_left_for_the_rest(
    processes: Processes, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twentieth of the caller's time, where usually it is nine tenths: what is left must be enough for a busy machine."""
    monkeypatch.setattr("loaders.answers.PATIENCE", 0.05)
    answers = processes.another()
    await asking(answers, query)
    processes.later(100)
    query.gate.clear()
    with deadline(20):
        assert await answers.answer(KEY, query) == Answer(b"1", NOW, 100, AnswerOrigin.STALE)
        assert remaining(1) > 0
    await processes.background.settled()
    assert (query.began, query.left) == (2, 1)


async def test_a_computation_ends_with_the_time_of_its_flight(processes: Processes, query: Query) -> None:
    answers = processes.another(flight_timeout=1)
    query.gate.clear()
    with pytest.raises(DeadlineExceeded, match="not computed in time"):
        await asking(answers, query)
    assert all(allowed <= 1 for allowed in query.allowed)
    assert query.left == query.began
    query.gate.set()
    assert (await asking(processes.another(), query)).origin is AnswerOrigin.COMPUTED


async def test_a_computation_that_its_owner_took_along_is_done_again_by_those_who_joined(
    processes: Processes, query: Query
) -> None:
    """A loader's future is cancelled with whoever awaits it, in other fields of the same request too."""
    answers = processes.another()
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def of_a_loader() -> bytes:
        return await future

    owner = asyncio.create_task(answers.answer(KEY, of_a_loader))
    await asyncio.sleep(0)
    others = [asking(answers, query) for _ in range(3)]
    while answers.flights == 0:
        await asyncio.sleep(0.005)
    future.cancel()
    assert [answer.value for answer in await asyncio.gather(*others)] == [b"1"] * 3
    await asyncio.wait({owner})
    assert owner.cancelled()
    assert query.began == 1


async def test_without_the_cache_everything_is_answered_and_computed_once_a_process(query: Query) -> None:
    nobody = await RedisCache.open("redis://127.0.0.1:1/0")
    processes = Processes(nobody)
    answers = processes.another()
    query.gate.clear()
    asked = [asking(answers, query) for _ in range(100)]
    await query.under_way()
    query.gate.set()
    assert {answer.origin for answer in await asyncio.gather(*asked)} == {AnswerOrigin.COMPUTED}
    assert query.began == 1
    assert (await asking(answers, query)).origin is AnswerOrigin.COMPUTED
    await processes.background.settled()
    await nobody.close()


async def test_a_cache_that_stops_meanwhile_fails_nobody(query: Query) -> None:
    server = await EmbeddedCache.open(timeout=PATIENT)
    client = await RedisCache.open(f"unix://{server._socket}", timeout=PATIENT)
    processes = Processes(client)
    one, two = processes.another(), processes.another()
    query.gate.clear()
    asked = [asking(answers, query) for answers in (one, two)]
    await query.under_way()
    await server.close()
    query.gate.set()
    assert [answer.value for answer in await asyncio.gather(*asked)] == [b"1", b"1"]
    assert client.failures == 1
    await processes.background.settled()
    await client.close()


async def test_an_old_answer_survives_a_cache_that_stops_while_a_new_one_is_computed(query: Query) -> None:
    server = await EmbeddedCache.open(timeout=PATIENT)
    client = await RedisCache.open(f"unix://{server._socket}", timeout=PATIENT)
    processes = Processes(client)
    answers = processes.another()
    await asking(answers, query)
    processes.later(100)
    query.failure = StoreUnavailable("all is away")
    query.gate.clear()
    asked = asking(answers, query)
    await query.under_way(2)
    await server.close()
    query.gate.set()
    assert await asked == Answer(b"1", NOW, 100, AnswerOrigin.STALE)
    await processes.background.settled()
    await client.close()


async def test_answers_are_fresh_and_kept_for_as_long_as_the_process_is_told(
    processes: Processes, query: Query
) -> None:
    answers = processes.another(ttl=5, keep=100)
    await answers.answer(KEY, query)
    query.failure = StoreUnavailable("away")
    found = []
    for seconds in (4, 2, 93):
        processes.later(seconds)
        found.append((await answers.answer(KEY, query)).origin)
    assert found == [AnswerOrigin.CACHED, AnswerOrigin.STALE, AnswerOrigin.STALE]
    processes.later(1)
    with pytest.raises(StoreUnavailable):
        await answers.answer(KEY, query)


async def test_what_is_no_answer_in_the_cache_is_computed(processes: Processes, query: Query) -> None:
    await processes.cache.set(KEY, b"broken", 60)
    assert (await asking(processes.another(), query)).origin is AnswerOrigin.COMPUTED


class Dictionary:
    """A cache in memory, without expiry: what it kept is there at any age."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def set(self, key: str, value: bytes, _ttl: float) -> None:
        self.values[key] = value

    async def claim(self, _key: str, _token: str, _ttl: float) -> bool:
        return True

    async def release(self, _key: str, _token: str) -> None:
        pass


async def test_what_another_process_stored_just_before_the_claim_is_not_computed_again(query: Query) -> None:
    class JustStored(Dictionary):
        async def claim(self, _key: str, _token: str, _ttl: float) -> bool:
            if not self.values:
                await Processes(cast("Cache", stored)).another().answer(KEY, query)
                self.values = stored.values
            return True

    stored = Dictionary()
    processes = Processes(cast("Cache", JustStored()))
    assert (await processes.another().answer(KEY, query)).origin is AnswerOrigin.CACHED
    assert query.began == 1


async def origins_at(
    key: str, made: datetime, age: timedelta, ttl: float, processes_count: int = 2
) -> set[AnswerOrigin]:
    """Of an answer of this age, in each of several processes, while nothing can be computed."""
    processes = Processes(cast("Cache", Dictionary()), made)
    query = Query()
    await processes.another(ttl=ttl, keep=1e9).answer(key, query)
    processes.moment = made + age
    query.failure = StoreUnavailable("away")
    several = [processes.another(ttl=ttl, keep=1e9) for _ in range(processes_count)]
    return {(await answers.answer(key, query)).origin for answers in several}


@given(
    key=st.text(max_size=20),
    made=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    ttl=st.floats(1, 10_000),
    part=st.one_of(st.floats(0, 2), st.floats(0.88, 1.02)),
)
def test_an_answer_is_fresh_for_nine_tenths_of_its_time_at_least_and_never_longer_than_it(
    key: str, made: datetime, ttl: float, part: float
) -> None:
    age = timedelta(seconds=ttl * part)
    found = asyncio.run(origins_at(key, made, age, ttl))
    assert len(found) == 1, "every process decides alike"
    # Ages are counted from whole milliseconds, hence the thousandth.
    if age.total_seconds() < 0.9 * ttl - 0.001:
        assert found == {AnswerOrigin.CACHED}
    if age.total_seconds() > ttl:
        assert found == {AnswerOrigin.STALE}


async def test_answers_of_one_moment_do_not_go_in_one_moment() -> None:
    at_95 = [await origins_at(key_of(n), NOW, timedelta(seconds=57), 60, 1) for n in range(100)]
    fresh = at_95.count({AnswerOrigin.CACHED})
    assert 20 < fresh < 80
    assert fresh + at_95.count({AnswerOrigin.STALE}) == 100


async def test_what_a_clock_that_is_ahead_has_stamped_is_not_fresh_for_longer() -> None:
    assert await origins_at(KEY, NOW, timedelta(seconds=-30), 60) == {AnswerOrigin.CACHED}
    assert await origins_at(KEY, NOW, timedelta(seconds=-61), 60) == {AnswerOrigin.STALE}


def test_a_key_is_the_same_for_equal_parts_and_another_for_others() -> None:
    base = key_of("members", "group-1", 7, {"fields": ["a", "b"], "by": None}, frozenset({"x", "y"}))
    assert base == key_of("members", "group-1", 7, {"by": None, "fields": ["a", "b"]}, {"y", "x"})
    assert base.startswith("answers:")
    others = [
        key_of("members", "group-1", 8, {"fields": ["a", "b"], "by": None}, {"x", "y"}),
        key_of("members", "group-1", 7, {"fields": ["b", "a"], "by": None}, {"x", "y"}),
        key_of("members", "group-1", 7, {"fields": ["a", "b"]}, {"x", "y"}),
        key_of("members", "group-1", 7, {"fields": ["a", "b"], "by": None}, {"x"}),
        key_of("membersgroup-1", 7, {"fields": ["a", "b"], "by": None}, {"x", "y"}),
        key_of("members", "group-1", "7", {"fields": ["a", "b"], "by": None}, {"x", "y"}),
    ]
    assert len({base, *others}) == 7


def test_a_key_may_have_enums_dates_and_dataclasses_and_nothing_that_has_no_fixed_form() -> None:
    @dataclass(frozen=True)
    class Filter:
        name: str
        roles: frozenset[Role]

    one = key_of(Filter("a", frozenset({Role.LEARNER, Role.SERVICE})), NOW)
    assert one == key_of(Filter("a", frozenset({Role.SERVICE, Role.LEARNER})), NOW)
    assert one != key_of(Filter("a", frozenset({Role.LEARNER})), NOW)
    with pytest.raises(TypeError, match="object"):
        key_of(object())


async def test_who_computed_an_answer_need_not_read_it_back_and_whoever_has_it_from_the_cache_must(
    processes: Processes,
) -> None:
    source = [1, 2]
    answers = processes.another()

    async def compute() -> Written:
        await asyncio.sleep(0)
        return Written(b"[1,2]", source)

    computed, joined = await asyncio.gather(answers.answer(KEY, compute), answers.answer(KEY, compute))
    assert computed.source is source
    assert joined.source is source
    kept = await processes.another().answer(KEY, compute)
    assert (kept.value, kept.source, kept.origin) == (b"[1,2]", None, AnswerOrigin.CACHED)
