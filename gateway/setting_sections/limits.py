"""What a request may take."""

from pydantic import BaseModel, Field


class LimitSettings(BaseModel):
    """What a request may take."""

    request_timeout: float = Field(
        default=10.0, gt=0, description="Seconds after which a request stops waiting for its stores"
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
