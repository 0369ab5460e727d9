"""Questions about the schema itself: counted before they are answered, and answered once."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from graphql import (
    BooleanValueNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    get_named_type,
    introspection_types,
    value_from_ast_untyped,
)

SCHEMA, TYPE = "__schema", "__type"
SERVICE = "_service"
"""By which the router of a supergraph asks for the whole schema (graph/subgraph.py)."""


class TooMany(Exception):
    """Values than may be asked for."""


class Questions:
    """The questions of one operation of a valid document. ``alone``: it asks for nothing else."""

    def __init__(self, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._defaults = {
            definition.variable.name.value: value_from_ast_untyped(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        self._fragments = {
            definition.name.value: definition.selection_set
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        fields = list(self._fields(operation.selection_set))
        self._asked = [field for field in fields if field.name.value in (SCHEMA, TYPE)]
        self.tell_schema = bool(self._asked) or any(field.name.value == SERVICE for field in fields)
        """Whether the answer tells of the schema, in whatever way."""
        self.alone = bool(fields) and all(field.name.value.startswith("__") for field in fields)

    def __bool__(self) -> bool:
        return bool(self._asked)

    def check(self, schema: GraphQLSchema, variables: Mapping[str, Any], most: int) -> None:
        """TooMany where the answer would have more values: types refer to each other, so that a short question may have
        an answer without end. Counting takes as many steps at most."""
        given = {**self._defaults, **variables}
        count = _Count(schema, self._fragments, given, most)
        total = 0
        for field in self._asked:
            source: Any = schema
            if field.name.value == TYPE:
                source = schema.get_type(_name(field, given))
            if source is not None and field.selection_set is not None:
                kind: Any = introspection_types["__Schema" if field.name.value == SCHEMA else "__Type"]
                total += count.of(kind, source, field.selection_set)
        if total > most:
            raise TooMany

    def _fields(self, selected: SelectionSetNode) -> Iterator[FieldNode]:
        """The fields at the top. A valid document has few, so each fragment is spread."""
        seen: set[int] = set()
        waiting = [selected]
        while waiting:
            for selection in waiting.pop().selections:
                if isinstance(selection, FieldNode):
                    yield selection
                    continue
                below = (
                    selection.selection_set
                    if isinstance(selection, InlineFragmentNode)
                    else self._fragments[selection.name.value]  # type: ignore[attr-defined]
                )
                if id(below) not in seen:
                    seen.add(id(below))
                    waiting.append(below)


class _Count:
    """Counts the values below a part of the schema. Each part and selection is counted once."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, SelectionSetNode],
        variables: Mapping[str, Any],
        most: int,
    ) -> None:
        self._variables = variables
        self._info = SimpleNamespace(schema=schema)
        self._fragments = fragments
        self._most = most
        self._known: dict[tuple[int, int], int] = {}

    def of(self, kind: GraphQLObjectType, source: Any, selected: SelectionSetNode) -> int:
        # Fields and arguments come with their names, in a pair that is made for each question.
        key = id(source[1] if isinstance(source, tuple) else source), id(selected)
        if key not in self._known:
            if len(self._known) > self._most:
                raise TooMany
            self._known[key] = self._counted(kind, source, selected)
        return self._known[key]

    def _counted(self, kind: GraphQLObjectType, source: Any, selected: SelectionSetNode) -> int:
        total = 0
        for selection in selected.selections:
            match selection:
                case FragmentSpreadNode():
                    total += self.of(kind, source, self._fragments[selection.name.value])
                case InlineFragmentNode():
                    total += self.of(kind, source, selection.selection_set)
                case FieldNode():
                    total += 1
                    if selection.selection_set is not None:
                        below: Any = get_named_type(kind.fields[selection.name.value].type)
                        for value in self._values(kind, source, selection):
                            total += self.of(below, value, selection.selection_set)
            if total > self._most:
                raise TooMany
        return total

    def _values(self, kind: GraphQLObjectType, source: Any, asked: FieldNode) -> list[Any]:
        field = kind.fields[asked.name.value]
        deprecated = _argument(asked, self._variables) is True
        arguments = {"includeDeprecated": deprecated} if "includeDeprecated" in field.args else {}
        resolve: Any = field.resolve
        found = resolve(source, self._info, **arguments)
        if found is None:
            return []
        return [found] if _is_one(found) else list(found)


def _is_one(found: Any) -> bool:
    return not hasattr(found, "__iter__") or isinstance(found, str)


def _name(field: FieldNode, variables: Mapping[str, Any]) -> str:
    """The name that ``__type`` asks for; that of no type if it is no text."""
    name = _argument(field, variables)
    return name if isinstance(name, str) else ""


def _argument(field: FieldNode, variables: Mapping[str, Any]) -> Any:
    """The value of the one argument that fields about the schema may have; None without it."""
    (argument,) = field.arguments or (None,)
    value: Any = argument and argument.value
    if isinstance(value, VariableNode):
        return variables.get(value.name.value)
    return value.value if isinstance(value, StringValueNode | BooleanValueNode) else None
