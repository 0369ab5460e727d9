"""Requests of the calls about groups of learners."""

from typing import Annotated

from pydantic import Field

from gateway.rest.framework.fields import MOST_ITEMS, ByValue, Commas, Texts
from gateway.rest.framework.requests import RequestModel
from resolvers.nouns import GroupRole, GroupStatus, MembershipType


class NewMember(RequestModel):
    user_id: str
    role: Annotated[GroupRole, ByValue] = GroupRole.MEMBER


class EditedMember(RequestModel):
    user_id: str
    role: Annotated[GroupRole, ByValue]


class GroupActivity(RequestModel):
    id: str
    type: str


class CreateGroup(RequestModel):
    name: str
    description: str | None = None
    membership_type: Annotated[MembershipType, ByValue] = MembershipType.INVITE_ONLY
    members: list[NewMember] = Field(default=[], max_length=MOST_ITEMS)
    activities: list[GroupActivity] = Field(default=[], max_length=MOST_ITEMS)
    group_id: str | None = Field(default=None, description="For a service.")
    user_id: str | None = Field(default=None, description="Who creates it, for a service; else the caller.")


class ReadGroup(RequestModel):
    fields: Commas = Field(default=[], description="`members`, `activities`: each is sent where it is named.")


class OfLearner(RequestModel):
    user_id: str


class ListGroups(RequestModel):
    filters: OfLearner


class MemberUpdates(RequestModel):
    add: list[NewMember] = Field(default=[], max_length=MOST_ITEMS)
    edit: list[EditedMember] = Field(default=[], max_length=MOST_ITEMS)
    remove: Texts = Field(default=[])


class ActivityUpdates(RequestModel):
    add: list[GroupActivity] = Field(default=[], max_length=MOST_ITEMS)
    remove: Texts = Field(default=[])


class UpdateGroup(RequestModel):
    group_id: str
    name: str | None = None
    description: str | None = None
    status: Annotated[GroupStatus, ByValue] | None = None
    members: MemberUpdates = MemberUpdates()
    activities: ActivityUpdates = ActivityUpdates()


class DeleteGroup(RequestModel):
    group_id: str


class VisitedGroup(RequestModel):
    group_id: str
    visited: bool = False
    role: str | None = Field(default=None, description="Refused: only `visited` is changed here.")
    status: str | None = Field(default=None, description="Refused: only `visited` is changed here.")


class UpdateMembership(RequestModel):
    user_id: str = Field(description="The caller's own.")
    groups: list[VisitedGroup] = Field(default=[], max_length=MOST_ITEMS)
