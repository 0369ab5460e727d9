"""What a document may cost: how many values its answer may have, as far as that can be told before anything is read.

What a document asks for is worked out once; with the variables of a request it is a few multiplications.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    value_from_ast_untyped,
)

from resolvers.paging import MOST, USUAL

Variables = Mapping[str, Any]

UNTOLD = 10
"""Members of a list whose size nothing in the document tells, as the units of a course."""
LONG = {
    ("Summary", "contentStatus"): 100,
    ("Enrolment", "contentStatus"): 100,
    ("Attempt", "questions"): 20,
    ("AttemptQuestion", "options"): 4,
    ("AttemptQuestion", "answers"): 2,
}
"""Lists that are usually longer, or shorter."""
HEAVY = {"JSON": 50}
"""Values that a scalar of this type stands for."""

EDITED = {"Collection": 2_000, "HierarchyNode": 2_000}
"""What a tree that is edited stands for: it is read and put together anew, whatever is asked of it. The 200 collections
that one field may name are allowed, and not twice."""


class Part(NamedTuple):
    """A list: how many members it has, and what each of them costs."""

    size: Callable[[Variables], int]
    each: "Cost"


class Cost(NamedTuple):
    """The cost of a selection: the part that is known, and its lists whose size only a request's variables tell."""

    known: int
    parts: tuple[Part, ...] = ()

    def of(self, variables: Variables) -> int:
        return self._of(variables, {}) if self.parts else self.known

    def _of(self, variables: Variables, seen: dict[int, int]) -> int:
        """``seen``: by identity, as fragments within fragments are the same cost again and again."""
        total = self.known
        for size, each in self.parts:
            if id(each) not in seen:
                seen[id(each)] = each._of(variables, seen)
            total += size(variables) * seen[id(each)]
        return total


NOTHING = Cost(0)


def costs_of(schema: GraphQLSchema, document: DocumentNode) -> dict[str | None, Cost]:
    """The cost of each operation of a valid document, by name. Questions about the schema itself are not counted
    here."""
    reading = _Reading(schema, document)
    return {
        operation.name.value if operation.name else None: reading.of(operation)
        for operation in document.definitions
        if isinstance(operation, OperationDefinitionNode)
    }


class _Reading:
    """Works out the costs of one document. Each fragment is looked at once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, Cost] = {}
        self._defaults: dict[str, Any] = {}

    def of(self, operation: OperationDefinitionNode) -> Cost:
        self._known.clear()  # the defaults of variables are the operation's
        self._defaults = {
            definition.variable.name.value: value_from_ast_untyped(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        root = self._schema.get_root_type(operation.operation)
        return self._selected(operation.selection_set, root)

    def _selected(self, selected: SelectionSetNode, parent: Any) -> Cost:
        known, parts = 0, []
        for size, each in self._parts_of(selected, parent):
            if isinstance(size, int) and not each.parts:
                known += size * each.known
            else:
                parts.append(Part(_sized(size), each))
        return Cost(known, tuple(parts))

    def _parts_of(
        self, selected: SelectionSetNode, parent: Any
    ) -> Iterator[tuple[int | Callable[[Variables], int], Cost]]:
        for selection in selected.selections:
            match selection:
                case FragmentSpreadNode():
                    yield 1, self._fragment(selection.name.value)
                case InlineFragmentNode():
                    condition = selection.type_condition
                    of: Any = self._schema.get_type(condition.name.value) if condition else parent
                    yield 1, self._selected(selection.selection_set, of)
                case FieldNode() if selection.name.value.startswith("__"):
                    yield 1, Cost(1)
                case FieldNode():
                    field = parent.fields[selection.name.value]
                    of = get_named_type(field.type)
                    yield 1, Cost(HEAVY.get(of.name, 1))
                    yield from self._edited(parent.name, field, selection)
                    if selection.selection_set is not None:
                        yield (
                            self._size(parent.name, field, selection),
                            self._selected(selection.selection_set, of),
                        )

    def _edited(
        self, parent: str, field: GraphQLField, node: FieldNode
    ) -> Iterator[tuple[int | Callable[[Variables], int], Cost]]:
        """Nothing, or the trees that the field reads as they are edited: one for each member of a list."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        tree = EDITED.get(get_named_type(field.type).name)
        if tree is not None and "mode" in field.args:
            mode = self._read(given.get("mode"), 0, lambda value, _: int(value == "EDIT"))
            yield mode, Cost(0, (Part(_sized(self._size(parent, field, node)), Cost(tree)),))

    def _fragment(self, name: str) -> Cost:
        if name not in self._known:
            fragment = self._fragments[name]
            of = self._schema.get_type(fragment.type_condition.name.value)
            self._known[name] = self._selected(fragment.selection_set, of)
        return self._known[name]

    def _size(self, parent: str, field: GraphQLField, node: FieldNode) -> int | Callable[[Variables], int]:
        """The size of a list, or of a page of one, whose members are the edges below it."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "first" in field.args:
            return _largest([self._read(given[way], 0, _page) for way in ("first", "last") if way in given])
        if not isinstance(get_nullable_type(field.type), GraphQLList) or _is_edges(parent, node):
            return 1
        usual = LONG.get((parent, node.name.value), UNTOLD)
        for name, argument in field.args.items():
            # The members are those that are named.
            if isinstance(get_nullable_type(argument.type), GraphQLList):
                return self._read(given.get(name), usual, _length)
        return usual

    def _read(
        self, value: ValueNode | None, usual: int, size: Callable[[Any, int], int]
    ) -> int | Callable[[Variables], int]:
        if value is None or isinstance(value, NullValueNode):
            return usual
        if not isinstance(value, VariableNode):
            return size(_literal(value), usual)
        name = value.name.value
        default = self._defaults.get(name)
        return lambda variables: size(variables.get(name, default), usual)


def _sized(size: int | Callable[[Variables], int]) -> Callable[[Variables], int]:
    return size if callable(size) else _always(size)


def _largest(sizes: Sequence[int | Callable[[Variables], int]]) -> int | Callable[[Variables], int]:
    """The size of a page that is asked for by one of these; 0 stands for what nobody told."""
    told = [size for size in sizes if isinstance(size, int)]
    if len(told) == len(sizes):
        return max(told, default=0) or USUAL
    each = [_sized(size) for size in sizes]
    return lambda variables: max(size(variables) for size in each) or USUAL


def _always(size: int) -> Callable[[Variables], int]:
    return lambda _variables: size


def _is_edges(parent: str, node: FieldNode) -> bool:
    return parent.endswith("Connection") and node.name.value == "edges"


def _literal(value: ValueNode) -> Any:
    """The members of a list literal, which may be variables; the name of an enum's value."""
    if isinstance(value, ListValueNode):
        return value.values
    if isinstance(value, EnumValueNode):
        return value.value
    return int(value.value) if isinstance(value, IntValueNode) else value


def _page(first: Any, usual: int) -> int:
    """What is refused later is no larger than what is not."""
    return min(max(first, 1), MOST) if isinstance(first, int) else usual


def _length(members: Any, usual: int) -> int:
    """A single member may be written without its list."""
    if members is None:
        return usual
    return len(members) if isinstance(members, list | tuple) else 1
