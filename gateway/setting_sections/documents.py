"""Which documents clients may send."""

from pydantic import BaseModel


class DocumentSettings(BaseModel):
    """Which documents clients may send."""
