"""Learner profiles."""

from collections.abc import Sequence

from rules.learners import Learner
from stores.rows import Row, Rows
from stores.tables import LEARNERS


async def learners_by_id(rows: Rows, user_ids: Sequence[str]) -> list[Learner | None]:
    found = await rows.get_many(LEARNERS, [(user_id,) for user_id in user_ids])
    return [_learner(found.get((user_id,))) for user_id in user_ids]


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
