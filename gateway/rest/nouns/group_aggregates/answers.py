"""Answers of the calls about figures of a group: the types of the JSON, and functions that give figures in that form."""

from collections.abc import Collection, Sequence
from typing import NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from gateway.rest.framework.envelope import Json
from gateway.rest.nouns.contents import content_metadata, text_of
from resolvers import collections
from resolvers.group_activities import MEMBER_METRICS, ActivityFigures, GroupPage, MemberEntry, Metrics
from resolvers.nouns import ATTRIBUTES, Figure, Session, known_milliseconds

METADATA = ("identifier", "name", "status", "mimeType", "leafNodesCount", "lastPublishedOn")
"""Fields of an activity that is a published collection or unit. It also has whatever else was published of it."""
PROVENANCE = ("source", "mode", "asOf", "complete")
PROFILE = {name: "".join([name[0], *name.title().replace("_", "")[1:]]) for name in ATTRIBUTES}
"""The names that clients see, by our names of a learner's attributes."""
MEMBER = ("name", *PROFILE.values(), "role")
"""Fields of a member, beside ``id``."""
AGG, MEMBERS, METADATA_FIELD = "agg", "members", "metadata"


# --- types


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
    """It also has everything else that was published of the activity."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    identifier: str
    name: str
    status: str
    mimeType: str
    leafNodesCount: int
    lastPublishedOn: str | None


class AggregatedActivity(Identified, Metadata, Provenance):
    """An activity with its metadata and figures. Figures replace metadata of the same name."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    agg: NotRequired[list[MetricTold]]


class AggregatedMember(TypedDict):
    """A member, with the attributes of the learner's profile that the caller may see."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: str
    name: NotRequired[str]
    role: NotRequired[str]
    agg: NotRequired[list[MetricTold]]


class ActivityWithMembers(Identified, Provenance):
    metadata: NotRequired[Metadata]
    agg: NotRequired[list[MetricTold]]
    members: NotRequired[list[AggregatedMember]]


class Extensions(TypedDict):
    plans: list[Json]


class GroupAggTold(TypedDict):
    groupId: str
    activity: list[AggregatedActivity]
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


# --- shapes


def identified(activity: ActivityFigures) -> Json:
    return {"id": activity.activity.id, "type": activity.activity.type}


async def metadata_by_activity(session: Session, activities: Sequence[ActivityFigures]) -> dict[str, Json]:
    """The metadata by activity; an empty object for an activity that is not published."""
    contents = [activity.content for activity in activities if activity.content is not None]
    published = await collections.metadata(session, contents)
    metadata: dict[str, Json] = {}
    for activity in activities:
        content = activity.content
        metadata[activity.activity.id] = (
            {} if content is None else content_metadata(content, published.get(content.identifier, {}))
        )
    return metadata


def provenance(activity: ActivityFigures) -> Json:
    values = (
        activity.source.value,
        activity.mode.value,
        known_milliseconds(activity.as_of),
        activity.complete,
    )
    return dict(zip(PROVENANCE, values, strict=True))


def member_answer(found: MemberEntry, fields: Collection[str] | None) -> Json:
    learner = found.learner
    profile = {PROFILE[name]: value for name, value in learner.attributes.items()}
    attributes = {"name": text_of(learner.name), **profile, "role": found.member.role.value}
    figures = found.figures()
    return {"id": found.member.user_id, **with_figures(attributes, figures, MEMBER_METRICS, fields)}


def with_figures(
    attributes: Json, figures: Sequence[Figure], known: Metrics, fields: Collection[str] | None
) -> Json:
    """The attributes and ``agg``, all of them or those in ``fields``.

    ``fields`` may name some of the ``known`` metrics. Then ``agg`` is there too, and has only these.
    """
    if fields is None:
        return {**attributes, AGG: [_metric(figure) for figure in figures]}
    chosen = {name: value for name, value in attributes.items() if name in fields}
    metrics = {name for name in fields if name in known}
    if metrics or AGG in fields:
        chosen[AGG] = [_metric(figure) for figure in figures if figure.metric in (metrics or known)]
    return chosen


def with_value(figures: Sequence[Figure]) -> list[Json]:
    """The figures that have a value, as metrics: the platform has no metric without a value."""
    return [_metric(figure) for figure in figures if figure.value is not None]


def _metric(figure: Figure) -> Json:
    return {
        "metric": figure.metric,
        "value": figure.value,
        "lastUpdatedOn": figure.last_updated_on,
    }


def extensions(page: GroupPage) -> Json:
    return {"extensions": {"plans": [page.taken.told()]}}
