"""The funnel of a collection, for those who answer for learners or make what they learn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loaders.metrics.funnels import funnel_counts
from loaders.metrics.plans import check_contexts
from loaders.session import Session
from resolvers.metrics import rule_of
from rules.access import Access
from rules.errors import Forbidden
from rules.funnels import Reached, Unit, checked_learners, units_of
from rules.identifiers import checked_id
from rules.metric_columns import camel
from rules.metric_filters import Filter, checked_filter
from rules.metric_queries import MetricQuery, checked_names
from rules.privacy import attributes_of

__all__ = ["Funnel", "Reached", "Unit", "activity_funnel"]


@dataclass(frozen=True, slots=True)
class Funnel:
    """``steps``: the units in the tree's order, each with how many of ``reached.enrolled`` got there. ``as_of`` and
    ``complete`` as tables have them."""

    collection_id: str
    name: str
    required_count: int
    reached: Reached
    steps: Sequence[tuple[Unit, Reached]]
    as_of: datetime
    complete: bool


async def activity_funnel(
    session: Session,
    collection_id: str,
    *,
    context_ids: Sequence[str] | None = None,
    filter: Mapping[str, Any] | None = None,  # noqa: A002
    depth: int = 1,
) -> Funnel:
    """The funnel over the units of the first ``depth`` levels. One query counts all of it. Who has no state in a unit has
    not started it. Unauthenticated, Forbidden, NotFound, InvalidInput, StoreUnavailable."""
    session.viewer.check(Access.FIGURES)
    checked = None if filter is None else checked_learners(checked_filter(filter))
    _check_attributes(session, checked)
    contexts = checked_names(context_ids, "contextIds")
    library = session.library
    content = await library.collection(checked_id(collection_id, "collectionId"))
    await check_contexts(library, contexts)
    content, hierarchy, relations = await library.tree(content)
    units = units_of(hierarchy, relations, depth)
    unit_ids = [unit.unit_id for unit in units]
    counts = await funnel_counts(
        session.stores,
        session.shared.answers,
        content.identifier,
        unit_ids,
        relations.since,
        contexts,
        checked,
    )
    reached = counts.reached.get(content.identifier, Reached())
    found = [counts.reached.get(unit_id, Reached()) for unit_id in unit_ids]
    steps = [
        (unit, Reached(reached.enrolled, each.started, each.completed))
        for unit, each in zip(units, found, strict=True)
    ]
    required = len(relations.required(content.identifier))
    return Funnel(content.identifier, content.name, required, reached, steps, counts.as_of, counts.complete)


def _check_attributes(session: Session, learners: Filter | None) -> None:
    """Forbidden where figures by attributes are told of whole cohorts alone: a filter would cut them."""
    query = MetricQuery((), filter=learners)
    if rule_of(session, query) is not None:
        name = camel(attributes_of(query)[0])
        raise Forbidden(
            f"filter: {name} is an attribute of learners, which a funnel is not told by: it would cut cohorts",
            field="filter",
        )
