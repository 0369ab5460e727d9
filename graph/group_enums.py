"""Enums of groups and of their members."""

from graph.enums import described
from resolvers.group_members import ActivityMemberOrder as ActivityMemberOrderBy
from resolvers.group_members import GroupMemberOrder as GroupMemberOrderBy
from resolvers.nouns import ActivityMetric as GroupActivityMetric
from resolvers.nouns import MemberMetric

__all__ = ["ActivityMemberOrderBy", "GroupActivityMetric", "GroupMemberOrderBy", "MemberMetric"]

described(
    GroupActivityMetric,
    "GroupActivityMetric",
    "A figure of what a group does, over its members. `agg` names it as REST does.",
    {
        GroupActivityMetric.ENROLLED_COUNT: "Members with an active enrolment: `enrolledCount`.",
        GroupActivityMetric.COMPLETED_COUNT: "Of these members, who completed it: `completedCount`.",
        GroupActivityMetric.COMPLETION_PERCENTAGE: "Of 100 who are enrolled, who completed it: `completionPercentage`.",
        GroupActivityMetric.LEAF_NODES_COUNT: "The distinct leaves of its tree: `leafNodesCount`.",
        GroupActivityMetric.AVERAGE_SCORE: "The mean of the members' score percentages: `averageScore`.",
        GroupActivityMetric.SCORE: "Of each assessment that a member attempted the mean of the best scores: "
        "`score:<assessment>`.",
    },
)
described(
    MemberMetric,
    "ActivityMemberMetric",
    "A figure of a member in what the group does. `agg` names it as REST does.",
    {
        MemberMetric.COMPLETED_COUNT: "Required leaves that are completed: `completedCount`.",
        MemberMetric.COMPLETION_PERCENTAGE: "The same of 100 required ones: `completionPercentage`.",
        MemberMetric.TIME_SPENT: "Seconds: `timeSpent`.",
        MemberMetric.SCORE: "Of each assessment that the member attempted the best score: `score:<assessment>`.",
        MemberMetric.MAX_SCORE: "Of each the maximum of that attempt: `max_score:<assessment>`.",
        MemberMetric.ATTEMPTS_COUNT: "Of each how many attempts there are: `attempts_count:<assessment>`.",
    },
)
described(
    GroupMemberOrderBy,
    "GroupMemberOrderBy",
    "By what the members of a group are ordered.",
    {
        GroupMemberOrderBy.USER_ID: "By the user id.",
        GroupMemberOrderBy.NAME: "By name; small and capital letters are alike. Everybody's profile is read for it.",
    },
)
described(
    ActivityMemberOrderBy,
    "ActivityMemberOrderBy",
    "By what the members in an activity are ordered.",
    {
        ActivityMemberOrderBy.USER_ID: "By the user id.",
        ActivityMemberOrderBy.NAME: "By name; small and capital letters are alike.",
        ActivityMemberOrderBy.PROGRESS: "By `completionPercentage`.",
        ActivityMemberOrderBy.LAST_ACCESSED_ON: "By `lastAccessedOn`.",
    },
)
