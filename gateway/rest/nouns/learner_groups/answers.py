"""Answers of the calls about groups of learners: the types of the JSON, and functions that give groups in that form."""

from collections.abc import Sequence
from typing import NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from gateway.rest.framework.envelope import Json
from gateway.rest.framework.moments import moment
from gateway.rest.nouns.contents import content_metadata, text_of
from resolvers import collections, learner_groups
from resolvers.nouns import Group, ItemError, Kind, Member, Session

MEMBER_CODES = {
    "LIMIT_REACHED": "GS_UDT05",
    "INVALID_INPUT": "MEMBER_EXISTS",
    "NOT_FOUND": "MEMBER_NOT_FOUND",
}
ACTIVITY_CODES = {"LIMIT_REACHED": "GS_UDT06"}

# --- types


class ItemErrorTold(TypedDict):
    errorCode: str
    errorMessage: str
    userId: NotRequired[str]
    id: NotRequired[str]


class ItemErrorsTold(TypedDict):
    members: NotRequired[list[ItemErrorTold]]
    activities: NotRequired[list[ItemErrorTold]]


class GroupCreated(TypedDict):
    groupId: str
    error: NotRequired[ItemErrorsTold]


class GroupChanged(TypedDict):
    response: str
    error: NotRequired[ItemErrorsTold]


class MemberTold(TypedDict):
    userId: str
    groupId: str
    role: str
    status: str
    createdBy: str
    createdOn: str | None
    updatedBy: str
    updatedOn: str | None
    visited: bool
    invited: bool
    name: str


class ActivityInfo(TypedDict):
    """It also has everything else that was published of the activity."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    identifier: str
    name: str
    status: str
    leafNodesCount: int


class ActivityTold(TypedDict):
    """An activity of a group. ``activityInfo`` is there if the activity is published."""

    id: str
    type: str
    activityInfo: NotRequired[ActivityInfo]


class GroupTold(TypedDict):
    id: str
    name: str
    description: str
    status: str
    membershipType: str
    createdBy: str
    createdOn: str | None
    updatedBy: str
    updatedOn: str | None
    members: NotRequired[list[MemberTold]]
    activities: NotRequired[list[ActivityTold]]
    memberRole: NotRequired[str]
    visited: NotRequired[bool]
    invited: NotRequired[bool]


class GroupList(TypedDict):
    group: list[GroupTold]


# --- shapes


def group_answer(group: Group) -> GroupTold:
    return {
        "id": group.group_id,
        "name": group.name,
        "description": text_of(group.description),
        "status": group.status.value,
        "membershipType": group.membership_type.value,
        "createdBy": text_of(group.created_by),
        "createdOn": moment(group.created_on),
        "updatedBy": text_of(group.updated_by),
        "updatedOn": moment(group.updated_on),
    }


def member_answer(member: Member, name: str | None) -> MemberTold:
    return {
        "userId": member.user_id,
        "groupId": member.group_id,
        "role": member.role.value,
        "status": member.status.value,
        "createdBy": text_of(member.created_by),
        "createdOn": moment(member.created_on),
        "updatedBy": text_of(member.updated_by),
        "updatedOn": moment(member.updated_on),
        "visited": member.visited,
        "invited": member.invited,
        "name": text_of(name),
    }


async def activity_answers(session: Session, group: Group) -> list[Json]:
    """The group's activities, each as an ActivityTold."""
    contents = await learner_groups.contents_of(session, group)
    published = await collections.metadata(session, list(contents.values()))
    infos: list[Json] = []
    for activity in group.activities:
        info: Json = {"id": activity.id, "type": activity.type}
        content = contents.get(activity.id)
        if content is not None:
            info["activityInfo"] = content_metadata(content, published.get(content.identifier, {}))
        infos.append(info)
    return infos


def item_errors_answer(errors: Sequence[ItemError]) -> ItemErrorsTold:
    """The errors by kind; empty if there are none."""
    answer: ItemErrorsTold = {}
    for error in errors:
        if error.kind is Kind.MEMBER:
            code = MEMBER_CODES.get(error.code, error.code)
            answer.setdefault("members", []).append(
                {"userId": error.id, "errorCode": code, "errorMessage": error.message}
            )
        else:
            code = ACTIVITY_CODES.get(error.code, error.code)
            answer.setdefault("activities", []).append(
                {"id": error.id, "errorCode": code, "errorMessage": error.message}
            )
    return answer
