"""What resolvers take and answer with, for the edges: GraphQL and REST import this room and none below it."""

from ingest.contexts import NewContext
from ingest.enrolments import EnrolmentCall
from ingest.learners import ProfileCall
from ingest.views import Acknowledged, ViewCall
from loaders.session import Session
from rules.contents import Content, ContentKind
from rules.contexts import Context, ContextStatus, EnrolmentType
from rules.enrolments import Enrolment
from rules.errors import CohortError, Forbidden, InvalidInput, NotFound, Unauthenticated
from rules.identifiers import ContextType, ProgressKey, ViewKey, checked_id
from rules.learners import ATTRIBUTES, Learner
from rules.progress import Progress, Status
from rules.standings import Touch
from rules.views import View, ViewChange

__all__ = [
    "ATTRIBUTES",
    "Acknowledged",
    "CohortError",
    "Content",
    "ContentKind",
    "Context",
    "ContextStatus",
    "ContextType",
    "Enrolment",
    "EnrolmentCall",
    "EnrolmentType",
    "Forbidden",
    "InvalidInput",
    "Learner",
    "NewContext",
    "NotFound",
    "ProfileCall",
    "Progress",
    "ProgressKey",
    "Session",
    "Status",
    "Touch",
    "Unauthenticated",
    "View",
    "ViewCall",
    "ViewChange",
    "ViewKey",
    "checked_id",
]
