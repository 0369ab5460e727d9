"""Figures of activities over all their learners, for those who answer for learners or make what they learn."""

from loaders.metrics.labels import names_of
from loaders.metrics.plans import Tile
from loaders.metrics.tables import Answered
from loaders.session import Session
from rules.access import Access
from rules.errors import Forbidden
from rules.learners import ATTRIBUTES
from rules.metric_columns import OF_ENROLMENT, camel
from rules.metric_queries import MetricQuery, metric_query
from rules.metric_tables import Table
from rules.plans import AggregationMode
from rules.viewers import ALL_LEARNERS, Viewer

__all__ = ["Answered", "MetricQuery", "activity_metrics", "metric_query", "names_in"]


async def activity_metrics(
    session: Session, query: MetricQuery, *, mode: AggregationMode | None = None
) -> Answered:
    """A table of figures. ``mode``: that of the instance if it is None. Tables that a request asks for at once cost
    one query for each source and filter. Unauthenticated, Forbidden, NotFound, InvalidInput, StoreUnavailable."""
    session.viewer.check(Access.FIGURES)
    check_attributes(session.viewer, query)
    return await session.loaders.metric_tables.load(Tile(query, mode or session.shared.mode))


async def names_in(session: Session, table: Table) -> dict[str, str]:
    """The names of the collections, units and contexts in the rows, by id. What is gone has none."""
    ids = {
        column.name: {str(row[place]) for row in table.rows if row[place] is not None}
        for place, column in enumerate(table.columns)
        if column.name in OF_ENROLMENT
    }
    return await names_of(session.library, ids)


def check_attributes(viewer: Viewer, query: MetricQuery) -> None:
    """Forbidden if a creator names an attribute of learners: creators see how learning goes, not who learns."""
    if viewer.has(*ALL_LEARNERS):
        return
    for name in sorted(query.named & set(ATTRIBUTES)):
        field = "dimensions" if name in query.dimensions else "filter"
        raise Forbidden(
            f"{field}: {camel(name)} is an attribute of learners, which a creator sees no figures by; there are "
            "collection, unit, context, status and time",
            field=field,
        )
