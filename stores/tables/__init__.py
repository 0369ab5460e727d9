"""Every table, declared once. DDL, statements and codecs of both engines come from here.

Each module has the tables of some nouns. To change one: add a column with ``since`` one higher than the highest here; ``cohort init`` does the rest.
"""

from stores.tables.collections import (
    CONTENTS,
    CONTEXTS,
    CONTEXTS_OF_COLLECTIONS,
    DRAFTS,
    HIERARCHIES,
    NODE_ROOTS,
    RELATIONS,
)
from stores.tables.groups import (
    ACTIVITY_AGGREGATES,
    AGGREGATIONS,
    GROUP_AGGREGATES,
    GROUP_MEMBERS,
    LEARNER_GROUPS,
    USER_GROUPS,
)
from stores.tables.instance import INSTANCE, JOBS
from stores.tables.learners import (
    AGGREGATES,
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    ERASURES,
    LEARNER_SCOPES,
    LEARNERS,
    QUESTION,
    VIEWS,
)

__all__ = [
    "ACTIVITY_AGGREGATES",
    "AGGREGATES",
    "AGGREGATIONS",
    "ATTEMPTS",
    "ATTEMPTS_WITH_QUESTIONS",
    "CONTENTS",
    "CONTEXTS",
    "CONTEXTS_OF_COLLECTIONS",
    "DRAFTS",
    "ENROLMENTS",
    "ENROLMENTS_BY_CONTEXT",
    "ERASURES",
    "GROUP_AGGREGATES",
    "GROUP_MEMBERS",
    "HIERARCHIES",
    "INSTANCE",
    "JOBS",
    "LEARNERS",
    "LEARNER_GROUPS",
    "LEARNER_SCOPES",
    "NODE_ROOTS",
    "QUESTION",
    "RELATIONS",
    "TABLES",
    "USER_GROUPS",
    "VIEWS",
]

TABLES = (
    VIEWS,
    LEARNER_SCOPES,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    AGGREGATES,
    CONTENTS,
    DRAFTS,
    HIERARCHIES,
    RELATIONS,
    NODE_ROOTS,
    CONTEXTS,
    CONTEXTS_OF_COLLECTIONS,
    LEARNERS,
    JOBS,
    LEARNER_GROUPS,
    GROUP_MEMBERS,
    USER_GROUPS,
    ACTIVITY_AGGREGATES,
    GROUP_AGGREGATES,
    AGGREGATIONS,
    INSTANCE,
    ERASURES,
    ATTEMPTS,
    ATTEMPTS_WITH_QUESTIONS,
)
