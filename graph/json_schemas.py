"""Inputs of the schema as JSON Schema, for the OpenAPI document."""

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
}


def schema_of(kind: Any, *, nullable: bool = True) -> Json:
    """The JSON Schema of a type. Inputs are references to components of their name. ``nullable``: null is a value of what
    the schema lets be null; in a URL there is no null."""
    if nullable and not isinstance(kind, GraphQLNonNull):
        return {"anyOf": [schema_of(kind, nullable=False), {"type": "null"}]}
    bare = get_nullable_type(kind)
    if is_list_type(bare):
        return {"type": "array", "items": schema_of(bare.of_type)}
    if isinstance(bare, GraphQLEnumType):
        return {"type": "string", "enum": [*bare.values]}
    if isinstance(bare, GraphQLInputObjectType):
        return {"$ref": f"#/components/schemas/{bare.name}"}
    return _SCALARS[bare.name]


def components_of(kind: GraphQLInputObjectType) -> dict[str, Json]:
    """The components of an input and of all inputs in it, by their names."""
    found: dict[str, Json] = {}
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = _object(one)
            waiting += _inner(one)
    return found


def _inner(kind: GraphQLInputObjectType) -> Iterator[GraphQLInputObjectType]:
    for field in kind.fields.values():
        named = get_named_type(field.type)
        if isinstance(named, GraphQLInputObjectType):
            yield named


def _object(kind: GraphQLInputObjectType) -> Json:
    fields = {
        name: {**schema_of(field.type, nullable=not kind.is_one_of), "description": field.description or ""}
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
