"""A group's page and a dashboard say the same from the rows, from the groups store and from the last aggregation,
whatever its members did: what a recount from their accepted calls says."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from druid_specs import DATA_SOURCES
from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view, update_view
from ingest.publishing.direct import publish_collection
from loaders.session import Session, Shared
from rules.errors import CohortError, Conflict, StoreUnavailable
from rules.group_changes import AddMember, RemoveMember
from rules.identifiers import ViewKey
from rules.learner_groups import Activity
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.engines import Stores
from stores.events import Message
from stores.groups_duckdb import DuckGroups
from stores.topics import STATES, TRIGGERS
from tests.attempts import store_attempt
from tests.conftest import LEAF, NOW, Instance, embedded_urls, examples, instance_of, real_urls
from tests.graph.conftest import data

USERS, BATCHES, LEAVES = ("ada", "bob", "cyd", "dan"), ("one", "two"), "abcd"
ACTIVITIES = ("course", "unit-1", "unit-2")
VERSIONS: tuple[dict[str, dict[str, bool]], ...] = (
    {"unit-1": {"a": False, "b": False}, "unit-2": {"b": False, "c": False, "d": True}},
    {"unit-1": {"a": False, "b": False}},
    {"unit-1": {"b": False}, "unit-2": {"a": False, "b": False, "c": False}},
    {"unit-1": {"a": True, "b": False}, "unit-2": {"c": False, "d": False}},
    {"unit-1": {"a": False, "b": False}, "unit-2": {"b": False, "c": False, "d": True}},
)
"""Trees that the course is published as: by unit its leaves, and which of them are optional. The last is like the first
but for the pass marks."""
PASS_MARKS: tuple[dict[str, int], ...] = ({"a": 60, "b": 0}, {"a": 60}, {"c": 33}, {}, {"a": 30, "b": 100})
POINTS = 3
"""The maximum of every assessment: 1 of 3 is 33 %, 2 of 3 are 66 %."""
SECONDS = 7
MANY = examples(80)

PAGE = """
    query Page($group: String!, $course: [String!], $mode: AggregationMode) {
      group(groupId: $group) {
        activities(mode: $mode) {
          activityId
          source
          complete
          agg(metrics: [ENROLLED_COUNT, COMPLETED_COUNT, COMPLETION_PERCENTAGE, AVERAGE_SCORE]) { value }
          members {
            edges { node {
              learner { userId district }
              status
              completionPercentage
              agg(metrics: [COMPLETED_COUNT, TIME_SPENT]) { value }
              score { score maxScore percentage assessmentsCount attemptsCount }
            } }
          }
        }
      }
      activityMetrics(query: {
        metrics: [
          ENROLLED_COUNT, COMPLETED_COUNT, AVERAGE_PROGRESS, TIME_SPENT,
          AVERAGE_SCORE, PASS_RATE, ATTEMPTS_PER_LEARNER, FIRST_ATTEMPT_RIGHT
        ],
        dimensions: [DISTRICT], activityIds: $course, mode: $mode
      }) { rows source complete }
    }
"""
SOURCES = {
    "ROWS": ("QUERY", 500, "STATES"),
    "STATES": ("QUERY", -1, "STATES"),
    "BATCH": ("BATCH", 500, "TOTALS"),
}
"""Of the page: the mode to ask for, the keys up to which rows are cheaper, and the source of the table."""


@dataclass(frozen=True)
class Step:
    """What happens; each kind looks at those of the others that it needs."""

    what: str
    user: str
    batch: str
    leaf: str
    district: str | None
    version: int


@dataclass(frozen=True)
class History:
    """``before`` and ``after`` the workers ran for the first time. ``members``: of the group at its start."""

    members: frozenset[str]
    before: list[Step]
    after: list[Step]


_KINDS = (
    *("enrol", "enrol", "enrol", "unenrol", "start", "start", "update", "end", "end", "finish"),
    *("move", "publish", "join the group", "leave the group", "attempt", "attempt", "attempt"),
)
_steps = st.builds(
    Step,
    st.sampled_from(_KINDS),
    st.sampled_from(USERS),
    st.sampled_from(BATCHES),
    st.sampled_from(LEAVES),
    st.sampled_from(["North", "South", None]),
    st.integers(0, len(VERSIONS) - 1),
)
histories = st.builds(
    History,
    st.frozensets(st.sampled_from(USERS), min_size=1),
    st.lists(_steps, min_size=5, max_size=30),
    st.lists(_steps, max_size=20),
)
_numbers = count()
_looks = count(1)


@dataclass
class Figures:
    """Of a learner in an activity, in the best of their batches."""

    active: bool = False
    status: str = "NOT_STARTED"
    completed: int = 0
    required: int = 0
    seconds: int = 0
    accessed: bool = False
    attempts: dict[str, list[int]] = field(default_factory=dict)
    """By leaf the points of each, the first one first."""

    @property
    def percentage(self) -> int:
        return 100 * self.completed // self.required if self.required else 0

    @property
    def points(self) -> int:
        return sum(map(max, self.attempts.values()))

    @property
    def score_percentage(self) -> int | None:
        return 100 * self.points // (POINTS * len(self.attempts)) if self.attempts else None

    @property
    def score(self) -> dict[str, float | None] | None:
        if not self.attempts:
            return None
        return {
            "score": self.points,
            "maxScore": POINTS * len(self.attempts),
            "percentage": self.score_percentage,
            "assessmentsCount": len(self.attempts),
            "attemptsCount": sum(map(len, self.attempts.values())),
        }


@dataclass
class Recount:
    """What the accepted calls come to, by plain Python."""

    members: set[str]
    tree: dict[str, dict[str, bool]] = field(default_factory=lambda: VERSIONS[0])
    marks: dict[str, int] = field(default_factory=lambda: PASS_MARKS[0])
    attempts: dict[tuple[str, str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    views: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    """By learner, batch and leaf: status and seconds."""
    enrolments: dict[tuple[str, str], bool] = field(default_factory=dict)
    districts: dict[str, str | None] = field(default_factory=dict)
    begun: set[tuple[str, str, str]] = field(default_factory=set)
    """Learner, batch and unit: somebody who began a unit stays in its figures for as long as it is in the course."""

    def accept(self, step: Step) -> None:
        view = (step.user, step.batch, step.leaf)
        match step.what:
            case "enrol":
                self.enrolments[step.user, step.batch] = True
            case "unenrol":
                self.enrolments[step.user, step.batch] = False
            case "start":
                self.views.setdefault(view, [1, 0])
            case "update" if self.views[view][0] == 1:
                self.views[view][1] += SECONDS
            case "end":
                self.views[view][0] = 2
            case "move":
                self.districts[step.user] = step.district
            case "publish":
                self.tree, self.marks = VERSIONS[step.version], PASS_MARKS[step.version]
            case "attempt":
                self.attempts[view].append(points_of(step))
            case "join the group":
                self.members.add(step.user)
            case "leave the group":
                self.members.discard(step.user)

    def settle(self) -> None:
        """The workers have seen everything."""
        self.begun = {each for each in self.begun if each[2] in self.tree}
        self.begun |= {
            (user, batch, unit)
            for user, batch, leaf in {*self.views, *self.attempts}
            for unit, leaves in self.tree.items()
            if leaf in leaves
        }

    def figures(self, activity: str, user: str, batch: str) -> Figures | None:
        """None where the learner has not been there."""
        is_course = activity == "course"
        units = [activity] if activity in self.tree else [*self.tree] if is_course else []
        seen = {leaf: view for (u, b, leaf), view in self.views.items() if (u, b) == (user, batch)}
        attempts = {leaf: those for (u, b, leaf), those in self.attempts.items() if (u, b) == (user, batch)}
        if is_course:
            if (user, batch) not in self.enrolments and not seen and not attempts:
                return None
        elif (user, batch, activity) not in self.begun:
            return None
        leaves = {leaf for unit in units for leaf in self.tree[unit]}
        optional = {leaf for unit in units for leaf, is_optional in self.tree[unit].items() if is_optional}
        required = leaves - optional
        statuses = [seen[leaf][0] for leaf in required if leaf in seen]
        done = statuses.count(2)
        status = (
            "COMPLETED"
            if required and done == len(required)
            else "IN_PROGRESS"
            if statuses
            else "NOT_STARTED"
        )
        seconds = sum(seen[leaf][1] for leaf in leaves if leaf in seen)
        active = self.enrolments.get((user, batch), False)
        accessed = any(leaf in seen for leaf in leaves)
        attempted = {leaf: those for leaf, those in attempts.items() if leaf in leaves}
        return Figures(active, status, done, len(required), seconds, accessed, attempted)

    def best(self, activity: str, user: str) -> Figures:
        order = ("COMPLETED", "IN_PROGRESS", "NOT_STARTED")
        found = [figures for batch in BATCHES if (figures := self.figures(activity, user, batch))]
        return min(
            found,
            key=lambda f: (
                *(not f.active, -f.completed, order.index(f.status), -f.seconds),
                *(-f.points, not f.accessed),
            ),
            default=Figures(),
        )

    def page(self) -> dict[str, Any]:
        page = {}
        for activity in ACTIVITIES:
            entries = {user: self.best(activity, user) for user in sorted(self.members)}
            enrolled = [entry for entry in entries.values() if entry.active]
            completed = sum(entry.status == "COMPLETED" for entry in enrolled)
            scored = [e.score_percentage for e in enrolled if e.score_percentage is not None]
            page[activity] = (
                [
                    *(len(enrolled), completed, 100 * completed // len(enrolled) if enrolled else 0),
                    round(sum(scored) / len(scored), 2) if scored else None,
                ],
                {
                    user: (self.districts.get(user), e.status, e.percentage, e.score, e.completed, e.seconds)
                    for user, e in entries.items()
                },
            )
        return page

    def table(self) -> list[list[Any]]:
        """Of the course, by district; nothing is the smallest."""
        districts: dict[str | None, list[Figures]] = defaultdict(list)
        for (user, batch), active in self.enrolments.items():
            figures = self.figures("course", user, batch)
            if active and figures is not None:
                districts[self.districts.get(user)].append(figures)
        return [
            [
                district,
                len(those),
                sum(f.status == "COMPLETED" for f in those),
                round(sum(f.percentage for f in those) / len(those), 2),
                sum(f.seconds for f in those),
                *self.scores(those),
            ]
            for district, those in sorted(districts.items(), key=lambda d: (d[0] is not None, d[0] or ""))
        ]

    def scores(self, those: Sequence[Figures]) -> list[Any]:
        """Average, pass rate, attempts a learner, share right at the first attempt."""
        scored = [f.score_percentage for f in those if f.score_percentage is not None]
        attempted = [(leaf, points) for f in those for leaf, points in f.attempts.items()]
        marked = [
            max(points) * 100 >= self.marks[leaf] * POINTS for leaf, points in attempted if leaf in self.marks
        ]
        if not scored:
            return [None] * 4
        return [
            round(sum(scored) / len(scored), 2),
            100 * sum(marked) // len(marked) if marked else None,
            round(sum(len(points) for _, points in attempted) / len(scored), 2),
            100 * sum(points[0] == POINTS for _, points in attempted) // len(attempted),
        ]


def points_of(step: Step) -> int:
    return step.version % (POINTS + 1)


def calls(step: Step) -> Iterable[Step]:
    """Who finishes goes through all that there is."""
    if step.what != "finish":
        return [step]
    return [replace(step, what=what, leaf=leaf) for leaf in LEAVES for what in ("start", "end")]


class World:
    """One history, with ids of its own, lived through on an instance."""

    def __init__(self, cohort: Instance, history: History) -> None:
        self.history = history
        self.recount = Recount(set(history.members))
        self._cohort = cohort
        self._number = next(_numbers)
        self._minutes = count()

    def id(self, name: str) -> str:
        return f"{name}-{self._number}"

    @property
    def users(self) -> set[str]:
        return set(map(self.id, USERS))

    async def begin(self) -> None:
        await self._publish(0)
        for batch in BATCHES:
            await self._cohort.batch(self.id(batch), self.id("course"))
        types = dict.fromkeys(ACTIVITIES, "CourseUnit") | {"course": "Course"}
        new = NewGroup(
            "Class",
            members=tuple(AddMember(self.id(user)) for user in sorted(self.history.members)),
            activities=tuple(Activity(self.id(activity), kind) for activity, kind in types.items()),
            group_id=self.id("group"),
        )
        assert (await create_group(self._cohort.session(), new)).item_errors == ()

    async def live(self, steps: Iterable[Step]) -> None:
        for step in chain.from_iterable(map(calls, steps)):
            if await self._accepted(step):
                self.recount.accept(step)

    async def _accepted(self, step: Step) -> bool:
        """Sends it again where a store was too busy to answer, as a client does: it may have been done by then."""
        at = NOW - timedelta(days=9) + timedelta(minutes=next(self._minutes))
        sent_again = False
        while True:
            try:
                return await self._done(step, at) or sent_again
            except (StoreUnavailable, Conflict):
                sent_again = True
            except CohortError:  # such as leaving where one is not: nothing has happened then
                was_enrolled = self.recount.enrolments.get((step.user, step.batch), False)
                return sent_again and step.what == "unenrol" and was_enrolled

    async def _done(self, step: Step, at: datetime) -> bool:
        """``at``: at the same moment an enrolment would be the one before it, sent again."""
        user, course, batch = self.id(step.user), self.id("course"), self.id(step.batch)
        session, service = self._cohort.session(user), self._cohort.session()
        place = EnrolmentCall(course, batch, user, at)
        view = ViewCall(self.id(step.leaf), course, batch)
        match step.what:
            case "enrol":
                await enrol(service, place)
            case "unenrol":
                await unenrol(service, place)
            case "start":
                await start_view(session, view)
            case "update":
                await update_view(
                    session,
                    view,
                    ViewChange(NOW, progress=30, time_spent=SECONDS, call_id=f"call-{at:%d-%H-%M}"),
                )
            case "end":
                await end_view(session, view, ViewChange(NOW))
            case "move":
                await save_profile(service, ProfileCall(None, {"district": step.district}, user, at))
            case "publish":
                await self._publish(step.version)
            case "attempt":
                points, key = float(points_of(step)), ViewKey(user, course, batch, view.content_id)
                await store_attempt(self._cohort.shared, key, f"attempt-{at:%d-%H-%M}", points, POINTS, at)
            case "join the group":
                return await self._changed(AddMember(user))
            case "leave the group":
                return await self._changed(RemoveMember(user))
        return True

    async def _changed(self, change: AddMember | RemoveMember) -> bool:
        """Not where who joins is in the group, or who leaves is not: sent again it is so, and the recount's set is the same."""
        call = GroupCall(self.id("group"), members=(change,))
        return not (await update_group(self._cohort.session(), call)).item_errors

    async def _publish(self, version: int) -> None:
        units = [
            {
                "identifier": self.id(unit),
                "name": unit,
                "children": [
                    {
                        "identifier": self.id(leaf),
                        "name": leaf,
                        "mimeType": LEAF,
                        "relationalMetadata": {"optional": is_optional},
                        **({"passMark": PASS_MARKS[version][leaf]} if leaf in PASS_MARKS[version] else {}),
                    }
                    for leaf, is_optional in leaves.items()
                ],
            }
            for unit, leaves in VERSIONS[version].items()
        ]
        document = {"identifier": self.id("course"), "name": "Course", "children": units}
        await publish_collection(self._cohort.session(), document)

    async def check(self, stores: Stores, source: str) -> None:
        """What a reporter is told from this source, long after all other looks: nothing that is kept is given."""
        mode, cheap_keys, table_source = SOURCES[source]
        later = NOW + timedelta(hours=next(_looks))
        session = Session(Viewer("reporter", frozenset({Role.REPORTER})), Shared.of(stores, lambda: later))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("rules.plans.CHEAP_KEYS", cheap_keys)
            answer = await data(session, PAGE, group=self.id("group"), course=[self.id("course")], mode=mode)
        activities, table = answer["group"]["activities"], answer["activityMetrics"]
        assert {(a["source"], a["complete"]) for a in activities} == {(source, True)}
        assert (table["source"], table["complete"]) == (table_source, True)
        page = {
            self._name(activity["activityId"]): (
                [figure["value"] for figure in activity["agg"]],
                dict(self._member(edge["node"]) for edge in activity["members"]["edges"]),
            )
            for activity in activities
        }
        assert page == self.recount.page(), source
        assert table["rows"] == self.recount.table(), source

    def _member(self, node: Any) -> tuple[str, tuple[Any, ...]]:
        learner, values = node["learner"], [figure["value"] for figure in node["agg"]]
        figures = (
            *(learner["district"], node["status"], node["completionPercentage"], node["score"]),
            *values,
        )
        return self._name(learner["userId"]), figures

    def _name(self, identifier: str) -> str:
        return identifier.removesuffix(f"-{self._number}")


async def settle(cohort: Instance, worlds: Sequence[World]) -> None:
    """The workers see everything, and each trigger of these worlds twice more, in another order."""
    users = set().union(*(world.users for world in worlds))
    records = [r async for r in cohort.stores.events.read(TRIGGERS.name) if r.key in users] * 2
    random.Random(len(records)).shuffle(records)
    await cohort.stores.events.send(TRIGGERS.name, *(Message(r.key, r.value) for r in records))
    await cohort.drain(within=120)
    for world in worlds:
        world.recount.settle()


async def live_through(cohort: Instance, worlds: Sequence[World]) -> None:
    await asyncio.gather(*(world.begin() for world in worlds))
    await asyncio.gather(*(world.live(world.history.before) for world in worlds))
    await settle(cohort, worlds)
    await asyncio.gather(*(world.live(world.history.after) for world in worlds))
    await settle(cohort, worlds)


@settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories)
async def test_rows_and_states_say_what_a_recount_says(embedded: Instance, history: History) -> None:
    world = World(embedded, history)
    await live_through(embedded, [world])
    await embedded.arrived()
    for source in ("ROWS", "STATES"):
        await world.check(embedded.stores, source)


def many_histories() -> list[History]:
    found: list[History] = []

    @settings(max_examples=MANY, phases=[Phase.generate], derandomize=True, database=None, deadline=None)
    @given(histories)
    def collect(history: History) -> None:
        found.append(history)

    collect()
    return found


@asynccontextmanager
async def duckdb(cohort: Instance) -> AsyncIterator[Stores]:
    """The stores with a DuckDB of its own for groups."""
    groups = await DuckGroups.open(cohort.data / "beside.duckdb", cohort.stores.events)
    try:
        yield replace(cohort.stores, groups=groups)
    finally:
        await groups.close()


async def arrived(cohort: Instance, beside: Stores) -> None:
    for stores in (cohort.stores, beside):
        for source in DATA_SOURCES:
            await cohort.arrived(source, stores.groups)


async def send_states_again(cohort: Instance) -> None:
    records = [record async for record in cohort.stores.events.read(STATES.name)]
    random.Random(len(records)).shuffle(records)
    await cohort.stores.events.send(STATES.name, *(Message(r.key, r.value) for r in records))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "urls",
    [
        pytest.param(embedded_urls, id="embedded"),
        pytest.param(real_urls, id="druid", marks=pytest.mark.stack),
    ],
)
async def test_many_groups_at_once_and_every_state_again(
    urls: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    """From the rows, the groups store and the last aggregation; on the real servers from a DuckDB that follows the
    same log as well. Then every state that was ever sent comes again in another order, old ones after new ones."""
    async with instance_of(urls(), tmp_path, groups=True) as cohort, duckdb(cohort) as beside:
        worlds = [World(cohort, history) for history in many_histories()]
        await live_through(cohort, worlds)
        recounts = [world.recount for world in worlds]
        assert sum(row[1] for recount in recounts for row in recount.table()) > MANY, "somebody is enrolled"
        assert any(
            figures.status == "COMPLETED"
            for r in recounts
            for u in USERS
            for figures in [r.best("course", u)]
        )
        assert any(world.history.members - world.recount.members for world in worlds), "somebody left a group"
        await aggregate(cohort.shared)
        await arrived(cohort, beside)
        for world in worlds:
            for source in SOURCES:
                await world.check(cohort.stores, source)
            await world.check(beside, "STATES")
        await send_states_again(cohort)
        await arrived(cohort, beside)
        for world in worlds:
            await world.check(cohort.stores, "STATES")
            await world.check(beside, "STATES")
