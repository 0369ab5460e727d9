"""All endpoints of REST, and the routes that follow from them."""

from collections.abc import Sequence
from typing import Any

from gateway.rest.framework.endpoints import Endpoint
from gateway.rest.framework.openapi import document_route
from gateway.rest.framework.plain import plain_routes
from gateway.rest.framework.unmatched import unmatched_routes
from gateway.rest.nouns import assessments, content_states, enrolments, summaries, views
from gateway.rest.nouns.collections import endpoints as collections
from gateway.rest.nouns.group_aggregates import endpoints as group_aggregates
from gateway.rest.nouns.learner_groups import endpoints as learner_groups
from gateway.rest.tables import endpoints as tables

ENDPOINTS: Sequence[Endpoint[Any]] = (
    *learner_groups.ENDPOINTS,
    *group_aggregates.ENDPOINTS,
    *content_states.ENDPOINTS,
    *enrolments.ENDPOINTS,
    *views.ENDPOINTS,
    *assessments.ENDPOINTS,
    *summaries.ENDPOINTS,
    *collections.ENDPOINTS,
)
_CALLS = tuple(endpoint.route for endpoint in ENDPOINTS)
DOCUMENT = document_route(ENDPOINTS, tables.ENDPOINTS, tables.COMPONENTS)
ROUTES = (*_CALLS, *plain_routes(tables.ENDPOINTS), DOCUMENT, *unmatched_routes(_CALLS))
