"""Changes of hashes that share calls of a cache's server.

A call that begins while another one is under way waits for its end, and has with it all that were asked for meanwhile. So one
that is alone goes at once, and many at a time cost a few calls: of the server, and of the client, for which each takes longer
than for the server. A change that nobody waits for goes with the next call that somebody does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from typing import NamedTuple

from stores.deadline import in_time, remaining
from stores.futures import tell

SOON = 0.005
"""Seconds after which what nobody waits for is sent by itself."""
MOST_PARTS = 4_096
"""Fields of all changes of a call together, unless the first alone has more: nothing else is answered by the server meanwhile."""

# Lua compares strings by the server's locale, hence the loop over bytes. Each key has its time to live, how many fields are
# dropped and raised, the names of those, and names and values of these.
RAISE_FIELDS = """
local function larger(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
local at = 1
for _, key in ipairs(KEYS) do
  local ttl, dropped, raised = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first = at + 3 + dropped
  for i = at + 3, first - 1 do redis.call('HDEL', key, ARGV[i]) end
  at = first + 2 * raised
  for i = first, at - 1, 2 do
    local stored = redis.call('HGET', key, ARGV[i])
    if not stored or larger(ARGV[i + 1], stored) then
      redis.call('HSET', key, ARGV[i], ARGV[i + 1])
    end
  end
  redis.call('PEXPIRE', key, ttl)
end
"""


class HashChange(NamedTuple):
    """What raise_fields changes of one hash (stores/cache.py); ``ttl`` in milliseconds."""

    key: str
    fields: Mapping[str, bytes]
    ttl: int
    drop: Sequence[str]

    def arguments(self) -> list[bytes]:
        """Those of RAISE_FIELDS."""
        told = [b"%d" % self.ttl, b"%d" % len(self.drop), b"%d" % len(self.fields)]
        told += [name.encode() for name in self.drop]
        for name, value in self.fields.items():
            told += name.encode(), value
        return told


_Waiting = list[tuple[HashChange | None, "asyncio.Future[None]"]]
"""Changes with what is done once they were sent; None for whoever waits for those before it."""


class SharedCalls:
    """Sends changes by ``send``: as many at once as there are. Who asked for them gets what it raises."""

    def __init__(self, send: Callable[[list[HashChange]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: _Waiting = []
        self._under_way: _Waiting = []
        self._sending: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._context = Context()
        """An empty one: no caller's deadline or bill is the others'."""

    def add(self, change: HashChange | None, *, soon: bool = False) -> "asyncio.Future[None]":
        """Returns what is done once the change was sent, in the order of these calls; with None, once those before it were. Whoever
        leaves it takes nothing back. ``soon``: it may wait for SOON seconds."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((change, done))
        if not soon:
            self._begin()
        elif self._later is None:
            self._later = loop.call_later(SOON, self._begin, context=self._context)
        return done

    async def passed(self, keys: Collection[str]) -> None:
        """Returns once every change of these keys that was asked for before was sent, or failed: also one whose caller has left.
        DeadlineExceeded if it takes longer."""
        asked = {change.key for change, _ in (*self._under_way, *self._waiting) if change is not None}
        if not asked.isdisjoint(keys):
            with suppress(Exception):  # told to those whose changes they are
                await in_time(self.add(None))
            remaining(0)

    def _begin(self) -> None:
        """Sends what waits, unless that is under way."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._waiting and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all(), context=self._context.copy())

    async def settled(self) -> None:
        """Waits until nothing is left to send."""
        while self._waiting or self._sending is not None:
            self._begin()
            if self._sending is not None:
                await self._sending

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                together = self._under_way = self._taken()
                changes = [change for change, _ in together if change is not None]
                try:
                    if changes:
                        await self._send(changes)
                except Exception as error:  # noqa: BLE001 - told to those who wait for it
                    tell(_told_of(together), error)
                tell(_told_of(together))
                del together, changes  # the error's trace has this frame: they would hold each other
        finally:
            self._sending = None
            tell(_told_of([*self._under_way, *self._waiting]))
            self._under_way, self._waiting = [], []

    def _taken(self) -> _Waiting:
        """Takes those that the next call sends."""
        count = parts = 0
        for change, _ in self._waiting:
            parts += 0 if change is None else len(change.fields) + len(change.drop)
            if count and parts > MOST_PARTS:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken


def _told_of(sent: _Waiting) -> "Iterator[asyncio.Future[None]]":
    return (done for _, done in sent)
