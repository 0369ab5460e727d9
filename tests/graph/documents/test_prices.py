"""Prices of fields: each field that may read has one, and what documents really cost is below what they were said to cost."""

from graphql import GraphQLObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from graph.documents.field_prices import EDITED, LARGE, MEMBERS, PRICES, SIZES, WORK
from graph.documents.limits import Limits
from graph.execution.upstream import core_schema
from graph.subgraph import subgraph_of

SUBGRAPH = subgraph_of(Limits())
"""The schema with all fields that it may have."""
CORE = core_schema(SUBGRAPH)


def fields_that_may_read() -> set[tuple[str, str]]:
    """Every port of a store is a coroutine, so a field whose resolver is none reads nothing."""
    return {
        (name, field)
        for name, kind in CORE.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
        for field, declared in kind.fields.items()
        if (definition := (declared.extensions or {}).get(GraphQLCoreConverter.DEFINITION_BACKREF))
        and definition.is_async
    }


def test_every_field_that_may_read_a_store_has_a_price_and_no_other() -> None:
    assert fields_that_may_read() == set(PRICES)


def test_prices_and_sizes_are_of_fields_and_types_that_there_are() -> None:
    for kind, field in (*MEMBERS, *LARGE, *WORK):
        assert field in CORE.type_map[kind].fields  # type: ignore[attr-defined]
    assert {*EDITED, *SIZES} <= CORE.type_map.keys()
