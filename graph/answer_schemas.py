"""The JSON Schema of what an operation answers, worked out from its selection; and where its figures stand in the answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
)

from graph.json_schemas import leaf_schema
from resolvers.nouns import Json

AS_OF, COMPLETE = "asOf", "complete"
"""The fields by which figures say what is in them."""
TYPENAME = "__typename"
Place = tuple[str, ...]
"""Names in an answer, from its top; lists on the way are gone through."""


def has_figures(kind: Any) -> bool:
    """Whether objects of the type say as of when they are and whether they are complete."""
    return isinstance(kind, GraphQLObjectType) and {AS_OF, COMPLETE} <= kind.fields.keys()


class Answer(NamedTuple):
    """``schema``: of ``data``. ``fields``: those at the top, by their names in the schema. ``figures``: the places of figures
    whose ``asOf`` and ``complete`` are selected."""

    schema: Json
    fields: frozenset[str]
    figures: frozenset[Place]


def answer_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Answer:
    """What the operation of a valid document answers."""
    reading = _Reading(schema, document)
    root = schema.get_root_type(operation.operation)
    assert root is not None  # noqa: S101 - the document is valid
    told = reading.object(root, [operation.selection_set], ())
    return Answer(told, frozenset(reading.at_the_top), frozenset(reading.figures))


class _Selected(NamedTuple):
    """A field that is selected, and whether it always is: no directive may leave it out."""

    node: FieldNode
    always: bool


class _Reading:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments: Mapping[str, FragmentDefinitionNode] = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self.figures: set[Place] = set()
        self.at_the_top: set[str] = set()

    def object(self, of: GraphQLObjectType, sets: Sequence[SelectionSetNode], place: Place) -> Json:
        by_name: dict[str, list[_Selected]] = {}
        for selected in self._fields(of, (one for each in sets for one in each.selections)):
            node = selected.node
            by_name.setdefault((node.alias or node.name).value, []).append(selected)
        if not place:
            self.at_the_top = {several[0].node.name.value for several in by_name.values()}
        plain = {name for name, several in by_name.items() if several[0].node.name.value == name}
        if has_figures(of) and {AS_OF, COMPLETE} <= plain:
            self.figures.add(place)
        fields = {name: self._field(of, several, (*place, name)) for name, several in by_name.items()}
        required = [name for name, several in by_name.items() if any(one.always for one in several)]
        return {"type": "object", "properties": fields, **({"required": required} if required else {})}

    def _field(self, of: GraphQLObjectType, several: Sequence[_Selected], place: Place) -> Json:
        name = several[0].node.name.value
        if name == TYPENAME:
            return {"type": "string"}
        field = self._schema.get_field(of, name)
        assert field is not None  # noqa: S101 - the document is valid
        below = [one.node.selection_set for one in several if one.node.selection_set is not None]
        return self._value(field.type, below, place)

    def _value(self, kind: Any, below: Sequence[SelectionSetNode], place: Place) -> Json:
        if not isinstance(kind, GraphQLNonNull):
            return _or_null(self._value(GraphQLNonNull(kind), below, place))
        bare = get_nullable_type(kind)
        if is_list_type(bare):
            return {"type": "array", "items": self._value(bare.of_type, below, place)}
        if is_leaf_type(bare):
            return leaf_schema(bare)
        if isinstance(bare, GraphQLObjectType):
            return self.object(bare, below, place)
        found: list[Json] = []
        assert is_abstract_type(bare)  # noqa: S101 - an output is one of these
        for possible in self._schema.get_possible_types(bare):
            told = self.object(possible, below, place)
            if told not in found:
                found.append(told)
        return {"anyOf": found}

    def _fields(
        self, of: GraphQLObjectType, selections: Iterable[SelectionNode], always: bool = True
    ) -> Iterator[_Selected]:
        for one in selections:
            stays = always and not one.directives
            if isinstance(one, FieldNode):
                yield _Selected(one, stays)
                continue
            fragment = one if isinstance(one, InlineFragmentNode) else self._fragments[one.name.value]  # type: ignore[attr-defined]
            if self._applies(of, fragment):
                yield from self._fields(of, fragment.selection_set.selections, stays)

    def _applies(self, of: GraphQLObjectType, fragment: InlineFragmentNode | FragmentDefinitionNode) -> bool:
        if fragment.type_condition is None:
            return True
        named = self._schema.type_map[fragment.type_condition.name.value]
        return named is of or (is_abstract_type(named) and self._schema.is_sub_type(named, of))


def _or_null(told: Json) -> Json:
    return told if not told else {"anyOf": [told, {"type": "null"}]}
