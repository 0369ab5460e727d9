"""Figures of a group's activities and of its members in them: the two calls that are required (R-QUERY-1, R-QUERY-2) and
the platform's own (P-2.5). Moments are epoch milliseconds, as the platform's are."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from gateway.rest.contents import PLATFORM_NAMES, content_told, text_of
from gateway.rest.endpoints import MOST_ITEMS, Asked, ByValue, Call, Commas, Endpoint, Texts
from gateway.rest.envelope import MISSING, Codes, Json
from resolvers import collections, group_activities, learner_groups
from resolvers.group_activities import ACTIVITY_METRICS, MEMBER_METRICS, ActivityFigures, MemberEntry
from resolvers.nouns import ATTRIBUTES, Figure, InvalidInput, Mode, Session
from rules.moments import milliseconds

METADATA = ("identifier", "name", "status", "mimeType", "leafNodesCount", "lastPublishedOn")
"""Of an activity that is a published collection or unit, beside whatever else was published of it."""
PROVENANCE = ("source", "mode", "asOf", "complete")
PROFILE = {name: "".join([name[0], *name.title().replace("_", "")[1:]]) for name in ATTRIBUTES}
"""Attributes of a learner by our name: those that clients see."""
MEMBER = ("name", *PROFILE.values(), "role")
"""Of a member, beside ``id``."""
AGG, MEMBERS, METADATA_FIELD = "agg", "members", "metadata"


# --- what is asked


class OfGroup(Asked):
    group_id: str
    mode: Annotated[Mode, ByValue] | None = Field(default=None, description="Without it the instance's.")
    fresh: str | None = Field(
        default=None, description="The token of a write that the figures must have seen."
    )


class NamedActivity(Asked):
    id: str
    type: str


class GroupAgg(OfGroup):
    """Of a body."""

    activities: list[NamedActivity] | None = Field(
        default=None, max_length=MOST_ITEMS, description="Without it all of the group's."
    )
    fields: Texts = Field(default=[], description="What is sent beside `id` and `type`.")

    def named(self) -> dict[str, str] | None:
        return None if self.activities is None else {one.id: one.type for one in self.activities}


class GroupAggQuery(OfGroup):
    """Of a URL."""

    activities: Commas | None = Field(
        default=None, description="`Course:do_1,CourseUnit:do_2`; without it all of the group's."
    )
    fields: Commas = Field(default=[], description="What is sent beside `id` and `type`.")

    def named(self) -> dict[str, str] | None:
        if self.activities is None:
            return None
        pairs = (activity.partition(":") for activity in self.activities)
        return {identifier: kind for kind, _, identifier in pairs}


class PlatformActivityAgg(OfGroup):
    activity_id: str
    activity_type: str


class ActivityAgg(PlatformActivityAgg):
    """Of a body."""

    fields: Texts = Field(default=[], description="What is sent beside `id` and `type`.")


class ActivityAggQuery(PlatformActivityAgg):
    """Of a URL."""

    fields: Commas = Field(default=[], description="What is sent beside `id` and `type`.")


# --- what is told


class MetricTold(TypedDict):
    metric: str
    value: float | None
    lastUpdatedOn: int | None


class Identified(TypedDict):
    id: str
    type: str


class Provenance(TypedDict, total=False):
    source: str
    mode: str
    asOf: int | None
    complete: bool


class Metadata(TypedDict, total=False):
    """With everything that was published of it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    identifier: str
    name: str
    status: str
    mimeType: str
    leafNodesCount: int
    lastPublishedOn: str | None


class ActivityTold(Identified, Metadata, Provenance):
    """Its metadata beside its figures; these go before what was published under the same name."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    agg: NotRequired[list[MetricTold]]


class MemberTold(TypedDict):
    """With the attributes of the learner's profile that the caller may see."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: str
    name: NotRequired[str]
    role: NotRequired[str]
    agg: NotRequired[list[MetricTold]]


class ActivityWithMembers(Identified, Provenance):
    metadata: NotRequired[Metadata]
    agg: NotRequired[list[MetricTold]]
    members: NotRequired[list[MemberTold]]


class Extensions(TypedDict):
    plans: list[Json]


class GroupAggTold(TypedDict):
    groupId: str
    activity: list[ActivityTold]
    extensions: Extensions


class ActivityAggTold(TypedDict):
    groupId: str
    activity: ActivityWithMembers
    extensions: Extensions


class PlatformActivity(Identified):
    agg: list[MetricTold]


class PlatformMember(TypedDict):
    userId: str
    name: str
    role: str
    status: str
    createdBy: str
    agg: list[MetricTold]


class PlatformAggTold(TypedDict):
    groupId: str
    activity: PlatformActivity
    members: list[PlatformMember]


# --- the calls


async def group_agg(session: Session, call: Call[GroupAgg] | Call[GroupAggQuery]) -> Json:
    """As GroupAggTold."""
    request = call.request
    found = await _found(session, request, request.named())
    metadata = await _metadata(session, found)
    fields = _fields(request.fields, metadata, *PROVENANCE, AGG, *ACTIVITY_METRICS)
    return {
        "groupId": request.group_id,
        "activity": [
            {
                **_told(
                    {**metadata[activity.activity.id], **_provenance(activity)},
                    activity.figures,
                    ACTIVITY_METRICS,
                    fields,
                ),
                **_identified(activity),
            }
            for activity in found
        ],
        **_extensions(session),
    }


async def group_activity_agg(session: Session, call: Call[ActivityAgg] | Call[ActivityAggQuery]) -> Json:
    """As ActivityAggTold. A name that members have too, as ``name``, is of both."""
    request = call.request
    activity = await _one(session, request)
    by_id = await _metadata(session, [activity])
    metadata = by_id[activity.activity.id]
    ours = (METADATA_FIELD, *PROVENANCE, AGG, *ACTIVITY_METRICS, MEMBERS, *MEMBER, *MEMBER_METRICS)
    fields = _fields(request.fields, by_id, *ours)
    of_members = None if fields is None else fields & {AGG, *MEMBER, *MEMBER_METRICS}
    attributes = {METADATA_FIELD: metadata, **_provenance(activity)}
    told = _told(attributes, activity.figures, ACTIVITY_METRICS, fields)
    if fields is not None and METADATA_FIELD not in fields:
        named = {name: value for name, value in metadata.items() if name in fields}
        told = {METADATA_FIELD: named, **told} if named else told
    if fields is None or fields & {MEMBERS, *MEMBER, *MEMBER_METRICS}:
        told[MEMBERS] = [_member(member, of_members or None) for member in activity.members]
    return {
        "groupId": request.group_id,
        "activity": {**_identified(activity), **told},
        **_extensions(session),
    }


async def platform_activity_agg(session: Session, call: Call[PlatformActivityAgg]) -> Json:
    """As PlatformAggTold: one entry a member, zeros where there is no row, unlike the platform."""
    activity = await _one(session, call.request)
    (enrolled,) = group_activities.chosen(activity.figures, ["enrolledCount"], ACTIVITY_METRICS)
    return {
        "groupId": call.request.group_id,
        "activity": {
            **_identified(activity),
            AGG: [{**told, "metric": "enrolmentCount"} for told in _known([enrolled])],
        },
        MEMBERS: [
            {
                "userId": found.member.user_id,
                "name": text_of(found.learner.name),
                "role": found.member.role.value,
                "status": found.member.status.value,
                "createdBy": text_of(found.member.created_by),
                AGG: _known(group_activities.chosen(found.figures(), ["completedCount"], MEMBER_METRICS)),
            }
            for found in activity.members
        ],
    }


def _fields(
    fields: Sequence[str], metadata: Mapping[str, Mapping[str, Any]], *ours: str
) -> frozenset[str] | None:
    """None for all of them. What was published differs from one activity to the other: a name counts where one of them
    has it, or the platform's contents do. InvalidInput lists what there is."""
    known = dict.fromkeys((*METADATA, *ours, *(name for of_one in metadata.values() for name in of_one)))
    for name in fields:
        if name not in known and name not in PLATFORM_NAMES:
            raise InvalidInput(f"fields: there is no {name}; there are {', '.join(known)}", field="fields")
    return frozenset(fields) or None


async def _found(
    session: Session, request: OfGroup, named: Mapping[str, str] | None
) -> list[ActivityFigures]:
    group = await learner_groups.group(session, request.group_id)
    page = await group_activities.group_activities(
        session, group, activities=named, mode=request.mode, fresh=request.fresh
    )
    return page.activities


async def _one(session: Session, request: PlatformActivityAgg) -> ActivityFigures:
    (activity,) = await _found(session, request, {request.activity_id: request.activity_type})
    return activity


# --- how it is told


def _identified(activity: ActivityFigures) -> Json:
    return {"id": activity.activity.id, "type": activity.activity.type}


async def _metadata(session: Session, activities: Sequence[ActivityFigures]) -> dict[str, Json]:
    """By activity; nothing of one that is not published."""
    contents = [activity.content for activity in activities if activity.content is not None]
    published = await collections.metadata(session, contents)
    told: dict[str, Json] = {}
    for activity in activities:
        content = activity.content
        told[activity.activity.id] = (
            {} if content is None else content_told(content, published.get(content.identifier, {}))
        )
    return told


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
    attributes = {"name": text_of(learner.name), **profile, "role": found.member.role.value}
    figures = found.figures()
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


def _known(figures: Sequence[Figure]) -> list[Json]:
    """Those that have a value: the platform has no metric without."""
    return [_metric(figure) for figure in figures if figure.value is not None]


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
    (MISSING, "groupId"): "GROUP_ID_MISSING",
    (MISSING, "activityId"): "ACTIVITY_ID_MISSING",
    (MISSING, "activityType"): "ACTIVITY_TYPE_MISSING",
}
_FIGURES = "Figures of a group's activities."
_OF_MEMBERS = "Figures of an activity of a group, and of each member in it."


def _of_activities(path: str) -> tuple[Endpoint[Any], ...]:
    """The figures of a group's activities (R-QUERY-1)."""
    api_id, told = "api.group.agg", GroupAggTold
    return (
        Endpoint("POST", path, api_id, _FIGURES, GroupAgg, told, group_agg, max_age=_max_age),
        Endpoint("GET", path, api_id, _FIGURES, GroupAggQuery, told, group_agg, max_age=_max_age),
    )


_ACTIVITY_AGG = "api.group.activity.agg"
_PLATFORMS_OWN = Endpoint(
    "POST",
    "/data/v1/group/activity/agg",
    _ACTIVITY_AGG,
    _OF_MEMBERS,
    PlatformActivityAgg,
    PlatformAggTold,
    platform_activity_agg,
    _PLATFORM_CODES,
    _max_age,
)
"""Under the path that the platform's clients call, in the shape that they know."""

ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_of_activities("/data/group/agg"),
    *_of_activities("/data/v1/group/agg"),
    Endpoint(
        *("POST", "/data/group/activity/agg", _ACTIVITY_AGG, _OF_MEMBERS, ActivityAgg, ActivityAggTold),
        group_activity_agg,
        max_age=_max_age,
    ),
    Endpoint(
        *("GET", "/data/group/activity/agg", _ACTIVITY_AGG, _OF_MEMBERS, ActivityAggQuery, ActivityAggTold),
        group_activity_agg,
        max_age=_max_age,
    ),
    _PLATFORMS_OWN,
    _PLATFORMS_OWN.under("/v1/group/activity/agg"),
)
