"""What resolvers take and answer with, for the edges: GraphQL and REST import this room and none below it."""

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext
from ingest.commands.drafts import NewContent
from ingest.commands.enrolments import EnrolmentCall
from ingest.commands.group_calls import Changed as GroupChanged
from ingest.commands.hierarchy_edits import HierarchyEdited
from ingest.commands.learner_groups import GroupCall, NewGroup
from ingest.commands.learners import ProfileCall
from ingest.commands.views import Acknowledged
from ingest.exhausts.requests import ExhaustCall
from loaders.responses import KeptResponse
from loaders.session import Session
from loaders.whole_attempts import QuestionsSource
from rules.access import Access, Role
from rules.client_documents import Listed, TrustedDocument, checked_document_id, document_id
from rules.contents import Content, ContentKind, HierarchyMode, Metadata
from rules.contexts import Context, ContextRelation, ContextStatus, EnrolmentType
from rules.drafts import Draft
from rules.enrolments import Enrolment
from rules.entries import Entry
from rules.errors import (
    Absent,
    CohortError,
    DeadlineExceeded,
    DocumentTooLarge,
    EnrolmentClosed,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    StoreUnavailable,
    TooExpensive,
    Unauthenticated,
)
from rules.exhausts import ExhaustFormat, ExhaustKind
from rules.group_changes import AddMember, EditMember, ItemError, Kind, MemberChange, RemoveMember
from rules.group_figures import ActivityMetric, Figure, MemberMetric
from rules.hierarchy import COLLECTION_MIME_TYPE, DEEPEST, Json
from rules.identifiers import ContextType, ProgressKey, ViewKey, checked_id, either
from rules.jobs import JobState
from rules.learner_groups import (
    Activity,
    Group,
    GroupRole,
    GroupStatus,
    Member,
    MembershipType,
    MemberStatus,
    Roster,
)
from rules.learner_search import LearnerOrder
from rules.learners import ATTRIBUTES, Learner
from rules.metric_columns import Column, ColumnKind, camel
from rules.metric_queries import OrderBy
from rules.metrics import Metric
from rules.moments import known_milliseconds, known_moment, written_milliseconds
from rules.moments import moment as from_milliseconds
from rules.origins import Origin, OriginKind
from rules.packages import PackageVariant
from rules.periods import EXAMPLES as PERIOD_EXAMPLES
from rules.periods import PeriodUnit
from rules.plans import AggregationMode, QueryPlan, Source, Taken, write_token
from rules.prices import BEYOND, FREE, Price
from rules.progress import Progress, Status
from rules.scores import ActivityScore, Best, Score
from rules.standings import Touch
from rules.summaries import EnrolmentSummary, SummaryFormat
from rules.texts import without_hidden
from rules.tracking import Tracking, TrackingMode
from rules.viewers import Viewer
from rules.views import View, ViewChange
from stores.bills import Bill, billed_to
from stores.deadline import deadline_at
from stores.search import SearchOrder
from stores.turns import PORTION, breathe, far_over, in_turns, over, stepwise

__all__ = [
    "ATTRIBUTES",
    "BEYOND",
    "COLLECTION_MIME_TYPE",
    "DEEPEST",
    "FREE",
    "PERIOD_EXAMPLES",
    "PORTION",
    "Absent",
    "Access",
    "Acknowledged",
    "Activity",
    "ActivityMetric",
    "ActivityScore",
    "AddMember",
    "AggregationMode",
    "Best",
    "Bill",
    "CohortError",
    "Column",
    "ColumnKind",
    "Content",
    "ContentKind",
    "Context",
    "ContextRelation",
    "ContextStatus",
    "ContextType",
    "DeadlineExceeded",
    "DocumentTooLarge",
    "Draft",
    "EditMember",
    "Enrolment",
    "EnrolmentCall",
    "EnrolmentClosed",
    "EnrolmentSummary",
    "EnrolmentType",
    "Entry",
    "ExhaustCall",
    "ExhaustFormat",
    "ExhaustKind",
    "Figure",
    "Forbidden",
    "Group",
    "GroupCall",
    "GroupChanged",
    "GroupRole",
    "GroupStatus",
    "HierarchyEdited",
    "HierarchyMode",
    "InvalidInput",
    "ItemError",
    "JobState",
    "Json",
    "KeptResponse",
    "Kind",
    "Learner",
    "LearnerOrder",
    "Listed",
    "Member",
    "MemberChange",
    "MemberMetric",
    "MemberStatus",
    "MembershipType",
    "Metadata",
    "Metric",
    "NewContent",
    "NewContext",
    "NewGroup",
    "NotFound",
    "OrderBy",
    "Origin",
    "OriginKind",
    "PackageVariant",
    "PeriodUnit",
    "Price",
    "ProfileCall",
    "Progress",
    "ProgressKey",
    "QueryPlan",
    "QuestionsSource",
    "RateLimited",
    "RemoveMember",
    "Role",
    "Roster",
    "Score",
    "SearchOrder",
    "Session",
    "Source",
    "Status",
    "StoreUnavailable",
    "SummaryFormat",
    "Taken",
    "TooExpensive",
    "Touch",
    "Tracking",
    "TrackingMode",
    "TrustedDocument",
    "Unauthenticated",
    "View",
    "ViewCall",
    "ViewChange",
    "ViewKey",
    "Viewer",
    "billed_to",
    "breathe",
    "camel",
    "checked_document_id",
    "checked_id",
    "deadline_at",
    "document_id",
    "either",
    "far_over",
    "from_milliseconds",
    "in_turns",
    "known_milliseconds",
    "known_moment",
    "over",
    "stepwise",
    "without_hidden",
    "write_token",
    "written_milliseconds",
]
