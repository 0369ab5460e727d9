"""What a tool gives: the answer of GraphQL, as of when it is, and whether it is complete (R-MCP-3)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from mcp_types import CallToolResult, ContentBlock, TextContent
from strawberry.http import GraphQLHTTPResponse

from gateway.graphql_answers import age_of, is_stale, payload_errors
from graph.answer_schemas import AS_OF, COMPLETE
from graph.errors import BAD_REQUEST
from graph.execution.encoding import encode
from graph.scalars import format_moment
from graph.told_figures import told_in
from graph.tools import Tool
from resolvers.errors import client_message
from resolvers.nouns import CohortError, InvalidInput, TooExpensive

ARGUMENT = "argument"
"""In an error: the argument of the tool that is at fault, where its field is given one."""
LARGEST = 1_000_000
"""Bytes of an answer, as JSON. No model reads more, and the library of the protocol takes 30 ms for so many."""


def result_of(tool: Tool, response: GraphQLHTTPResponse, began: datetime) -> CallToolResult:
    """The result of a call that began then. It is an error if nothing was answered, if an argument was wrong, or if a mutation was
    refused."""
    # Values that are JSON already are read here: the library of the protocol writes the result.
    text = b"".join(encode({"data": None, **response}).parts)
    if len(text) > LARGEST:
        return refusal_of(_too_large(tool, len(text)), began)
    answer: dict[str, Any] = orjson.loads(text)
    plans: Sequence[Mapping[str, Any]] = answer.pop("extensions", {}).get("plans", ())
    errors, data = answer.get("errors", []), answer["data"]
    refused = payload_errors(response)
    told = told_in(data, tool.told.figures)
    oldest = format_moment(began - timedelta(seconds=age_of(plans)))
    as_of = oldest if told is None else told.as_of and min(told.as_of, oldest)
    complete = not (errors or refused or is_stale(plans)) and (told is None or told.complete)
    lines = [_line(error.get("extensions", {}), error["message"]) for error in errors]
    for name, error in refused:
        argument = tool.given.get(name, {}).get(error.get("field", ""))
        lines.append(_line({**error, ARGUMENT: argument}, error.get("message", "refused")))
    wrong = any(error.get("extensions", {}).get("code") == InvalidInput.code for error in errors)
    failed = bool(refused) or wrong or (bool(errors) and _is_nothing(data))
    return _result({**answer, AS_OF: as_of, COMPLETE: complete}, lines, failed=failed)


def refusal_of(error: CohortError, began: datetime) -> CallToolResult:
    """The result of a call that was not carried out."""
    named = {} if error.field is None else {"field": error.field}
    extensions = {"code": error.code, **named, **error.details}
    message = client_message(error)
    told = {"message": message, "extensions": extensions}
    structured = {"data": None, "errors": [told], AS_OF: format_moment(began), COMPLETE: False}
    return _result(structured, [_line(extensions, message)], failed=True)


def _too_large(tool: Tool, found: int) -> CohortError:
    done = "" if tool.reads else "it was carried out, but "
    return TooExpensive(
        f"{done}the answer has {found:,} bytes, and one to an agent may have {LARGEST:,}: ask for fewer at a time",
        cost={"bytes": found},
        most={"bytes": LARGEST},
    )


def _is_nothing(data: Any) -> bool:
    """Whether no value stands in it: there are nulls alone, however deep. An empty list is a value."""
    match data:
        case dict():
            return all(map(_is_nothing, data.values()))
        case [_, *_]:
            return all(map(_is_nothing, data))
    return data is None


def _result(structured: dict[str, Any], errors: Sequence[str], *, failed: bool) -> CallToolResult:
    """With the same as a text, for clients that read nothing else. ``errors``: what went wrong, each once."""
    content: list[ContentBlock] = [TextContent(text=orjson.dumps(structured).decode())]
    if errors:
        content.insert(0, TextContent(text="\n".join(dict.fromkeys(errors))))
    return CallToolResult(content=content, structured_content=structured, is_error=failed)


def _line(told: Mapping[str, Any], message: str) -> str:
    """For models that read no more than a text: the code, what went wrong, and the argument or else the field at fault."""
    at_fault = next((f" ({name} {told[name]})" for name in (ARGUMENT, "field") if told.get(name)), "")
    return f"{told.get('code') or BAD_REQUEST}: {message}{at_fault}"
