"""What a table counts, as the groups store has it: a data source, keys, and conditions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS, DataSource
from rules.aggregates import COLLECTION_TYPE, UNIT_TYPE
from rules.identifiers import ContextType, aggregate_context, parse_aggregate_context
from rules.metric_columns import COLLECTION, CONTEXT, UNIT
from rules.metric_filters import Among, Every, Filter, Opposite, Some, Unknown, Within
from rules.metric_queries import MetricQuery
from rules.metrics import LEFT as LEFT_COUNT
from rules.periods import UTC_ZONE
from stores.groups import All, Between, KeyFilter, Not, OneOf, Where
from stores.groups import Any as AnyOf

_EVERYTHING = "all"
"""The dimension of cells that are of no dimension of the learner."""
_COLUMNS = {COLLECTION: "collection_id", UNIT: "activity_id", CONTEXT: "context_id"}
_ENROLLED: dict[str, Where] = {
    ACTIVITY_STATE.name: OneOf("active", (1,)),
    # A cell stays when all its learners have left, with nothing in it.
    ACTIVITY_TOTALS.name: Between("enrolled", least=1),
}


_ALONE = aggregate_context(ContextType.COLLECTION, "")
ALONE: Where = Between("context_id", _ALONE, _ALONE[:-1] + chr(ord(_ALONE[-1]) + 1), below=True)
"""Collections taken by themselves. Clients see one context, null, where there is one for each collection."""
LEFT: Where = All((OneOf("active", (0,)), Not(OneOf("enrolled_on", (None,)))))
"""The state of an enrolment that the learner left. Who views without an enrolment has left none."""


@dataclass(frozen=True, slots=True)
class Named:
    """The ids of a query: collections, each with its units, and units.

    ``since``: of each collection that holds one of them, the first version whose figures are those of the live one.
    ``published_on``: when the last of these was published.
    """

    collections: Mapping[str, tuple[str, ...]]
    units: frozenset[str]
    since: Mapping[str, int] = field(default_factory=dict)
    published_on: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """Tiles that share it are answered together.

    ``conditions`` hold beside that of an enrolment. ``with_left``: what was left is counted as well.
    ``outdated``: which states are of a version that counted otherwise than the live one; None if there can't be any.
    ``zone``: whose clocks say which periods moments are in. ``published_on``: totals that were added up before may have such states in them.
    """

    source: DataSource
    keys: KeyFilter
    conditions: tuple[Where, ...]
    zone: str = UTC_ZONE
    with_left: bool = False
    outdated: Where | None = None
    published_on: datetime | None = None

    @property
    def enrolled(self) -> Where:
        """The condition of active enrolments."""
        return _ENROLLED[self.source.name]

    def where(self, *, left: bool = False) -> Where:
        """The condition of active enrolments, with ``left`` of those that were left, too."""
        return All((AnyOf((self.enrolled, LEFT)) if left else self.enrolled, *self.conditions))


def ground_of(query: MetricQuery, named: Named, source: DataSource) -> Ground:
    """The ground of a query in one data source."""
    keys: list[tuple[str, tuple[str, ...]]] = []
    conditions: list[Where] = []
    types, activities, of_both = _activities(query, named)
    keys.append(("activity_type", types))
    if activities:
        keys.append(("activity_id", activities))
    if of_both is not None:
        conditions.append(of_both)
    keys.extend(context_keys(query.context_ids).items())
    if source is ACTIVITY_TOTALS:
        keys.append(("dimension", query.of_learners or (_EVERYTHING,)))
    if query.filter is not None:
        conditions.append(where_of(query.filter, source))
    ground = Ground(
        source, tuple(sorted(keys)), tuple(conditions), query.zone, with_left=LEFT_COUNT in query.counts
    )
    if source is ACTIVITY_TOTALS:
        return replace(ground, published_on=named.published_on)
    return replace(ground, outdated=outdated_in(named))


def context_keys(context_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The key of these contexts, of whatever type; none for all."""
    contexts = {aggregate_context(kind, id_) for id_ in context_ids for kind in ContextType}
    return {"context_id": tuple(sorted(contexts))} if contexts else {}


def outdated_in(named: Named) -> Where | None:
    """Collections whose figures changed with the same version share a condition."""
    by_version: defaultdict[int, list[str]] = defaultdict(list)
    for collection, since in named.since.items():
        if since > 1:
            by_version[since].append(collection)
    conditions: list[Where] = [
        All((OneOf("collection_id", tuple(sorted(collections))), Between("tree_version", 1, since - 1)))
        for since, collections in sorted(by_version.items())
    ]
    return AnyOf(tuple(conditions)) if conditions else None


def _activities(query: MetricQuery, named: Named) -> tuple[tuple[str, ...], tuple[str, ...], Where | None]:
    """The types and ids of the activities that are meant, and what else must hold: a unit may be in other collections
    as well, and may be a collection of its own. No ids: all activities of these types."""
    if query.of_units:
        if not query.activity_ids:
            return (UNIT_TYPE,), (), None
        # The units of collections; and what is named wherever it is a unit, which a collection may be as well.
        units = {*query.activity_ids, *(unit for of_one in named.collections.values() for unit in of_one)}
        meant = (
            OneOf("collection_id", tuple(sorted(named.collections))),
            OneOf("activity_id", query.activity_ids),
        )
        return (UNIT_TYPE,), tuple(sorted(units)), AnyOf(meant)
    if not named.units:
        return (COLLECTION_TYPE,), query.activity_ids, None
    if not named.collections:
        return (UNIT_TYPE,), query.activity_ids, None
    of_both: list[Where] = [
        All((OneOf("activity_type", (kind,)), OneOf("activity_id", tuple(sorted(ids)))))
        for kind, ids in ((COLLECTION_TYPE, named.collections), (UNIT_TYPE, named.units))
    ]
    return (COLLECTION_TYPE, UNIT_TYPE), query.activity_ids, AnyOf(tuple(of_both))


def where_of(filter: Filter, source: DataSource) -> Where:  # noqa: A002
    match filter:
        case Among(dimension, values):
            return (
                _among_contexts(values)
                if dimension == CONTEXT
                else OneOf(column_of(dimension, source), values)
            )
        case Within(measure, least, most, above, below):
            return Between(measure, least, most, above, below)
        case Unknown(measure):
            return OneOf(measure, (None,))
        case Every(parts):
            return All(tuple(where_of(part, source) for part in parts))
        case Some(parts):
            return AnyOf(tuple(where_of(part, source) for part in parts))
        case Opposite(part):
            return Not(where_of(part, source))


def _among_contexts(values: tuple[str | int | None, ...]) -> Where:
    """A condition on the ids of contexts, of whatever type; None stands for collections taken by themselves."""
    if None in values:
        return ALONE
    kinds = [kind for kind in ContextType if kind is not ContextType.COLLECTION]
    return OneOf(
        "context_id", tuple(aggregate_context(kind, str(value or "")) for value in values for kind in kinds)
    )


def column_of(dimension: str, source: DataSource) -> str:
    """The column of a dimension. A cell is of one dimension of the learner, and its column ``value`` has the value."""
    return _COLUMNS.get(dimension) or ("value" if source is ACTIVITY_TOTALS else dimension)


def context_in(stored: str) -> str | None:
    """The context's id in the column of contexts; None for a collection taken by itself."""
    kind, context_id = parse_aggregate_context(stored)
    return None if kind is ContextType.COLLECTION else context_id
