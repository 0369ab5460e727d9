"""Every topic, declared once. The engine puts the instance's prefix before the names."""

from druid_specs import ACTIVITY_DAY, ACTIVITY_STATE, ACTIVITY_TOTALS
from stores.events import Topic

TRIGGERS = Topic("triggers")
"""From commands to workers, keyed by user: rows have changed (rules/triggers.py)."""
PROFILES = Topic("profiles")
"""From other systems: profiles of learners, keyed by user."""
STATES = Topic(ACTIVITY_STATE.topic, retention_days=30)
"""From workers to group queries, keyed by activity, collection, context and user (rules/states.py)."""
ACTIVE_DAYS = Topic(ACTIVITY_DAY.topic, retention_days=30)
"""From workers to group queries, keyed by collection, context and user: days on which learners were active
(rules/active_days.py)."""
TOTALS = Topic(ACTIVITY_TOTALS.topic, retention_days=30)
"""From the batch aggregation to group queries, keyed by cell (rules/totals.py)."""
GROUP_CHANGES = Topic("group-changes")
"""From commands to the batch aggregation, keyed by group: members or activities have changed
(ingest/commands/learner_groups.py)."""
ASSESSMENTS = Topic("assessments", retention_days=30)
"""Submitted attempts, keyed by user, in the envelope of the existing platform (P-3.1). The attempt takers score them."""
PUBLISH_REQUESTS = Topic("publish-requests")
"""From commands to publishers, keyed by collection: a publication waits (ingest/publishing/requests.py)."""
EXHAUST_REQUESTS = Topic("exhaust-requests")
"""From commands to those who run exhausts, keyed by context: a report waits (ingest/exhausts/)."""
LEARNER_CHANGES = Topic("learner-changes")
"""From workers to the learner indexers, keyed by user: a profile has changed, or is gone (ingest/learner_index/)."""
DEAD_LETTERS = Topic("dead-letters", partitions=1, retention_days=None)
"""Records that could not be processed, with the reason. ``cohort dead-letters`` lists and replays them."""

TOPICS = (
    TRIGGERS,
    PROFILES,
    STATES,
    ACTIVE_DAYS,
    TOTALS,
    GROUP_CHANGES,
    ASSESSMENTS,
    PUBLISH_REQUESTS,
    EXHAUST_REQUESTS,
    LEARNER_CHANGES,
    DEAD_LETTERS,
)
WORKER_GROUP = "workers"
AGGREGATION_GROUP = "aggregation"
PUBLISHER_GROUP = "publishers"
ATTEMPT_TAKER_GROUP = "attempt-takers"
EXHAUST_GROUP = "exhausts"
LEARNER_INDEX_GROUP = "learner-indexers"
FEEDER_GROUP = "groups"
"""Begins the name of the group of each DuckDB file, which reads what it is fed with (stores/duckdb_feed.py)."""
GROUPS = {
    WORKER_GROUP: (TRIGGERS, PROFILES),
    ATTEMPT_TAKER_GROUP: (ASSESSMENTS,),
    LEARNER_INDEX_GROUP: (LEARNER_CHANGES,),
    PUBLISHER_GROUP: (PUBLISH_REQUESTS,),
    EXHAUST_GROUP: (EXHAUST_REQUESTS,),
}
"""What each group of consumers reads, of those whose lag somebody waits for."""
