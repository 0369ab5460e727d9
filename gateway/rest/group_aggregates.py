"""Figures of a group's activities and of its members in them, as the documents have the calls (seed 000, Group Activity
Aggregates) and as the platform has its own (reference 2.5). Moments are epoch milliseconds, as the platform's are."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.rest.envelope import Call, Codes, Fields, Json, moment, rest_route
from resolvers import group_activities, learner_groups
from resolvers.group_activities import ACTIVITY_METRICS, MEMBER_METRICS, ActivityFigures, MemberEntry
from resolvers.nouns import ATTRIBUTES, Figure, InvalidInput, Mode, Session
from rules.moments import milliseconds

METADATA = ("name", "status", "mimeType", "leafNodesCount", "lastPublishedOn")
"""Of an activity that is a published collection or unit."""
PROVENANCE = ("source", "mode", "asOf", "complete")
PROFILE = {name: "".join([name[0], *name.title().replace("_", "")[1:]]) for name in ATTRIBUTES}
"""Attributes of a learner by our name: those that clients see."""
MEMBER = ("name", *PROFILE.values(), "role")
"""Of a member, beside ``id``."""
AGG, MEMBERS = "agg", "members"


async def group_agg(session: Session, call: Call) -> Json:
    """``{groupId, activity: [{id, type, …metadata, agg}]}``."""
    request = _request(call)
    named = None
    if "activities" in request:
        named = {one.text("id"): one.text("type") for one in request.objects("activities")}
    fields = _fields(request, *METADATA, *PROVENANCE, AGG, *ACTIVITY_METRICS)
    found = await _found(session, request, named)
    return {
        "groupId": request.text("groupId"),
        "activity": [
            {
                **_identified(activity),
                **_told(
                    {**_metadata(activity), **_provenance(activity)},
                    activity.figures,
                    ACTIVITY_METRICS,
                    fields,
                ),
            }
            for activity in found
        ],
        **_extensions(session),
    }


async def group_activity_agg(session: Session, call: Call) -> Json:
    """``{groupId, activity: {id, type, metadata, agg, members: [{id, …profile, role, agg}]}}``."""
    request = _request(call)
    fields = _fields(
        request, "metadata", *PROVENANCE, AGG, *ACTIVITY_METRICS, MEMBERS, *MEMBER, *MEMBER_METRICS
    )
    activity = await _one(session, request)
    of_members = None if fields is None else fields & {AGG, *MEMBER, *MEMBER_METRICS}
    attributes = {"metadata": _metadata(activity), **_provenance(activity)}
    told = _told(attributes, activity.figures, ACTIVITY_METRICS, fields)
    if fields is None or fields & {MEMBERS, *MEMBER, *MEMBER_METRICS}:
        told[MEMBERS] = [_member(member, of_members or None) for member in activity.members]
    return {
        "groupId": request.text("groupId"),
        "activity": {**_identified(activity), **told},
        **_extensions(session),
    }


async def platform_activity_agg(session: Session, call: Call) -> Json:
    """``{groupId, activity: {id, type, agg}, members: [{userId, name, role, status, createdBy, agg}]}``: one entry a
    member, zeros where there is no row, unlike the platform."""
    activity = await _one(session, call.request)
    (enrolled,) = group_activities.chosen(activity.figures, ["enrolledCount"])
    return {
        "groupId": call.request.text("groupId"),
        "activity": {**_identified(activity), AGG: [{**_metric(enrolled), "metric": "enrolmentCount"}]},
        MEMBERS: [
            {
                "userId": found.member.user_id,
                "name": found.learner.name,
                "role": found.member.role.value,
                "status": found.member.status.value,
                "createdBy": found.member.created_by,
                AGG: [
                    _metric(figure)
                    for figure in group_activities.member_figures(found.entry, ["completedCount"])
                ],
            }
            for found in activity.members
        ],
    }


# --- what is asked


def _request(call: Call) -> Fields:
    """Of the body, or of the query of a GET: lists are written a,b there, and an activity TYPE:ID."""
    query: dict[str, Any] = dict(call.query)
    if "groupId" in call.request or not query:
        return call.request
    for name in ("fields", "activities"):
        if name in query:
            query[name] = query[name].split(",")
    if "activities" in query:
        pairs = (activity.partition(":") for activity in query["activities"])
        query["activities"] = [{"type": kind, "id": identifier} for kind, _, identifier in pairs]
    return Fields(query)


def _fields(request: Fields, *known: str) -> frozenset[str] | None:
    """None for all of them. InvalidInput lists what there is."""
    fields = request.texts("fields")
    for name in fields:
        if name not in known:
            there_is = ", ".join(dict.fromkeys(known))
            raise InvalidInput(f"fields: there is no {name}; there are {there_is}", field="fields")
    return frozenset(fields) or None


async def _found(session: Session, request: Fields, named: Mapping[str, str] | None) -> list[ActivityFigures]:
    group = await learner_groups.group(session, request.text("groupId"))
    mode, fresh = request.choice("mode", Mode), request.optional_text("fresh")
    return await group_activities.group_activities(session, group, activities=named, mode=mode, fresh=fresh)


async def _one(session: Session, request: Fields) -> ActivityFigures:
    """The codes of the platform are told apart by the field that is missing, in this order."""
    request.text("groupId")
    named = {request.text("activityId"): request.text("activityType")}
    (activity,) = await _found(session, request, named)
    return activity


# --- what is told


def _identified(activity: ActivityFigures) -> Json:
    return {"id": activity.activity.id, "type": activity.activity.type}


def _metadata(activity: ActivityFigures) -> Json:
    content = activity.content
    if content is None:
        return {}
    values = (
        content.name,
        content.status,
        content.mime_type,
        content.leaf_nodes_count,
        moment(content.published_on),
    )
    return dict(zip(METADATA, values, strict=True))


def _provenance(activity: ActivityFigures) -> Json:
    values = (
        activity.source.value,
        activity.mode.value,
        _milliseconds(activity.as_of),
        activity.complete,
    )
    return dict(zip(PROVENANCE, values, strict=True))


def _member(found: MemberEntry, fields: Collection[str] | None) -> Json:
    learner = found.learner
    profile = {PROFILE[name]: value for name, value in learner.attributes.items()}
    attributes = {"name": learner.name, **profile, "role": found.member.role.value}
    figures = group_activities.member_figures(found.entry)
    return {"id": found.member.user_id, **_told(attributes, figures, MEMBER_METRICS, fields)}


def _told(
    attributes: Json, figures: Sequence[Figure], known: Collection[str], fields: Collection[str] | None
) -> Json:
    """Those in ``fields``; one of the ``known`` metrics that is named there brings ``agg`` with it, which has only such
    ones then."""
    if fields is None:
        return {**attributes, AGG: [_metric(figure) for figure in figures]}
    told = {name: value for name, value in attributes.items() if name in fields}
    metrics = [metric for metric in known if metric in fields]
    if metrics or AGG in fields:
        told[AGG] = [_metric(figure) for figure in figures if figure.metric in (metrics or known)]
    return told


def _metric(figure: Figure) -> Json:
    return {
        "metric": figure.metric,
        "value": figure.value,
        "lastUpdatedOn": _milliseconds(figure.last_updated_on),
    }


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


def _extensions(session: Session) -> Json:
    return {"extensions": {"plans": [plan.told() for plan in session.plans]}}


def _max_age(session: Session) -> int:
    """What is left of ``answers_ttl`` for what was kept already; nothing for what may be another answer by now."""
    ttl = session.shared.answers.ttl
    lefts = [
        ttl - (plan.age if plan.origin == "cached" else 0.0) if plan.reusable else 0.0
        for plan in session.plans
    ]
    return max(0, int(min(lefts, default=ttl)))


_PLATFORM_CODES: Codes = {
    ("INVALID_INPUT", "groupId"): "GROUP_ID_MISSING",
    ("INVALID_INPUT", "activityId"): "ACTIVITY_ID_MISSING",
    ("INVALID_INPUT", "activityType"): "ACTIVITY_TYPE_MISSING",
}

ROUTES = (
    *(
        rest_route(f"{prefix}/{path}", ["GET", "POST"], api_id, handler, {}, _max_age)
        for prefix in ("/data/group", "/data/v1/group")
        for path, api_id, handler in (
            ("agg", "api.group.agg", group_agg),
            ("activity/agg", "api.group.activity.agg", group_activity_agg),
        )
    ),
    rest_route(
        "/v1/group/activity/agg",
        ["POST"],
        "api.group.activity.agg",
        platform_activity_agg,
        _PLATFORM_CODES,
        _max_age,
    ),
)
