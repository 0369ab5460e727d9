"""The endpoints of figures of a group."""

from collections.abc import Sequence
from typing import Any

from gateway.rest.framework.endpoints import Endpoint
from gateway.rest.framework.envelope import MISSING, Codes
from gateway.rest.framework.prices import CallPrice
from gateway.rest.nouns.group_aggregates.answers import ActivityAggTold, GroupAggTold, PlatformAggTold
from gateway.rest.nouns.group_aggregates.handlers import group_activity_agg, group_agg, platform_activity_agg
from gateway.rest.nouns.group_aggregates.requests import (
    ActivityAgg,
    ActivityAggQuery,
    GroupAgg,
    GroupAggQuery,
    PlatformActivityAgg,
)
from resolvers.nouns import Access, Price

_PLATFORM_CODES: Codes = {
    (MISSING, "groupId"): "GROUP_ID_MISSING",
    (MISSING, "activityId"): "ACTIVITY_ID_MISSING",
    (MISSING, "activityType"): "ACTIVITY_TYPE_MISSING",
}
_FIGURES = "Figures of a group's activities."
_OF_MANY = CallPrice(Price(10), Price(42, 80, 2_000), usual=5)
_OF_MEMBERS = "Figures of an activity of a group, and of each member in it."


def _of_activities(path: str) -> tuple[Endpoint[Any], ...]:
    """The call of the viewer's documents for the figures of a group's activities."""
    api_id, answer = "api.group.agg", GroupAggTold
    return (
        Endpoint(
            "POST",
            path,
            api_id,
            _FIGURES,
            GroupAgg,
            answer,
            group_agg,
            max_age=0,
            price=_OF_MANY,
            access=Access.GROUP_MEMBERS,
        ),
        Endpoint(
            "GET",
            path,
            api_id,
            _FIGURES,
            GroupAggQuery,
            answer,
            group_agg,
            max_age=0,
            price=_OF_MANY,
            access=Access.GROUP_MEMBERS,
        ),
    )


_OF_ONE = CallPrice(Price(50, 80, 30_000))
"""The figures of some 40 members, from rows or from the groups store; as of graph/documents/field_prices.py."""
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
    0,
    price=_OF_ONE,
    access=Access.GROUP_MEMBERS,
)
"""The platform's own call, under the path that its clients use and in the shape that they know."""

ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_of_activities("/data/group/agg"),
    *_of_activities("/data/v1/group/agg"),
    Endpoint(
        *("POST", "/data/group/activity/agg", _ACTIVITY_AGG, _OF_MEMBERS, ActivityAgg, ActivityAggTold),
        group_activity_agg,
        max_age=0,
        price=_OF_ONE,
        access=Access.GROUP_MEMBERS,
    ),
    Endpoint(
        *("GET", "/data/group/activity/agg", _ACTIVITY_AGG, _OF_MEMBERS, ActivityAggQuery, ActivityAggTold),
        group_activity_agg,
        max_age=0,
        price=_OF_ONE,
        access=Access.GROUP_MEMBERS,
    ),
    _PLATFORMS_OWN,
    _PLATFORMS_OWN.under("/v1/group/activity/agg"),
)
