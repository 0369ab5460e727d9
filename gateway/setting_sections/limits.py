"""What a request may take."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.setting_sections.values import split

Limit = Literal["documents", "budget", "rate"]
"""Limits that may be introduced by warnings alone."""


class LimitSettings(BaseModel):
    """What a request may take."""

    request_timeout: float = Field(
        default=10.0, gt=0, description="Seconds after which a request stops waiting for its stores"
    )
    largest_body: int = Field(
        default=1_048_576, gt=0, description="Bytes a request may have; larger ones are refused unread"
    )
    budget_partitions: int = Field(
        default=20_000, gt=0, description="Partitions of `rows` that one request may cost"
    )
    budget_druid_rows: int = Field(
        default=1_000_000, gt=0, description="Rows of `groups` that one request may have gone through"
    )
    budget_bytes: int = Field(
        default=20_000_000, gt=0, description="Bytes that the answer to one request may have, as JSON"
    )
    warn_only: Annotated[tuple[Limit, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(),
        description="Limits that are logged and let through: `documents`, `budget`, `rate`",
    )
