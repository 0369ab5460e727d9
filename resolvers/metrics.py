"""Figures of activities over all their learners, for those who answer for learners or make what they learn."""

from loaders.metrics.labels import names_of
from loaders.metrics.plans import Tile
from loaders.metrics.tables import Answered
from loaders.session import Session
from rules.access import Access
from rules.contents import ContentKind
from rules.errors import Forbidden
from rules.metric_columns import OF_ENROLMENT, camel
from rules.metric_queries import MetricQuery, metric_query
from rules.metric_tables import Table
from rules.plans import AggregationMode
from rules.privacy import CohortRule, attributes_of, check_told

__all__ = ["Answered", "MetricQuery", "activity_metrics", "metric_query", "names_in"]


async def activity_metrics(
    session: Session, query: MetricQuery, *, mode: AggregationMode | None = None
) -> Answered:
    """A table of figures. ``mode``: that of the instance if it is None. Tables that a request asks for at once cost
    one query for each source and filter. Unauthenticated, Forbidden, NotFound, InvalidInput, StoreUnavailable."""
    session.viewer.check(Access.FIGURES)
    rule = await _rule(session, query)
    return await session.loaders.metric_tables.load(Tile(query, mode or session.shared.mode, rule))


async def names_in(session: Session, table: Table) -> dict[str, str]:
    """The names of the collections, units and contexts in the rows, by id. What is gone has none."""
    ids = {
        column.name: {str(row[place]) for row in table.rows if row[place] is not None}
        for place, column in enumerate(table.columns)
        if column.name in OF_ENROLMENT
    }
    return await names_of(session.library, ids)


async def _rule(session: Session, query: MetricQuery) -> CohortRule | None:
    """The rule that the table is told by; None where it is told as it is counted. Forbidden where it asks for more than the
    caller may be told."""
    rule = rule_of(session, query)
    if rule is None:
        return None
    check_told(query)
    published = await session.library.published(query.activity_ids) if query.activity_ids else {}
    units = [id_ for id_, (content, _) in published.items() if content.kind is ContentKind.UNIT]
    if units:
        raise Forbidden(
            f"activityIds: {', '.join(units)} would cut cohorts: figures by attributes of learners are told of whole "
            "collections",
            field="activityIds",
        )
    return rule


def rule_of(session: Session, query: MetricQuery) -> CohortRule | None:
    """The rule for a query that names attributes of learners; None for another query, and where figures are told as they
    are counted. Forbidden where the caller is told none by attributes."""
    names = attributes_of(query)
    if not names:
        return None
    try:
        return session.shared.privacy.rule_for(session.viewer)
    except Forbidden as error:
        field = "dimensions" if names[0] in query.dimensions else "filter"
        raise Forbidden(f"{field}: {camel(names[0])} is {error}", field=field) from None
