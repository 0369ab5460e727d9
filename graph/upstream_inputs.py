"""What compiled mutations take of Strawberry's definitions and graphql-core's, beyond what these document: as in
graph/upstream.py."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import MISSING
from typing import Any, NamedTuple

import strawberry
from graphql import FieldNode, GraphQLField, GraphQLInputObjectType, GraphQLResolveInfo

# Where a document asks for a field, as the executor is given it.
from graphql.execution.collect_fields import FieldDetails

from graph.upstream import DEFINITION, Selected, definition_of

_NOTHING: Mapping[str, Any] = dict.fromkeys(GraphQLResolveInfo._fields)


class InputClass(NamedTuple):
    """The class of an input. ``names``: of its fields in Python, by those in the schema. ``nulls``: those in Python that have no
    default, which are None where they are left out."""

    made: Callable[..., Any]
    names: Mapping[str, str]
    nulls: Mapping[str, None]


def input_class(of: GraphQLInputObjectType) -> InputClass | None:
    """None where a class makes its inputs by itself, or takes one of several fields."""
    definition: Any = (of.extensions or {}).get(DEFINITION)
    if definition is None or definition.from_input is not None or of.is_one_of:
        return None
    fields = {name: (field.extensions or {})[DEFINITION] for name, field in of.fields.items()}
    names = {name: field.python_name for name, field in fields.items()}
    nulls = [
        field.python_name
        for field in fields.values()
        if field.default_value is MISSING and field.default_factory is MISSING
    ]
    return InputClass(definition.origin, names, dict.fromkeys(nulls))


class Command(NamedTuple):
    """The resolver of a mutation. ``names``: of its arguments in Python, by those in the schema."""

    run: Callable[..., Coroutine[Any, Any, Any]]
    names: Mapping[str, str]
    info: Callable[[Any], Any]
    """What the resolver is given as ``info``, by the context: nothing else is in it but the schema and the field's name."""


def command_of(schema: Any, field: GraphQLField, name: str) -> Command | None:
    """None where the resolver takes something else than ``info`` and the field's arguments."""
    definition = definition_of(field)
    resolver = None if definition is None else definition.base_resolver
    if definition is None or resolver is None or not resolver.is_async or not resolver.self_parameter:
        return None
    reserved = [parameter for parameter in resolver.reserved_parameters.values() if parameter]
    if resolver.info_parameter is None or {one.name for one in reserved} != {"self", "info"}:
        return None
    names = {
        graphql_name: (argument.extensions or {})[DEFINITION].python_name
        for graphql_name, argument in field.args.items()
    }
    bare = GraphQLResolveInfo(**{**_NOTHING, "schema": schema, "field_name": name})

    def info(context: Any) -> Any:
        return strawberry.Info(_raw_info=bare._replace(context=context), _field=definition)

    function: Any = resolver.wrapped_func
    return Command(function, names, info)


def selected(node: FieldNode) -> Selected:
    """A field that a document asks for once."""
    return [FieldDetails(node, None)]
