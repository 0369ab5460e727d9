"""How small a group of learners may be that figures are told of."""

from pydantic import BaseModel


class PrivacySettings(BaseModel):
    """How small a group of learners may be that figures are told of."""
