"""What compiled operations take of Strawberry's definitions and graphql-core's, beyond what these document: as in
graph/execution/upstream.py."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, NamedTuple, cast

import strawberry
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
)

# Where a document asks for a field, as the executor is given it.
from graphql.execution.collect_fields import FieldDetails

# How a resolver is told the variables of its request.
from graphql.execution.values import VariableValues

# What Strawberry knows of a resolver: its function, and which of its parameters are not arguments.
from strawberry.types.fields.resolver import StrawberryResolver

from graph.execution.upstream import DEFINITION, Selected, definition_of

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


class Resolver(NamedTuple):
    """The function behind a field. ``names``: of its arguments in Python, by those in the schema. ``info``: what it is given as such,
    by what graphql-core has; None where it takes none."""

    run: Callable[..., Any]
    names: Mapping[str, str]
    info: Callable[[GraphQLResolveInfo[Any]], Any] | None

    def __call__(self, source: Any, info: GraphQLResolveInfo[Any], given: Mapping[str, Any]) -> Any:
        """What the field's resolver gives, or what is awaited for that."""
        if self.info is None:
            return self.run(source, **given)
        return self.run(source, info=self.info(info), **given)


def resolver_of(field: GraphQLField) -> Resolver | None:
    """None where the field has none, or it takes something else than its object, ``info`` and the field's arguments."""
    definition, resolver = definition_of(field), resolver_behind(field)
    if definition is None or resolver is None or not resolver.self_parameter:
        return None
    reserved = {parameter.name for parameter in resolver.reserved_parameters.values() if parameter}
    if not reserved <= {"self", "info"}:
        return None
    names = {
        graphql_name: (argument.extensions or {})[DEFINITION].python_name
        for graphql_name, argument in field.args.items()
    }

    def info(raw: GraphQLResolveInfo[Any]) -> Any:
        return strawberry.Info(_raw_info=raw, _field=definition)

    function: Any = resolver.wrapped_func
    return Resolver(function, names, info if resolver.info_parameter else None)


def resolver_behind(field: GraphQLField) -> StrawberryResolver[Any] | None:
    """The resolver that answers the field; None where an attribute does, or more than the resolver."""
    definition = definition_of(field)
    return None if definition is None else definition.base_resolver


def info_of(schema: Any, name: str, **more: Any) -> GraphQLResolveInfo[Any]:
    """What graphql-core tells a field's resolver, with this of it alone."""
    return GraphQLResolveInfo(**{**_NOTHING, "schema": schema, "field_name": name, **more})


def variables_told(coerced: dict[str, Any]) -> VariableValues:
    """The variables in Python's values, without where each came from, which nobody asks."""
    return VariableValues({}, coerced)


def selected(node: FieldNode | OperationDefinitionNode) -> Selected:
    """A field that a document asks for once; or the operation, whose fields are selected as those below a field."""
    return [FieldDetails(cast("FieldNode", node), None)]
