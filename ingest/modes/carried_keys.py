"""The keys that a changed view counts for, beside its own: enrolments that show what is kept elsewhere. This is what
the carry-forward modes add (R-MODE-3, R-MODE-4)."""

from collections.abc import Collection, Iterable, Mapping, Set

from loaders.enrolments import enrolments_in_places
from loaders.session import Shared
from rules.identifiers import ProgressKey
from stores.tables import NODE_ROOTS


async def carried_to(
    shared: Shared,
    keys: Collection[ProgressKey],
    _enrolled: Collection[ProgressKey],
    _viewed: Mapping[ProgressKey, Set[str] | None],
) -> dict[ProgressKey, ProgressKey]:
    """Returns enrolments of the learners, each with the one of ``keys`` whose views show there.

    It costs one statement for the collections of all contents, and one for each learner and collection.
    """
    tracking = shared.tracking
    by_source = [key for key in keys if not key.has_context]
    if not by_source:
        return {}
    if tracking.keeps_by_content:
        roots = await shared.stores.rows.partitions(
            NODE_ROOTS, list({(key.collection_id,) for key in by_source}), ("node", "root")
        )
        wanted = [
            (key, root)
            for key in by_source
            for root in sorted({row["root"] for row in roots[key.collection_id,]})
        ]
    else:
        wanted = [(key, key.collection_id) for key in by_source]
    return await _enrolments_at(shared, wanted)


async def _enrolments_at(
    shared: Shared, wanted: Iterable[tuple[ProgressKey, str]]
) -> dict[ProgressKey, ProgressKey]:
    """Returns the enrolments at these places, active or not: the figures of ended ones stay right too."""
    places = {(key.user_id, collection): key for key, collection in wanted}

    found = await enrolments_in_places(shared.stores.rows, places)
    return {
        enrolment.key: key
        for key, enrolments in zip(places.values(), found, strict=True)
        for enrolment in enrolments
    }
