"""Learner profiles."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rules.errors import DeadlineExceeded
from rules.learners import Learner
from stores.bills import check_bill
from stores.deadline import in_time
from stores.futures import tell
from stores.rows import Row, Rows
from stores.tables import LEARNERS


async def learners_by_id(rows: Rows, user_ids: Sequence[str]) -> list[Learner | None]:
    if len(user_ids) == 1:
        return [_learner(await rows.get(LEARNERS, (user_ids[0],)))]
    found = await rows.get_many(LEARNERS, [(user_id,) for user_id in user_ids])
    return [_learner(found.get((user_id,))) for user_id in user_ids]


Profiles = Callable[[list[str]], Awaitable[Sequence[Learner | None]]]
"""Reads the profiles of these learners."""


class LearnersKnown:
    """The profiles that one request has read, each once: who asks for one that is being read waits for that read. Those that are asked
    for in the same turn are read together in the next one, two turns before a DataLoader would: when reads beside them go to the store
    that are alone (loaders/together.py). So they are sent with these."""

    def __init__(self, read: Profiles) -> None:
        self._read = read
        self._known: dict[str, Learner | None] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        """Of each learner that is being read: who waits for that read. They are told what went wrong, if anything did."""
        self._next: list[str] = []
        """Whom the read is of that begins in the next turn; none where none does."""

    async def load(self, user_id: str) -> Learner | None:
        (found,) = await self.load_many([user_id])
        return found

    async def load_many(self, user_ids: Sequence[str]) -> list[Learner | None]:
        while missing := [user_id for user_id in dict.fromkeys(user_ids) if user_id not in self._known]:
            check_bill()
            own = [user_id for user_id in missing if user_id not in self._waiting]
            if own and not self._next:
                await self._read_with_others(own)
                continue
            if own:
                self._waiting |= dict.fromkeys(own, self._waiting[self._next[0]])
                self._next += own
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[missing[0]].append(waiter)
            try:
                await in_time(waiter)
            finally:
                del waiter  # it has the error, whose trace has this frame: they would hold each other
        return [self._known[user_id] for user_id in user_ids]

    async def _read_with_others(self, user_ids: list[str]) -> None:
        """Reads these profiles, and those that are asked for until the next turn. Where the reader leaves, or is out of time, those who
        wait read for themselves."""
        waiting: list[asyncio.Future[None]] = []
        self._waiting |= dict.fromkeys(user_ids, waiting)
        self._next = user_ids
        told: Exception | None = None
        try:
            try:
                await asyncio.sleep(0)
            finally:
                self._next = []
            self._known.update(zip(user_ids, await self._read(user_ids), strict=True))
        except DeadlineExceeded:
            raise
        except Exception as error:
            told = error
            raise
        finally:
            for user_id in user_ids:
                del self._waiting[user_id]
            tell(waiting, told)
            del told, waiting  # they have the error, whose trace has this frame

    def prime(self, user_id: str, learner: Learner | None) -> None:
        """Has the request know this profile, unless it has read one."""
        self._known.setdefault(user_id, learner)


async def learners_of_rows(rows: Rows, user_ids: Sequence[str]) -> list[Learner | None]:
    """The same, of ids that are of rows: pages of lists have hundreds."""
    keys = [(user_id,) for user_id in user_ids]
    found = await rows.tuples(LEARNERS, keys, ("name", "attributes", "updated_on"))
    learners: list[Learner | None] = []
    for key in keys:
        page = found[key]
        if page:
            name, attributes, updated_on = page[0]
            learners.append(Learner(key[0], name, attributes or {}, updated_on))
        else:
            learners.append(None)
    return learners


def _learner(row: Row | None) -> Learner | None:
    if row is None:
        return None
    return Learner(row["userid"], row["name"], row["attributes"] or {}, row["updated_on"])


def learner_values(learner: Learner) -> dict[str, object]:
    """The columns that ``learner`` stores of a profile, apart from its key."""
    return {
        "name": learner.name,
        "attributes": dict(learner.attributes),
        "updated_on": learner.updated_on,
    }
