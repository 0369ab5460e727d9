"""Requests of the calls about figures of a group."""

from typing import Annotated

from pydantic import Field

from gateway.rest.framework.fields import MOST_ITEMS, ByValue, Commas, Texts
from gateway.rest.framework.requests import RequestModel
from resolvers.nouns import AggregationMode


class OfGroup(RequestModel):
    group_id: str
    mode: Annotated[AggregationMode, ByValue] | None = Field(
        default=None, description="Without it the instance's."
    )
    fresh: str | None = Field(
        default=None, description="The token of a write that the figures must have seen."
    )


class NamedActivity(RequestModel):
    id: str
    type: str


class GroupAgg(OfGroup):
    """The request in a body."""

    activities: list[NamedActivity] | None = Field(
        default=None, max_length=MOST_ITEMS, description="Without it all of the group's."
    )
    fields: Texts = Field(default=[], description="What is sent beside `id` and `type`.")

    def named(self) -> dict[str, str] | None:
        """The types of the activities by id; None for all activities of the group."""
        return None if self.activities is None else {one.id: one.type for one in self.activities}


class GroupAggQuery(OfGroup):
    """The request in a URL."""

    activities: Commas | None = Field(
        default=None, description="`Course:do_1,CourseUnit:do_2`; without it all of the group's."
    )
    fields: Commas = Field(default=[], description="What is sent beside `id` and `type`.")

    def named(self) -> dict[str, str] | None:
        """The types of the activities by id; None for all activities of the group."""
        if self.activities is None:
            return None
        pairs = (activity.partition(":") for activity in self.activities)
        return {identifier: kind for kind, _, identifier in pairs}


class PlatformActivityAgg(OfGroup):
    activity_id: str
    activity_type: str


class ActivityAgg(PlatformActivityAgg):
    """The request in a body."""

    fields: Texts = Field(default=[], description="What is sent beside `id` and `type`.")


class ActivityAggQuery(PlatformActivityAgg):
    """The request in a URL."""

    fields: Commas = Field(default=[], description="What is sent beside `id` and `type`.")
