"""What asks for a table of figures outside GraphQL. The schema's own inputs say its names, its values and what stands where
nothing is said, so that both ways ask alike."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLObjectType,
    coerce_input_value,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
    validate_input_value,
)
from strawberry.exceptions import StrawberryInputCoercionError

from graph.active_learners import ActiveLearnersInput
from graph.errors import presented
from graph.execution.upstream import converted, core_schema
from graph.metric_filters import MetricFilterInput
from graph.metrics import ActivityMetricsInput
from graph.schema import schema
from resolvers.active_learners import ActiveLearnersQuery
from resolvers.metrics import MetricQuery
from resolvers.nouns import Absent, AggregationMode, InvalidInput, Json

_CORE = core_schema(schema)
Declared = Mapping[str, GraphQLInputField | GraphQLArgument]

TABLE_INPUT = cast("GraphQLInputObjectType", _CORE.type_map["ActivityMetricsInput"])
TABLE: Declared = TABLE_INPUT.fields
"""What a table is asked for by."""
ACTIVE_INPUT = cast("GraphQLInputObjectType", _CORE.type_map["ActiveLearnersInput"])
ACTIVE: Declared = ACTIVE_INPUT.fields
"""What active learners are asked for by."""
FUNNEL: Declared = {
    name: argument
    for name, argument in cast("GraphQLObjectType", _CORE.query_type).fields["activityFunnel"].args.items()
    if name != "collectionId"
}
"""What a funnel is asked for by, beside its collection."""
_ORDER = "MetricOrderInput"
_WHOLE = re.compile("-?[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class FunnelRequest:
    """As ``activity_funnel`` (resolvers/funnels.py) takes it."""

    collection_id: str
    context_ids: list[str] | None
    filter: Json | None
    depth: int


def table_query(values: Json) -> tuple[MetricQuery, AggregationMode | None]:
    """The query of a table, and its mode, out of the fields of ``ActivityMetricsInput`` in JSON. InvalidInput or Absent
    names the field."""
    found: ActivityMetricsInput = converted(schema, _coerced(TABLE, values), ActivityMetricsInput)
    return found.query(), found.mode


def active_query(values: Json) -> ActiveLearnersQuery:
    """The query of active learners, out of the fields of ``ActiveLearnersInput`` in JSON."""
    found: ActiveLearnersInput = converted(schema, _coerced(ACTIVE, values), ActiveLearnersInput)
    return found.query()


def funnel_request(collection_id: str, values: Json) -> FunnelRequest:
    """The request of a funnel, out of the arguments of ``activityFunnel`` in JSON."""
    known = _coerced(FUNNEL, values)
    filter_ = known.get("filter")
    said = None if filter_ is None else converted(schema, filter_, MetricFilterInput).said()
    return FunnelRequest(
        collection_id, known.get("contextIds"), said, known.get("depth", FUNNEL["depth"].default_value)
    )


def of_query(declared: Declared, items: Iterable[tuple[str, str]]) -> Json:
    """The values in the query of a URL, as JSON has them. A list is repeated, or has commas between its values; an order is
    ``column`` or ``column:desc``; what has fields of its own is JSON."""
    given: dict[str, list[str]] = {}
    for name, text in items:
        given.setdefault(name, []).append(text)
    _check_known(declared, given)
    return {name: _value(declared[name], name, texts) for name, texts in given.items()}


def _value(field: GraphQLInputField | GraphQLArgument, name: str, texts: list[str]) -> Any:
    kind, named = get_nullable_type(field.type), get_named_type(field.type)
    if is_list_type(kind) and named.name == _ORDER:
        return [_order(part) for text in texts for part in text.split(",")]
    if is_list_type(kind):
        return [part.strip() for text in texts for part in text.split(",")]
    if len(texts) > 1:
        raise InvalidInput(f"{name} must be given once", field=name)
    (text,) = texts
    if is_input_object_type(named):
        return _json(name, text)
    if named is GraphQLInt:
        if not _WHOLE.fullmatch(text):
            raise InvalidInput(f"{name} must be a whole number", field=name)
        return int(text)
    if named is GraphQLBoolean:
        if text not in ("true", "false"):
            raise InvalidInput(f"{name} must be true or false", field=name)
        return text == "true"
    return text


def _order(text: str) -> Json:
    column, _, direction = text.strip().partition(":")
    return {"column": column, "direction": (direction or "asc").upper()}


def _json(name: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidInput(f"{name} must be JSON", field=name) from None


def _check_known(declared: Declared, values: Iterable[str]) -> None:
    for name in values:
        if name not in declared:
            raise InvalidInput(f"{name} is not known here; there are {', '.join(declared)}", field=name)


def _coerced(declared: Declared, values: Json) -> Json:
    """The values as the schema coerces them."""
    _check_known(declared, values)
    found: Json = {}
    for name, field in declared.items():
        required = (
            is_required_input_field(field)
            if isinstance(field, GraphQLInputField)
            else is_required_argument(field)
        )
        if name in values:
            found[name] = _coerced_value(name, values[name], field)
        elif required:
            raise Absent(f"{name} is missing", field=name)
    return found


def _coerced_value(name: str, value: Any, field: GraphQLInputField | GraphQLArgument) -> Any:
    def refuse(error: GraphQLError, path: list[str | int]) -> None:
        place = name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        told = presented(error, _CORE).message
        raise InvalidInput(f"{place}: {told}", field=place)

    try:
        validate_input_value(value, field.type, refuse)
        return coerce_input_value(value, field.type)
    except StrawberryInputCoercionError as error:  # null where one of an input's fields must have a value
        raise InvalidInput(f"{name}: {error}", field=name) from None
    except RecursionError:
        raise InvalidInput(f"{name} is nested too deep", field=name) from None
