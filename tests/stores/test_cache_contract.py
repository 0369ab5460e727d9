"""What both caches promise (stores/cache.py)."""

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from rules.errors import DeadlineExceeded, StoreUnavailable
from stores.cache import Cache, Spending
from stores.cache_embedded import SOCKET, EmbeddedCache, kept_server
from stores.cache_redis import RedisCache, ServerCache
from stores.deadline import deadline
from tests.stack.small import free_port

SERVER = os.environ.get("COHORT_STACK_REDIS", "redis://127.0.0.1:6379/0")
NOBODY = "redis://127.0.0.1:1/0"
PATIENT = 5.0


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.stack)])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[ServerCache]:
    prefix = f"test-{uuid.uuid4().hex}"
    if request.param == "embedded":
        opened: ServerCache = await EmbeddedCache.open(prefix, timeout=PATIENT)
    else:
        opened = await RedisCache.open(SERVER, prefix, timeout=PATIENT)
    yield opened
    assert opened.failures == 0
    await opened.close()


@pytest.fixture
async def dead() -> AsyncIterator[ServerCache]:
    opened = await RedisCache.open(NOBODY)
    yield opened
    await opened.close()


async def test_it_is_a_cache(cache: ServerCache) -> None:
    as_the_port: Cache = cache
    await as_the_port.ping()


async def test_a_value_is_found_until_it_is_deleted(cache: Cache) -> None:
    assert await cache.get("a") is None
    await cache.set("a", b"\x00\xff", 60)
    await cache.set("b", b"2", 60)
    assert await cache.get("a") == b"\x00\xff"
    await cache.delete("a", "b", "never there")
    assert [await cache.get("a"), await cache.get("b")] == [None, None]


async def test_many_values_are_one_round_trip(cache: Cache) -> None:
    await cache.set("a", b"\x00\xff", 60)
    await cache.set("c", b"", 60)
    assert await cache.get_many(["c", "b", "a", "a"]) == [b"", None, b"\x00\xff", b"\x00\xff"]


async def test_nothing_asked_for_costs_nothing(cache: Cache) -> None:
    with cache.meter.measure() as counts:
        assert await cache.get_many([]) == []
        assert await cache.hashes([]) == []
        await cache.delete()
    assert not counts


async def test_a_value_expires(cache: Cache) -> None:
    await cache.set("a", b"1", 0.05)
    await cache.raise_fields("h", {"f": b"1"}, 0.05)
    await asyncio.sleep(0.1)
    assert await cache.get("a") is None
    assert await cache.hashes(["h"]) == [{}]


async def test_values_of_one_moment_do_not_expire_in_one_moment(cache: ServerCache) -> None:
    for n in range(20):
        await cache.set(f"{n}", b"1", 100)  # 90 to 100 s, less what this machine takes
    left = [await cache._client.pttl(cache._key(f"{n}")) for n in range(20)]
    assert all(60_000 <= ms <= 100_000 for ms in left)
    assert max(left) - min(left) > 1_000


async def test_hashes_come_in_the_order_asked_for_and_count_each_key(cache: Cache) -> None:
    await cache.raise_fields("one", {"a": b"1", "ü": b"\xff\x00"}, 60)
    await cache.raise_fields("two", {"a": b"2"}, 60)
    with cache.meter.measure() as counts:
        found = await cache.hashes(["two", "none", "one", "two"])
    assert found == [{"a": b"2"}, {}, {"a": b"1", "ü": b"\xff\x00"}, {"a": b"2"}]
    assert counts == {"cache hgetall": 4}


async def test_raise_fields_keeps_the_largest_whatever_the_order(cache: Cache) -> None:
    # Fixed seed, many cases in few round trips: prefixes, bytes above 127 and NULs are where comparisons differ.
    chance = random.Random(7)
    for case in range(30):
        values = [bytes(chance.choices(b"\x00\x01aZ\x7f\x80\xff", k=chance.randint(0, 3))) for _ in range(6)]
        await asyncio.gather(
            *(cache.raise_fields(f"{case}", {"f": value, "g": b"5"}, 60) for value in values)
        )
        assert await cache.hashes([f"{case}"]) == [{"f": max(values), "g": b"5"}], values


async def test_raise_fields_leaves_other_fields_and_renews_the_time_to_live(cache: ServerCache) -> None:
    await cache.raise_fields("h", {"a": b"2"}, 60)
    await cache.raise_fields("h", {"a": b"1", "b": b"1"}, 6_000)
    assert await cache.hashes(["h"]) == [{"a": b"2", "b": b"1"}]
    assert await cache._client.pttl(cache._key("h")) > 60_000


async def test_dropped_fields_are_gone_and_the_others_stay(cache: Cache) -> None:
    await cache.raise_fields("h", {"a": b"1", "b": b"2", "c": b"3"}, 60)
    await cache.raise_fields("h", {}, 60, drop=["a", "c", "never there"])
    await cache.raise_fields("h", {}, 60)
    await cache.raise_fields("none", {}, 60, drop=["a"])
    assert await cache.hashes(["h", "none"]) == [{"b": b"2"}, {}]


async def test_what_is_raised_by_who_leaves_never_comes_behind_a_deletion(cache: Cache) -> None:
    first = asyncio.ensure_future(cache.raise_fields("other", {"a": b"1"}, 60))
    await asyncio.sleep(0)
    left = asyncio.ensure_future(cache.raise_fields("hash", {"a": b"1", "whole": b"1"}, 60))
    await asyncio.sleep(0)
    left.cancel()
    await cache.delete("hash")
    await cache.raise_fields("other", {"b": b"1"}, 60)  # behind all that was asked for
    await first
    assert await cache.hashes(["hash", "other"]) == [{}, {"a": b"1", "b": b"1"}]


async def test_what_is_raised_soon_is_raised_once_it_is_done_and_never_comes_behind_a_deletion(
    cache: Cache,
) -> None:
    await cache.raise_fields("hash", {"a": b"2", "b": b"1"}, 60)
    await cache.raise_soon("hash", {"a": b"1", "c": b"1"}, 60, drop=["b"])
    assert await cache.hashes(["hash"]) == [{"a": b"2", "c": b"1"}]
    cache.raise_soon("hash", {"d": b"1"}, 60)
    await cache.delete("hash")
    await cache.raise_fields("other", {"a": b"1"}, 60)  # behind all that was asked for
    assert await cache.hashes(["hash"]) == [{}]


async def test_changes_go_on_when_the_server_forgets_the_script_or_closes_the_connection(
    cache: ServerCache,
) -> None:
    """As one that was started anew, or that closes what is idle. None of it counts as a failure."""
    await cache.raise_fields("hash", {"a": b"1"}, 60)
    if isinstance(cache, EmbeddedCache):  # this test's alone
        await cache._client.script_flush()
    await cache.raise_fields("hash", {"b": b"1"}, 60)
    held = cache._raise_fields.__self__._connection  # type: ignore[attr-defined]
    await held.send_packed_command(b"*1\r\n$4\r\nQUIT\r\n")
    await held.read_response()
    async with asyncio.timeout(10):
        while not await _is_closed(held):
            await asyncio.sleep(0.01)
    await cache.raise_fields("hash", {"c": b"1"}, 60)
    assert await cache.hashes(["hash"]) == [{"a": b"1", "b": b"1", "c": b"1"}]
    assert cache.failures == 0


async def _is_closed(connection: Any) -> bool:
    try:
        return bool(await connection.can_read())
    except (OSError, RedisError):
        return True


async def test_one_of_many_gets_the_claim_and_the_next_one_after_its_release(cache: Cache) -> None:
    tokens = [f"{n}" for n in range(20)]
    got = await asyncio.gather(*(cache.claim("a", token, 60) for token in tokens))
    assert got.count(True) == 1
    holder = tokens[got.index(True)]
    assert await cache.claim("b", "another", 60)
    assert not await cache.claim("a", "another", 60)
    await cache.release("a", holder)
    assert await cache.claim("a", "another", 60)
    assert not await cache.claim("a", holder, 60)


async def test_only_the_holder_releases_a_claim(cache: Cache) -> None:
    assert await cache.claim("a", "one", 60)
    await cache.release("a", "two")
    assert not await cache.claim("a", "two", 60)
    await cache.release("a", "one")
    await cache.release("a", "one")
    assert await cache.claim("a", "two", 60)


async def test_a_claim_ends_by_itself_unless_its_holder_renews_it(cache: Cache) -> None:
    assert await cache.claim("left behind", "one", 0.2)
    assert await cache.claim("renewed", "one", 0.2)
    assert await cache.claim("renewed", "one", 60)
    await asyncio.sleep(0.25)
    assert await cache.claim("left behind", "two", 60)
    assert not await cache.claim("renewed", "two", 60)


async def test_a_claim_lives_as_long_as_was_said_and_no_shorter(cache: ServerCache) -> None:
    """Unlike a value's, its time is not jittered: its holder counts on it."""
    for n in range(20):
        await cache.claim(f"{n}", "one", 100)
    left = [await cache._client.pttl(cache._key(f"{n}")) for n in range(20)]
    assert all(95_000 < ms <= 100_000 for ms in left)


async def test_a_cancelled_read_does_not_mix_up_answers(cache: Cache) -> None:
    for n in range(10):
        await cache.set(f"{n}", b"%d" % n, 60)
    for delay in (0, 0, 0.0002, 0.0005, 0.001):
        left_early = [asyncio.create_task(cache.get(f"{n}")) for n in range(10)]
        await asyncio.sleep(delay)
        for task in left_early:
            task.cancel()
        await asyncio.gather(*left_early, return_exceptions=True)
        assert [await cache.get(f"{n}") for n in range(10)] == [b"%d" % n for n in range(10)]


async def test_many_calls_at_once_share_a_bounded_number_of_connections(cache: ServerCache) -> None:
    await cache.set("a", b"1", 60)
    assert await asyncio.gather(*(cache.get("a") for _ in range(300))) == [b"1"] * 300


async def test_keys_carry_the_prefix_of_the_instance(cache: ServerCache) -> None:
    await cache.set("a", b"1", 60)
    assert await cache._client.get(f"{cache._prefix}:a") == b"1"
    assert await cache._client.get("a") is None


async def test_a_dead_cache_costs_nothing_and_raises_nothing(
    dead: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once: after that no call reaches it as long as it is left alone."""
    monkeypatch.setattr("stores.cache_redis.REST", 3600.0)
    for _ in range(50):
        assert await dead.get("a") is None
        await dead.set("a", b"1", 60)
        assert await dead.hashes(["a", "b"]) == [{}, {}]
        await dead.raise_fields("a", {"f": b"1"}, 60)
        await dead.raise_soon("a", {"f": b"1"}, 60)
        await dead.delete("a")
        assert await dead.claim("a", "one", 60)
        assert await dead.claim("a", "two", 60)
        await dead.release("a", "one")
    assert dead.failures == 1
    assert sum(dead.meter.counts.values()) == 1


async def test_ping_says_that_a_dead_cache_is_dead(dead: ServerCache) -> None:
    with pytest.raises(StoreUnavailable):
        await dead.ping()


async def test_a_silent_server_costs_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """No later call waits, as long as it is left alone."""
    monkeypatch.setattr("stores.cache_redis.REST", 3600.0)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cache = await RedisCache.open(f"redis://127.0.0.1:{port}", timeout=0.1)
    for _ in range(20):
        assert await cache.get("a") is None
        assert await cache.get_many(["a", "b"]) == [None, None]
    assert cache.failures == sum(cache.meter.counts.values()) == 1
    monkeypatch.undo()  # to close it asks a last time
    await cache.close()
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def away(cache: ServerCache, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[pytest.MonkeyPatch]:
    """No try to reach the server again succeeds within the block, however long it takes; after it the next one does, which
    is waited for. Yields what else is changed within it."""

    async def not_there() -> bool:
        return False

    monkeypatch.setattr("stores.cache_redis.REST", 0.1)
    with monkeypatch.context() as within:
        within.setattr(cache, "_remove_doubtful", not_there)
        yield within
    while cache._recovery is not None:
        await asyncio.sleep(0.01)


async def test_a_cache_that_comes_back_is_used_again(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.set("a", b"1", 60)
    async with away(cache, monkeypatch) as within:
        within.setattr(cache._client, "get", dead_call)
        assert await cache.get("a") is None
        assert await cache.get("a") is None
        assert cache.failures == 1
    assert await cache.get("a") == b"1"
    cache.failures = 0


async def test_a_cache_that_missed_a_change_comes_back_without_what_it_concerns(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was only cut off still has its hashes; one that lacks a change must not be read again."""
    await cache.raise_fields("changed", {"a": b"1"}, 60)
    for key in ("other", "third"):
        await cache.raise_fields(key, {"a": b"1"}, 60)
    async with away(cache, monkeypatch) as within:
        within.setattr(cache, "_raise_fields", dead_script)
        await cache.raise_fields("changed", {"a": b"2"}, 60)
        await cache.raise_fields("changed while left alone", {"a": b"1"}, 60)
        await cache.raise_soon("third", {"a": b"2"}, 60)
        assert await cache.hashes(["changed", "other"]) == [{}, {}]
    assert await cache.hashes(["changed", "other", "third"]) == [{}, {"a": b"1"}, {}]
    cache.failures = 0


async def dead_script(keys: list[str], args: list[bytes]) -> None:
    raise ConnectionResetError(keys[0])


async def dead_call(key: str) -> bytes:
    raise ConnectionResetError(key)


async def test_a_claim_that_the_cache_could_not_hear_of_is_granted_and_leaves_others_theirs(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await cache.claim("a", "one", 60)
    async with away(cache, monkeypatch) as within:
        within.setattr(cache, "_claim", dead_script)
        assert await cache.claim("a", "two", 60)
        assert cache.failures == 1
        await cache.release("a", "two")
    assert not await cache.claim("a", "two", 60)
    cache.failures = 0


async def test_callers_never_try_a_dead_cache_again(
    dead: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.cache_redis.REST", 0.1)
    await dead.get("a")
    await asyncio.sleep(0.3)
    await asyncio.gather(*(dead.get("a") for _ in range(20)))
    assert dead.failures == 1


async def test_a_request_out_of_time_finds_nothing_and_blames_nobody(cache: ServerCache) -> None:
    await cache.set("a", b"1", 60)
    with deadline(0):
        assert await cache.get("a") is None
        assert await cache.claim("a", "one", 60)
        with pytest.raises(DeadlineExceeded):
            await cache.ping()
    assert await cache.get("a") == b"1"


async def test_what_is_wrong_is_taken_away_by_a_request_out_of_time_too(cache: ServerCache) -> None:
    """It may have waited for what was raised there before."""
    await cache.set("a", b"1", 60)
    await cache.raise_fields("b", {"x": b"1", "y": b"1"}, 60)
    with deadline(0):
        await cache.delete("a")
        await cache.drop_field("x", ["b"])
    assert await cache.get("a") is None
    assert await cache.hashes(["b"]) == [{"y": b"1"}]


async def test_processes_that_share_a_directory_share_the_embedded_server(tmp_path: Path) -> None:
    first = await EmbeddedCache.open(data=tmp_path)
    second = await EmbeddedCache.open(data=tmp_path)
    await first.set("a", b"1", 60)
    assert await second.get("a") == b"1"
    await second.close()
    assert await first.get("a") == b"1"
    await first.close()
    third = await EmbeddedCache.open(data=tmp_path)
    assert await third.get("a") is None
    await third.set("a", b"3", 60)
    assert await third.get("a") == b"3"
    await third.close()


async def test_the_embedded_server_ends_with_close() -> None:
    cache = await EmbeddedCache.open()
    directory = Path(cache._client.connection_pool.connection_kwargs["path"]).parent
    assert directory.exists()
    await cache.close()
    assert not directory.exists()
    with pytest.raises(StoreUnavailable):
        await cache.ping()
    await cache.close()


async def test_a_server_in_cluster_mode_is_told_before_anybody_relies_on_it() -> None:
    """It answers PING, and refuses every call of keys that are in several slots."""
    directory = tempfile.mkdtemp(dir="/tmp")  # a socket's path may have 108 bytes
    options = ["--cluster-enabled", "yes", "--port", str(free_port())]
    server = await asyncio.create_subprocess_exec(
        *kept_server(directory, "16mb"), *options, stdin=PIPE, stdout=DEVNULL
    )
    cache = await RedisCache.open(f"unix://{directory}/{SOCKET}", timeout=PATIENT)
    try:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(Path(directory, SOCKET).exists):
                await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable, match="the server is in cluster mode"):
            await cache.ping()
    finally:
        await cache.close()
        await server.communicate(b"")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_the_embedded_server_ends_with_a_process_that_is_killed(how: signal.Signals) -> None:
    program = """
import asyncio
from stores.cache_embedded import SOCKET, EmbeddedCache, kept_server

async def main():
    cache = await EmbeddedCache.open()
    print(cache._client.connection_pool.connection_kwargs["path"], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    socket = (await process.stdout.readline()).decode().strip()
    survivor = await RedisCache.open(f"unix://{socket}", timeout=PATIENT)
    await survivor.ping()
    process.send_signal(how)
    await process.communicate()
    for _ in range(6_000):
        if not Path(socket).parent.exists():
            break
        await asyncio.sleep(0.01)
    assert not Path(socket).parent.exists()
    with pytest.raises(StoreUnavailable):
        await survivor.ping()
    await survivor.close()


async def test_an_embedded_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stores.cache_embedded.STARTS_WITHIN", 0.3)
    with pytest.raises(StoreUnavailable, match="did not answer"):
        await EmbeddedCache.open(memory="much")


def slow(key: str, points: int) -> Spending:
    """Of a bucket of 1,000 that gets a point in three hours."""
    return Spending(key, points, 0.0001, 1_000)


async def test_a_bucket_is_full_until_something_is_spent_and_may_be_overdrawn(cache: Cache) -> None:
    assert await cache.spend([]) == []
    assert await cache.spend([slow("a", 0), slow("b", 300)]) == [1_000, 700]
    # What flows in between is a fraction of a point.
    assert await cache.spend([slow("b", 200), slow("a", 1), slow("b", 600)]) == [500, 999, -100]
    assert await cache.spend([slow("b", -250)]) == [150]
    assert await cache.spend([slow("b", -5_000)]) == [1_000], "no more than it holds"


async def test_a_bucket_fills_up_as_time_goes_by(cache: Cache) -> None:
    began = time.monotonic()
    (left,) = await cache.spend([Spending("a", 1_000, 1_000.0, 1_000)]) or []
    assert left <= 0
    await asyncio.sleep(0.2)
    (left,) = await cache.spend([Spending("a", 0, 1_000.0, 1_000)]) or []
    assert 199 <= left <= 1_000 * (time.monotonic() - began) + 1
    await asyncio.sleep(1.1 - 0.2)
    assert await cache.spend([Spending("a", 1, 1_000.0, 1_000)]) == [999]


async def test_no_point_is_lost_if_many_spend_at_once(cache: Cache) -> None:
    left = await asyncio.gather(*(cache.spend([slow("a", 7), slow("b", 1)]) for _ in range(50)))
    assert sorted(one[0] for one in left if one) == [1_000 - 7 * count for count in range(50, 0, -1)]
    assert await cache.spend([slow("a", 0), slow("b", 0)]) == [650, 950]


async def test_a_bucket_that_is_full_again_is_forgotten(cache: ServerCache) -> None:
    """100 points come back in 1,000 s by the one rate, in 0.1 s by the other."""
    await cache.spend([Spending("slow", 100, 0.1, 1_000), Spending("quick", 100, 1_000.0, 1_000)])
    assert 0 < await cache._client.pttl(cache._key("slow")) <= 1_000_001
    while await cache._client.exists(cache._key("quick")):
        await asyncio.sleep(0.02)


async def test_nobody_says_what_is_left_while_the_server_is_away(dead: ServerCache) -> None:
    assert await dead.spend([slow("a", 1)]) is None
    assert await dead.spend([slow("a", 1)]) is None
    assert dead.failures == 1
