"""Rates: how many points each caller may spend, whichever process it asks (R-RATE-1 to 4).

Each request is judged at once, by a bucket in this process: nothing is awaited. What was taken is told to the buckets of all
processes, in the cache, ten times a second and sooner if it is much; what they answer is what this process goes by from then
on. While the cache is away, the buckets here hold alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from hashlib import blake2b
from itertools import islice
from typing import Any

from starlette.requests import HTTPConnection

from gateway.http.admission import address_of, caller_of
from gateway.http.costs import CAME, CHARGE, bill_in
from gateway.http.heads import Headers, heads_of
from rules.errors import CohortError, Overloaded, RateLimited, StoreUnavailable
from rules.rates import TOLERANCE, WINDOW, Bucket, Rate, whole_seconds
from rules.viewers import Role, Viewer
from stores.cache import Cache, Spending
from telemetry.metrics import OVER_RATE
from telemetry.requests import noted

log = logging.getLogger(__name__)

HEADER, POLICY = "RateLimit", "RateLimit-Policy"
"""Of answers: what is left, and what there is in all (draft-ietf-httpapi-ratelimit-headers)."""
_HEADER, _POLICY = HEADER.lower().encode(), POLICY.lower().encode()
BYTES_SENT_A_POINT = 1_000
"""Bytes of a request's body that cost a point, whatever becomes of them: they are read, and a document is checked."""
FREE_HEAD = 8_192
"""Bytes of a request's head that cost nothing; what is beyond them costs as a body does."""
TICK = 0.1
"""Seconds after which the buckets of all processes are told."""
CREDIT = 0.05
"""The part of a bucket that a caller may take here before they are told at once."""
MOST_KNOWN = 50_000
"""Callers that a process remembers. Each takes some 500 bytes."""
AT_A_TIME = 500
"""Buckets that are told in one call."""
SILENCE = 60.0
"""Seconds between two lines in the log about the same caller."""


class Account:
    """One caller. ``unsettled``: points that were taken here and that the other processes are not told of yet."""

    __slots__ = ("bucket", "caller", "policy", "rate", "told_at", "unsettled")

    def __init__(self, caller: str, rate: Rate) -> None:
        self.caller, self.rate, self.bucket = caller, rate, Bucket(rate)
        self.policy = _policy(rate)
        self.unsettled = 0
        self.told_at = float("-inf")

    @property
    def key(self) -> str:
        """Of its bucket in the cache. Who it is does not stand there."""
        return f"rate:{blake2b(f'{self.rate.who} {self.caller}'.encode(), digest_size=16).hexdigest()}"


@cache
def _policy(rate: Rate) -> bytes:
    return f'"{rate.who}";q={rate.points};qu="points";w={WINDOW}'.encode()


class Rates:
    """The accounts of a process. A rate of 0 points is none. ``cache``: gives that of the instance, or raises StoreUnavailable.
    ``enforced``: whether who has spent everything is refused; otherwise it is only logged and counted."""

    def __init__(
        self,
        user: Rate,
        service: Rate,
        anonymous: Rate,
        *,
        cache: Callable[[], Cache],
        enforced: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user, self._service, self._anonymous = user, service, anonymous
        self._cache = cache
        self.enforced = enforced
        self.clock = clock
        self._accounts: dict[tuple[str, str], Account] = {}
        self._due: dict[Account, None] = {}
        self._some, self._much = asyncio.Event(), asyncio.Event()
        self._ended = False

    def begin(self, viewer: Viewer, request: HTTPConnection) -> "Charge | None":
        """The charge of a request that begins, with the points of its body taken. RateLimited if there are none left; None if
        the caller has no rate."""
        rate = self._rate_of(viewer)
        if not rate.points:
            return None
        return Charge(self, self._account(caller_of(request, viewer), rate), points_sent(request))

    def begin_unknown(self, request: HTTPConnection) -> "Charge | None":
        """The same for a request of which it is not known who sent it: its address pays for it, a point at least."""
        if not self._anonymous.points:
            return None
        return Charge(self, self._account(address_of(request), self._anonymous), points_sent(request))

    def begin_refused(self, request: HTTPConnection) -> "Charge | None":
        """The same for one that HTTP refuses: its address pays for what was read of it, as far as it has points left, and is refused
        nothing for that."""
        if not self._anonymous.points:
            return None
        account = self._account(address_of(request), self._anonymous)
        left = max(0, int(account.bucket.left(self.clock()) + TOLERANCE))
        return Charge(self, account, min(left, points_read(request)))

    def take(self, account: Account, points: int) -> None:
        """Takes points, or gives them back for a number below 0."""
        account.bucket.take(points, self.clock())
        account.unsettled += points
        self._due[account] = None
        self._some.set()
        if account.unsettled > CREDIT * account.rate.points:
            self._much.set()

    async def settle(self) -> None:
        """Tells the buckets of all processes what was taken here, and goes by what they say. What they can't be told is
        forgiven there."""
        due, self._due = iter(self._due), {}
        while batch := [*islice(due, AT_A_TIME)]:
            spendings = []
            for account in batch:
                rate = account.rate
                spendings.append(Spending(account.key, account.unsettled, rate.per_second, rate.points))
                account.unsettled = 0
            try:
                left = await self._cache().spend(spendings)
            except StoreUnavailable:  # the stores are not open yet
                left = None
            for account, points in zip(batch, left or (), strict=False):
                account.bucket.set_left(points - account.unsettled, self.clock())
        if len(self._accounts) > MOST_KNOWN:
            self._forget()

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """Settles while the body runs, and a last time at its end."""
        settling = asyncio.create_task(self._keep_settling())
        try:
            yield
        finally:
            # It ends by itself, never within a call of the cache.
            self._ended = True
            self._some.set()
            self._much.set()
            await settling

    async def _keep_settling(self) -> None:
        """Settles TICK seconds after something was taken or once it is much."""
        while not self._ended:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._much.wait()
            self._some.clear()
            self._much.clear()
            await self.settle()
        await self.settle()  # what was taken while the last was told

    def over(self, account: Account, points: int) -> None:
        """Notes that a caller asks for more points than it has left. RateLimited, unless the settings only warn."""
        rate, now = account.rate, self.clock()
        OVER_RATE.labels(rate.who, "refused" if self.enforced else "let_through").inc()
        if now - account.told_at >= SILENCE:
            account.told_at = now
            fields = {"caller": _name(), "limit": rate.setting, "most": rate.points}
            told = "is refused" if self.enforced else "is let through, as warn_only says"
            log.warning("over its rate, a caller %s", told, extra={"fields": fields})
        if not self.enforced:
            return
        wait = whole_seconds(account.bucket.wait(points, now))
        whom = "this address" if rate is self._anonymous else "you"
        raise RateLimited(
            f"{points:,} points are needed, and {whom} may spend {rate.points:,} a minute: send it again in {wait} s, and "
            "ask for less or less often",
            limit=rate.setting,
            most=rate.points,
            retry_after=wait,
        )

    def _rate_of(self, viewer: Viewer) -> Rate:
        if viewer.user_id is None:
            return self._anonymous
        return self._service if viewer.has(Role.SERVICE) else self._user

    def _account(self, caller: str, rate: Rate) -> Account:
        key = (rate.who, caller)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(caller, rate)
        return account

    def _forget(self) -> None:
        """Forgets those who have everything again: it is as if they had never come. Then the first that came."""
        now = self.clock()
        self._accounts = {key: one for key, one in self._accounts.items() if not one.bucket.is_full(now)}
        for key in [*islice(self._accounts, max(0, len(self._accounts) - MOST_KNOWN))]:
            del self._accounts[key]


def points_sent(request: HTTPConnection) -> int:
    """What a request costs for its bytes alone, at least 1."""
    announced = int(heads_of(request.scope).get(b"content-length", 0))  # one in chunks announces nothing
    return _points(request, max(announced, _came(request)))


def points_read(request: HTTPConnection) -> int:
    """The same for what was read of it by now: of a body that is refused, that may be nothing."""
    return _points(request, _came(request))


def _came(request: HTTPConnection) -> int:
    came: int = request.scope.get("state", {}).get(CAME, 0)
    return came


def _points(request: HTTPConnection, body: int) -> int:
    scope = request.scope
    head = len(scope["query_string"]) + len(scope["path"])
    for name, value in scope["headers"]:
        head += len(name) + len(value)
    return max(1, (max(0, head - FREE_HEAD) + body) // BYTES_SENT_A_POINT)


class Charge:
    """What one request has taken from its caller. It costs what it really costs in the end, and at least ``sent``."""

    __slots__ = ("_account", "_expected", "_is_free", "_rates", "_sent", "_taken")

    def __init__(self, rates: Rates, account: Account, sent: int) -> None:
        self._rates, self._account, self._sent = rates, account, sent
        self._taken = 0
        self._expected = self._is_free = False
        self._take(sent)

    def expect(self, estimate: int) -> None:
        """Takes what the request will cost. RateLimited if it is not there."""
        self._take(max(estimate, self._sent))
        self._expected = True

    def close(self, actual: int) -> None:
        """Takes or gives back the difference to what it has cost. One that was refused costs no more than what was sent."""
        if self._expected and not self._is_free:
            difference = max(actual, self._sent) - self._taken
            if difference:
                self._rates.take(self._account, difference)
                self._taken += difference

    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        account = self._account
        rate, left = account.rate, account.bucket.left(self._rates.clock())
        full_in = whole_seconds((rate.points - left) / rate.per_second) if left < rate.points else 0
        told = f'"{rate.who}";r={max(0, int(left + TOLERANCE))};t={full_in}'
        return (_POLICY, account.policy), (_HEADER, told.encode())

    def _take(self, points: int) -> None:
        if self._is_free:
            return
        account = self._account
        if account.bucket.wait(points, self._rates.clock(), taken=self._taken) > 0:
            self._rates.over(account, points)
            # It is let through; were it charged, the debt would be without end.
            self._is_free = True
        elif points != self._taken:
            self._rates.take(account, points - self._taken)
            self._taken = points


def tell_rate(state: Mapping[str, Any], headers: Headers) -> None:
    """Settles the charge of a request as its answer begins, and tells what is left. Its cost must have been told before."""
    charge: Charge | None = state.get(CHARGE)
    if charge is None:
        return
    bill = bill_in(state)
    if bill is not None:
        charge.close(bill.actual.points)
    headers += charge.headers()


def charge_begun(request: HTTPConnection, viewer: Viewer) -> None:
    """Begins the charge of this request; once, however often it is asked who sent it. RateLimited as in ``Rates.begin``."""
    _begin(request, lambda rates: rates.begin(viewer, request))


def refusal_counted(request: HTTPConnection, error: CohortError) -> CohortError:
    """The error to answer with. What was refused before it was known who sent it costs its address a point; RateLimited if it
    has none left."""
    if isinstance(error, StoreUnavailable | Overloaded | RateLimited):  # no fault of who sent it
        return error
    try:
        _begin(request, lambda rates: rates.begin_unknown(request))
    except RateLimited as limited:
        return limited
    return error


def count_refusal(request: HTTPConnection) -> None:
    """The same of what HTTP refuses, which is told as it is, whatever is left."""
    _begin(request, lambda rates: rates.begin_refused(request))


def _begin(request: HTTPConnection, begin: "Callable[[Rates], Charge | None]") -> None:
    """Notes the charge that ``begin`` gives, where there are rates and the request has none yet."""
    rates = _rates(request)
    state = request.scope.setdefault("state", {})
    if rates is not None and CHARGE not in state:
        state[CHARGE] = begin(rates)


def _rates(request: HTTPConnection) -> Rates | None:
    app: Any = request.scope.get("app")
    return getattr(app.state, "rates", None) if app is not None else None


def _name() -> str:
    """What the log calls the caller of the current request."""
    notes = noted()
    return "" if notes is None else notes.caller
