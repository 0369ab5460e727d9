"""Learner profiles."""

from collections.abc import Awaitable, Callable, Sequence

from rules.learners import Learner
from stores.rows import Row, Rows
from stores.tables import LEARNERS


async def learners_by_id(rows: Rows, user_ids: Sequence[str]) -> list[Learner | None]:
    found = await rows.get_many(LEARNERS, [(user_id,) for user_id in user_ids])
    return [_learner(found.get((user_id,))) for user_id in user_ids]


Profiles = Callable[[list[str]], Awaitable[Sequence[Learner | None]]]
"""Reads the profiles of these learners."""


class LearnersKnown:
    """The profiles that one request has read. Those that are asked for at the same moment are one statement (loaders/together.py), without
    the turns that a DataLoader waits for more: so what else the request reads at first goes to the store with them."""

    def __init__(self, read: Profiles) -> None:
        self._read = read
        self._known: dict[str, Learner | None] = {}

    async def load(self, user_id: str) -> Learner | None:
        (found,) = await self.load_many([user_id])
        return found

    async def load_many(self, user_ids: Sequence[str]) -> list[Learner | None]:
        missing = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in self._known]
        if missing:
            self._known.update(zip(missing, await self._read(missing), strict=True))
        return [self._known[user_id] for user_id in user_ids]

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
