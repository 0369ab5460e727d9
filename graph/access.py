"""Who may ask for what: how a type or a field declares it, how the schema prints it, and where it is checked first.

A type declares it for all its fields, which may each say otherwise. Root fields always declare it. What the caller alone
tells is checked here, before a root field begins. The rest is checked by the resolver or the command, by the same
``Access``.
"""

from collections.abc import Callable
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from strawberry.schema_directive import Location

from graph.enums import described
from graph.execution.upstream import core_schema
from graph.info import Info
from resolvers.nouns import Access

__all__ = [
    "Access",
    "access_of",
    "access_of_root",
    "check_before_fields",
    "declared_by",
    "declared_by_mutation",
    "to",
]

_DEFINITION = "strawberry-definition"

described(
    Access,
    "Access",
    "Who may ask for a field.",
    {kind: kind.value.sentence for kind in Access},
)


@strawberry.schema_directive(
    locations=[Location.OBJECT, Location.INTERFACE, Location.FIELD_DEFINITION],
    name="access",
    description="Who may ask for the field; on a type, for its fields that do not say so themselves.",
)
class _Declared:
    to: Access = strawberry.directive_field(name="to")


def to(access: Access) -> object:
    """The directive that declares it."""
    return _Declared(to=access)


def declared_by(declared: Any) -> Access | None:
    """What a type or a field of graphql-core declares itself."""
    definition = (declared.extensions or {}).get(_DEFINITION)
    for directive in getattr(definition, "directives", None) or ():
        if isinstance(directive, _Declared):
            return directive.to
    return None


def access_of_root(field: GraphQLField) -> Access:
    """Who may ask for a root field. One without a declaration needs a token."""
    return declared_by(field) or Access.SIGNED_IN


def access_of(parent: Any, field: GraphQLField) -> Access | None:
    """Who may ask for a field of this type; None where neither declares it."""
    return declared_by(field) or declared_by(parent)


def check_before_fields(schema: GraphQLSchema) -> None:
    """Makes the root fields that read ask their declaration before their resolver is called; a field without one needs
    a token. Mutations ask it in ``carry_out``, so that their payload tells the refusal."""
    root = schema.query_type
    assert isinstance(root, GraphQLObjectType)  # noqa: S101 - a schema has one
    for field in root.fields.values():
        if field.resolve is not None:
            field.resolve = _checked(field.resolve, access_of_root(field))


def declared_by_mutation(info: Info) -> Access:
    """What the mutation that is being answered declares; SIGNED_IN where it declares nothing."""
    root = core_schema(info.schema).mutation_type
    assert isinstance(root, GraphQLObjectType)  # noqa: S101 - a mutation is being answered
    return access_of_root(root.fields[info.field_name])


def _checked(resolve: Callable[..., Any], access: Access) -> Callable[..., Any]:
    def checked(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        info.context.viewer.check_before(access)
        return resolve(source, info, **arguments)

    return checked
