"""Admission: how many requests a process works on at once, who waits for a slot, and who is refused (R-LIMIT-6).

Without it a process takes whatever comes, and answers all of it too late. Health checks and pages need no slot.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address

from starlette.requests import HTTPConnection, Request

from resolvers.nouns import Session
from rules.errors import Overloaded
from rules.viewers import Viewer
from stores.turns import breathe

WAIT = 1.0
"""Seconds that a request waits for a slot. Who waits longer would rather be told."""
SHARE = 0.75
"""The part of the slots that one caller may have, so that there are some for others whatever it sends."""
TICK = 0.1
"""Seconds between two looks at the event loop."""
LONGEST_LAG = 0.2
"""Seconds that the event loop may be late. Later, the processor is what lacks: fewer requests at once are quicker."""
SHRINKS, GROWS, LEAST = 0.8, 0.02, 0.125
"""What a late look leaves of the slots, what one in time adds, and the least there are: parts of ``most``."""
QUIET = 5.0
"""Seconds without a refusal after which the process counts as well again."""
SESSION = "cohort.session"
"""In the scope of a request that `slot_once_read` has taken: its session."""


class Admission:
    """The slots of a process. ``most`` there are; as many more requests may wait, ``wait`` seconds each.

    A slot that becomes free goes to the caller that has the fewest. If nobody else can wait, the last request of the
    caller that has the most waiting is refused in favour of one that has less.

    Each look at an event loop that is late takes a part of the slots away, and each other one gives some back: additive
    increase, multiplicative decrease, as TCP does it.
    """

    def __init__(
        self,
        most: int = 100,
        *,
        wait: float = WAIT,
        unready_after: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._slots = float(most)
        self._wait = wait
        self._unready_after = unready_after
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self.under_way = 0
        """Requests that have a slot."""
        self.waiting = 0
        """Requests that wait for one."""
        self.refused = 0
        """Requests that got none since the start."""
        self._refusing_since = self._refused_at = -QUIET - unready_after

    @property
    def slots(self) -> int:
        """How many requests may be under way now."""
        return int(self._slots)

    @property
    def is_overloaded(self) -> bool:
        """Whether requests were refused for ``unready_after`` seconds, without QUIET seconds in between. Refusals of a caller
        that has more than all others together don't count: it would be refused elsewhere, too."""
        lasted = self._refused_at - self._refusing_since
        return 0 < self._unready_after <= lasted and self._clock() - self._refused_at < QUIET

    def slot(self, caller: str) -> "Slot":
        """A slot for a request of this caller, as a context. Overloaded if there is none in time."""
        return Slot(self, caller)

    async def take(self, caller: str) -> None:
        if self.under_way < self.slots and self._held[caller] < self._share:
            self._give(caller)
            return
        if self.waiting >= self._most:
            self._make_room(caller)
        slot = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(slot)
        self.waiting += 1
        late = slot.get_loop().call_later(self._wait, self._refuse, caller, slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.cancelled():
                self._forget(caller, slot)
            elif slot.exception() is None:
                self.leave(caller)
            raise
        finally:
            late.cancel()

    def leave(self, caller: str) -> None:
        self.under_way -= 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
        self._give_to_waiting()

    def look(self, lag: float) -> None:
        """Takes note of how late the event loop is, in seconds."""
        if lag > LONGEST_LAG:
            self._slots = max(self._slots * SHRINKS, self._most * LEAST, 1.0)
        elif self._slots < self._most:
            self._slots = min(self._slots + max(self._most * GROWS, 0.1), float(self._most))
            self._give_to_waiting()

    @property
    def _share(self) -> int:
        return max(1, int(self._slots * SHARE))

    def _give(self, caller: str) -> None:
        self._held[caller] += 1
        self.under_way += 1

    def _give_to_waiting(self) -> None:
        while self._waiting and self.under_way < self.slots:
            may = [caller for caller in self._waiting if self._held[caller] < self._share]
            if not may:
                return
            caller = min(may, key=self._held.__getitem__)  # of equal ones who has waited for the longest
            slot = self._waiting[caller][0]
            self._forget(caller, slot)
            if not slot.done():  # else its client has left
                self._give(caller)
                slot.set_result(None)

    def _make_room(self, caller: str) -> None:
        """Refuses somebody, because no more may wait. Overloaded if that is this caller."""
        greedy = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[greedy]) <= len(self._waiting.get(caller, ())) + 1:
            raise self._refusal(caller)
        self._refuse(greedy, self._waiting[greedy][-1])

    def _refuse(self, caller: str, slot: asyncio.Future[None]) -> None:
        refusal = None if slot.done() else self._refusal(caller)
        self._forget(caller, slot)
        if refusal is not None:
            slot.set_exception(refusal)

    def _refusal(self, caller: str) -> Overloaded:
        self.refused += 1
        own = self._held[caller] + len(self._waiting.get(caller, ()))
        if 2 * own <= self.under_way + self.waiting:
            now = self._clock()
            if now - self._refused_at >= QUIET:
                self._refusing_since = now
            self._refused_at = now
        return Overloaded(f"{self.under_way} requests are under way here: send it again in a second")

    def _forget(self, caller: str, slot: asyncio.Future[None]) -> None:
        queue = self._waiting.get(caller)
        if queue is None or slot not in queue:
            return
        queue.remove(slot)
        self.waiting -= 1
        if not queue:
            del self._waiting[caller]


class Slot:
    """A slot for one request, as long as the context is open. It begins in a turn of the loop that has time left: else several large
    bodies would be read in one turn."""

    __slots__ = ("_admission", "_caller")

    def __init__(self, admission: Admission, caller: str) -> None:
        self._admission = admission
        self._caller = caller

    async def __aenter__(self) -> None:
        await self._admission.take(self._caller)
        try:
            await breathe()
        except BaseException:
            self._admission.leave(self._caller)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._admission.leave(self._caller)


def caller_of(request: HTTPConnection, viewer: Viewer) -> str:
    """Who is asking, for limits: the user of the token, or else the address."""
    if viewer.user_id is not None:
        return f"user {viewer.user_id}"
    return address_of(request)


def address_of(request: HTTPConnection) -> str:
    """Where a request comes from. All of a network of IPv6 (/64) is one, as who has one address there has them all."""
    host = "" if request.client is None else request.client.host
    return f"address {_network(host)}"


@lru_cache(4096)
def _network(host: str) -> str:
    """What is no address is unknown: a proxy may pass on whatever stands in a header, and each word of it is no caller."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))


def slot_for(request: HTTPConnection, viewer: Viewer) -> Slot:
    """A slot for this request among those of its process."""
    admission: Admission = request.app.state.admission
    return admission.slot(caller_of(request, viewer))


async def slot_once_read(
    request: Request, session_of: Callable[[Request], Awaitable[Session]], admission: Admission
) -> Slot:
    """A slot for this request, once its body has come, so that a slow one holds none, and its session is known."""
    await request.body()
    session = request.scope[SESSION] = await session_of(request)
    return admission.slot(caller_of(request, session.viewer))


async def look_at_the_loop(admission: Admission) -> None:
    """Tells ``admission`` again and again how late the event loop is."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(TICK)
        admission.look(time.monotonic() - began - TICK)
