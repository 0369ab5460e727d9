"""How much a request's variables may list: each member is coerced before anything else is looked at, and all in one go."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    type_from_ast,
)

MOST_LISTED = 10_000
"""Members of all lists together; JSON is not looked into. Nothing that is asked by a list takes more than some hundreds."""


def too_many(
    schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]
) -> GraphQLError | None:
    """Why these variables are not coerced; None where they may be."""
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        left = MOST_LISTED
        for defined in operation.variable_definitions or ():
            name = defined.variable.name.value
            if name in variables:
                left = _left(type_from_ast(schema, defined.type), variables[name], left)
            if left < 0:
                return GraphQLError(
                    f"Variable '${name}' lists too much: the variables of a request may have {MOST_LISTED:,} members of "
                    "lists together. Send less at a time.",
                    defined,
                    extensions={
                        "limit": "members of lists",
                        "most": MOST_LISTED,
                        "found": MOST_LISTED - left,
                    },
                )
    return None


def _left(of: Any, value: Any, left: int) -> int:
    """How many further members there may be behind this value; below 0 as soon as there are too many."""
    of = get_nullable_type(of)
    if isinstance(of, GraphQLList) and isinstance(value, list):
        left -= len(value)
        for member in value if _has_lists(of.of_type) and left >= 0 else ():
            left = _left(of.of_type, member, left)
            if left < 0:
                break
    elif isinstance(of, GraphQLInputObjectType) and isinstance(value, dict):
        for name, field in of.fields.items():
            if left >= 0 and name in value:
                left = _left(field.type, value[name], left)
    return left


def _has_lists(of: Any) -> bool:
    """Whether members of this type are looked into."""
    return isinstance(get_nullable_type(of), GraphQLList | GraphQLInputObjectType)
