"""Figures of activities over all their learners, for those who answer for learners or make what they learn."""

from collections.abc import Sequence

from loaders.metrics import Answered, Tile
from loaders.session import Session
from rules.metric_queries import MetricQuery, metric_query
from rules.plans import Mode, Taken
from rules.viewers import Role

__all__ = ["Answered", "MetricQuery", "activity_metrics", "metric_query"]


async def activity_metrics(
    session: Session, query: MetricQuery, *, mode: Mode | None = None, path: Sequence[str | int] = ()
) -> Answered:
    """``mode``: that of the instance without it. What a request asks for at once costs one query for each source and
    filter. Unauthenticated, Forbidden, NotFound, InvalidInput, StoreUnavailable."""
    session.viewer.check_role(Role.MENTOR, Role.REPORTER, Role.CREATOR, Role.ADMIN, Role.SERVICE)
    answered = await session.loaders.metric_tables.load(Tile(query, mode or session.shared.mode))
    session.plans.append(Taken(answered.plan, answered.origin.value.lower(), answered.age, tuple(path)))
    return answered
