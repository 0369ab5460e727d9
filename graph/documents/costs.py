"""What a document may cost at most, as far as that can be told before anything is read.

The costs of its fields are declared in graph/documents/field_prices.py. What a document asks for is worked out once; with the variables
of a request it is a few multiplications.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLList,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_object_type,
    print_ast,
    value_from_ast_untyped,
)

from graph.documents.field_prices import (
    EDITED,
    LARGE,
    MEMBERS,
    NAMED,
    NOTHING_MORE,
    OTHER_SIZE,
    PRICES,
    SIZES,
    UNTOLD,
    WORK,
)
from resolvers.nouns import FREE, Price
from resolvers.paging import MOST, USUAL

Variables = Mapping[str, Any]


class Size(NamedTuple):
    """Of a list: its members in the answer, and how many different ones are read for them."""

    members: int
    read: int


Sized = Size | Callable[[Variables], Size]
"""The size of a list: known, or told by the variables of a request."""
ONE, NONE = Size(1, 1), Size(0, 0)


class Part(NamedTuple):
    """What is there several times: how often, and what it costs each time."""

    size: Callable[[Variables], Size]
    each: "Cost"


class Cost(NamedTuple):
    """The cost of a selection: the part that is known, and its lists whose size only a request's variables tell."""

    known: Price
    parts: tuple[Part, ...] = ()

    def of(self, variables: Variables) -> Price:
        return self._of(variables, {}) if self.parts else self.known

    def _of(self, variables: Variables, seen: dict[int, Price]) -> Price:
        """``seen``: by identity, as fragments within fragments are the same cost again and again."""
        total = self.known
        for size, each in self.parts:
            if id(each) not in seen:
                seen[id(each)] = each._of(variables, seen)
            total += _times(seen[id(each)], size(variables))
        return total


NOTHING = Cost(FREE)


def _times(price: Price, size: Size) -> Price:
    """What is read is read once for the same members, what is answered is answered for each."""
    return Price(price.partitions * size.read, price.druid_rows * size.read, price.bytes * size.members)


class _Selected(NamedTuple):
    """A selection. ``each``: of a page, the edges, which are there once for each member of it."""

    once: Cost
    each: Cost


class _Sum:
    """Adds up what is known, and keeps the rest as parts."""

    def __init__(self) -> None:
        self._known, self._parts = FREE, list[Part]()

    def add(self, size: Sized, each: Cost) -> None:
        if isinstance(size, Size) and not each.parts:
            self._known += _times(each.known, size)
        else:
            self._parts.append(Part(_sized(size), each))

    @property
    def cost(self) -> Cost:
        return Cost(self._known, tuple(self._parts))


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
        mutations = schema.mutation_type
        self._mutations = None if mutations is None else mutations.name
        self._known: dict[tuple[str, str], _Selected] = {}
        self._defaults: dict[str, Any] = {}

    def of(self, operation: OperationDefinitionNode) -> Cost:
        self._known.clear()  # the defaults of variables are the operation's
        self._defaults = {
            definition.variable.name.value: value_from_ast_untyped(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        root = self._schema.get_root_type(operation.operation)
        return self._selected(operation.selection_set, root).once

    def _selected(self, selected: SelectionSetNode, parent: Any) -> _Selected:
        """``parent``: the type of what is selected from. Of an object's, fragments on other types are left out."""
        once, each = _Sum(), _Sum()
        for selection in selected.selections:
            match selection:
                case FragmentSpreadNode():
                    below = self._fragment(selection.name.value, parent)
                case InlineFragmentNode():
                    condition = selection.type_condition
                    of = self._narrowed(parent, condition.name.value) if condition else parent
                    if of is None:
                        continue
                    below = self._selected(selection.selection_set, of)
                case FieldNode() if selection.name.value.startswith("__"):
                    once.add(ONE, Cost(Price(bytes=_shown(selection, OTHER_SIZE))))
                    continue
                case FieldNode():
                    total = each if _is_edges(parent.name, selection) else once
                    for part in self._parts_of(parent.name, parent.fields[selection.name.value], selection):
                        total.add(*part)
                    continue
                case _:
                    continue
            once.add(ONE, below.once)
            each.add(ONE, below.each)
        return _Selected(once.cost, each.cost)

    def _parts_of(self, parent: str, field: GraphQLField, node: FieldNode) -> Iterator[tuple[Sized, Cost]]:
        declared = PRICES.get((parent, node.name.value), NOTHING_MORE)
        of, size = get_named_type(field.type), self._size(parent, field, node)
        yield (
            ONE,
            Cost(
                declared.once + Price(bytes=_shown(node, _BRACKETS + WORK.get((parent, node.name.value), 0)))
            ),
        )
        if declared.each != FREE:
            yield (self._items(node) if parent == self._mutations else size), Cost(declared.each)
        yield from self._edited(field, node, size)
        if node.selection_set is None:
            value = LARGE.get((parent, node.name.value)) or SIZES.get(of.name, OTHER_SIZE)
            yield size, Cost(Price(bytes=value))
            return
        objects = ONE if _is_paged(field) else size
        yield objects, Cost(Price(bytes=_BRACKETS))
        if (parent, node.name.value) in NAMED:
            for kind in self._schema.get_possible_types(cast("GraphQLAbstractType", of)):
                members = self._named(*NAMED[parent, node.name.value], kind.name, node)
                yield members, self._selected(node.selection_set, kind).once
            return
        below = self._selected(node.selection_set, of)
        yield objects, below.once
        yield size, below.each

    def _named(self, argument: str, name: str, kind: str, node: FieldNode) -> Callable[[Variables], Size]:
        """How many members of the argument name this type."""
        given, defaults = _given(node)[argument], self._defaults

        def counted(variables: Variables) -> Size:
            members = value_from_ast_untyped(given, {**defaults, **variables})
            members = members if isinstance(members, list | tuple) else [members]
            of_kind = [one for one in members if isinstance(one, dict) and one.get(name) == kind]
            return Size(len(of_kind), _different(of_kind))

        return counted

    def _edited(self, field: GraphQLField, node: FieldNode, size: Sized) -> Iterator[tuple[Sized, Cost]]:
        """Nothing, or the trees that the field reads as they are edited: one for each member of a list."""
        tree = EDITED.get(get_named_type(field.type).name)
        if tree is not None and "mode" in field.args:
            mode = self._read(
                _given(node).get("mode"), NONE, lambda value, _: ONE if value == "EDIT" else NONE
            )
            yield mode, Cost(FREE, (Part(_sized(size), Cost(tree)),))

    def _items(self, node: FieldNode) -> Sized:
        """How many members the lists in the arguments have, all together."""
        values = [argument.value for argument in node.arguments or ()]
        named = [name for value in values for name in _variables_within(value)]
        known, defaults = sum(map(_members_written, values)), self._defaults

        def counted(variables: Variables) -> Size:
            count = known
            for name in named:
                value = variables[name] if name in variables else defaults.get(name)
                if value.__class__ in _HOLDERS:
                    count += _members_within(value)
            return Size(count, count)

        return counted

    def _fragment(self, name: str, parent: Any) -> _Selected:
        fragment = self._fragments[name]
        of = self._narrowed(parent, fragment.type_condition.name.value)
        if of is None:
            return _Selected(NOTHING, NOTHING)
        if (name, of.name) not in self._known:
            self._known[name, of.name] = self._selected(fragment.selection_set, of)
        return self._known[name, of.name]

    def _narrowed(self, parent: Any, condition: str) -> Any:
        """The type of what a fragment on this type selects from; None for an object of another type."""
        of: Any = self._schema.get_type(condition)
        if of is parent or not is_object_type(parent):
            return of
        return parent if is_abstract_type(of) and self._schema.is_sub_type(of, parent) else None

    def _size(self, parent: str, field: GraphQLField, node: FieldNode) -> Sized:
        """The size of a list, or of a page of one, whose members are the edges below it."""
        given = _given(node)
        if _is_paged(field):
            return _largest(
                [self._read(given[way], NONE, _page) for way in ("first", "last") if way in given]
            )
        if not isinstance(get_nullable_type(field.type), GraphQLList) or _is_edges(parent, node):
            return ONE
        usual = _exactly(MEMBERS.get((parent, node.name.value), UNTOLD))
        for name, argument in field.args.items():
            # The members are those that are named.
            if isinstance(get_nullable_type(argument.type), GraphQLList):
                return self._read(given.get(name), usual, _length)
        return usual

    def _read(self, value: ValueNode | None, usual: Size, size: Callable[[Any, Size], Size]) -> Sized:
        if value is None or isinstance(value, NullValueNode):
            return usual
        if not isinstance(value, VariableNode):
            return size(_literal(value), usual)
        name = value.name.value
        default = self._defaults.get(name)
        return lambda variables: size(variables.get(name, default), usual)


_BRACKETS = 3
"""Bytes around an object or a list, with the comma behind it."""


def _shown(node: FieldNode, value: int) -> int:
    """Bytes of a field in an answer: its name there with quotes, colon and comma, and its value."""
    return len((node.alias or node.name).value) + 4 + value


def _given(node: FieldNode) -> dict[str, ValueNode]:
    return {argument.name.value: argument.value for argument in node.arguments or ()}


def _exactly(count: int) -> Size:
    return Size(count, count)


def _sized(size: Sized) -> Callable[[Variables], Size]:
    return size if callable(size) else lambda _variables: size


def _largest(sizes: Sequence[Sized]) -> Sized:
    """The size of a page that is asked for by one of these; none stands for what nobody told."""
    told = [size for size in sizes if isinstance(size, Size)]
    usual = _exactly(USUAL)
    if len(told) == len(sizes):
        return max(told) if any(map(any, told)) else usual
    each = [_sized(size) for size in sizes]

    def largest(variables: Variables) -> Size:
        found = max(size(variables) for size in each)
        return found if found.members else usual

    return largest


def _is_paged(field: GraphQLField) -> bool:
    return "first" in field.args


def _is_edges(parent: str, node: FieldNode) -> bool:
    return parent.endswith("Connection") and node.name.value == "edges"


def _literal(value: ValueNode) -> Any:
    """The members of a list literal, each as it is written; the name of an enum's value."""
    if isinstance(value, ListValueNode):
        return [print_ast(member) for member in value.values]
    if isinstance(value, EnumValueNode):
        return value.value
    return int(value.value) if isinstance(value, IntValueNode) else value


def _page(first: Any, usual: Size) -> Size:
    """What is refused later is no larger than what is not."""
    return _exactly(min(max(first, 1), MOST)) if isinstance(first, int) else usual


def _length(members: Any, usual: Size) -> Size:
    """A single member may be written without its list."""
    if members is None:
        return usual
    return Size(len(members), _different(members)) if isinstance(members, list | tuple) else ONE


def _different(members: Sequence[Any]) -> int:
    try:
        return len(set(members))
    except TypeError:  # objects, or what is refused later
        return len(set(map(repr, members)))


def _members_written(value: ValueNode) -> int:
    """Members of all lists that the document itself has in a value."""
    if isinstance(value, ObjectValueNode):
        return sum(_members_written(field.value) for field in value.fields)
    if isinstance(value, ListValueNode):
        return sum(1 + _members_written(member) for member in value.values)
    return 0


def _variables_within(value: ValueNode) -> Iterator[str]:
    """The variables in a value, each as often as it is there."""
    if isinstance(value, VariableNode):
        yield value.name.value
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            yield from _variables_within(field.value)
    elif isinstance(value, ListValueNode):
        for member in value.values:
            yield from _variables_within(member)


def _members_within(value: Any) -> int:
    """Members of all lists in a value, those within lists too."""
    count, within = 0, [value]
    for one in within:  # it grows by what is within
        is_dict = one.__class__ is dict  # by class: an attempt has hundreds of members
        count += 0 if is_dict else len(one)
        for inner in one.values() if is_dict else one:
            if inner.__class__ in _HOLDERS:
                within.append(inner)  # noqa: PERF401 - a comprehension for each takes as long again
    return count


_HOLDERS: frozenset[type[Any]] = frozenset({dict, list, tuple})
"""What JSON may have members in."""
