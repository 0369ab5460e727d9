"""Groups of learners as the platform's clients call them (R-LEGACY-1, P-2.6; codes: docs/api.md)."""

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from gateway.rest.contents import content_told, text_of
from gateway.rest.endpoints import MOST_ITEMS, A, Asked, ByValue, Call, Commas, Endpoint, Handler, Texts
from gateway.rest.envelope import Codes, Json, moment
from resolvers import collections, learner_groups
from resolvers.nouns import (
    Activity,
    AddMember,
    EditMember,
    Forbidden,
    Group,
    GroupCall,
    GroupRole,
    GroupStatus,
    InvalidInput,
    ItemError,
    Kind,
    Member,
    MemberChange,
    MembershipType,
    NewGroup,
    RemoveMember,
    Session,
)
from resolvers.paging import MOST

MEMBER_CODES = {
    "LIMIT_REACHED": "GS_UDT05",
    "INVALID_INPUT": "MEMBER_EXISTS",
    "NOT_FOUND": "MEMBER_NOT_FOUND",
}
ACTIVITY_CODES = {"LIMIT_REACHED": "GS_UDT06"}
PARTS = ("members", "activities")
"""Of a group, that are sent where they are asked for."""


def _codes(operation: str, **others: str) -> Codes:
    """01: not authorised, 02: a field is missing or wrong, 03: a store is away or others were faster."""
    away = ("CONFLICT", "STORE_UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL_ERROR")
    return {
        "UNAUTHENTICATED": "GS_UNAUTHORIZED",
        "FORBIDDEN": f"GS_{operation}01",
        "INVALID_INPUT": f"GS_{operation}02",
        **dict.fromkeys(away, f"GS_{operation}03"),
        **{code: f"GS_{operation}{number}" for code, number in others.items()},
    }


# --- what is asked


class NewMember(Asked):
    user_id: str
    role: Annotated[GroupRole, ByValue] = GroupRole.MEMBER


class EditedMember(Asked):
    user_id: str
    role: Annotated[GroupRole, ByValue]


class GroupActivity(Asked):
    id: str
    type: str


class CreateGroup(Asked):
    name: str
    description: str | None = None
    membership_type: Annotated[MembershipType, ByValue] = MembershipType.INVITE_ONLY
    members: list[NewMember] = Field(default=[], max_length=MOST_ITEMS)
    activities: list[GroupActivity] = Field(default=[], max_length=MOST_ITEMS)
    group_id: str | None = Field(default=None, description="For a service.")
    user_id: str | None = Field(default=None, description="Who creates it, for a service; else the caller.")


class ReadGroup(Asked):
    fields: Commas = Field(default=[], description="`members`, `activities`: each is sent where it is named.")


class OfLearner(Asked):
    user_id: str


class ListGroups(Asked):
    filters: OfLearner


class MemberUpdates(Asked):
    add: list[NewMember] = Field(default=[], max_length=MOST_ITEMS)
    edit: list[EditedMember] = Field(default=[], max_length=MOST_ITEMS)
    remove: Texts = Field(default=[])


class ActivityUpdates(Asked):
    add: list[GroupActivity] = Field(default=[], max_length=MOST_ITEMS)
    remove: Texts = Field(default=[])


class UpdateGroup(Asked):
    group_id: str
    name: str | None = None
    description: str | None = None
    status: Annotated[GroupStatus, ByValue] | None = None
    members: MemberUpdates = MemberUpdates()
    activities: ActivityUpdates = ActivityUpdates()


class DeleteGroup(Asked):
    group_id: str


class VisitedGroup(Asked):
    group_id: str
    visited: bool = False
    role: str | None = Field(default=None, description="Refused: only `visited` is changed here.")
    status: str | None = Field(default=None, description="Refused: only `visited` is changed here.")


class UpdateMembership(Asked):
    user_id: str = Field(description="The caller's own.")
    groups: list[VisitedGroup] = Field(default=[], max_length=MOST_ITEMS)


# --- what is told


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
    """Beside these everything else that was published of it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    identifier: str
    name: str
    status: str
    leafNodesCount: int


class ActivityTold(TypedDict):
    """As ActivityInfo has it, of an activity that is published."""

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


# --- the calls


async def create(session: Session, call: Call[CreateGroup]) -> GroupCreated:
    request = call.request
    new = NewGroup(
        name=request.name,
        description=request.description,
        membership_type=request.membership_type,
        members=tuple(AddMember(member.user_id, member.role) for member in request.members),
        activities=_activities(request.activities),
        group_id=request.group_id,
        user_id=request.user_id,
    )
    changed = await learner_groups.create_group(session, new)
    created: GroupCreated = {"groupId": changed.group.group_id}
    if errors := _errors(changed.item_errors):
        created["error"] = errors
    return created


async def read(session: Session, call: Call[ReadGroup]) -> GroupTold:
    """``?fields=members,activities``: each only where it is asked for."""
    for name in call.request.fields:
        if name not in PARTS:
            raise InvalidInput(f"fields: there is no {name}; there are {', '.join(PARTS)}", field="fields")
    group = await learner_groups.group(session, call.path["group_id"])
    result = _told(group)
    if "members" in call.request.fields:
        members = await learner_groups.profiled(session, await learner_groups.members(session, group))
        result["members"] = [_member(found.member, found.learner.name) for found in members]
    if "activities" in call.request.fields:
        result["activities"] = await _activity_infos(session, group)  # type: ignore[typeddict-item]
    return result


async def list_groups(session: Session, call: Call[ListGroups]) -> GroupList:
    """All of a learner's, those that they lead first, as the platform sorts them."""
    user_id = call.request.filters.user_id
    found: list[tuple[Group, Member]] = []
    more, after = True, None
    while more:
        page = await learner_groups.groups_of(session, user_id, first=MOST, after=after)
        found += page.members
        more, after = page.has_more, found[-1][0].group_id if found else None
    return {
        "group": [
            {
                **_told(group),
                "memberRole": member.role.value,
                "visited": member.visited,
                "invited": member.invited,
            }
            for group, member in sorted(found, key=lambda pair: pair[1].role.value)
        ]
    }


async def update(session: Session, call: Call[UpdateGroup]) -> GroupChanged:
    """A status as well: suspended, active again, or inactive, which deletes the group."""
    request = call.request
    named = {"name": request.name, "description": request.description}
    wanted = GroupCall(
        request.group_id,
        {name: value for name, value in named.items() if value is not None},
        _member_changes(request.members),
        _activities(request.activities.add),
        tuple(request.activities.remove),
    )
    if request.status is GroupStatus.ACTIVE:
        await learner_groups.reactivate_group(session, request.group_id)
    errors: Sequence[ItemError] = ()
    if wanted != GroupCall(request.group_id) or request.status is None:
        errors = (await learner_groups.update_group(session, wanted)).item_errors
    if request.status is GroupStatus.SUSPENDED:
        await learner_groups.suspend_group(session, request.group_id)
    if request.status is GroupStatus.INACTIVE:
        await learner_groups.delete_group(session, request.group_id)
    changed: GroupChanged = {"response": "success"}
    if told := _errors(errors):
        changed["error"] = told
    return changed


async def delete(session: Session, call: Call[DeleteGroup]) -> GroupChanged:
    await learner_groups.delete_group(session, call.request.group_id)
    return {"response": "success"}


async def update_membership(session: Session, call: Call[UpdateMembership]) -> GroupChanged:
    """Of the caller's own memberships only whether the group's page was seen, as on the platform."""
    if call.request.user_id != session.viewer.known():
        raise Forbidden("userId must be the caller's own", field="userId")
    visited = []
    for group in call.request.groups:
        if group.role is not None or group.status is not None:
            raise Forbidden("only visited can be changed here; group/update changes members", field="groups")
        if group.visited:
            visited.append(group.group_id)
    await learner_groups.visit_groups(session, visited)
    return {"response": "success"}


def _both(
    method: str,
    name: str,
    summary: str,
    request: type[A],
    result: object,
    handler: Handler[A],
    rest: str = "",
    max_age: int | None = None,
) -> list[Endpoint[A]]:
    """Under the service's own prefix and under the one that clients see."""
    api_id = f"api.group.{name.replace('/', '.')}"
    return [
        Endpoint(
            method, f"{prefix}/{name}{rest}", api_id, summary, request, result, handler, CODES[name], max_age
        )
        for prefix in ("/v1/group", "/group/v1")
    ]


CODES: dict[str, Codes] = {
    "create": {
        **_codes("CRT"),
        ("LIMIT_REACHED", "userId"): "GS_CRT04",
        ("LIMIT_REACHED", "members"): "GS_CRT05",
        ("LIMIT_REACHED", "activities"): "GS_CRT06",
    },
    "read": _codes("RED", NOT_FOUND="07"),
    "list": _codes("LST"),
    "update": _codes("UDT", NOT_FOUND="07", GROUP_SUSPENDED="08", FORBIDDEN="09"),
    "delete": _codes("DLT", NOT_FOUND="07", FORBIDDEN="10"),
    "membership/update": _codes("MBRSHP_UDT"),
}
"""By call; the page docs/api.md has the same."""

ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_both(
        "POST", "create", "Creates a group; the caller is its first admin.", CreateGroup, GroupCreated, create
    ),
    *_both("GET", "read", "A group.", ReadGroup, GroupTold, read, "/{group_id:path}", max_age=0),
    *_both("POST", "list", "A learner's groups.", ListGroups, GroupList, list_groups, max_age=0),
    *_both(
        "PATCH", "update", "Changes a group, its members and activities.", UpdateGroup, GroupChanged, update
    ),
    *_both("POST", "delete", "Deletes a group.", DeleteGroup, GroupChanged, delete),
    *_both(
        "PATCH",
        "membership/update",
        "Marks groups as seen by the caller.",
        UpdateMembership,
        GroupChanged,
        update_membership,
    ),
)


# --- the platform's shapes


def _told(group: Group) -> GroupTold:
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


def _member(member: Member, name: str | None) -> MemberTold:
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


async def _activity_infos(session: Session, group: Group) -> list[Json]:
    """As ActivityTold."""
    contents = await learner_groups.contents_of(session, group)
    published = await collections.metadata(session, list(contents.values()))
    infos: list[Json] = []
    for activity in group.activities:
        told: Json = {"id": activity.id, "type": activity.type}
        content = contents.get(activity.id)
        if content is not None:
            told["activityInfo"] = content_told(content, published.get(content.identifier, {}))
        infos.append(told)
    return infos


def _errors(errors: Sequence[ItemError]) -> ItemErrorsTold:
    """Each kind where there is any; nothing where there is none."""
    told: ItemErrorsTold = {}
    for error in errors:
        if error.kind is Kind.MEMBER:
            code = MEMBER_CODES.get(error.code, error.code)
            told.setdefault("members", []).append(
                {"userId": error.id, "errorCode": code, "errorMessage": error.message}
            )
        else:
            code = ACTIVITY_CODES.get(error.code, error.code)
            told.setdefault("activities", []).append(
                {"id": error.id, "errorCode": code, "errorMessage": error.message}
            )
    return told


def _member_changes(members: MemberUpdates) -> tuple[MemberChange, ...]:
    return (
        *(AddMember(member.user_id, member.role) for member in members.add),
        *(EditMember(member.user_id, member.role) for member in members.edit),
        *(RemoveMember(user_id) for user_id in members.remove),
    )


def _activities(found: Sequence[GroupActivity]) -> tuple[Activity, ...]:
    return tuple(Activity(activity.id, activity.type) for activity in found)
