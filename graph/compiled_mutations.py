"""Mutations that are compiled once a document: from the variables straight to the command's input, and from its payload to the
answer. graphql-core and Strawberry take three times as long for that as such a command itself.

Compiled is an operation with one field that says it may be (``mutation(..., compiled=True)``), whose input has no lists of objects
or of lists, and whose payload is answered by what graph/projection.py compiles. Everything else goes the libraries' way; so does a request whose
variables are not plainly of their types, since only the libraries tell what is wrong with them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    ValueNode,
    VariableNode,
    Visitor,
    is_required_input_field,
    located_error,
    type_from_ast,
    value_from_ast,
    visit,
)
from strawberry.types import ExecutionResult

from graph.fields import COMPILED
from graph.reads import NotPlain, Read
from graph.upstream import definition_of
from graph.upstream_inputs import Command, command_of, input_class, selected
from resolvers.nouns import Session, stepwise

Variables = Mapping[str, Any]
Given = Callable[[Variables], Any]
"""From a request's variables to what they say; NotPlain where only the libraries can tell that."""
_LEFT_OUT = object()
"""What a variable says that is not given."""
MOST_LISTED = 1_000
"""Members of a list; more are counted by the libraries' way (graph/variables.py)."""
_answered: ContextVar[Mapping[str, Any]] = ContextVar("answered", default={})  # noqa: B039 - it is never changed
"""Payloads of commands that have run already, by the field's name in the schema."""


class _NotCompiled(Exception):
    """The document has something that is not compiled."""


@dataclass(frozen=True, slots=True)
class CompiledMutation:
    """``name``: of the field in the answer. ``read``: from the payload to what stands for it there."""

    operation: OperationDefinitionNode
    node: FieldNode
    name: str
    may_be_null: bool
    arguments: Mapping[str, Given]
    command: Command
    read: Read

    def given(self, variables: Variables) -> dict[str, Any] | None:
        """What the resolver is called with; None where only the libraries can tell that."""
        found = {}
        try:
            for name, of in self.arguments.items():
                value = of(variables)
                if value is not _LEFT_OUT:
                    found[name] = value
        except NotPlain:
            return None
        return found

    async def execute(
        self, session: Session, given: Mapping[str, Any]
    ) -> ExecutionResult | Mapping[str, Any]:
        """The result. The payload itself, by the field's name in the schema, where only the executor can complete it."""
        try:
            payload = await stepwise(self.command.run(None, self.command.info(session), **given))
        except Exception as error:  # noqa: BLE001 - told as the executor tells it
            return self._failed(error)
        try:
            return ExecutionResult({self.name: self.read(payload)}, None, {})
        except (NotPlain, AttributeError):
            return {self.node.name.value: payload}
        except Exception as error:  # noqa: BLE001 - a fault of ours; the command has run
            return self._failed(error)

    def _failed(self, error: Exception) -> ExecutionResult:
        told = located_error(error, [self.node], [self.name])
        return ExecutionResult({self.name: None} if self.may_be_null else None, [told])


@contextmanager
def answered(payloads: Mapping[str, Any]) -> Iterator[None]:
    """Within, these fields are answered by the payloads, and their commands do not run again."""
    token = _answered.set(payloads)
    try:
        yield
    finally:
        _answered.reset(token)


def has_begun() -> bool:
    """Whether the command of this request has run already: then the request was priced."""
    return bool(_answered.get())


def answer_once(schema: GraphQLSchema) -> None:
    """Makes the fields that may be compiled ask first whether their command has run."""
    root = schema.mutation_type
    assert isinstance(root, GraphQLObjectType)  # noqa: S101 - a schema has one
    for field in root.fields.values():
        if field.resolve is not None and _may_be_compiled(field):
            field.resolve = _once(field.resolve)


def _once(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def once(source: Any, info: Any, **arguments: Any) -> Any:
        known = _answered.get()
        return known[info.field_name] if info.field_name in known else resolve(source, info, **arguments)

    return once


def _may_be_compiled(field: GraphQLField) -> bool:
    definition = definition_of(field)
    return definition is not None and COMPILED in definition.metadata


def compiled(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    reader: Callable[[Any, Any], Read | None],
) -> CompiledMutation | None:
    """The operation of a valid document, compiled; None where it can't be. ``reader`` gives what reads values of a type by what is
    selected of them."""
    root = schema.mutation_type
    if operation.operation is not OperationType.MUTATION or root is None or operation.directives:
        return None
    if len(operation.selection_set.selections) != 1:
        return None
    node = operation.selection_set.selections[0]
    if not isinstance(node, FieldNode) or node.directives or node.selection_set is None:
        return None
    field = root.fields.get(node.name.value)
    if field is None or not _may_be_compiled(field) or _varies(document, node.selection_set):
        return None
    command = command_of(schema, field, node.name.value)
    read = None if command is None else reader(field.type, selected(node))
    if command is None or read is None:
        return None
    try:
        arguments = _arguments(schema, operation, field, node, command)
    except _NotCompiled:
        return None
    name = node.alias.value if node.alias else node.name.value
    may_be_null = not isinstance(field.type, GraphQLNonNull)
    return CompiledMutation(operation, node, name, may_be_null, arguments, command, read)


def _varies(document: DocumentNode, within: Node) -> bool:
    """Whether what is selected depends on a request: on variables or directives there, or in any fragment of the document."""
    found = _Found()
    visit(within, found)
    if found.spreads:
        for part in document.definitions:
            if not isinstance(part, OperationDefinitionNode):
                visit(part, found)
    return found.varies


class _Found(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.varies = self.spreads = False

    def enter(self, node: Node, *_: Any) -> None:
        self.varies |= isinstance(node, VariableNode | DirectiveNode)
        self.spreads |= isinstance(node, FragmentSpreadNode)


# --- what is given


def _arguments(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    field: GraphQLField,
    node: FieldNode,
    command: Command,
) -> dict[str, Given]:
    variables = _Variables(schema, operation)
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    for name, argument in field.args.items():
        if name not in given and argument.default_value is not Undefined:
            raise _NotCompiled
    return {
        command.names[name]: variables.value(field.args[name].type, value) for name, value in given.items()
    }


class _Variables:
    """The variables of an operation, each with what makes a Python value of its value."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._made: dict[str, Callable[[Any], Any]] = {}
        self._required: set[str] = set()
        for defined in operation.variable_definitions or ():
            of = type_from_ast(schema, defined.type)
            if defined.default_value is not None or defined.directives:
                raise _NotCompiled
            self._made[defined.variable.name.value] = _from_json(of)
            if isinstance(of, GraphQLNonNull):
                self._required.add(defined.variable.name.value)

    def value(self, of: Any, node: ValueNode) -> Given:
        """What a value in the document says, where one of this type is expected."""
        if isinstance(node, VariableNode):
            return self._variable(node.name.value, is_required=isinstance(of, GraphQLNonNull))
        within = of.of_type if isinstance(of, GraphQLNonNull) else of
        if isinstance(within, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
            return self._object(within, node)
        if isinstance(node, ListValueNode | ObjectValueNode):
            raise _NotCompiled
        constant = value_from_ast(node, of)
        if constant is Undefined:
            raise _NotCompiled
        return lambda _variables: constant

    def _variable(self, name: str, *, is_required: bool) -> Given:
        made, is_required = self._made[name], is_required or name in self._required

        def variable(variables: Variables) -> Any:
            value = variables.get(name, _LEFT_OUT)
            if value is _LEFT_OUT or value is None:
                if is_required:
                    raise NotPlain
                return value
            return made(value)

        return variable

    def _object(self, of: GraphQLInputObjectType, node: ObjectValueNode) -> Given:
        found = input_class(of)
        if found is None:
            raise _NotCompiled
        given = {field.name.value: field.value for field in node.fields}
        if any(name not in given and is_required_input_field(field) for name, field in of.fields.items()):
            raise _NotCompiled
        made, nulls = found.made, found.nulls
        parts = [
            (found.names[name], self.value(of.fields[name].type, value)) for name, value in given.items()
        ]

        def read(variables: Variables) -> Any:
            values: dict[str, Any] = {**nulls}
            for name, part in parts:
                value = part(variables)
                if value is not _LEFT_OUT:
                    values[name] = value
            return made(**values)

        return read


def _from_json(of: Any) -> Callable[[Any], Any]:
    """Makes a Python value of a variable's, which is never None here at the top."""
    if isinstance(of, GraphQLNonNull):
        return _from_json(of.of_type)
    if isinstance(of, GraphQLInputObjectType):
        return _object_from_json(of)
    if of is GraphQLString:
        return _plain(str)
    if of is GraphQLBoolean:
        return _plain(bool)
    if of is GraphQLInt:
        return _whole
    if isinstance(of, GraphQLScalarType | GraphQLEnumType):
        return _coerced(of)
    if isinstance(of, GraphQLList):
        return _list_from_json(of.of_type)
    raise _NotCompiled


def _list_from_json(of: Any) -> Callable[[Any], Any]:
    may_be_null = not isinstance(of, GraphQLNonNull)
    member = of if may_be_null else of.of_type
    if not isinstance(member, GraphQLScalarType | GraphQLEnumType):
        raise _NotCompiled
    made = _from_json(member)

    def members(value: Any) -> Any:
        if value.__class__ is not list or len(value) > MOST_LISTED or (None in value and not may_be_null):
            raise NotPlain
        return [None if one is None else made(one) for one in value]

    return members


def _object_from_json(of: GraphQLInputObjectType) -> Callable[[Any], Any]:
    found = input_class(of)
    if found is None:
        raise _NotCompiled
    made, nulls, names = found.made, found.nulls, found.names
    parts = {name: _member(field, names[name]) for name, field in of.fields.items()}
    required = [name for name, field in of.fields.items() if is_required_input_field(field)]

    def read(value: Any) -> Any:
        if value.__class__ is not dict or any(name not in value for name in required):
            raise NotPlain
        values: dict[str, Any] = {**nulls}
        for name, one in value.items():
            part = parts.get(name)
            if part is None:
                raise NotPlain
            python_name, may_be_null, of_one = part
            if one is None and not may_be_null:
                raise NotPlain
            values[python_name] = None if one is None else of_one(one)
        return made(**values)

    return read


def _member(field: GraphQLInputField, python_name: str) -> tuple[str, bool, Callable[[Any], Any]]:
    return python_name, not isinstance(field.type, GraphQLNonNull), _from_json(field.type)


def _plain(kind: type) -> Callable[[Any], Any]:
    def plain(value: Any) -> Any:
        if value.__class__ is not kind:
            raise NotPlain
        return value

    return plain


def _whole(value: Any) -> int:
    if value.__class__ is not int or not GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT:
        raise NotPlain
    return value


def _coerced(of: GraphQLScalarType | GraphQLEnumType) -> Callable[[Any], Any]:
    def coerced(value: Any) -> Any:
        try:
            found = of.coerce_input_value(value)
        except (GraphQLError, TypeError, ValueError) as error:
            raise NotPlain from error
        if found is None or found is Undefined:
            raise NotPlain
        return found

    return coerced
