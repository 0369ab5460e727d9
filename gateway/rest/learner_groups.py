"""Groups of learners as the platform's clients call them (reference 2.6; codes: docs/api.md)."""

from collections.abc import Sequence

from starlette.routing import Route

from gateway.rest.envelope import Call, Codes, Fields, Handler, Json, moment, rest_route
from resolvers import learner_groups
from resolvers.nouns import (
    Activity,
    AddMember,
    EditMember,
    Forbidden,
    Group,
    GroupCall,
    GroupRole,
    GroupStatus,
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


async def create(session: Session, call: Call) -> Json:
    request = call.request
    new = NewGroup(
        name=request.text("name"),
        description=request.optional_text("description"),
        membership_type=request.choice("membershipType", MembershipType) or MembershipType.INVITE_ONLY,
        members=tuple(
            AddMember(member.text("userId"), _role(member)) for member in request.objects("members")
        ),
        activities=_activities(request.objects("activities")),
        group_id=request.optional_text("groupId"),
        user_id=request.optional_text("userId"),
    )
    changed = await learner_groups.create_group(session, new)
    return {"groupId": changed.group.group_id, **_errors(changed.item_errors)}


async def read(session: Session, call: Call) -> Json:
    """``?fields=members,activities``: each only where it is asked for."""
    group = await learner_groups.group(session, call.path["group_id"])
    fields = {name.strip() for name in call.query.get("fields", "").split(",")}
    result = _told(group)
    if "members" in fields:
        members = await learner_groups.profiled(session, await learner_groups.members(session, group))
        result["members"] = [{**_member(found.member), "name": found.learner.name} for found in members]
    if "activities" in fields:
        result["activities"] = await _activity_infos(session, group)
    return result


async def list_groups(session: Session, call: Call) -> Json:
    """All of a learner's, those that they lead first, as the platform sorts them."""
    user_id = call.request.object("filters").text("userId")
    found: list[tuple[Group, Member]] = []
    more, after = True, None
    while more:
        page = await learner_groups.groups_of(session, user_id, first=MOST, after=after)
        found += page.members
        more, after = page.has_more, found[-1][0].group_id if found else None
    return {
        "group": [
            {**_told(group), "memberRole": member.role.value, "visited": member.visited}
            for group, member in sorted(found, key=lambda pair: pair[1].role.value)
        ]
    }


async def update(session: Session, call: Call) -> Json:
    """A status as well: suspended, active again, or inactive, which deletes the group."""
    request = call.request
    group_id, status = request.text("groupId"), request.choice("status", GroupStatus)
    members, activities = request.object("members"), request.object("activities")
    values = {name: request.optional_text(name) for name in ("name", "description") if name in request}
    wanted = GroupCall(
        group_id,
        values,
        _member_changes(members),
        _activities(activities.objects("add")),
        tuple(activities.texts("remove")),
    )
    if status is GroupStatus.ACTIVE:
        await learner_groups.reactivate_group(session, group_id)
    errors: Sequence[ItemError] = ()
    if wanted != GroupCall(group_id) or status is None:
        errors = (await learner_groups.update_group(session, wanted)).item_errors
    if status is GroupStatus.SUSPENDED:
        await learner_groups.suspend_group(session, group_id)
    if status is GroupStatus.INACTIVE:
        await learner_groups.delete_group(session, group_id)
    return {"response": "success", **_errors(errors)}


async def delete(session: Session, call: Call) -> Json:
    await learner_groups.delete_group(session, call.request.text("groupId"))
    return {"response": "success"}


async def update_membership(session: Session, call: Call) -> Json:
    """Of the caller's own memberships only whether the group's page was seen, as on the platform."""
    if call.request.text("userId") != session.viewer.known():
        raise Forbidden("userId must be the caller's own", field="userId")
    visited = []
    for group in call.request.objects("groups"):
        if "role" in group or "status" in group:
            raise Forbidden("only visited can be changed here; group/update changes members", field="groups")
        if group.flag("visited"):
            visited.append(group.text("groupId"))
    await learner_groups.visit_groups(session, visited)
    return {"response": "success"}


def _both(
    method: str, name: str, handler: Handler, rest: str = "", max_age: int | None = None
) -> list[Route]:
    """Under the service's own prefix and under the one that clients see."""
    api_id = f"api.group.{name.replace('/', '.')}"
    return [
        rest_route(f"{prefix}/{name}{rest}", [method], api_id, handler, CODES[name], max_age)
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

ROUTES: Sequence[Route] = (
    *_both("POST", "create", create),
    *_both("GET", "read", read, "/{group_id}", max_age=0),
    *_both("POST", "list", list_groups, max_age=0),
    *_both("PATCH", "update", update),
    *_both("POST", "delete", delete),
    *_both("PATCH", "membership/update", update_membership),
)


# --- the platform's shapes


def _told(group: Group) -> Json:
    return {
        "id": group.group_id,
        "name": group.name,
        "description": group.description,
        "status": group.status.value,
        "membershipType": group.membership_type.value,
        "createdBy": group.created_by,
        "createdOn": moment(group.created_on),
        "updatedBy": group.updated_by,
        "updatedOn": moment(group.updated_on),
    }


def _member(member: Member) -> Json:
    return {
        "userId": member.user_id,
        "groupId": member.group_id,
        "role": member.role.value,
        "status": member.status.value,
        "createdBy": member.created_by,
        "createdOn": moment(member.created_on),
        "updatedBy": member.updated_by,
        "updatedOn": moment(member.updated_on),
        "visited": member.visited,
    }


async def _activity_infos(session: Session, group: Group) -> list[Json]:
    contents = await learner_groups.contents_of(session, group)
    infos: list[Json] = []
    for activity in group.activities:
        told: Json = {"id": activity.id, "type": activity.type}
        content = contents.get(activity.id)
        if content is not None:
            told["activityInfo"] = {
                "identifier": content.identifier,
                "name": content.name,
                "status": content.status,
                "leafNodesCount": content.leaf_nodes_count,
            }
        infos.append(told)
    return infos


def _errors(errors: Sequence[ItemError]) -> Json:
    """``error: {members: […], activities: […]}``, each where there is any; nothing where there is none."""
    kinds = {
        Kind.MEMBER: ("members", "userId", MEMBER_CODES),
        Kind.ACTIVITY: ("activities", "id", ACTIVITY_CODES),
    }
    told: dict[str, list[Json]] = {}
    for error in errors:
        name, key, codes = kinds[error.kind]
        code = codes.get(error.code, error.code)
        told.setdefault(name, []).append({key: error.id, "errorCode": code, "errorMessage": error.message})
    return {"error": told} if told else {}


def _member_changes(members: Fields) -> tuple[MemberChange, ...]:
    return (
        *(AddMember(m.text("userId"), _role(m)) for m in members.objects("add")),
        *(EditMember(m.text("userId"), _new_role(m)) for m in members.objects("edit")),
        *(RemoveMember(user_id) for user_id in members.texts("remove")),
    )


def _activities(found: Sequence[Fields]) -> tuple[Activity, ...]:
    return tuple(Activity(activity.text("id"), activity.text("type")) for activity in found)


def _role(member: Fields) -> GroupRole:
    return member.choice("role", GroupRole) or GroupRole.MEMBER


def _new_role(member: Fields) -> GroupRole:
    member.text("role")  # an edit without a role would be none
    return _role(member)
