"""The calls about figures of a group."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.rest.framework.endpoints import Call, TimedResult
from gateway.rest.framework.envelope import Json
from gateway.rest.nouns.contents import PLATFORM_NAMES, text_of
from gateway.rest.nouns.group_aggregates.answers import (
    AGG,
    MEMBER,
    MEMBERS,
    METADATA,
    METADATA_FIELD,
    PROVENANCE,
    extensions,
    identified,
    member_answer,
    metadata_by_activity,
    provenance,
    with_figures,
    with_value,
)
from gateway.rest.nouns.group_aggregates.requests import (
    ActivityAgg,
    ActivityAggQuery,
    GroupAgg,
    GroupAggQuery,
    OfGroup,
    PlatformActivityAgg,
)
from resolvers import group_activities, learner_groups
from resolvers.group_activities import ACTIVITY_METRICS, MEMBER_METRICS, GroupPage, Metrics
from resolvers.nouns import InvalidInput, Session


async def group_agg(session: Session, call: Call[GroupAgg] | Call[GroupAggQuery]) -> TimedResult:
    """The figures of activities of a group, as a GroupAggTold."""
    request = call.request
    page = await _page(session, request, request.named())
    metadata = await metadata_by_activity(session, page.activities)
    fields = _fields(request.fields, metadata, (*PROVENANCE, AGG), ACTIVITY_METRICS)
    result = {
        "groupId": request.group_id,
        "activity": [
            {
                **with_figures(
                    {**metadata[activity.activity.id], **provenance(activity)},
                    activity.figures,
                    ACTIVITY_METRICS,
                    fields,
                ),
                **identified(activity),
            }
            for activity in page.activities
        ],
        **extensions(page),
    }
    return _timed(session, page, result)


async def group_activity_agg(
    session: Session, call: Call[ActivityAgg] | Call[ActivityAggQuery]
) -> TimedResult:
    """The figures of one activity and of each member in it, as an ActivityAggTold.

    If ``fields`` has a name that the activity and its members have, such as ``name``, both are sent.
    """
    request = call.request
    page = await _page_of_one(session, request)
    (activity,) = page.activities
    by_id = await metadata_by_activity(session, [activity])
    metadata = by_id[activity.activity.id]
    ours = (METADATA_FIELD, *PROVENANCE, AGG, MEMBERS, *MEMBER)
    fields = _fields(request.fields, by_id, ours, ACTIVITY_METRICS, MEMBER_METRICS)
    of_members = {name for name in fields or () if name in (AGG, *MEMBER) or name in MEMBER_METRICS}
    attributes = {METADATA_FIELD: metadata, **provenance(activity)}
    answer = with_figures(attributes, activity.figures, ACTIVITY_METRICS, fields)
    if fields is not None and METADATA_FIELD not in fields:
        named = {name: value for name, value in metadata.items() if name in fields}
        answer = {METADATA_FIELD: named, **answer} if named else answer
    if fields is None or MEMBERS in fields or of_members - {AGG}:
        answer[MEMBERS] = [member_answer(member, of_members or None) for member in activity.members]
    result = {
        "groupId": request.group_id,
        "activity": {**identified(activity), **answer},
        **extensions(page),
    }
    return _timed(session, page, result)


async def platform_activity_agg(session: Session, call: Call[PlatformActivityAgg]) -> TimedResult:
    """The figures of one activity, as a PlatformAggTold.

    Each member has one entry. Unlike on the platform it has zeros if there is no row.
    """
    page = await _page_of_one(session, call.request)
    (activity,) = page.activities
    (enrolled,) = group_activities.chosen(activity.figures, ["enrolledCount"], ACTIVITY_METRICS)
    result = {
        "groupId": call.request.group_id,
        "activity": {
            **identified(activity),
            AGG: [{**metric, "metric": "enrolmentCount"} for metric in with_value([enrolled])],
        },
        MEMBERS: [
            {
                "userId": found.member.user_id,
                "name": text_of(found.learner.name),
                "role": found.member.role.value,
                "status": found.member.status.value,
                "createdBy": text_of(found.member.created_by),
                AGG: with_value(
                    [
                        figure
                        for figure in found.figures()
                        if figure.metric == "completedCount" or MEMBER_METRICS.is_of_assessment(figure.metric)
                    ]
                ),
            }
            for found in activity.members
        ],
    }
    return _timed(session, page, result)


def _fields(
    fields: Sequence[str], metadata: Mapping[str, Mapping[str, Any]], ours: Sequence[str], *metrics: Metrics
) -> frozenset[str] | None:
    """The fields that are asked for; None for all. InvalidInput lists the known ones.

    A field is known if one of the activities has it or the platform's contents have it, because each activity was
    published with other metadata.
    """
    known = dict.fromkeys((*METADATA, *ours, *(name for of_one in metadata.values() for name in of_one)))
    for name in fields:
        if name not in known and name not in PLATFORM_NAMES and not any(name in each for each in metrics):
            there = ", ".join((*known, *(each.described for each in metrics)))
            raise InvalidInput(f"fields: there is no {name}; there are {there}", field="fields")
    return frozenset(fields) or None


async def _page(session: Session, request: OfGroup, named: Mapping[str, str] | None) -> GroupPage:
    group = await learner_groups.group(session, request.group_id)
    return await group_activities.group_activities(
        session, group, activities=named, mode=request.mode, fresh=request.fresh
    )


async def _page_of_one(session: Session, request: PlatformActivityAgg) -> GroupPage:
    return await _page(session, request, {request.activity_id: request.activity_type})


def _timed(session: Session, page: GroupPage, result: Json) -> TimedResult:
    """With the seconds that are left of ``answers_ttl`` for a kept page; 0 if the next answer may differ."""
    if not page.taken.reusable:
        return TimedResult(result, 0)
    age = page.taken.age if page.taken.origin == "cached" else 0.0
    return TimedResult(result, max(0, int(session.shared.answers.ttl - age)))
