"""Answers that cost much and may be a moment old: kept in the cache, computed once however many ask.

In front of the group queries (R-QUERY-4). One flight a key: callers of this process share it, and of all
processes one computes while the others wait for what it stores. Where it can't be computed, what was computed last
is given, with its age. Without the cache everything is computed, still once for all callers of a process.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from hashlib import blake2b
from uuid import uuid4
from zlib import crc32

import orjson

from loaders.background import Background
from rules.errors import DeadlineExceeded, StoreUnavailable
from rules.moments import milliseconds, moment
from stores.backoff import Backoff
from stores.bills import billed_context
from stores.cache import Cache
from stores.deadline import deadline, remaining
from telemetry import traces

log = logging.getLogger(__name__)

TTL = 60.0
"""Seconds that an answer is given again; as the platform's cache of group aggregates has it (P-4.9)."""
KEEP = 86_400.0
"""Seconds for which an answer is given if it cannot be computed anew."""
FLIGHT = 30.0
"""Seconds that a computation may take, however long its callers wait."""
CLAIM = 5.0
"""Seconds after which another process takes over from a process that died. A process that lives renews its claim."""

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between two looks for the answer that another process computes. The pause doubles from the first to the
longest."""
SPREAD = 0.1
"""Fraction of the TTL used as expiry jitter, so that the answers of one moment do not expire in one moment."""
PATIENCE = 0.9
"""Fraction of a caller's time that it waits for a new answer while there is an old one. The rest of the request needs
time too."""

_STAMP = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Written:
    """What was computed, as bytes, and ``source``: what these were written from."""

    value: bytes
    source: object


Compute = Callable[[], Awaitable[bytes | Written]]


class AnswerOrigin(Enum):
    """Where an answer comes from. STALE: it is older than it should be, because no new one could be computed."""

    COMPUTED = "COMPUTED"
    CACHED = "CACHED"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Answer:
    """``as_of``: when its computation began, so that nothing from before is missing; ``age``: seconds since then.
    ``source``: what ``value`` was written from, if this process has just done so; nobody has to read it then, or may change it."""

    value: bytes
    as_of: datetime
    age: float
    origin: AnswerOrigin
    source: object = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer in the cache: eight bytes of milliseconds since 1970, then the value."""

    value: bytes
    stamp: int

    @classmethod
    def of(cls, value: bytes, as_of: datetime) -> "_Kept":
        return cls(value, milliseconds(as_of))

    @classmethod
    def decode(cls, frame: bytes) -> "_Kept":
        return cls(frame[_STAMP.size :], _STAMP.unpack_from(frame)[0])

    def encode(self) -> bytes:
        return _STAMP.pack(self.stamp) + self.value

    def age(self, now: datetime) -> float:
        return (now - moment(self.stamp)) / timedelta(seconds=1)

    def answer(self, now: datetime, origin: AnswerOrigin, source: object = None) -> Answer:
        return Answer(self.value, moment(self.stamp), max(0.0, self.age(now)), origin, source)


@dataclass(slots=True, eq=False)
class _Flight:
    """``kept``: what the cache had at the last look, fresh or not."""

    key: str
    waiters: int = 0
    kept: _Kept | None = None
    task: "asyncio.Task[Answer]" = field(init=False)


class Answers:
    """The answers of one process. Its counters grow from the start of the process. Each call is a hit or a miss,
    unless it is cancelled."""

    def __init__(
        self,
        cache: Cache,
        background: Background,
        now: Callable[[], datetime],
        *,
        ttl: float = TTL,
        keep: float = KEEP,
        flight_timeout: float = FLIGHT,
        claim_ttl: float = CLAIM,
    ) -> None:
        self.hits = 0
        """Calls answered with what was kept and fresh."""
        self.misses = 0
        """Calls that were not."""
        self.flights = 0
        """Computations of this process."""
        self.shared = 0
        """Misses that joined the flight of another call."""
        self.stale = 0
        """Misses answered with what was kept and no longer fresh."""
        self._cache = cache
        self._background = background
        self._now = now
        self.ttl = ttl
        self._keep = keep
        self._flight_timeout = flight_timeout
        self._claim_ttl = claim_ttl
        self._flights: dict[str, _Flight] = {}

    async def answer(self, key: str, compute: Compute) -> Answer:
        """The kept answer, if it is younger than ``ttl`` seconds (less the jitter of SPREAD); else the answer of
        ``compute``, in a flight that all calls with this key share.

        If ``compute`` fails with StoreUnavailable, or takes longer than the caller has, an answer younger than
        ``keep`` seconds is given as STALE. If there is none, the error is raised and not kept; DeadlineExceeded if
        the caller's time is over. A call that is cancelled takes nothing from the others. The last call that leaves
        ends the flight.
        """
        while True:
            # Whoever has no deadline waits until the flight ends by itself.
            left = remaining(2 * self._flight_timeout)
            flight = self._flights.get(key)
            joins = flight is not None
            if flight is None:
                flight = self._take_off(key, compute)
            try:
                answer = await self._wait_for(flight, left)
            except asyncio.CancelledError:
                # This call was cancelled; or the computation was, from within, as by a loader's future that its owner
                # took along when leaving: then those who joined have their own.
                if joins and flight.task.cancelled() and not _is_cancelled():
                    continue
                raise
            except Exception:
                self._count(joins, None)
                raise
            self._count(joins, answer.origin)
            return answer

    def counts(self) -> dict[str, int]:
        names = ("hits", "misses", "flights", "shared", "stale")
        return {name: getattr(self, name) for name in names}

    def _count(self, joined: bool, origin: AnswerOrigin | None) -> None:
        if origin is AnswerOrigin.CACHED:
            self.hits += 1
            return
        self.misses += 1
        self.shared += joined
        self.stale += origin is AnswerOrigin.STALE

    def _take_off(self, key: str, compute: Compute) -> _Flight:
        flight = self._flights[key] = _Flight(key)
        # In a context of its own, but for its bill and span: the deadline of the first caller is not that of those who join.
        flight.task = asyncio.create_task(
            self._fly(flight, compute), context=billed_context(traces.bare_context())
        )
        return flight

    async def _wait_for(self, flight: _Flight, left: float) -> Answer:
        """Its answer, or an error of this caller's own; ``left``: seconds that it has.

        ``asyncio.wait`` shields the flight as ``asyncio.shield`` does, and tells its cancellation from the caller's.
        """
        flight.waiters += 1
        try:
            for part in (PATIENCE, 1 - PATIENCE):
                await asyncio.wait({flight.task}, timeout=left * part)
                if flight.task.done():
                    error = flight.task.exception()
                    if error is not None:
                        raise _twin(error) from error
                    return flight.task.result()
                stale = self._stale(flight)
                if stale is not None:
                    return stale
            raise DeadlineExceeded("the answer was not computed before the request ran out of time")
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._forget(flight)
                flight.task.cancel()
                self._background.start(_ended(flight.task))

    async def _fly(self, flight: _Flight, compute: Compute) -> Answer:
        try:
            with deadline(self._flight_timeout):
                async with asyncio.timeout(self._flight_timeout):
                    return await self._found(flight) or await self._claim_and_compute(flight, compute)
        except (StoreUnavailable, TimeoutError) as error:
            stale = self._stale(flight)
            if stale is not None:
                log.warning("answered with what was computed %.0f s ago: %r", stale.age, error)
                return stale
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded("the answer was not computed in time") from error
            raise
        finally:
            self._forget(flight)

    async def _found(self, flight: _Flight) -> Answer | None:
        """The kept answer, if it is fresh."""
        frame = await self._cache.get(flight.key)
        if frame is None or len(frame) < _STAMP.size:
            return None
        kept = flight.kept = _Kept.decode(frame)
        now = self._now()
        # By absolute value: what a clock that is ahead has stamped must not stay fresh for that much longer.
        if abs(kept.age(now)) < self.ttl * (1 - SPREAD * _fraction(flight.key, kept.stamp)):
            return kept.answer(now, AnswerOrigin.CACHED)
        return None

    async def _claim_and_compute(self, flight: _Flight, compute: Compute) -> Answer:
        """Claims the key and computes. If another process has the claim, waits for its answer, or computes once that
        process gave up or died."""
        claim, token = f"{flight.key}:claim", uuid4().hex
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        try:
            while not await self._cache.claim(claim, token, self._claim_ttl):
                await backoff.pause()
                found = await self._found(flight)
                if found is not None:
                    return found
            # Who had the claim may have stored its answer after our look and before our claim.
            found = await self._found(flight)
            return found or await self._compute(flight, compute, claim, token)
        finally:
            # Not awaited here: it must happen when the flight is cancelled too.
            self._background.start(self._cache.release(claim, token))

    async def _compute(self, flight: _Flight, compute: Compute, claim: str, token: str) -> Answer:
        self.flights += 1
        as_of = self._now()
        renewing = asyncio.create_task(self._renew(claim, token))
        try:
            computed = await compute()
        finally:
            renewing.cancel()
        written = computed if isinstance(computed, Written) else Written(computed, None)
        kept = _Kept.of(written.value, as_of)
        await self._cache.set(flight.key, kept.encode(), self._keep)
        return kept.answer(self._now(), AnswerOrigin.COMPUTED, written.source)

    async def _renew(self, claim: str, token: str) -> None:
        while True:
            await asyncio.sleep(self._claim_ttl / 3)
            await self._cache.claim(claim, token, self._claim_ttl)

    def _stale(self, flight: _Flight) -> Answer | None:
        now = self._now()
        if flight.kept is None or flight.kept.age(now) >= self._keep:
            return None
        return flight.kept.answer(now, AnswerOrigin.STALE)

    def _forget(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]


def key_of(*parts: object) -> str:
    """The key of an answer, equal for equal parts in whatever order their mappings and sets are. Parts are texts,
    numbers, dates, enums, dataclasses, and lists, mappings and sets of these. Everything that the answer depends on
    must be among them."""
    return f"answers:{blake2b(_canonical(parts), digest_size=20).hexdigest()}"


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, default=_sorted, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def _sorted(value: object) -> object:
    if isinstance(value, set | frozenset):
        return sorted(value, key=_canonical)
    raise TypeError(f"a key can't have {type(value).__name__}")


def _fraction(key: str, stamp: int) -> float:
    """A number from 0 to 1, by chance but the same in every process."""
    return crc32(_STAMP.pack(stamp), crc32(key.encode())) / 2**32


def _twin(error: BaseException) -> BaseException:
    """An equal error. Each call raises its own, because raising writes a traceback into it."""
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    return twin


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _ended(task: "asyncio.Task[Answer]") -> None:
    await asyncio.gather(task, return_exceptions=True)
