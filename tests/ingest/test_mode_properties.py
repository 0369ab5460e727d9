"""In every mode, whatever a learner does, and however often calls and triggers come again: no status that they see goes
down, and what the workers keep is what a plain recount of the rows says."""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.mode_change import change_mode
from ingest.modes.agreement import agree, agreed
from ingest.workers.worker import Worker
from rules.errors import CohortError
from rules.modes import Agreed
from rules.tracking import TrackingMode
from rules.views import ViewChange
from stores.events import Message
from stores.rows import Equal
from stores.tables import AGGREGATES, ENROLMENTS, INSTANCE, LEARNER_SCOPES, VIEWS
from stores.topics import TRIGGERS
from tests.conftest import LEAF, NOW, Instance, examples
from tests.graph.conftest import data
from tests.ingest.test_sample import rows_of

COURSES: Mapping[str, Mapping[str, Mapping[str, bool]]] = {
    "course": {"unit-1": {"a": False, "b": False}, "unit-2": {"b": False, "c": False, "d": True}},
    "other": {"unit-3": {"a": False, "e": False}},
}
"""By course its units, by unit its leaves and which of them are optional."""
CONTEXTS = {"one": "course", "two": "course", "three": "other"}
Place = tuple[str | None, str | None]
"""Course and context."""
PLACES: tuple[Place, ...] = (
    *((course, context) for context, course in CONTEXTS.items()),
    *((course, None) for course in COURSES),
    (None, None),
)
LEAVES = {course: {leaf for unit in units.values() for leaf in unit} for course, units in COURSES.items()}
EVERYTHING = sorted(set().union(*LEAVES.values()))
ALWAYS = '{"rules": [{"type": "always"}]}'
FOLLOWING = (TrackingMode.COPY, TrackingMode.MOVE)
"""Where a course without a context is whichever of its contexts is active: another one after the next enrolment."""
STATUSES = {"NOT_STARTED": 0, "IN_PROGRESS": 1, "COMPLETED": 2}


@dataclass(frozen=True)
class Step:
    """Each kind looks at those of the others that it needs."""

    what: str
    place: Place
    leaf: str
    context: str


_KINDS = (
    *("enrol", "enrol", "enrol", "unenrol", "start", "start", "update", "end", "finish", "finish"),
    *("again", "replay", "work"),
)
histories = st.lists(
    st.builds(
        Step,
        st.sampled_from(_KINDS),
        st.sampled_from(PLACES),
        st.sampled_from(EVERYTHING),
        st.sampled_from(sorted(CONTEXTS)),
    ),
    min_size=4,
    max_size=12,
)
_numbers = count()
_everything = [
    (place, leaf)
    for place in PLACES
    for leaf in (EVERYTHING if place[0] is None else sorted(LEAVES[place[0]]))
]


def _document() -> str:
    """Of one learner: the status of every view, and how they stand in every enrolment."""

    def view(place: Place, leaf: str) -> str:
        named = {"contentId": leaf, "collectionId": place[0], "contextId": place[1]}
        ids = ", ".join(f'{name}: "{value}"' for name, value in named.items() if value)
        return f"view({ids}) {{ status }}"

    views = [f"v{number}: {view(*each)}" for number, each in enumerate(_everything)]
    stands = "edges { node { contextId active status completedCount completionPercentage } }"
    return f"{{ me {{ {' '.join(views)} enrolments(first: 10) {{ {stands} }} }} }}"


DOCUMENT = _document()


async def begin(cohort: Instance) -> None:
    """All courses and their contexts, the first time."""
    session = cohort.session()
    if await session.library.contexts.load(max(CONTEXTS)) is not None:
        return
    for course, units in COURSES.items():
        children = [
            {"identifier": unit, "name": unit, "children": list(map(_leaf, leaves.items()))}
            for unit, leaves in units.items()
        ]
        await cohort.publish({"identifier": course, "name": course, "children": children})
    for context, course in CONTEXTS.items():
        await cohort.batch(context, course)


def _leaf(leaf: tuple[str, bool]) -> dict[str, Any]:
    name, optional = leaf
    relational = {"relationalMetadata": {"optional": optional}}
    return {"identifier": name, "name": name, "mimeType": LEAF, **relational}


class Learning:
    """One history, of a learner of its own."""

    def __init__(self, cohort: Instance) -> None:
        self._cohort = cohort
        self.user = f"learner-{next(_numbers)}"
        self._minutes = count()
        self._last: tuple[Step, datetime] | None = None
        self._seen: dict[tuple[Place, str], int] = {}

    async def live(self, step: Step) -> None:
        match step.what:
            case "work":
                await self.settle()
            case "replay":
                await self.replay()
            case "again" if self._last is not None:
                await self._call(*self._last)
            case "finish":
                for what in ("start", "end"):
                    await self._call(Step(what, step.place, step.leaf, step.context), self._moment())
            case "again":
                pass
            case _:
                self._last = (step, self._moment())
                await self._call(*self._last)

    def _moment(self) -> datetime:
        return NOW - timedelta(days=9) + timedelta(minutes=next(self._minutes))

    async def _call(self, step: Step, at: datetime) -> None:
        service = self._cohort.session()
        place = EnrolmentCall(CONTEXTS[step.context], step.context, self.user, at)
        collection, context = step.place
        view = ViewCall(step.leaf, collection, context, self.user, at)
        try:
            match step.what:
                case "enrol":
                    begins_anew = await self._begins_anew(step.context)
                    await enrol(service, place)
                    if begins_anew:
                        self._forget(step.context)
                case "unenrol":
                    await unenrol(service, place)
                case "start":
                    await start_view(service, view)
                case "update":
                    change = ViewChange(at, progress=30, time_spent=7, call_id=str(at))
                    await update_view(service, view, change)
                case "end":
                    await end_view(service, view, ViewChange(at, time_spent=5, call_id=str(at)))
        except CohortError:
            pass  # such as leaving where one is not: nothing has happened then

    async def _begins_anew(self, context: str) -> bool:
        """In move mode, who left a context by moving on and then left the one that they had moved on to: the progress
        stays there, as after any unenrolment, and whoever comes back to the first one begins anew."""
        course = CONTEXTS[context]
        here = [row for row in await self._mine(ENROLMENTS) if row["collectionid"] == course]
        pointers = {row["contextid"] for row in here if row["moved_to"]}
        return context in pointers and not any(row["active"] for row in here)

    def _forget(self, context: str) -> None:
        """What was seen there."""
        place = (CONTEXTS[context], context)
        self._seen = {seen: status for seen, status in self._seen.items() if seen[0] != place}

    async def replay(self) -> None:
        records = [r async for r in self._cohort.stores.events.read(TRIGGERS.name) if r.key == self.user]
        random.Random(len(records)).shuffle(records)
        await self._cohort.stores.events.send(TRIGGERS.name, *(Message(r.key, r.value) for r in records))

    async def settle(self) -> None:
        """The workers see everything, and what they send themselves."""
        await self._cohort.drain(Worker(self._cohort.shared, wait=0.001))

    # --- What the learner sees

    async def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await data(self._cohort.session(self.user), DOCUMENT))["me"]
        return answer

    async def check_nothing_went_down(self) -> None:
        answer = await self.answer()
        following = self._cohort.shared.tracking.mode in FOLLOWING
        for number, (place, leaf) in enumerate(_everything):
            if following and place[0] is not None and place[1] is None:
                continue
            status = STATUSES[answer[f"v{number}"]["status"]]
            assert status >= self._seen.get((place, leaf), 0), (place, leaf)
            self._seen[place, leaf] = status

    async def promised(self) -> set[tuple[Place, str]]:
        """What a change of the mode takes nothing away from: wherever the learner is or was enrolled, or has been."""
        found = [*await self._mine(ENROLMENTS), *await self._mine(LEARNER_SCOPES)]
        promised: set[tuple[Place, str]] = set()
        for collection, context in {(row["collectionid"], row["contextid"]) for row in found}:
            if collection not in COURSES:
                promised.add(((None, None), collection))
                continue
            place = (collection, None if context == collection else context)
            promised |= {(place, leaf) for leaf in LEAVES[collection]}
        return promised

    def keep_of_seen(self, promised: set[tuple[Place, str]]) -> None:
        self._seen = {seen: status for seen, status in self._seen.items() if seen in promised}

    # --- The recount

    async def check_what_is_kept(self, *, enrolled: bool = False) -> None:
        """Of each enrolment and each place that was viewed in, or of the first alone: the row of the course and those
        of its units."""
        mode = self._cohort.shared.tracking.mode
        views: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
        for row in await self._mine(VIEWS):
            views[row["collectionid"], row["contextid"]][row["contentid"]] = row
        enrolments = {(row["collectionid"], row["contextid"]): row for row in await self._mine(ENROLMENTS)}
        kept = {
            (row["activity_id"], row["context_id"]): row
            for row in await rows_of(self._cohort.shared, AGGREGATES)
            if row["user_id"] == self.user
        }
        moved = {place for place, row in enrolments.items() if row["moved_to"] and not row["active"]}
        places = {place for place in {*enrolments, *views} - moved if place[0] in COURSES}
        if enrolled:
            places &= enrolments.keys()
            named_so = {f"cb:{context}" for _, context in places}
            kept = {key: row for key, row in kept.items() if key[1] in named_so}
        expected: dict[tuple[str, str], Any] = {}
        for collection, context in sorted(places):
            enrolment = enrolments.get((collection, context))
            shown = self._shown(mode, views, collection, context)
            named = f"co:{context}" if context == collection else f"cb:{context}"
            units = COURSES[collection]
            root = self._figures(
                shown, {leaf: o for flags in units.values() for leaf, o in flags.items()}, enrolment
            )
            expected[collection, named] = root
            for unit, flags in units.items():
                if shown.keys() & flags.keys():
                    expected[unit, named] = self._figures(shown, flags, enrolment)
            if enrolment is not None:
                figures = (enrolment["progress"], enrolment["status"])
                assert figures == (root["completed"], root["status"]), (collection, context)
                course = kept.get((collection, named))
                assert enrolment["completedon"] == (course and course["completed_on"]), (collection, context)
                assert enrolment["seen_changed_at"] == enrolment["changed_at"]
            if mode is TrackingMode.COPY and enrolment is not None and enrolment["active"]:
                anywhere = {
                    leaf for found in views.values() for leaf, row in found.items() if row["status"] == 2
                }
                here = {leaf for leaf, row in shown.items() if row["status"] == 2}
                assert here == anywhere & LEAVES[collection], (collection, context)
        for place in moved:
            assert (enrolments[place]["progress"], enrolments[place]["completedon"]) == (None, None), place
        found = {key: self._as_kept(row) for key, row in kept.items()}
        # A unit that was begun stays, with nothing in it, where the learner has moved on from it and begins anew.
        left = [key for key in found.keys() - expected.keys() if key[0] not in COURSES]
        for key in left:
            assert not found.pop(key)["statuses"], key
        if enrolled:
            # A date once given stays, also where the view that counts now was completed later than the one before.
            for figures in (*found.values(), *expected.values()):
                figures["completed_on"] = figures["completed_on"] is not None
        assert found == expected

    async def _mine(self, table: Any) -> list[dict[str, Any]]:
        return [row for row in await rows_of(self._cohort.shared, table) if row["userid"] == self.user]

    @staticmethod
    def _shown(
        mode: TrackingMode,
        views: Mapping[tuple[str, str], Mapping[str, Any]],
        collection: str,
        context: str,
    ) -> dict[str, Any]:
        """Which rows count at a place; docs/modes.md has the table."""
        match mode:
            case TrackingMode.CARRY_FORWARD_FULL:
                found = {
                    leaf: views[leaf, leaf][leaf] for leaf in LEAVES[collection] if (leaf, leaf) in views
                }
            case TrackingMode.CARRY_FORWARD_COLLECTION:
                found = dict(views.get((collection, collection), {}))
            case _:
                found = dict(views.get((collection, context), {}))
        return {leaf: row for leaf, row in found.items() if row["status"] is not None}

    @staticmethod
    def _figures(shown: Mapping[str, Any], flags: Mapping[str, bool], enrolment: Any) -> dict[str, Any]:
        required = {leaf for leaf, optional in flags.items() if not optional}
        statuses = {leaf: row["status"] for leaf, row in shown.items() if leaf in flags}
        done = {leaf for leaf in required if statuses.get(leaf) == 2}
        begun = [leaf for leaf in required if statuses.get(leaf)]
        status = 2 if done == required else 1 if begun else 0
        return {
            "completed": len(done),
            "required": len(required),
            "status": status,
            "statuses": statuses,
            "seconds": sum(row["timespent"] or 0 for leaf, row in shown.items() if leaf in flags),
            "completed_on": max(shown[leaf]["last_completed_time"] for leaf in required)
            if status == 2
            else None,
            "active": bool(enrolment and enrolment["active"]),
            "enrolled_on": enrolment and enrolment["enrolled_on"],
        }

    @staticmethod
    def _as_kept(row: Mapping[str, Any]) -> dict[str, Any]:
        figures = row["aggregates"]
        return {
            "completed": figures["completedCount"],
            "required": figures["requiredCount"],
            "status": row["status"],
            "statuses": dict(row["content_status"] or {}),
            "seconds": figures["timeSpent"],
            "completed_on": row["completed_on"],
            "active": row["active"],
            "enrolled_on": row["enrolled_on"],
        }


@pytest.mark.parametrize("mode", TrackingMode)
@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories, looks=st.booleans())
async def test_no_status_goes_down_and_what_is_kept_is_a_recount(
    embedded: Instance, mode: TrackingMode, history: list[Step], looks: bool
) -> None:
    """``looks``: after each step. A look sends the workers to what they have not seen; they find it without one too."""
    embedded.track(mode, ALWAYS if mode in FOLLOWING else None)
    await begin(embedded)
    learning = Learning(embedded)
    for step in history:
        await learning.live(step)
        if looks:
            await learning.check_nothing_went_down()
    before = await learning.answer() if looks else None
    await learning.settle()
    await learning.check_what_is_kept()
    await learning.check_nothing_went_down()
    after = await learning.answer()
    if before is not None and mode is not TrackingMode.COPY:
        # There a worker copies what was completed elsewhere since.
        assert after == before
    await learning.replay()
    await learning.settle()
    assert await learning.answer() == after
    await learning.check_what_is_kept()


@settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    modes=st.lists(st.sampled_from(TrackingMode), min_size=2, max_size=4, unique=True),
    history=histories,
    later=histories,
)
async def test_nobody_loses_what_they_see_when_the_mode_changes(
    embedded: Instance, modes: list[TrackingMode], history: list[Step], later: list[Step]
) -> None:
    """Between two modes and back to the first one, with a life in between."""
    await begin(embedded)
    await agrees_on(embedded, modes[0])
    learning = Learning(embedded)
    for old, new in zip([*modes, modes[0]], [*modes[1:], modes[0], None], strict=True):
        embedded.track(old, ALWAYS if old in FOLLOWING else None)
        for step in history if old is modes[0] else later:
            await learning.live(step)
        await learning.settle()
        await learning.check_nothing_went_down()
        await learning.check_what_is_kept(enrolled=True)
        if new is None:
            break
        promised = await learning.promised()
        await change_mode(embedded.shared, old, new)
        embedded.track(new, ALWAYS if new in FOLLOWING else None)
        learning.keep_of_seen(promised)
        await learning.check_nothing_went_down()


async def agrees_on(cohort: Instance, mode: TrackingMode) -> None:
    """Whatever the learners of the examples before have left it at."""
    await agree(cohort.stores.rows, mode, NOW)
    there = await agreed(cohort.stores.rows)
    assert there is not None
    values, as_it_is = {"value": Agreed(mode).encode()}, Equal("value", there.encode())
    assert (await cohort.stores.rows.update_if(INSTANCE, ("tracking",), values, [as_it_is])).applied
