"""Which documents clients may send."""

from pydantic import BaseModel, Field


class DocumentSettings(BaseModel):
    """Which documents clients may send."""

    federation: bool = Field(
        default=False,
        description="Whether the schema is a subgraph of Apollo Federation 2: it then has `_service`, which tells all of it to "
        "whoever has a token, and `_entities`",
    )
