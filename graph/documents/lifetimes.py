"""How long a client may show an answer without asking again: declared by field, in one table.

What is not here holds no longer than the moment it is asked for: a viewer's own progress, profiles, groups, drafts, links.
A new field is not here until somebody decides so.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
)


class Holds(Enum):
    """Why an answer holds."""

    PUBLISHED = "published"
    """It is of published collections, which change when somebody publishes."""
    FIGURES = "figures"
    """It is of figures over many learners, which this gateway itself answers from a kept answer for a while."""


class Lifetimes(NamedTuple):
    """Seconds for which each kind holds."""

    published: int = 0
    figures: int = 0

    def least(self, reasons: Iterable[Holds | None]) -> int:
        """Seconds for which an answer holds whose fields hold for these reasons; 0 where one does not hold."""
        seconds = {Holds.PUBLISHED: self.published, Holds.FIGURES: self.figures, None: 0}
        return min((seconds[reason] for reason in reasons), default=0)


PUBLISHED: Mapping[str, str] = {
    "Query": "collection collections hierarchyNode content searchCollections tracking",
    "Collection": "id identifier name status mimeType leafNodesCount version versionKey publishedOn children node leafNodes "
    "metadata hierarchy",
    "CollectionConnection": "edges pageInfo totalCount facets",
    "CollectionEdge": "cursor node units",
    "FacetValues": "field values",
    "FacetValue": "value count",
    "FoundUnit": "identifier name",
    "Content": "identifier name kind status mimeType versionKey version publishedOn createdBy createdOn updatedBy updatedOn "
    "metadata",
    "HierarchyNode": "identifier name kind mimeType primaryCategory leafNodesCount optional collection children metadata",
    "HierarchyNodeEdge": "node cursor",
    "LeafNodeConnection": "edges pageInfo totalCount",
    "PageInfo": "hasNextPage hasPreviousPage startCursor endCursor",
    "Tracking": "mode rules allRules",
}
FIGURES: Mapping[str, str] = {
    "Query": "activityMetrics activityFunnel activeLearners activityHistory",
    "MetricTable": "columns rows totals rowsCount source asOf complete mode atRiskBefore privacy records names",
    "MetricColumn": "name kind",
    "MetricPrivacy": "profile leastCohort source",
    "ActivityFunnel": "collectionId name requiredCount enrolledCount startedCount completedCount steps asOf complete",
    "FunnelStep": "unitId name depth requiredCount enrolledCount startedCount completedCount startedShare completedShare",
    "ActiveLearnersTable": "columns rows dayZone asOf complete records",
    "ActivityHistoryTable": "columns rows dayZone asOf complete records",
}
HOLDING: Mapping[tuple[str, str], Holds] = {
    (of, name): holds
    for holds, table in ((Holds.PUBLISHED, PUBLISHED), (Holds.FIGURES, FIGURES))
    for of, names in table.items()
    for name in names.split()
}
"""Why a field of a type holds."""
_LIVE = "LIVE"


def reasons_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> frozenset[Holds | None]:
    """Why the fields of an operation of a valid document hold; None is among the reasons where one of them does not."""
    if operation.operation is not OperationType.QUERY:
        return frozenset({None})
    return frozenset(
        HOLDING.get((of, field.name.value)) if _is_live(field) else None
        for of, field in _fields(schema, document, operation)
    )


def _is_live(field: FieldNode) -> bool:
    """Whether the field asks for what is published, not for a draft."""
    modes = [one.value for one in field.arguments or () if one.name.value == "mode"]
    return all(isinstance(mode, EnumValueNode) and mode.value == _LIVE for mode in modes)


def _fields(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Iterator[tuple[str, FieldNode]]:
    """Each field of the operation with its type; ``__typename`` is left out. A fragment is gone through once: a valid
    document uses it on one type."""
    fragments = {
        part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)
    }
    waiting: list[tuple[Any, SelectionSetNode]] = [(schema.query_type, operation.selection_set)]
    spread: set[str] = set()
    while waiting:
        of, selected = waiting.pop()
        for selection in selected.selections:
            match selection:
                case FieldNode():
                    name = selection.name.value
                    if name == "__typename":
                        continue
                    yield of.name, selection
                    if selection.selection_set is not None and not name.startswith("__"):
                        waiting.append((get_named_type(of.fields[name].type), selection.selection_set))
                case InlineFragmentNode(type_condition=None):
                    waiting.append((of, selection.selection_set))
                case InlineFragmentNode(type_condition=condition):
                    assert condition is not None  # noqa: S101 - the case above
                    waiting.append((schema.type_map[condition.name.value], selection.selection_set))
                case FragmentSpreadNode() if selection.name.value not in spread:
                    fragment = fragments[selection.name.value]
                    spread.add(selection.name.value)
                    waiting.append(
                        (schema.type_map[fragment.type_condition.name.value], fragment.selection_set)
                    )
