"""Types of fields that many requests have: lists, moments, pages, each with its check and its OpenAPI schema."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.rest.framework.field_names import BLANK
from gateway.rest.framework.moments import MOMENT_FORMAT, parse_moment
from resolvers.opaque_texts import encode
from resolvers.paging import MOST

MOST_ITEMS = 200
"""Items that one list of a request may have."""
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
TIME = "time"
"""Marks the type of a field as a time. A time that is blank or "null" counts as left out."""
ByValue = Field(strict=False)
"""For an enum of texts: JSON has its members by their values."""


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Texts = Annotated[list[str], Field(max_length=MOST_ITEMS)]
"""A list of texts in a body."""
Commas = Annotated[list[str], BeforeValidator(_split), Field(max_length=MOST_ITEMS)]
"""A list of texts in a query, separated by commas."""


def _moment(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"a text of the form {MOMENT_FORMAT}")
    try:
        return parse_moment(value)
    except ValueError:
        raise ValueError(f"of the form {MOMENT_FORMAT}, as 2026-01-31 12:00:00:000+0000") from None


Moment = Annotated[
    datetime,
    TIME,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "type": "string",
            "description": f'{MOMENT_FORMAT}; blank or "null" is as good as left out.',
            "pattern": rf"^({BLANK}|\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d:\d{{3}}(Z|[+-]\d\d:?\d\d))$",
            "examples": ["2026-01-31 12:00:00:000+0000"],
        }
    ),
]
Milliseconds = Annotated[
    int,
    TIME,
    Field(ge=0, le=LATEST_MS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LATEST_MS},
                {"type": "string", "pattern": f"^{BLANK}$"},
            ],
            "description": "Milliseconds since 1970; a blank text is as good as none.",
        }
    ),
]
Limit = Annotated[int, Field(ge=1, le=MOST, description=f"How many at most, up to {MOST}.")]
After = Annotated[str, Field(description="`next` of the page before.")]


def cursor(place: tuple[str, ...] | None) -> str | None:
    """The ``next`` of a page that ends at this place; None where the list ends there."""
    return None if place is None else encode(*place)
