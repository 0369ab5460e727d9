"""What a tool gives: the answer of GraphQL, as of when it is, and whether it is complete (R-MCP-3)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from mcp_types import CallToolResult, ContentBlock, TextContent
from strawberry.http import GraphQLHTTPResponse

from gateway.graphql_answers import payload_errors
from graph.answer_schemas import AS_OF, COMPLETE
from graph.encoding import encode
from graph.errors import BAD_REQUEST
from graph.scalars import format_moment
from graph.told_figures import told_in
from graph.tools import Tool
from resolvers.errors import client_message
from resolvers.nouns import CohortError, TooExpensive

LARGEST = 1_000_000
"""Bytes of an answer, as JSON. No model reads more, and the library of the protocol takes 30 ms for so many."""


def result_of(tool: Tool, response: GraphQLHTTPResponse, began: datetime) -> CallToolResult:
    """The result of a call that began then. It is an error if nothing was answered, or a mutation was refused."""
    # Values that are JSON already are read here: the library of the protocol writes the result.
    text = b"".join(encode({"data": None, **response}).parts)
    if len(text) > LARGEST:
        return refusal_of(_too_large(tool, len(text)), began)
    answer: dict[str, Any] = orjson.loads(text)
    plans: Sequence[Mapping[str, Any]] = answer.pop("extensions", {}).get("plans", ())
    errors, data = answer.get("errors", []), answer["data"]
    refused = payload_errors(response)
    told = told_in(data, tool.told.figures)
    oldest = format_moment(began - timedelta(seconds=max((plan["age"] for plan in plans), default=0.0)))
    as_of = oldest if told is None else told.as_of and min(told.as_of, oldest)
    stale = any(plan["origin"] == "stale" for plan in plans)
    complete = not (errors or refused or stale) and (told is None or told.complete)
    nothing = bool(errors) and (not data or all(value is None for value in data.values()))
    lines = [_line(error.get("extensions", {}), error["message"]) for error in errors]
    lines += [_line(error, error.get("message", "refused")) for error in refused]
    return _result({**answer, AS_OF: as_of, COMPLETE: complete}, lines if nothing or refused else ())


def refusal_of(error: CohortError, began: datetime) -> CallToolResult:
    """The result of a call that was not carried out."""
    named = {} if error.field is None else {"field": error.field}
    extensions = {"code": error.code, **named, **error.details}
    message = client_message(error)
    told = {"message": message, "extensions": extensions}
    structured = {"data": None, "errors": [told], AS_OF: format_moment(began), COMPLETE: False}
    return _result(structured, [_line(extensions, message)])


def _too_large(tool: Tool, found: int) -> CohortError:
    done = "" if tool.reads else "it was carried out, but "
    return TooExpensive(
        f"{done}the answer has {found:,} bytes, and one to an agent may have {LARGEST:,}: ask for fewer at a time",
        cost={"bytes": found},
        most={"bytes": LARGEST},
    )


def _result(structured: dict[str, Any], failures: Sequence[str]) -> CallToolResult:
    """With the same as a text, for clients that read nothing else. ``failures``: what went wrong, where the call failed."""
    content: list[ContentBlock] = [TextContent(text=orjson.dumps(structured).decode())]
    if failures:
        content.insert(0, TextContent(text="\n".join(failures)))
    return CallToolResult(content=content, structured_content=structured, is_error=bool(failures))


def _line(told: Mapping[str, Any], message: str) -> str:
    """For models that read no more than a text: the code, what went wrong, and the field at fault."""
    field = told.get("field")
    return f"{told.get('code') or BAD_REQUEST}: {message}" + (f" (field {field})" if field else "")
