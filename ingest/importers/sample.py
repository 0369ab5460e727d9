"""A small, deterministic sample for development: five courses, sixty learners, progress in every state, a quiz and a group.

Who has done what depends on ids alone. Dates count back from the first day of the month in which it was loaded, so
nothing lies in the future. Open batches have no end, so they stay open.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view, update_view
from ingest.importers.lanes import each
from ingest.importers.sample_attempts import QUIZ, SAMPLE_ASSESSMENT, submit_attempts
from ingest.importers.sample_learners import number_of, sample_learners
from ingest.phases import OnProgress, quiet
from ingest.publishing.direct import publish_collection
from loaders.learner_groups import groups_by_id
from loaders.learners import learners_by_id
from loaders.session import Session, Shared
from rules.group_changes import AddMember
from rules.hierarchy import COLLECTION_MIME_TYPE, Hierarchy, relations_of
from rules.identifiers import ContextType
from rules.learner_groups import Activity
from rules.learners import Learner
from rules.viewers import Role, Viewer
from rules.views import ViewChange

FIRST_LEARNER = "ada"
"""This learner has enrolments in every state: in progress, completed, not started, left."""
SAMPLE_COLLECTION = "sky"
SAMPLE_CONTEXT = "sky-open"
SAMPLE_CONTENT = "sky-mars"
"""A content of SAMPLE_COLLECTION that FIRST_LEARNER has not started."""
ENROLABLE_COLLECTION = "chess"
"""FIRST_LEARNER is not in it yet, and may enrol in its ENROLABLE_CONTEXT."""
ENROLABLE_CONTEXT = "chess-open"
ENROLABLE_CONTENT = "chess-square"
MENTOR = "mira"
"""The mentor of every batch."""
SAMPLE_GROUP = "evening-class"
"""FIRST_LEARNER is its admin and SAMPLE_COLLECTION one of its activities. Its members are in every state there is."""

_LOADER = Viewer("sample", frozenset({Role.SERVICE}))
_AT_ONCE = 16
_DAY = timedelta(days=1)
_OPEN_FOR = 60 * _DAY
"""How long before the first of the month the open batches started."""


async def load_sample(shared: Shared, on_progress: OnProgress = quiet) -> None:
    """Loads what is missing. The first learner's profile comes last: it tells that all of it is there.

    Only the quiz and the group are looked for in any case, because older samples had none.
    """
    rows = shared.stores.rows
    if (await learners_by_id(rows, [FIRST_LEARNER]))[0] is not None:
        await _load_quiz(shared)
        await _load_group(shared)
        return
    month = await _month(shared)
    for done, course in enumerate(COURSES, 1):
        session = Session(_LOADER, shared)
        await publish_collection(session, course)
        for batch in _batches(course, month):
            await create_context(session, batch)
        on_progress("courses", done, len(COURSES))
    first, *others = sample_learners(FIRST_LEARNER)
    loaded = 0

    async def load(learner: Learner) -> None:
        nonlocal loaded
        session = Session(_LOADER, shared)
        for plan in _plans(learner.user_id, month):
            await _follow(session, learner.user_id, plan)
            await _take_quiz(session, learner.user_id, plan)
        profile = ProfileCall(learner.name, dict(learner.attributes), learner.user_id, month - _OPEN_FOR)
        await save_profile(session, profile)
        loaded += 1
        on_progress("learners", loaded, len(others) + 1)

    await each(others, load, _AT_ONCE)
    await _load_group(shared)
    await load(first)


async def _load_quiz(shared: Shared) -> None:
    """Publishes the first course with its quiz, and submits the attempts, if the sample is from before there was one."""
    session = Session(_LOADER, shared)
    if await shared.library.contents.load(SAMPLE_ASSESSMENT) is not None:
        return
    await publish_collection(session, COURSES[0])
    month = await _month(shared)
    for learner in sample_learners(FIRST_LEARNER):
        for plan in _plans(learner.user_id, month):
            await _take_quiz(session, learner.user_id, plan)


async def _take_quiz(session: Session, user_id: str, plan: "_Plan") -> None:
    if plan.collection_id == SAMPLE_COLLECTION:
        place = (plan.collection_id, plan.context_id)
        is_first = user_id == FIRST_LEARNER
        await submit_attempts(session, user_id, place, plan.enrolled_on, is_first=is_first)


async def _load_group(shared: Shared) -> None:
    """Loads the group. A deleted group stays deleted. A service adds its members, so that its admin sees how they
    stand."""
    if (await groups_by_id(shared.stores.rows, [SAMPLE_GROUP]))[0] is None:
        await create_group(Session(_LOADER, shared), GROUP)


def _unit(identifier: str, name: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "name": name,
        "mimeType": COLLECTION_MIME_TYPE,
        "children": list(children),
    }


def _leaf(identifier: str, name: str, kind: str = "text/html", *, optional: bool = False) -> dict[str, Any]:
    leaf: dict[str, Any] = {"identifier": identifier, "name": name, "mimeType": kind}
    return {**leaf, "relationalMetadata": {"optional": True}} if optional else leaf


_VIDEO, _PDF = "video/mp4", "application/pdf"
_SKY_WORDS = _leaf("sky-words", "Words for the sky", _PDF)

COURSES = (
    _unit(
        SAMPLE_COLLECTION,
        "Reading the night sky",
        _unit(
            "sky-start",
            "Before you look up",
            _leaf("sky-welcome", "Welcome", _VIDEO),
            _leaf("sky-dark", "Finding a dark place"),
            _SKY_WORDS,
        ),
        _unit(
            "sky-near",
            "Our neighbours",
            _unit(
                "sky-moon",
                "The Moon",
                _leaf("sky-phases", "Why the Moon has phases", _VIDEO),
                _leaf("sky-craters", "A map of the craters", _PDF),
            ),
            _unit(
                "sky-planets",
                "The planets",
                _leaf("sky-venus", "Venus at dusk"),
                _leaf(SAMPLE_CONTENT, "Mars through the year", _VIDEO),
                _SKY_WORDS,
            ),
            QUIZ,
        ),
        _unit(
            "sky-far",
            "Farther out",
            _leaf("sky-constellations", "Twelve constellations"),
            _leaf("sky-photos", "Taking photographs of stars", optional=True),
        ),
    ),
    _unit(
        "bread",
        "Baking bread",
        _unit(
            "bread-dough",
            "Dough",
            _leaf("bread-flour", "Kinds of flour"),
            _leaf("bread-yeast", "What yeast does", _VIDEO),
            _leaf("bread-kneading", "Kneading", _VIDEO),
        ),
        _unit(
            "bread-oven",
            "Oven",
            _leaf("bread-heat", "Heat and steam"),
            _leaf("bread-first", "Your first loaf"),
        ),
    ),
    _unit(
        "chance",
        "Chance and cards",
        _unit(
            "chance-count", "Counting", _leaf("chance-hands", "How many hands?"), _leaf("chance-odds", "Odds")
        ),
        _unit("chance-try", "Trying", _leaf("chance-shuffle", "Seven shuffles", _VIDEO)),
    ),
    _unit(
        "garden",
        "A small garden",
        _unit(
            "garden-soil", "Soil", _leaf("garden-test", "Testing soil"), _leaf("garden-compost", "Compost")
        ),
        _unit("garden-year", "The year", _leaf("garden-sowing", "When to sow", _PDF)),
    ),
    _unit(
        ENROLABLE_COLLECTION,
        "Chess from the end",
        _unit(
            "chess-pawns",
            "Pawns",
            _leaf(ENROLABLE_CONTENT, "The square of the pawn"),
            _leaf("chess-king", "King first"),
        ),
        _unit("chess-rooks", "Rooks", _leaf("chess-lucena", "Building a bridge", _VIDEO)),
    ),
)
"""A leaf in two units, an optional one and a quiz, three levels deep: all in the first."""

RETURNING = "ada-tanaka"
"""This learner did not complete the first course last year, and is in the open batch as well."""
GROUP = NewGroup(
    "The evening class",
    "Who meets on Thursdays, in the old library",
    members=tuple(
        AddMember(user_id)
        for user_id in (
            RETURNING,
            "bola-okafor",
            "bola-tanaka",
            "dora-lindqvist",
            "dora-okafor",
            "dora-rao",
            "farah-rao",
            "goran-okafor",
            "jaya-rao",
            "kofi-okafor",
            "kofi-tanaka",
            "lena-tanaka",
        )
    ),
    activities=(
        Activity(SAMPLE_COLLECTION, "Course"),
        Activity("sky-near", "CourseUnit"),
        Activity("bread", "Course"),
    ),
    group_id=SAMPLE_GROUP,
    user_id=FIRST_LEARNER,
)

_LEAVES = {
    course["identifier"]: sorted(relations_of(Hierarchy(course)).leaf_nodes - {SAMPLE_ASSESSMENT})
    for course in COURSES
}
"""The contents to view, by course."""


async def _month(shared: Shared) -> datetime:
    """Returns the first of this month, or of the month in which an interrupted load began."""
    begun = await shared.library.contexts.load(SAMPLE_CONTEXT)
    if begun is not None and begun.start_date is not None:
        return begun.start_date + _OPEN_FOR
    now = shared.now()
    return datetime(now.year, now.month, 1, tzinfo=UTC)


def _batches(course: dict[str, Any], month: datetime) -> Iterator[NewContext]:
    """Gives one open batch for each course. The first course also has one that has ended and one that is to come."""
    identifier = course["identifier"]

    def batch(key: str, name: str, starts: datetime, ends: datetime | None) -> NewContext:
        return NewContext(
            type=ContextType.BATCH,
            name=f"{course['name']}, {name}",
            collection_ids=(identifier,),
            context_id=f"{identifier}-{key}",
            start_date=starts,
            end_date=ends,
            mentors=frozenset({MENTOR}),
        )

    yield batch("open", "now", month - _OPEN_FOR, None)
    if identifier == SAMPLE_COLLECTION:
        yield batch("ended", "last year", month - 400 * _DAY, month - 200 * _DAY)
        yield batch("upcoming", "next", month + 60 * _DAY, month + 200 * _DAY)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a learner does in one batch: contents completed one after another, and one more begun."""

    collection_id: str
    context_id: str
    enrolled_on: datetime
    completed: Sequence[str] = ()
    begun: str | None = None
    leaves: bool = False


def _plans(user_id: str, month: datetime) -> Iterator[_Plan]:
    opened = month - _OPEN_FOR
    if user_id == FIRST_LEARNER:
        yield _Plan(
            "sky", "sky-open", opened, ("sky-welcome", "sky-dark", "sky-words", "sky-phases"), "sky-venus"
        )
        yield _Plan("bread", "bread-open", opened, _LEAVES["bread"])
        yield _Plan("chance", "chance-open", opened)
        yield _Plan("garden", "garden-open", opened, ("garden-test",), "garden-compost", leaves=True)
        return
    for collection_id, leaves in _LEAVES.items():
        number = number_of(user_id, collection_id)
        if number % 5 < 2:
            continue
        is_past = collection_id == SAMPLE_COLLECTION and number % 7 == 0
        context_id = f"{collection_id}-{'ended' if is_past else 'open'}"
        enrolled_on = (month - 400 * _DAY if is_past else opened) + number % 12 * _DAY
        done = (0, len(leaves) // 3, len(leaves) // 2, len(leaves) - 1, len(leaves))[number // 5 % 5]
        begun = leaves[done] if done < len(leaves) and number // 25 % 3 else None
        yield _Plan(
            collection_id, context_id, enrolled_on, leaves[:done], begun, leaves=number // 75 % 9 == 0
        )
    if user_id == RETURNING:
        again = _LEAVES[SAMPLE_COLLECTION]
        yield _Plan(SAMPLE_COLLECTION, SAMPLE_CONTEXT, opened, again[:5], again[5])


async def _follow(session: Session, user_id: str, plan: _Plan) -> None:
    """Does what the plan says. Each call may be sent again: a completed view stays, and an update counts once by its
    call id."""
    at = plan.enrolled_on
    enrolment = EnrolmentCall(plan.collection_id, plan.context_id, user_id, at)
    await enrol(session, enrolment)
    for content_id in plan.completed:
        at += 3 * _DAY + timedelta(minutes=number_of(user_id, content_id) % 600)
        call = ViewCall(content_id, plan.collection_id, plan.context_id, user_id, at)
        await start_view(session, call)
        await end_view(session, call, ViewChange(at, time_spent=60 + number_of(content_id, user_id) % 1500))
    if plan.begun is not None:
        at += 3 * _DAY
        call = ViewCall(plan.begun, plan.collection_id, plan.context_id, user_id, at)
        progress = 10 + number_of(user_id, plan.begun) % 80
        await start_view(session, call)
        await update_view(
            session,
            call,
            ViewChange(
                at,
                progress=progress,
                progress_details={"position": progress * 6, "unit": "seconds"},
                time_spent=progress * 6,
                call_id="sample",
            ),
        )
    if plan.leaves:
        at += _DAY
        await unenrol(session, EnrolmentCall(plan.collection_id, plan.context_id, user_id, at))
