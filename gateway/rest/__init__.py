"""The platform's REST calls, on the same resolvers as the schema, for clients that have not moved."""

from gateway.rest import group_aggregates, learner_groups

ROUTES = (*learner_groups.ROUTES, *group_aggregates.ROUTES)
