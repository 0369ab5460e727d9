"""Who asks in the matrices of access (tests/graph/test_access_matrix.py, tests/gateway/test_access_matrix.py), and what the
documents say of each: docs/api.md, Who asks, and the requirements beside each line. Nothing here is taken from the code."""

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.drafts import NewContent, create_content
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from rules.access import Access, Role
from rules.attempts import Question
from rules.group_changes import AddMember
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.identifiers import ContextType, ViewKey
from rules.learner_groups import Activity, GroupRole
from rules.learners import ATTRIBUTES
from rules.viewers import Viewer
from rules.views import ViewChange
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance

LEARNERS = frozenset({Role.LEARNER})
CALLERS: dict[str, Viewer] = {
    "anonymous": Viewer(),
    "ann": Viewer("ann", LEARNERS),  # what is asked for is hers
    "bob": Viewer("bob", LEARNERS),  # has nothing to do with it
    "mo": Viewer("mo", LEARNERS),  # a mentor of the context, whose token does not say so
    "mona": Viewer("mona", frozenset({Role.MENTOR})),  # a mentor of the context, by their token too
    "cleo": Viewer("cleo", LEARNERS),  # created the context, and asked for the exhaust
    "lea": Viewer("lea", LEARNERS),  # an admin of the group
    "fay": Viewer("fay", LEARNERS),  # a member of the group
    "mentor": Viewer("zoe", frozenset({Role.MENTOR})),
    "reporter": Viewer("zoe", frozenset({Role.REPORTER})),
    "creator": Viewer("zoe", frozenset({Role.CREATOR})),
    "admin": Viewer("zoe", frozenset({Role.ADMIN})),
    "service": Viewer("zoe", frozenset({Role.SERVICE})),
}
EVERYBODY = frozenset(CALLERS)
SIGNED_IN = EVERYBODY - {"anonymous"}
ANSWER_FOR_LEARNERS = frozenset({"mona", "mentor", "reporter", "admin", "service"})
"""Who sees every learner: by the role mentor, reporter, admin or service."""
GUIDES = frozenset({"mo", "mona", "cleo"})

MAY: dict[Access, frozenset[str]] = {
    Access.ANYBODY: EVERYBODY,
    Access.SIGNED_IN: SIGNED_IN,
    Access.LEARNER: ANSWER_FOR_LEARNERS | {"ann"},
    Access.LEARNER_OR_GUIDES: ANSWER_FOR_LEARNERS | GUIDES | {"ann"},  # R-ENROL-8
    Access.CONTEXT_GUIDES: ANSWER_FOR_LEARNERS | GUIDES,  # R-ENROL-8, R-ASSESS-6
    Access.PERSON: frozenset({"ann", "admin", "service"}),
    Access.CALLER: frozenset({"ann", "service"}),
    # A mentor enrols others only in the contexts that they guide.
    Access.ENROLLER: frozenset({"ann", "mona", "admin", "service"}),
    Access.RECOUNTER: frozenset({"ann", "mona", "mentor", "admin", "service"}),  # P-4.3
    Access.GROUP_MEMBERS: ANSWER_FOR_LEARNERS | {"lea", "fay"},  # R-GROUP-1
    Access.GROUP_ADMINS: frozenset({"lea", "admin", "service"}),  # R-GROUP-1
    Access.EXHAUST_ASKER: frozenset({"cleo", "admin", "service"}),  # R-ASSESS-6
    Access.EVERY_LEARNER: ANSWER_FOR_LEARNERS,  # R-PEOPLE-1
    Access.FIGURES: ANSWER_FOR_LEARNERS | {"creator"},  # R-QUERY-8
    Access.AUTHORS: frozenset({"creator", "admin", "service"}),  # R-COLL-2
}
"""Who of CALLERS may, where ann is the learner that is asked for."""


async def make_school(instance: Instance) -> None:
    """Ann is enrolled in a batch that mo and mona guide and cleo created, and has done something in it. Lea leads groups with
    fay: ``g``, and for each caller one to change. There is a draft, ``book``."""
    await instance.publish()
    cleo, service = instance.session("cleo", Role.CREATOR), instance.session()
    for context in ("batch", "other"):
        new = NewContext(ContextType.BATCH, context, ("course",), context, mentors=frozenset({"mo", "mona"}))
        await create_context(cleo, new)
    ann = instance.session("ann")
    await save_profile(service, ProfileCall("Ann", dict.fromkeys(ATTRIBUTES, "ann's"), "ann", NOW))
    await enrol(ann, EnrolmentCall("course", "batch"))
    await start_view(ann, ViewCall("a", "course", "batch"))
    await end_view(ann, ViewCall("a", "course", "batch"), ViewChange(NOW))
    key = ViewKey("ann", "course", "batch", "a")
    await store_attempt(instance.shared, key, "t1", 2.0, 3.0, NOW, questions=[Question("q1")])
    members = (AddMember("lea", GroupRole.ADMIN), AddMember("fay"))
    activities = (Activity("course", "Course"),)
    for name in ("g", *(f"g-{caller}" for caller in CALLERS)):
        await create_group(service, NewGroup("G", members=members, activities=activities, group_id=name))
    author = instance.session("zoe", Role.CREATOR)
    await create_content(author, NewContent("Book", COLLECTION_MIME_TYPE, "book"))
    await instance.drain()
