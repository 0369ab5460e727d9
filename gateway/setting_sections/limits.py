"""What a request may take."""

from pydantic import BaseModel, Field


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
