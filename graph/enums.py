"""Enums: the domain's own, with what each value means."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

import strawberry

from resolvers.enrolment_lists import EnrolmentOrder as EnrolmentOrderBy
from resolvers.nouns import (
    AggregationMode,
    ColumnKind,
    ContentKind,
    ContextRelation,
    ContextStatus,
    ContextType,
    EnrolmentType,
    ExhaustFormat,
    ExhaustKind,
    GroupRole,
    GroupStatus,
    HierarchyMode,
    JobState,
    MembershipType,
    MemberStatus,
    Metric,
    OriginKind,
    PackageVariant,
    QuestionsSource,
    Source,
    Status,
    SummaryFormat,
    TrackingMode,
)
from resolvers.nouns import Kind as GroupItemKind
from resolvers.nouns import LearnerOrder as LearnerOrderBy
from resolvers.nouns import SearchOrder as CollectionOrderBy

__all__ = [
    "AggregationMode",
    "CollectionOrderBy",
    "ColumnKind",
    "ContentKind",
    "ContextRelation",
    "ContextStatus",
    "ContextType",
    "EnrolmentOrderBy",
    "EnrolmentType",
    "ExhaustFormat",
    "ExhaustKind",
    "GroupItemKind",
    "GroupRole",
    "GroupStatus",
    "HierarchyMode",
    "JobState",
    "LearnerOrderBy",
    "MemberStatus",
    "MembershipType",
    "Metric",
    "OriginKind",
    "PackageVariant",
    "QuestionsSource",
    "Source",
    "Status",
    "SummaryFormat",
    "TrackingMode",
]

E = TypeVar("E", bound=Enum)


def described(enum: type[E], name: str, description: str, values: Mapping[E, str]) -> type[E]:
    """``enum`` as a GraphQL enum, with a description of each value."""
    strawberry.enum(enum, name=name, description=description)
    for value in enum.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[enum[value.name]]
    return enum


described(
    Status,
    "ProgressStatus",
    "How far a learner is in a content, a unit or a collection. It never goes down.",
    {
        Status.NOT_STARTED: "Nothing was started yet.",
        Status.IN_PROGRESS: "Something was started, and something required is missing.",
        Status.COMPLETED: "Nothing required is missing.",
    },
)
described(
    ContentKind,
    "NodeKind",
    "What a node of a tree is.",
    {
        ContentKind.COLLECTION: "The collection itself, the root of the tree.",
        ContentKind.UNIT: "An inner collection.",
        ContentKind.CONTENT: "A leaf: what a learner views.",
    },
)
described(
    CollectionOrderBy,
    "CollectionOrderBy",
    "By what collections that were searched for are ordered.",
    {
        CollectionOrderBy.RELEVANCE: "By how well the text fits: words in the name weigh most. Without a text all are alike.",
        CollectionOrderBy.NAME: "By name; small and capital letters are alike.",
        CollectionOrderBy.LAST_PUBLISHED_ON: "By when the live version was published.",
        CollectionOrderBy.LEAF_NODES_COUNT: "By the number of distinct leaves.",
    },
)
described(
    ContextRelation,
    "ContextRelation",
    "What somebody is to a context, other than one of its learners.",
    {
        ContextRelation.MENTOR: "They guide its learners.",
        ContextRelation.CREATOR: "They created it.",
    },
)
described(
    LearnerOrderBy,
    "LearnerOrderBy",
    "By what learners who were searched for are ordered.",
    {
        LearnerOrderBy.RELEVANCE: "The one whose user id is the text first, then by how many words of the text are whole words "
        "of the name. Without a text all are alike.",
        LearnerOrderBy.NAME: "By name; capitals and accents of Latin letters make no difference. Those without a name come "
        "last.",
        LearnerOrderBy.USER_ID: "By user id.",
    },
)
described(
    EnrolmentOrderBy,
    "EnrolmentOrderBy",
    "By what a learner's enrolments are ordered.",
    {
        EnrolmentOrderBy.COLLECTION: "By the identifier of the collection, then by the id of the context.",
        EnrolmentOrderBy.NAME: "By the name of the collection; small and capital letters are alike.",
        EnrolmentOrderBy.LAST_ACCESSED_ON: "By the last view, as the workers last saw it: it follows a view in seconds.",
        EnrolmentOrderBy.ENROLLED_ON: "By when the learner enrolled, first.",
    },
)
described(
    HierarchyMode,
    "HierarchyMode",
    "Which form of a collection is read.",
    {
        HierarchyMode.LIVE: "The published version, which learners see.",
        HierarchyMode.EDIT: "The draft, which creators, admins and services see.",
    },
)
described(
    ContextType,
    "ContextType",
    "What gives a collection its dates and people.",
    {
        ContextType.BATCH: "A batch of a course.",
        ContextType.PROGRAM: "A program.",
        ContextType.PROGRAM_BATCH: "A batch of a program.",
        ContextType.EVENT: "An event.",
        ContextType.GROUP: "A group of learners.",
        ContextType.COLLECTION: "The collection taken by itself; no context can be created as one.",
    },
)
described(
    ContextStatus,
    "ContextStatus",
    "Where a context is by its dates, at the moment of the request.",
    {
        ContextStatus.UPCOMING: "Its start date is still to come.",
        ContextStatus.ONGOING: "It has started and not ended.",
        ContextStatus.COMPLETED: "Its end date has passed.",
    },
)
described(
    EnrolmentType,
    "EnrolmentType",
    "Who may enrol in a context.",
    {
        EnrolmentType.OPEN: "Any learner.",
        EnrolmentType.INVITE_ONLY: "Only those whom a mentor, an admin or a service enrols.",
    },
)
described(
    GroupRole,
    "GroupRole",
    "What a member may do in a group.",
    {
        GroupRole.ADMIN: "Change it, and who is in it.",
        GroupRole.MEMBER: "See it, and leave it.",
    },
)
described(
    GroupStatus,
    "GroupStatus",
    "What may be done with a group.",
    {
        GroupStatus.ACTIVE: "It can be read and changed.",
        GroupStatus.SUSPENDED: "It can be read, left, reactivated and deleted.",
        GroupStatus.INACTIVE: "It was deleted; no query answers with it.",
    },
)
described(
    MemberStatus,
    "GroupMemberStatus",
    "Whether somebody is in a group.",
    {
        MemberStatus.ACTIVE: "A member.",
        MemberStatus.INACTIVE: "A former member; no list has them.",
    },
)
described(
    MembershipType,
    "GroupMembershipType",
    "How one becomes a member of a group.",
    {MembershipType.INVITE_ONLY: "An admin of the group adds its members."},
)
described(
    GroupItemKind,
    "GroupItemKind",
    "What an item of a call about a group is.",
    {
        GroupItemKind.MEMBER: "A member, by user id.",
        GroupItemKind.ACTIVITY: "An activity, by identifier.",
    },
)
described(
    PackageVariant,
    "PackageVariant",
    "What is in a package of a collection.",
    {
        PackageVariant.SPINE: "The manifest, the tree, and the icons of the collection and its units.",
        PackageVariant.ONLINE: "The manifest and the tree; icons are URLs.",
    },
)
described(
    SummaryFormat,
    "SummaryFormat",
    "What a file of summaries is written in.",
    {
        SummaryFormat.CSV: "A line an enrolment, as RFC 4180 has it, with the platform's names of columns.",
        SummaryFormat.JSON: "An object with a list of `summary`: each enrolment with the status of its contents.",
    },
)
described(
    ExhaustKind,
    "ExhaustKind",
    "What an exhaust tells.",
    {
        ExhaustKind.RESPONSES: "A row for each question of each attempt, archived ones as well.",
        ExhaustKind.PROGRESS: "A row for each learner: profile, enrolment, progress and scores.",
    },
)
described(
    ExhaustFormat,
    "ExhaustFormat",
    "What an exhaust is written in.",
    {
        ExhaustFormat.CSV: "RFC 4180 in UTF-8, with a line of names.",
        ExhaustFormat.PARQUET: "Parquet, compressed with Zstandard.",
    },
)
described(
    AggregationMode,
    "AggregationMode",
    "How figures over many learners come about.",
    {
        AggregationMode.QUERY: "Computed when they are asked for, perhaps out of a cache.",
        AggregationMode.BATCH: "Taken from the last aggregation.",
    },
)
described(
    TrackingMode,
    "TrackingMode",
    "What a view counts for beyond the context that it was taken in; one for a whole instance.",
    {
        TrackingMode.STRICT: "Nothing.",
        TrackingMode.CARRY_FORWARD_FULL: "Every collection that holds the content.",
        TrackingMode.CARRY_FORWARD_COLLECTION: "Every context of the collection.",
        TrackingMode.COPY: "Other contexts that the learner is enrolled in, where the rules let it count: it is copied.",
        TrackingMode.MOVE: "The context of the same collection that the learner enrols in next: it is moved.",
    },
)
described(
    OriginKind,
    "OriginKind",
    "How a status got where it was not earned.",
    {
        OriginKind.CARRIED: "It is kept elsewhere and shown here, by the instance's mode.",
        OriginKind.COPIED: "The learner completed the content elsewhere, and a rule let it count here.",
        OriginKind.MOVED: "The learner went on here with what was begun elsewhere.",
        OriginKind.CLOSED: "The view was ended by force.",
        OriginKind.MIGRATED: "It was brought from the platform before Cohort.",
        OriginKind.GRANTED: "The platform before Cohort had completed the whole collection, and kept no details of it.",
        OriginKind.MODE_CHANGED: "It was shown here before the instance went over to its present mode.",
    },
)
described(
    QuestionsSource,
    "QuestionsSource",
    "Where the questions of an attempt were read.",
    {
        QuestionsSource.LIVE: "The attempt's own row.",
        QuestionsSource.ARCHIVE: "A file of the archive; `archiveId` says which.",
        QuestionsSource.NONE: "Nowhere: only the score is known.",
    },
)
described(
    Source,
    "AggregateSource",
    "Where figures over many learners are from.",
    {
        Source.ROWS: "The rows of each learner, where they are few or must have the last write in them.",
        Source.STATES: "The groups store, which has the state of each learner.",
        Source.TOTALS: "The groups store, which has the totals of the last aggregation.",
        Source.BATCH: "What the last aggregation stored of the activity.",
    },
)
described(
    Metric,
    "ActivityMetric",
    "What is counted of the enrolments in activities that are active.",
    {
        Metric.ENROLLED_COUNT: "Enrolments.",
        Metric.COMPLETED_COUNT: "Those in which nothing required is missing.",
        Metric.COMPLETION_PERCENTAGE: "Completed of 100 enrolled, whole, rounded down; 0 where nobody is enrolled.",
        Metric.AVERAGE_PROGRESS: "Their percentages on average, with two decimals; null where nobody is enrolled.",
        Metric.PROGRESS_DISTRIBUTION: "How many have which percentage, in six bands, "
        'such as `{"0": 3, "1-24": 0, "25-49": 1, "50-74": 0, "75-99": 0, "100": 2}`.',
        Metric.TIME_SPENT: "Time spent by all of them, in seconds.",
        Metric.LAST_ACTIVITY: "The last view of any of them; null where there was none.",
        Metric.AVERAGE_SCORE: "The mean of the learners' score percentages, each rounded down, with two decimals; null "
        "where nobody was scored. A learner's score is the sum of the best scores of all assessments attempted.",
        Metric.MEDIAN_SCORE: "The score percentage in the middle, or the mean of the two in the middle; null where nobody "
        "was scored. Counted from enrolments alone: not in batch mode.",
        Metric.SCORE_DISTRIBUTION: "How many learners have which score percentage, in bands of ten, "
        'such as `{"0-9": 1, "10-19": 0, …, "90-99": 1, "100": 1}`.',
        Metric.PASS_RATE: "Of 100 attempted assessments with a published pass mark, how many the best attempt passed, "
        "rounded down; null where there is none.",
        Metric.ATTEMPTS_PER_LEARNER: "Attempts by each learner who attempted anything, with two decimals; null where "
        "nobody did.",
        Metric.FIRST_ATTEMPT_RIGHT: "Of 100 attempted assessments, how many had everything right in the first attempt, "
        "rounded down; null where there is none.",
        Metric.LEARNERS_COUNT: "Distinct learners: who is in two batches counts once, in a row as in the totals. Not in "
        "batch mode.",
        Metric.LEFT_COUNT: "Enrolments that learners left. The other metrics do not count these. Not in batch mode.",
        Metric.AT_RISK_COUNT: "Enrolments that are not completed and whose learner was not seen for `atRiskDays`; who was "
        "never seen counts from the enrolment. Not in batch mode.",
        Metric.MEDIAN_PROGRESS: "The percentage in the middle, or the mean of the two in the middle; null where nobody is "
        "enrolled. Not in batch mode.",
        Metric.PROGRESS_PERCENTILES: "The percentages below which 10, 25, 50, 75 and 90 of 100 enrolments are, such as "
        '`{"10": 0, "25": 12.5, "50": 40, "75": 80, "90": 100}`, on the straight line between two neighbours; null where '
        "nobody is enrolled. Not in batch mode.",
        Metric.AVERAGE_DAYS_TO_COMPLETE: "Days from enrolment to completion on average, with two decimals; null where "
        "nobody completed. A completion before the enrolment, as some migrations have it, took no time. Not in batch mode.",
        Metric.MEDIAN_DAYS_TO_COMPLETE: "Whole days from enrolment to completion, rounded down: those in the middle, or the "
        "mean of the two in the middle; null where nobody completed. Not in batch mode.",
    },
)
described(
    ColumnKind,
    "MetricColumnKind",
    "What the values of a column are.",
    {
        ColumnKind.DIMENSION: "Texts to group by; null for what is not known.",
        ColumnKind.LABEL: "Names of the ids in the column of that dimension; null for what is gone.",
        ColumnKind.NUMBER: "Whole numbers.",
        ColumnKind.PERCENTAGE: "From 0 to 100; null where there is nothing to take it of.",
        ColumnKind.SECONDS: "Whole seconds.",
        ColumnKind.DAYS: "Days, with two decimals at most; null where there are none to tell.",
        ColumnKind.DATETIME: "Moments as `DateTime` has them, or null.",
        ColumnKind.DISTRIBUTION: "Objects with a number for each band or percentile, or null.",
        ColumnKind.FLAG: "True or false.",
    },
)
described(
    JobState,
    "JobState",
    "How far a job or a step of it is.",
    {
        JobState.WAITING: "Nobody has begun it.",
        JobState.RUNNING: "It is being done.",
        JobState.DONE: "It is done.",
        JobState.FAILED: "It was given up, with an error.",
        JobState.INTERRUPTED: "Its process ended before it, or a store is away; somebody goes on with it.",
    },
)
