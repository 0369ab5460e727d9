"""Inputs of the schema as JSON Schema, for the OpenAPI document and for the tools of agents."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
)

from resolvers.nouns import Json

_SCALARS: Mapping[str, Json] = {
    "String": {"type": "string"},
    "ID": {"type": "string"},
    "Int": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "Date": {"type": "string", "examples": ["2026-01-31"]},
    "DateTime": {"type": "string", "examples": ["2026-01-31T12:00:00.000Z"]},
    "JSON": {},
    "_Any": {"type": "object"},
}
COMPONENTS, DEFS = "#/components/schemas/", "#/$defs/"
"""Where a document has the inputs that its schemas refer to: OpenAPI's, and that of a schema by itself."""


def schema_of(kind: Any, *, nullable: bool = True, refs: str = COMPONENTS) -> Json:
    """The JSON Schema of a type. Inputs are references to those of their name at ``refs``. ``nullable``: null is a value of
    what the schema lets be null; in a URL there is no null."""
    if nullable and not isinstance(kind, GraphQLNonNull):
        return {"anyOf": [schema_of(kind, nullable=False, refs=refs), {"type": "null"}]}
    bare = get_nullable_type(kind)
    if is_list_type(bare):
        return {"type": "array", "items": schema_of(bare.of_type, refs=refs)}
    if isinstance(bare, GraphQLInputObjectType):
        return {"$ref": f"{refs}{bare.name}"}
    return leaf_schema(bare)


def leaf_schema(kind: Any) -> Json:
    """The JSON Schema of an enum or a scalar, of what is not null."""
    if isinstance(kind, GraphQLEnumType):
        return {"type": "string", "enum": [*kind.values]}
    return _SCALARS[kind.name]


def components_of(kind: GraphQLInputObjectType, refs: str = COMPONENTS) -> dict[str, Json]:
    """The components of an input and of all inputs in it, by their names."""
    found: dict[str, Json] = {}
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = _object(one, refs)
            waiting += _inner(one)
    return found


def _inner(kind: GraphQLInputObjectType) -> Iterator[GraphQLInputObjectType]:
    for field in kind.fields.values():
        named = get_named_type(field.type)
        if isinstance(named, GraphQLInputObjectType):
            yield named


def _object(kind: GraphQLInputObjectType, refs: str) -> Json:
    fields = {
        name: {
            **schema_of(field.type, nullable=not kind.is_one_of, refs=refs),
            "description": field.description or "",
        }
        for name, field in kind.fields.items()
    }
    told: Json = {
        "type": "object",
        "description": kind.description or "",
        "properties": fields,
        "additionalProperties": False,
    }
    if kind.is_one_of:
        return {**told, "minProperties": 1, "maxProperties": 1}
    required = [name for name, field in kind.fields.items() if is_required_input_field(field)]
    return {**told, "required": required} if required else told
