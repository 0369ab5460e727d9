"""Watermarks of erasures: what a learner had up to then, in a place or anywhere, is deleted and stays so."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime

from rules.errors import Erased
from rules.identifiers import ProgressKey
from rules.moments import milliseconds, written
from stores.rows import Rows
from stores.tables import ERASURES

EVERYWHERE = ("", "")
"""Stands for collection and context if the whole learner was erased."""


async def erased_learners(rows: Rows, user_ids: Collection[str]) -> dict[str, datetime]:
    """The time at which each learner was last erased whole. A learner who never was is left out."""
    found = await rows.get_many(ERASURES, [(user_id, *EVERYWHERE) for user_id in user_ids], ["erased_on"])
    return {key[0]: row["erased_on"] for key, row in found.items()}


async def all_erased_learners(rows: Rows) -> AsyncIterator[tuple[str, datetime]]:
    """Each learner who was erased whole, with the time of the last erasure, in no order."""
    for token_range in rows.ranges(1):
        async for page in rows.walk(ERASURES, token_range):
            for row in page.rows:
                if (row["collectionid"], row["contextid"]) == EVERYWHERE:
                    yield row["userid"], row["erased_on"]


async def erased_places(rows: Rows, keys: Sequence[ProgressKey]) -> dict[ProgressKey, datetime]:
    """The time at which each key was last erased, by itself or with the whole learner."""
    if not keys:
        return {}
    places = [(key.user_id, key.collection_id, key.context_id) for key in keys]
    wanted = [*places, *dict.fromkeys((key.user_id, *EVERYWHERE) for key in keys)]
    found = await rows.get_many(ERASURES, wanted, ["erased_on"])
    erased = {}
    for key, place in zip(keys, places, strict=True):
        rows_found = [found[at]["erased_on"] for at in (place, (key.user_id, *EVERYWHERE)) if at in found]
        if rows_found:
            erased[key] = max(rows_found)
    return erased


async def erasures_of(rows: Rows, user_ids: Collection[str]) -> dict[str, dict[tuple[str, str], datetime]]:
    """All erasures of each learner, by collection and context. A learner who has none is left out. One statement reads
    those of a hundred."""
    found = await rows.partitions(ERASURES, [(user_id,) for user_id in user_ids])
    return {
        user_id: {(row["collectionid"], row["contextid"]): row["erased_on"] for row in those}
        for (user_id,), those in found.items()
        if those
    }


def last_erased_on(
    of_learner: Mapping[tuple[str, str], datetime], *places: tuple[str, str]
) -> datetime | None:
    """When one of these places was last erased, by itself or with the whole learner, by what ``erasures_of`` has of the learner;
    None where none was."""
    return max((of_learner[at] for at in (EVERYWHERE, *places) if at in of_learner), default=None)


async def check_not_erased(rows: Rows, key: ProgressKey, at: datetime) -> None:
    """Checks a call that says when it happened, or whose device does. Erased if that was no later than the erasure: a
    replay must not bring back what was deleted."""
    check_after_erasure((await erased_places(rows, [key])).get(key), at)


def check_after_erasure(erased_on: datetime | None, at: datetime) -> None:
    """As check_not_erased, if the time of the last erasure is known."""
    if erased_on is not None and milliseconds(at) <= milliseconds(erased_on):
        raise Erased(f"what was there up to {written(erased_on)} was deleted at that time", field="at")


async def check_learner_not_erased(rows: Rows, user_id: str, at: datetime) -> None:
    """As check_not_erased, for data that belongs to no place."""
    erased_on = (await erased_learners(rows, [user_id])).get(user_id)
    if erased_on is not None and at <= erased_on:
        raise Erased(f"the learner was deleted at {written(erased_on)}", field="at")
