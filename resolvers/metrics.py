"""Figures of activities over all their learners (seed 000, Course Metrics), for those who answer for learners or make
what they learn."""

from collections.abc import Sequence

from loaders.metrics import Answered, Tile
from loaders.session import Session
from rules.metric_queries import MetricQuery, metric_query, table_plan
from rules.plans import Mode, Plan, Taken
from rules.viewers import Role

__all__ = ["Answered", "MetricQuery", "activity_metrics", "metric_query"]


async def activity_metrics(
    session: Session, query: MetricQuery, *, mode: Mode | None = None, path: Sequence[str | int] = ()
) -> tuple[Plan, Answered]:
    """``mode``: that of the instance without it. What a request asks for at once costs one query for each source and
    filter. Unauthenticated, Forbidden, InvalidInput, StoreUnavailable."""
    session.viewer.check_role(Role.MENTOR, Role.REPORTER, Role.CREATOR, Role.ADMIN, Role.SERVICE)
    plan = table_plan(query, mode or session.shared.mode)
    answered = await session.loaders.metric_tables.load(Tile(query, plan))
    session.plans.append(Taken(plan, answered.origin.value.lower(), answered.age, tuple(path)))
    return plan, answered
