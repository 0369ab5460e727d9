"""Every topic, declared once. Names get the instance's prefix from the engine."""

from druid_specs import ACTIVITY_STATE, ACTIVITY_TOTALS
from stores.events import Topic

TRIGGERS = Topic("triggers")
"""Commands to workers, keyed by user: rows changed, look again (rules/triggers.py)."""
PROFILES = Topic("profiles")
"""Learner profiles from other systems, keyed by user."""
STATES = Topic(ACTIVITY_STATE.topic, retention_days=30)
"""Workers to group queries, keyed by activity, collection, context and user (rules/states.py)."""
TOTALS = Topic(ACTIVITY_TOTALS.topic, retention_days=30)
"""The batch aggregation to group queries, keyed by cell (rules/totals.py)."""
GROUP_CHANGES = Topic("group-changes")
"""Commands to the batch aggregation, keyed by group: its members or activities changed (ingest/commands/learner_groups.py)."""
ASSESSMENTS = Topic("assessments")
"""Submitted attempts, keyed by user, in the platform's envelope (P-3.1); scores are computed from them."""
DEAD_LETTERS = Topic("dead-letters", partitions=1, retention_days=None)
"""What could not be processed, with the reason; ``cohort dead-letters`` lists and replays it."""

TOPICS = (TRIGGERS, PROFILES, STATES, TOTALS, GROUP_CHANGES, ASSESSMENTS, DEAD_LETTERS)
WORKER_GROUP = "workers"
AGGREGATION_GROUP = "aggregation"
