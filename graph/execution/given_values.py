"""What a document gives the arguments of its fields: compiled once, from the variables of a request straight to Python's values.

It is done for variables that are plainly of their types. What is wrong with others only the libraries tell, which take three times as
long as such a command itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    ArgumentNode,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_required_input_field,
    type_from_ast,
    value_from_ast,
)

from graph.execution.reads import NotPlain
from graph.execution.upstream_inputs import input_class

Variables = Mapping[str, Any]
Given = Callable[[Variables], Any]
"""From what variables say to what an argument says."""
LEFT_OUT = object()
"""What an argument says that is not given."""
MOST_LISTED = 1_000
"""Members of a list; more are counted by the libraries' way (graph/execution/variables.py)."""


class NotCompiled(Exception):
    """The document has something that is not compiled."""


class GivenVariables:
    """The variables of an operation. NotCompiled where one has a directive, or a default that is no scalar."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._made: dict[str, Callable[[Any], Any]] = {}
        self._required: set[str] = set()
        self._defaults: dict[str, Any] = {}
        for defined in operation.variable_definitions or ():
            of, name = type_from_ast(schema, defined.type), defined.variable.name.value
            if defined.directives:
                raise NotCompiled
            self._made[name] = _from_json(of)
            if defined.default_value is not None:
                if not is_leaf_type(of.of_type if isinstance(of, GraphQLNonNull) else of):
                    raise NotCompiled
                self._defaults[name] = default = _constant(defined.default_value, of)
                if isinstance(default, dict | list):
                    raise NotCompiled  # of JSON: each request needs one of its own
            if isinstance(of, GraphQLNonNull):
                self._required.add(name)

    def values(self, raw: Variables) -> dict[str, Any]:
        """What a request's variables say in Python. NotPlain where only the libraries can tell that."""
        found: dict[str, Any] = {}
        for name, made in self._made.items():
            value = raw.get(name, LEFT_OUT)
            if value is LEFT_OUT and name in self._defaults:
                found[name] = self._defaults[name]
            elif value is LEFT_OUT or value is None:
                if name in self._required:
                    raise NotPlain
                if value is None:
                    found[name] = None
            else:
                found[name] = made(value)
        return found

    def arguments(
        self,
        given: Mapping[str, ArgumentNode],
        declared: Mapping[str, GraphQLArgument],
        names: Mapping[str, str],
    ) -> dict[str, Given]:
        """What is given for the arguments of a field, by their ``names`` in Python. One that is left out has the default of its
        function, which is the schema's."""
        return {
            names[name]: self.value(declared[name].type, argument.value) for name, argument in given.items()
        }

    def value(self, of: Any, node: ValueNode) -> Given:
        """What a value in the document says, where one of this type is expected."""
        if isinstance(node, VariableNode):
            return _variable(node.name.value, is_required=isinstance(of, GraphQLNonNull))
        within = of.of_type if isinstance(of, GraphQLNonNull) else of
        if isinstance(within, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
            return self._object(within, node)
        if isinstance(node, ListValueNode | ObjectValueNode) and not _is_list_of_leaves(within, node):
            raise NotCompiled
        constant = _constant(node, of)
        if constant.__class__ is list:
            return lambda _variables: [*constant]
        return lambda _variables: constant

    def _object(self, of: GraphQLInputObjectType, node: ObjectValueNode) -> Given:
        found = input_class(of)
        if found is None:
            raise NotCompiled
        given = {field.name.value: field.value for field in node.fields}
        if any(name not in given and is_required_input_field(field) for name, field in of.fields.items()):
            raise NotCompiled
        made, nulls = found.made, found.nulls
        parts = [
            (found.names[name], self.value(of.fields[name].type, value)) for name, value in given.items()
        ]

        def read(variables: Variables) -> Any:
            values: dict[str, Any] = {**nulls}
            for name, part in parts:
                value = part(variables)
                if value is not LEFT_OUT:
                    values[name] = value
            return made(**values)

        return read


def _variable(name: str, *, is_required: bool) -> Given:
    def variable(variables: Variables) -> Any:
        value = variables.get(name, LEFT_OUT)
        if is_required and (value is LEFT_OUT or value is None):
            raise NotPlain
        return value

    return variable


def _is_list_of_leaves(of: Any, node: ValueNode) -> bool:
    """Whether the value is a list that is written out, of what has no parts."""
    return (
        isinstance(of, GraphQLList)
        and is_leaf_type(get_named_type(of))
        and isinstance(node, ListValueNode)
        and not any(isinstance(one, VariableNode | ListValueNode | ObjectValueNode) for one in node.values)
    )


def _constant(node: ValueNode, of: Any) -> Any:
    constant = value_from_ast(node, of)
    if constant is Undefined:
        raise NotCompiled
    return constant


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
    raise NotCompiled


def _list_from_json(of: Any) -> Callable[[Any], Any]:
    may_be_null = not isinstance(of, GraphQLNonNull)
    member = of if may_be_null else of.of_type
    if not isinstance(member, GraphQLScalarType | GraphQLEnumType):
        raise NotCompiled
    made = _from_json(member)

    def members(value: Any) -> Any:
        if value.__class__ is not list or len(value) > MOST_LISTED or (None in value and not may_be_null):
            raise NotPlain
        return [None if one is None else made(one) for one in value]

    return members


def _object_from_json(of: GraphQLInputObjectType) -> Callable[[Any], Any]:
    found = input_class(of)
    if found is None:
        raise NotCompiled
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
