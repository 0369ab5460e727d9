"""Scalars: moments in RFC 3339, days, and JSON that may have been serialised before."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from math import isinf
from typing import Any, NewType

import orjson
import strawberry
from graphql import GraphQLError, StringValueNode, ValueNode, print_ast, value_from_ast_untyped
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from resolvers.nouns import written_milliseconds


def format_moment(value: datetime | int) -> str:
    """A moment in UTC and whole milliseconds. Its width is fixed, so that texts compare as moments do. Members of long lists
    give epoch milliseconds."""
    if isinstance(value, int):
        return written_milliseconds(value)
    moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"  # without +00:00


def parse_moment(value: Any) -> datetime:
    """The moment in a text, in UTC and whole milliseconds, as stores keep it."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        moment = moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise GraphQLError(f"{value!r} is no moment with a time zone, as in 2026-01-31T12:00:00Z") from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def parse_day(value: Any) -> date:
    """The day in a text."""
    try:
        day = date.fromisoformat(value)
        if day.isoformat() != value:  # a week's day, or no hyphens
            raise ValueError
    except (TypeError, ValueError):
        raise GraphQLError(f"{value!r} is no day, as in 2026-01-31") from None
    return day


def literal_parser(parse: Callable[[Any], Any]) -> Callable[[ValueNode, Mapping[str, Any] | None], Any]:
    """Reads a text that is a literal in a document. The error says where it stands."""

    def parse_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> Any:
        try:
            return parse(node.value if isinstance(node, StringValueNode) else print_ast(node))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return parse_literal


def parse_json(node: ValueNode, variables: Mapping[str, Any] | None = None) -> Any:
    """The JSON that a literal in a document says. Its error says where it stands: a number without bounds would be null."""
    value = value_from_ast_untyped(node, dict(variables or {}))
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as members:
                waiting += members.values()
            case list() as members:
                waiting += members
            case float() as number if isinf(number):
                raise GraphQLError("a number of JSON must be one that a double can hold", node)
    return value


def serialised_json(data: bytes) -> JSON:
    """JSON that the response encoder copies as it stands."""
    return JSON(orjson.Fragment(data))


DATE_TIME: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="A moment in RFC 3339 with its time zone, a text such as `2026-01-31T12:00:00.000Z`. "
    "Answers are in UTC with milliseconds and `Z`, always 24 characters, so that texts compare as moments do. Inputs may have "
    "any offset. For code generators: `string` in TypeScript, an aware `datetime` in Python.",
    specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
    serialize=format_moment,
    parse_value=parse_moment,
    parse_literal=literal_parser(parse_moment),
)
DATE: ScalarDefinition = strawberry.scalar(
    name="Date",
    description="A day by the calendar, without a time zone, a text such as `2026-01-31`. For code generators: `string` in "
    "TypeScript, a `date` in Python.",
    specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339#section-5.6",
    serialize=date.isoformat,
    parse_value=parse_day,
    parse_literal=literal_parser(parse_day),
)
ANY_JSON: ScalarDefinition = strawberry.scalar(
    name="JSON",
    description="Any JSON value: an object, a list, a text, a number, a boolean or null, never JSON within a text. Inputs may "
    "be variables or literals. For code generators: `unknown` in TypeScript, `Any` in Python.",
    specified_by_url="https://datatracker.ietf.org/doc/html/rfc8259",
    serialize=lambda value: value,
    parse_value=lambda value: value,
    parse_literal=parse_json,
)
Representation = NewType("Representation", object)
ANY_REPRESENTATION: ScalarDefinition = strawberry.scalar(
    name="_Any",
    description="An entity as a router names it: an object with `__typename` and a key.",
    serialize=lambda value: value,
    parse_value=lambda value: value,
)

CONFIG = StrawberryConfig(
    scalar_map={
        datetime: DATE_TIME,
        date: DATE,
        JSON: ANY_JSON,
        Representation: ANY_REPRESENTATION,
    }
)
