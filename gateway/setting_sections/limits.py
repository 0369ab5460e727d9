"""What a request may take."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.setting_sections.values import split


class LimitSettings(BaseModel):
    """What a request may take."""

    request_timeout: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Seconds that a request may take; what it waits for then is cancelled. At most 300",
    )
    largest_body: int = Field(
        default=1_048_576, gt=0, description="Bytes a request may have; larger ones are refused unread"
    )
    largest_head: int = Field(
        default=65_536,
        ge=1_024,
        description="Bytes that the head of a request may have: its URL and all fields",
    )
    most_headers: int = Field(default=100, ge=10, description="Fields that the head of a request may have")
    head_timeout: float = Field(
        default=10.0, gt=0, description="Seconds until the head of a request must be whole"
    )
    body_timeout: float = Field(
        default=30.0, gt=0, description="Seconds until the body of a request must be whole, after its head"
    )
    idle_timeout: float = Field(
        default=65.0,
        gt=0,
        description="Seconds that a connection stays open between two requests; more than a proxy in front keeps it",
    )
    send_timeout: float = Field(
        default=30.0,
        gt=0,
        description="Seconds after which a client that takes less than 1,000 bytes a second of its answer is cut off",
    )
    most_connections: int = Field(
        default=800,
        gt=0,
        description="Connections of a process; one more ends the one that is idle the longest, or is answered with 503",
    )
    most_at_once: int = Field(
        default=100,
        gt=0,
        description="Requests of GraphQL and REST that a process works on at once; as many more wait for a second, those "
        "beyond them are answered with 503, `OVERLOADED`",
    )
    unready_after: float = Field(
        default=10.0,
        ge=0,
        description="Seconds of refusing requests after which `/health/ready` is 503, until none was refused for 5 s; 0 for "
        "never",
    )
    longest_document: int = Field(
        default=32_768, gt=0, description="Characters that a GraphQL document may have, without its variables"
    )
    most_tokens: int = Field(
        default=2_000,
        gt=0,
        description="Tokens (names, values and signs) that a document may have, and as many comments and lines",
    )
    most_operations: int = Field(default=50, gt=0, description="Operations that a document may have")
    most_fields: int = Field(
        default=1_000,
        gt=0,
        description="Fields that an operation may have, those of fragments counted wherever they are used",
    )
    deepest: int = Field(default=20, gt=0, description="Fields within each other that an operation may have")
    most_aliases: int = Field(
        default=50, ge=0, description="Aliases that an operation may have, counted as fields are"
    )
    most_root_fields: int = Field(
        default=50, gt=0, description="Fields at the top that an operation may have, counted as fields are"
    )
    most_directives: int = Field(
        default=100, ge=0, description="Directives that an operation may have, counted as fields are"
    )
    most_schema_values: int = Field(
        default=20_000,
        gt=0,
        description="Values that an answer about the schema may have; what GraphiQL and code generators ask for has 15,000",
    )
    most_errors: int = Field(
        default=100,
        gt=0,
        description="Errors that an answer tells; one more says that there are others",
    )
    document_cache: int = Field(
        default=33_554_432,
        ge=0,
        description="Bytes that documents may take that a process knows again, parsed and checked; each has some 150 KB",
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
    rate_points: int = Field(
        default=60_000,
        ge=0,
        description="Points that a user may spend in a minute, on all processes together; 0 for any number",
    )
    rate_points_service: int = Field(
        default=0, ge=0, description="The same for a user whose token has the role service"
    )
    rate_points_anonymous: int = Field(
        default=30_000,
        ge=0,
        description="The same for all calls without a token from one address; of IPv6, from one /64",
    )
    warn_only: Annotated[
        tuple[Literal["documents", "budget", "rate"], ...], NoDecode, BeforeValidator(split)
    ] = Field(
        default=(),
        description="Limits that are tried out: what is over them is logged and let through. Any of `documents`, `budget`, `rate`; "
        "`documents` are fields, depth, aliases, fields at the top and directives, not what protects the process from a "
        "single request",
    )
