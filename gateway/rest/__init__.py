"""The platform's REST calls, on the same resolvers as the schema, for clients that have not moved."""

from collections.abc import Sequence
from typing import Any

from gateway.rest import content_states, enrolments, group_aggregates, learner_groups, summaries, views
from gateway.rest.elsewhere import routes_elsewhere
from gateway.rest.endpoints import Endpoint
from gateway.rest.openapi import document_route

ENDPOINTS: Sequence[Endpoint[Any]] = (
    *learner_groups.ENDPOINTS,
    *group_aggregates.ENDPOINTS,
    *content_states.ENDPOINTS,
    *enrolments.ENDPOINTS,
    *views.ENDPOINTS,
    *summaries.ENDPOINTS,
)
_CALLS = tuple(endpoint.route for endpoint in ENDPOINTS)
ROUTES = (*_CALLS, document_route(ENDPOINTS), *routes_elsewhere(_CALLS))
