"""The cache in Redis or Valkey, over redis.asyncio."""

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError, ResponseError

from rules.errors import DeadlineExceeded, StoreUnavailable
from stores.cache import Cache, Spending
from stores.cache_connections import connecting
from stores.cache_raises import RAISE_FIELDS, HashChange, SharedCalls
from stores.cache_scripts import HeldScript
from stores.deadline import deadline_at, in_time, remaining
from stores.meter import Meter
from stores.timing import timed

log = logging.getLogger(__name__)

T = TypeVar("T")

REST = 1.0
"""Seconds that the server is left alone after a failure, and between tries to reach it again."""
MOST_DOUBTFUL = 100_000
"""Keys remembered while the server is away. Where there are more, all keys of the prefix are removed afterwards."""

CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# A bucket is the moment at which it is full again, in seconds of the server's clock, to the microsecond: hence the thousandth.
SPEND = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local left = {}
for i, key in ipairs(KEYS) do
  local points, per_second, most = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local full_at = math.max(tonumber(redis.call('GET', key) or now), now) + points / per_second
  local seconds = math.max(full_at - now, 0)
  redis.call('SET', key, string.format('%.6f', now + seconds), 'PX', math.ceil(seconds * 1000) + 1)
  left[i] = math.floor(most - seconds * per_second + 0.001)
end
return left
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


@timed("cache", Cache)
class ServerCache:
    """The Cache port over one server. It fails open, as stores/cache.py says.

    ``failures`` counts calls that the server refused or did not answer in time. Calls that were not tried and calls that
    ran out of the request's own time are not counted.

    A server that was only slow or cut off comes back with old values: it lacks what was not written meanwhile. So each
    key whose change may be missing is remembered (it is doubtful), and removed before the server is used again.

    A connection may have been lost while nobody used it, which some networks tell who sends by it, and not before. So what may come
    twice is sent once more, on a new one, within the time of the call.
    """

    def __init__(self, url: str, prefix: str, timeout: float, connections: int = 32) -> None:
        pool = BlockingConnectionPool(
            **connecting(url),
            max_connections=connections,
            # One deadline around a whole call (_ask) is enough, and cheaper than one around each of its steps.
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            # What may be tried again, and when, is known here (_ask).
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self.meter = Meter()
        self.failures = 0
        self._client = Redis.from_pool(pool)
        self._prefix = prefix
        self._timeout = timeout
        self._doubtful: set[str] = set()
        self._recovery: asyncio.Task[None] | None = None
        self._raise_fields = HeldScript(pool, RAISE_FIELDS).run
        self._raises = SharedCalls(self._send_raises)
        self._claim = self._client.register_script(CLAIM)
        self._release = self._client.register_script(RELEASE)
        self._spend = self._client.register_script(SPEND)

    async def get(self, key: str) -> bytes | None:
        answer = await self._ask("cache get", lambda: self._client.get(self._key(key)), None)
        return cast("bytes | None", answer)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []

        async def ask() -> list[bytes | None]:
            return cast("list[bytes | None]", await self._client.mget([self._key(key) for key in keys]))

        return await self._ask("cache mget", ask, None, len(keys)) or [None for _ in keys]

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        jittered = max(1, int(ttl * 1000 * random.uniform(0.9, 1)))  # noqa: S311 - spreads expiry, hides nothing
        await self._change("cache set", lambda: self._client.set(self._key(key), value, px=jittered), key)

    async def hashes(self, keys: Sequence[str]) -> list[dict[str, bytes]]:
        if not keys:
            return []

        async def ask() -> list[dict[str, bytes]]:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hgetall(self._key(key))
                answers: list[dict[bytes, bytes]] = await pipeline.execute()
            return [{name.decode(): value for name, value in answer.items()} for answer in answers]

        return await self._ask("cache hgetall", ask, None, len(keys)) or [{} for _ in keys]

    async def raise_fields(
        self, key: str, fields: Mapping[str, bytes], ttl: float, *, drop: Sequence[str] = ()
    ) -> None:
        if self._recovery is not None:
            self._doubt([key])
            return
        with suppress(DeadlineExceeded):
            remaining(self._timeout)
            # Each call of the server has its time, but others may be before it.
            await in_time(self._raised(key, fields, ttl, drop))

    def raise_soon(
        self, key: str, fields: Mapping[str, bytes], ttl: float, *, drop: Sequence[str] = ()
    ) -> "asyncio.Future[None]":
        if self._recovery is None:
            return self._raised(key, fields, ttl, drop, soon=True)
        self._doubt([key])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _raised(
        self, key: str, fields: Mapping[str, bytes], ttl: float, drop: Sequence[str], *, soon: bool = False
    ) -> "asyncio.Future[None]":
        """What is done once the change was sent."""
        self.meter.count("cache raise")
        return self._raises.add(HashChange(key, fields, max(1, int(ttl * 1000)), drop), soon=soon)

    async def _send_raises(self, changes: Sequence[HashChange]) -> None:
        keys = [change.key for change in changes]
        arguments = [part for change in changes for part in change.arguments()]
        await self._change(
            "cache raise",
            lambda: self._raise_fields(keys=[self._key(key).encode() for key in keys], args=arguments),
            *keys,
            counted=True,
        )

    async def drop_field(self, field: str, keys: Sequence[str]) -> None:
        if not keys:
            return

        async def ask() -> None:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hdel(self._key(key), field)
                await pipeline.execute()

        await self._take_away("cache drop", ask, *keys)

    async def delete(self, *keys: str) -> None:
        if keys:
            await self._take_away("cache delete", lambda: self._client.unlink(*map(self._key, keys)), *keys)

    async def _take_away(self, what: str, ask: Callable[[], Awaitable[Any]], *keys: str) -> None:
        """Waits first until what was raised there before is sent, which must not come behind. That may use up the deadline, past
        which it is taken away, too: what stayed would be wrong."""
        with suppress(DeadlineExceeded):
            await self._raises.passed(keys)
        with deadline_at(None):
            await self._change(what, ask, *keys)

    async def claim(self, key: str, token: str, ttl: float) -> bool:
        arguments: list[str | int] = [token, max(1, int(ttl * 1000))]
        return bool(
            await self._ask("cache claim", lambda: self._claim(keys=[self._key(key)], args=arguments), True)
        )

    async def release(self, key: str, token: str) -> None:
        """Leaves no doubtful key where it fails: a claim ends by itself."""
        await self._ask("cache release", lambda: self._release(keys=[self._key(key)], args=[token]), None)

    async def spend(self, spendings: Sequence[Spending]) -> list[int] | None:
        """Leaves no doubtful key where it fails: what is lost then is forgiven. It is sent once: twice would take the points twice."""
        if not spendings:
            return []
        keys = [self._key(one.key) for one in spendings]
        arguments = [part for one in spendings for part in one[1:]]
        answer = await self._ask(
            "cache spend", lambda: self._spend(keys=keys, args=arguments), None, len(spendings), again=False
        )
        return cast("list[int] | None", answer)

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(remaining(self._timeout)):
                await _sent(self._client.ping, again=True)
                is_cluster = await self._is_cluster()
        except (RedisError, OSError) as error:
            raise StoreUnavailable("the cache does not answer", detail=_told(error)) from error
        if is_cluster:
            raise StoreUnavailable(
                "the cache is of no use",
                detail="the server is in cluster mode: take one without, with a replica",
            )

    async def _is_cluster(self) -> bool:
        """Whether the server refuses calls of several keys, since these are on several nodes. One that knows no HELLO, such as a
        proxy, does not say so."""
        try:
            answer = await self._client.execute_command("HELLO")  # type: ignore[no-untyped-call]
        except ResponseError:
            return False
        told = [*answer.items()] if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        return (b"mode", b"cluster") in told

    async def close(self) -> None:
        await self._raises.settled()
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
            await self._remove_doubtful()
        await self._client.aclose(close_connection_pool=True)

    def _key(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    async def _change(
        self, what: str, call: Callable[[], Awaitable[object]], *keys: str, counted: bool = False
    ) -> None:
        """Sends a change of these keys, and remembers them as doubtful where the server is away. ``counted``: the meter has
        them already."""
        await self._ask(what, call, None, 0 if counted else len(keys))
        if self._recovery is not None:
            self._doubt(keys)

    def _doubt(self, keys: Sequence[str]) -> None:
        self._doubtful.update(keys)
        if len(self._doubtful) > MOST_DOUBTFUL:
            self._doubtful = {"*"}

    async def _ask(
        self, what: str, call: Callable[[], Awaitable[T]], otherwise: T, times: int = 1, *, again: bool = True
    ) -> T:
        """The server's answer, or ``otherwise`` where there is none in time. ``again``: the call may come twice."""
        if self._recovery is not None:
            return otherwise
        try:
            allowed = remaining(self._timeout)
        except DeadlineExceeded:
            return otherwise
        if times:
            self.meter.count(what, times)
        try:
            async with asyncio.timeout(allowed):
                return await _sent(call, again=again)
        except (RedisError, OSError) as error:
            if isinstance(error, TimeoutError) and allowed < self._timeout:
                return otherwise
            self.failures += 1
            if self._recovery is None:
                log.warning("the cache failed and is left alone until it answers: %s", _told(error))
                self._recovery = asyncio.create_task(self._recover())
            return otherwise

    async def _recover(self) -> None:
        """Returns when the server answers and no key is doubtful any more."""
        while True:
            await asyncio.sleep(REST)
            if await self._remove_doubtful() and not self._doubtful:
                self._recovery = None
                log.info("the cache answers again")
                return

    async def _remove_doubtful(self) -> bool:
        """Removes the keys that are doubtful by now. False where the server does not answer."""
        doubtful = list(self._doubtful)
        try:
            async with asyncio.timeout(REST):
                await self._client.ping()
                for key in doubtful:
                    await self._remove(key)
        except (RedisError, OSError):
            return False
        self._doubtful.difference_update(doubtful)
        return True

    async def _remove(self, key: str) -> None:
        if key != "*":
            await self._client.unlink(self._key(key))
            return
        async for found in self._client.scan_iter(match=f"{self._prefix}:*", count=1000):
            await self._client.unlink(found)


async def _sent(call: Callable[[], Awaitable[T]], *, again: bool) -> T:
    """The answer to a call. It is sent once more if its connection was lost and it may come twice."""
    try:
        return await call()
    except NotConnected:
        if not again:
            raise
    return await call()


_QUOTING = re.compile(r"""['"`:,]""")


def _told(error: Exception) -> str:
    """The error in a line. Of what the server itself says the first words alone: it goes on with what it was sent."""
    kind = type(error).__name__
    if isinstance(error, ResponseError):
        return f"Redis: {kind}: {_QUOTING.split(str(error), maxsplit=1)[0].strip()}"
    return f"Redis: {str(error) or ('no answer in time' if isinstance(error, TimeoutError) else kind)}"


class RedisCache(ServerCache):
    """The Cache port over a server that others run."""

    @classmethod
    async def open(
        cls,
        url: str,
        prefix: str = "cohort",
        *,
        timeout: float = 1.0,  # noqa: ASYNC109 - of each later call
        connections: int = 32,
    ) -> Self:
        """``url`` is redis://, rediss:// or unix://. Each call takes at most ``timeout`` seconds. Does not need the server yet.
        InvalidInput for certificates that can't be read."""
        return cls(url, prefix, timeout, connections)
