"""How many learners were active over time, for those who answer for learners or make what they learn."""

from dataclasses import dataclass

from loaders.metrics.active_learners import ActiveLearners, active_learners
from loaders.metrics.plans import check_contexts
from loaders.session import Session
from rules.access import Access
from rules.active_learners import UNITS, ActiveLearnersQuery, active_learners_query
from rules.contents import ContentKind
from rules.errors import InvalidInput, NotFound
from rules.metric_columns import Column, ColumnKind
from rules.periods import PeriodUnit

__all__ = ["UNITS", "ActiveLearnersQuery", "PeriodUnit", "Timeline", "active_learners_query", "timeline"]

LEARNERS = "activeLearners"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The answer as a table: ``columns`` say what each of the values of a row is."""

    columns: tuple[Column, ...]
    rows: list[tuple[str | int | None, ...]]
    found: ActiveLearners
    day_zone: str


async def timeline(session: Session, query: ActiveLearnersQuery) -> Timeline:
    """The active learners of each date. Unauthenticated, Forbidden, NotFound, InvalidInput, StoreUnavailable."""
    session.viewer.check(Access.FIGURES)
    await _check_collections(session, query)
    await check_contexts(session.library, query.context_ids)
    found = await active_learners(session.stores, session.shared.answers, query)
    dimensions = ("date",) if query.by is None else ("date", query.by)
    columns = (
        *(Column(name, ColumnKind.DIMENSION, name) for name in dimensions),
        Column(LEARNERS, ColumnKind.NUMBER, LEARNERS),
    )
    rows: list[tuple[str | int | None, ...]] = [
        (day, group, learners) if query.by else (day, learners) for day, group, learners in found.rows
    ]
    return Timeline(columns, rows, found, session.shared.day_zone.name)


async def _check_collections(session: Session, query: ActiveLearnersQuery) -> None:
    published = await session.library.published(query.collection_ids) if query.collection_ids else {}
    if unknown := [id_ for id_ in query.collection_ids if id_ not in published]:
        raise NotFound(f"there is no collection {', '.join(unknown)}", field="activityIds")
    kinds = {id_: content.kind for id_, (content, _) in published.items()}
    if others := [id_ for id_, kind in kinds.items() if kind is not ContentKind.COLLECTION]:
        raise InvalidInput(
            f"{', '.join(others)}: active days are of collections, not of units or single contents",
            field="activityIds",
        )
