"""A learner's profile, denormalised for reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rules.errors import InvalidInput
from rules.texts import check_text

ATTRIBUTES = (
    "state",
    "district",
    "block",
    "school",
    "type",
    "gender",
    "region",
    "education",
    "age_band",
    "deprivation_band",
)
"""What reports group learners by. Each is a key of the map ``learner.attributes`` and a field of the schema."""
LONGEST_VALUE = 256


@dataclass(frozen=True, slots=True)
class Learner:
    """A profile; attributes that are not known are left out of ``attributes``."""

    user_id: str
    name: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    updated_on: datetime | None = None


def checked_learner(learner: Learner) -> Learner:
    """InvalidInput that names the attribute which does not exist, is too long or has a hidden character."""
    for name in learner.attributes:
        if name not in ATTRIBUTES:
            raise InvalidInput(
                f"{name} is no learner attribute; there are {', '.join(ATTRIBUTES)}", field=name
            )
    for name, value in [("name", learner.name or ""), *learner.attributes.items()]:
        if not isinstance(value, str):
            raise InvalidInput(f"{name} must be a text", field=name)
        if len(value) > LONGEST_VALUE:
            raise InvalidInput(f"{name} must have at most {LONGEST_VALUE} characters", field=name)
        check_text(value, name)
    return learner
