"""Answers of GraphQL, whichever way they are sent: at its own path, and as the results of tools."""

from collections.abc import Iterable, Mapping
from typing import Any

from strawberry.http import GraphQLHTTPResponse, process_result
from strawberry.types import ExecutionResult

from resolvers.nouns import document_id
from telemetry.requests import SHORT, noted


def response_of(result: ExecutionResult) -> GraphQLHTTPResponse:
    """The result as JSON, without ``data`` if the request was never executed."""
    response = process_result(result)
    if result.data is None and result.errors and all(error.path is None for error in result.errors):
        del response["data"]
    return response


def codes_in(response: GraphQLHTTPResponse) -> list[str]:
    """The codes of all errors, those in payloads of mutations too."""
    errors: list[Any] = list(response.get("errors") or ())
    codes = [error.get("extensions", {}).get("code") for error in errors]
    codes += [error.get("code") for _, error in payload_errors(response)]
    return [code for code in codes if isinstance(code, str)]


def payload_errors(response: GraphQLHTTPResponse) -> list[tuple[str, dict[str, Any]]]:
    """The errors in payloads of mutations, each with the payload's name in the answer: why that was refused."""
    data = response.get("data")
    if not isinstance(data, dict):
        return []
    payloads = [(name, payload) for name, payload in data.items() if isinstance(payload, dict)]
    return [(name, error) for name, payload in payloads for error in _objects(payload.get("errors"))]


def age_of(plans: Iterable[Mapping[str, Any]]) -> float:
    """Seconds since the oldest of the figures was computed that these plans told; 0 where none is of before."""
    return max((plan["age"] for plan in plans), default=0.0)


def is_stale(plans: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of them gave figures that are older than they should be."""
    return any(plan["origin"] == "stale" for plan in plans)


def note_document(text: str | None) -> None:
    """Notes by which document the current request asks."""
    if text and (notes := noted()) is not None:
        notes.document = document_id(text)[:SHORT]


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
