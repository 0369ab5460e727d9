"""How learning is counted, and how large its things may be."""

from typing import Literal

from pydantic import BaseModel, Field

from gateway.setting_sections.values import Zone
from rules.contexts import BUCKETS
from rules.hierarchy import DEEPEST


class LearningSettings(BaseModel):
    """How learning is counted, and how large its things may be."""

    answers_ttl: float = Field(
        default=60.0,
        ge=0,
        description="Seconds that the answer to a group query is given again without a new query",
    )
    answers_kept: float = Field(
        default=86_400.0,
        gt=0,
        description="Seconds that such an answer may still be given, with its age, while the groups store is away or slow",
    )
    mode: Literal["query", "batch"] = Field(
        default="query",
        description="Whether group figures are computed when asked for or taken from the last aggregation; "
        "a request may ask for the other",
    )
    tracking_mode: Literal["strict", "carry-forward-full", "carry-forward-collection", "copy", "move"] = (
        Field(
            default="strict",
            description="What a view counts for beyond the context it was taken in (docs/modes.md); "
            "`cohort modes change` changes it once there is data",
        )
    )
    tracking_rules: str | None = Field(
        default=None,
        description="JSON: which completions elsewhere count, in the modes copy and move (docs/modes.md)",
    )
    day_zone: Zone = Field(
        default="UTC",
        description="Time zone of the IANA database whose clocks say which day a moment is in, for active "
        "learners; days that were noted before it was changed stay as they were",
    )
    group_members: int = Field(default=150, gt=0, description="Members that a group of learners may have")
    group_activities: int = Field(
        default=20, gt=0, description="Activities that a group of learners may have"
    )
    deepest_collection: int = Field(
        default=DEEPEST,
        ge=2,
        le=DEEPEST,
        description="Levels that a collection may have, the root among them",
    )
    largest_collection: int = Field(
        default=20_000,
        gt=0,
        description="Nodes that a collection may have when it is edited, each counted wherever it stands",
    )
    context_buckets: int = Field(
        default=BUCKETS,
        ge=1,
        le=64,
        description="Partitions that the list of a new context's learners is spread over, a million and a half learners each; "
        "a context keeps what it was created with, and a page of its roster takes a statement for each",
    )
    groups_per_learner: int = Field(default=50, gt=0, description="Groups that a learner may be in")
