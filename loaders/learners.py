"""Learner profiles."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rules.errors import DeadlineExceeded
from rules.learners import Learner
from stores.deadline import in_time
from stores.rows import Row, Rows
from stores.tables import LEARNERS


async def learners_by_id(rows: Rows, user_ids: Sequence[str]) -> list[Learner | None]:
    found = await rows.get_many(LEARNERS, [(user_id,) for user_id in user_ids])
    return [_learner(found.get((user_id,))) for user_id in user_ids]


Profiles = Callable[[list[str]], Awaitable[Sequence[Learner | None]]]
"""Reads the profiles of these learners."""


class LearnersKnown:
    """The profiles that one request has read, each once: who asks for one that is being read waits for that read. Those that are asked
    for at the same moment are one statement (loaders/together.py), without the turns that a DataLoader waits for more: so what else
    the request reads at first goes to the store with them."""

    def __init__(self, read: Profiles) -> None:
        self._read = read
        self._known: dict[str, Learner | None] = {}
        self._flights: dict[str, asyncio.Future[None]] = {}
        """Reads under way, by each learner that they read. They end for those who wait with what was read or what went wrong."""

    async def load(self, user_id: str) -> Learner | None:
        (found,) = await self.load_many([user_id])
        return found

    async def load_many(self, user_ids: Sequence[str]) -> list[Learner | None]:
        while missing := [user_id for user_id in dict.fromkeys(user_ids) if user_id not in self._known]:
            if own := [user_id for user_id in missing if user_id not in self._flights]:
                await self._fly(own)
            else:
                await in_time(asyncio.shield(self._flights[missing[0]]))
        return [self._known[user_id] for user_id in user_ids]

    async def _fly(self, user_ids: list[str]) -> None:
        """Reads these profiles. Where the reader leaves, or is out of time, those who wait read for themselves."""
        flight: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flights |= dict.fromkeys(user_ids, flight)
        try:
            self._known.update(zip(user_ids, await self._read(user_ids), strict=True))
        except DeadlineExceeded:
            raise
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # nobody may wait
            raise
        finally:
            for user_id in user_ids:
                del self._flights[user_id]
            if not flight.done():
                flight.set_result(None)
            del flight  # it has the error, whose trace has this frame: they would hold each other

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
