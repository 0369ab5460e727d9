"""What learners and those who look after them see when a course is published again (R-PROGRESS-3).

Percentages are those of the live version, a completion stays with its date and its version, and nothing that is kept of
the version before is shown beside the numbers of the new one.
"""

from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druid_specs import ACTIVITY_TOTALS
from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.views import end_view, start_view
from ingest.jobs.plans import Checkpoint
from ingest.jobs.reconcile import reconcile
from ingest.publishing.direct import publish_collection
from ingest.publishing.learners import recompute_learners
from loaders.session import Shared
from rules.group_changes import AddMember
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.learner_groups import Activity
from rules.moments import written
from rules.viewers import Role
from rules.views import ViewChange
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS
from tests.conftest import COURSE, LEAF, NOW, Instance, embedded_urls, examples, instance_of, real_urls
from tests.graph.conftest import data

_numbers = count()

PAGE = """query ($course: String!, $context: String!, $group: String!, $ids: [String!]) {
  me {
    enrolment(collectionId: $course, contextId: $context) {
      status completedCount requiredCount completionPercentage completedOn completedVersion
    }
    summary(collectionId: $course, contextId: $context) {
      status completedCount requiredCount completionPercentage completedOn completedVersion
    }
  }
  collection(identifier: $course) { version progress(contextId: $context) { completedCount requiredCount } }
  group(groupId: $group) {
    activities(activityIds: $ids) {
      activityId complete
      members { edges { node { learner { userId } status completionPercentage } } }
    }
  }
}"""


async def publish(cohort: Instance, document: Mapping[str, Any]) -> int:
    """As a publish job does it: the new version, then the triggers of its learners."""
    identifier = document["identifier"]
    content = await cohort.shared.library.contents.load(identifier)
    publication = await publish_collection(cohort.session(), document)
    if publication.changed:
        before = content.live_version if content else None
        steps = recompute_learners(
            cohort.shared, identifier, before, publication.version, Checkpoint(None, 0), rate=1e9
        )
        async for _ in steps:
            pass
    return publication.version


# --- any sequence of publishes and views

LEAVES = ("a", "b", "c", "d")
Tree = Mapping[str, bool]
"""The leaves of a version; True for one that is optional there."""


@dataclass
class Model:
    """One learner in one course, counted by hand."""

    tree: Tree
    version: int = 1
    done: dict[str, datetime] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    noted: tuple[datetime, int] | None = None
    """The completion that the workers have noted."""

    @property
    def required(self) -> set[str]:
        return {leaf for leaf, optional in self.tree.items() if not optional}

    @property
    def completion(self) -> tuple[datetime, int] | None:
        if self.noted or not self.required or not self.required <= self.done.keys():
            return self.noted
        return max(self.done[leaf] for leaf in self.required), self.version

    def shown(self) -> dict[str, Any]:
        completed, required = len(self.required & self.done.keys()), len(self.required)
        begun = self.required & (self.begun | self.done.keys())
        status = (
            "COMPLETED" if required and completed == required else "IN_PROGRESS" if begun else "NOT_STARTED"
        )
        on, version = self.completion or (None, None)
        return {
            "status": status,
            "completedCount": completed,
            "requiredCount": required,
            "completionPercentage": 100 * completed // required if required else 0,
            "completedOn": on and written(on),
            "completedVersion": version,
        }


trees = st.dictionaries(st.sampled_from(LEAVES), st.booleans(), min_size=1)
steps = st.one_of(
    st.tuples(st.just("publish"), trees),
    st.tuples(st.just("finish"), st.sampled_from(LEAVES)),
    st.tuples(st.just("begin"), st.sampled_from(LEAVES)),
    st.tuples(st.just("work"), st.none()),
)


class History:
    """A course, a batch and a learner of its own on an instance that many share."""

    def __init__(self, cohort: Instance, first: Tree) -> None:
        self._cohort = cohort
        number = next(_numbers)
        self.course, self.context, self.user = f"course-{number}", f"batch-{number}", f"ann-{number}"
        self.group = f"group-{number}"
        self.model = Model(first)
        self._minutes = count()

    def document(self, tree: Tree) -> dict[str, Any]:
        children = [
            {
                "identifier": f"{self.course}-{leaf}",
                "name": leaf,
                "mimeType": LEAF,
                "relationalMetadata": {"optional": optional},
            }
            for leaf, optional in sorted(tree.items())
        ]
        unit = {"identifier": f"{self.course}-unit", "name": "Unit", "children": children}
        return {"identifier": self.course, "name": "Course", "children": [unit]}

    async def begin(self) -> None:
        self._cohort.shared = Shared.of(self._cohort.stores, lambda: NOW)
        await publish(self._cohort, self.document(self.model.tree))
        await self._cohort.batch(self.context, self.course)
        await enrol(self._cohort.session(self.user), EnrolmentCall(self.course, self.context))
        await create_group(
            self._cohort.session(),
            NewGroup(
                "Group",
                members=(AddMember(self.user),),
                activities=(Activity(self.course, "Course"),),
                group_id=self.group,
            ),
        )
        # Whom the worker has not seen is in no context's list: their own trigger has still to come.
        await self._cohort.drain()

    async def live(self, what: str, of: Any) -> None:
        match what:
            case "publish":
                self.model.version = await publish(self._cohort, self.document(of))
                self.model.tree = of
            case "work":
                await self._cohort.drain()
                self.model.noted = self.model.completion
            case _ if of in self.model.tree:
                await self._view(of, ends=what == "finish")

    async def _view(self, leaf: str, *, ends: bool) -> None:
        at = NOW + timedelta(minutes=next(self._minutes))
        self._cohort.sets_clock(at)
        session = self._cohort.session(self.user)
        call = ViewCall(f"{self.course}-{leaf}", self.course, self.context)
        await start_view(session, call)
        self.model.begun.add(leaf)
        if ends:
            await end_view(session, call, ViewChange(at))
            self.model.done.setdefault(leaf, at)

    async def shown(self) -> Any:
        found = await data(
            self._cohort.session(self.user), PAGE, course=self.course, context=self.context, group=self.group
        )
        await self._cohort.shared.background.settled()
        return found

    async def check(self, *, all_seen: bool) -> None:
        expected, found = self.model.shown(), await self.shown()
        assert found["me"]["enrolment"] == expected
        assert found["me"]["summary"] == expected
        assert found["collection"]["version"] == self.model.version
        assert found["collection"]["progress"] == {
            name: expected[name] for name in ("completedCount", "requiredCount")
        }
        (activity,) = found["group"]["activities"]
        (member,) = activity["members"]["edges"]
        if all_seen:
            assert activity["complete"]
            assert (member["node"]["status"], member["node"]["completionPercentage"]) == (
                expected["status"],
                expected["completionPercentage"],
            )


@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=trees, history=st.lists(steps, max_size=9), looks=st.booleans())
async def test_figures_are_those_of_a_count_by_hand_whatever_is_published_and_viewed(
    embedded: Instance, first: Tree, history: list[tuple[str, Any]], looks: bool
) -> None:
    """``looks``: after each step, when the workers may not have seen it yet."""
    learning = History(embedded, first)
    await learning.begin()
    for what, of in history:
        await learning.live(what, of)
        if looks:
            await learning.check(all_seen=False)
    await learning.live("work", None)
    # A group's page may be a minute old where nothing was published.
    later = embedded.shared.now() + timedelta(minutes=2)
    embedded.shared = Shared.of(embedded.stores, lambda: later)
    await learning.check(all_seen=True)
    assert (await reconcile(embedded.shared, collection_id=learning.course, rate=1e9)).drifted == 0


# --- what is kept of the version before


def without(leaf: str, course: Mapping[str, Any] = COURSE) -> dict[str, Any]:
    document: dict[str, Any] = deepcopy(dict(course))
    for unit in document["children"]:
        unit["children"] = [child for child in unit["children"] if child["identifier"] != leaf]
    return document


def grown(course: Mapping[str, Any] = COURSE) -> dict[str, Any]:
    """With a leaf e in unit-1: required are a, b, c, e, and a, b, e of the unit."""
    document: dict[str, Any] = deepcopy(dict(course))
    document["children"][0]["children"].append({"identifier": "e", "name": "E", "mimeType": LEAF})
    return document


async def finish(
    cohort: Instance, user: str, leaves: str, course: str = "course", context: str = "batch"
) -> None:
    for leaf in leaves:
        call = ViewCall(leaf, course, context)
        await start_view(cohort.session(user), call)
        await end_view(cohort.session(user), call, ViewChange(NOW))


async def class_at_work(cohort: Instance, *activities: Activity) -> None:
    """Ada has done a, b and c, Bob a; the workers have seen it."""
    await publish(cohort, COURSE)
    await cohort.batch()
    for user, leaves in (("ada", "abc"), ("bob", "a")):
        await enrol(cohort.session(user), EnrolmentCall("course", "batch"))
        await finish(cohort, user, leaves)
    members = (AddMember("ada"), AddMember("bob"))
    await create_group(
        cohort.session(), NewGroup("Class", members=members, activities=activities, group_id="g")
    )
    await cohort.drain()


GROUP = """query ($ids: [String!], $mode: AggregationMode) { group(groupId: "g") { activities(activityIds: $ids, mode: $mode) {
  activityId complete collection { leafNodesCount }
  members { edges { node { learner { userId } completionPercentage } } } } } }"""


async def percentages(cohort: Instance, **variables: Any) -> dict[str, tuple[bool, dict[str, int]]]:
    """By activity: whether it is complete, and the percentage of each member. As a mentor sees it, from what this
    process keeps where it keeps it."""
    found = (await data(cohort.session("mo", Role.MENTOR), GROUP, **variables))["group"]["activities"]
    return {
        activity["activityId"]: (
            activity["complete"],
            {
                edge["node"]["learner"]["userId"]: edge["node"]["completionPercentage"]
                for edge in activity["members"]["edges"]
            },
        )
        for activity in found
    }


def a_minute_later(cohort: Instance) -> None:
    """What is kept has come to its end."""
    cohort.shared = Shared.of(cohort.stores, lambda: NOW + timedelta(seconds=61))


COURSE_AND_UNIT = (Activity("course", "Course"), Activity("unit-1", "CourseUnit"))


async def test_a_group_page_that_is_kept_is_not_shown_once_a_new_version_is_live(embedded: Instance) -> None:
    """Before the workers have seen it, and after; Ada has 3 of 3, then 3 of 4."""
    await class_at_work(embedded, *COURSE_AND_UNIT)
    as_before = {"course": (True, {"ada": 100, "bob": 33}), "unit-1": (True, {"ada": 100, "bob": 50})}
    for _ in range(2):
        assert await percentages(embedded) == as_before
    await publish(embedded, {**COURSE, "description": "New"})
    assert await percentages(embedded) == as_before, "nothing that counts has changed"
    await publish(embedded, grown())
    expected = {"course": (True, {"ada": 75, "bob": 25}), "unit-1": (True, {"ada": 66, "bob": 33})}
    assert await percentages(embedded) == expected
    await embedded.drain()
    assert await percentages(embedded) == expected
    await publish(embedded, without("c", grown()))
    assert await percentages(embedded) == {
        "course": (True, {"ada": 66, "bob": 33}),
        "unit-1": (True, {"ada": 66, "bob": 33}),
    }


async def test_a_page_from_states_says_that_it_is_of_the_version_before_until_the_workers_are_through(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rules.plans.CHEAP_KEYS", 0)
    await class_at_work(embedded, *COURSE_AND_UNIT)
    await embedded.arrived()
    assert (await percentages(embedded))["course"] == (True, {"ada": 100, "bob": 33})
    await publish(embedded, grown())
    assert (await percentages(embedded))["course"] == (False, {"ada": 100, "bob": 33})
    await embedded.drain()
    await embedded.arrived()
    a_minute_later(embedded)
    assert (await percentages(embedded))["course"] == (True, {"ada": 75, "bob": 25})


async def test_a_unit_s_kept_figures_go_with_a_publish_of_any_collection_that_holds_it(
    embedded: Instance,
) -> None:
    """Ada learns unit-1 in the program alone; the course, under whose name the unit stands, is not touched."""
    await publish(embedded, COURSE)
    program = {
        "identifier": "program",
        "name": "Program",
        "mimeType": COLLECTION_MIME_TYPE,
        "children": deepcopy(COURSE["children"]),
    }
    await publish(embedded, program)
    await publish(embedded, {**COURSE, "description": "The unit is the course's again."})
    assert (await embedded.shared.library.content("unit-1", "id")).root == "course"
    await embedded.batch("term", "program")
    await enrol(embedded.session("ada"), EnrolmentCall("program", "term"))
    await finish(embedded, "ada", "ab", "program", "term")
    await create_group(
        embedded.session(),
        NewGroup("Class", members=(AddMember("ada"),), activities=COURSE_AND_UNIT[1:], group_id="g"),
    )
    await embedded.drain()
    for _ in range(2):
        assert await percentages(embedded) == {"unit-1": (True, {"ada": 100})}
    await publish(embedded, grown(program))
    embedded.shared.library.contents.forget("unit-1")
    assert await percentages(embedded) == {"unit-1": (True, {"ada": 66})}


async def test_kept_figures_of_a_course_that_is_named_below_a_program_go_with_its_own_publish(
    embedded: Instance,
) -> None:
    program = {
        "identifier": "program",
        "name": "Program",
        "mimeType": COLLECTION_MIME_TYPE,
        "children": [deepcopy(COURSE)],
    }
    await publish(embedded, program)
    await class_at_work(embedded, Activity("program", "Course"))
    for _ in range(2):
        assert await percentages(embedded, ids=["course"]) == {"course": (True, {"ada": 100, "bob": 33})}
    await publish(embedded, grown())
    assert await percentages(embedded, ids=["course"]) == {"course": (True, {"ada": 75, "bob": 25})}


async def test_batch_mode_says_that_its_figures_are_of_the_version_before_until_the_next_aggregation(
    embedded: Instance,
) -> None:
    await class_at_work(embedded, *COURSE_AND_UNIT)
    await aggregate(embedded.shared)
    assert (await percentages(embedded, mode="BATCH"))["course"] == (True, {"ada": 100, "bob": 33})
    embedded.sets_clock(NOW + timedelta(minutes=1))
    await publish(embedded, grown())
    assert (await percentages(embedded, mode="BATCH"))["course"] == (False, {"ada": 100, "bob": 33})
    await embedded.drain()
    embedded.sets_clock(NOW + timedelta(minutes=2))
    await aggregate(embedded.shared)
    assert (await percentages(embedded, mode="BATCH"))["course"] == (True, {"ada": 75, "bob": 25})


# --- tables of figures


@pytest.fixture(params=["embedded", pytest.param("druid", marks=pytest.mark.stack)])
async def dashboards(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    """With Druid, where the others are real."""
    urls = embedded_urls() if request.param == "embedded" else real_urls()
    async with instance_of(urls, tmp_path, groups=True) as instance:
        yield instance


TABLE = """query ($mode: AggregationMode) { activityMetrics(query: { mode: $mode
  metrics: [ENROLLED_COUNT, COMPLETED_COUNT, AVERAGE_PROGRESS] activityIds: ["course"] }) { rows complete } }"""


async def table(cohort: Instance, **variables: Any) -> tuple[bool, list[Any]]:
    found = (await data(cohort.session("rita", Role.REPORTER), TABLE, **variables))["activityMetrics"]
    return found["complete"], found["rows"][0]


@pytest.mark.timeout(300)
async def test_a_table_that_is_kept_is_not_given_for_a_new_version_and_says_whose_figures_it_has(
    dashboards: Instance,
) -> None:
    """Ada 100 % and Bob 33 %, on average 66.5; then 75 and 25, on average 50."""
    await class_at_work(dashboards)
    await dashboards.arrived()
    for _ in range(2):
        assert await table(dashboards) == (True, [2, 1, 66.5])
    await publish(dashboards, {**COURSE, "description": "New"})
    assert await table(dashboards) == (True, [2, 1, 66.5]), "nothing that counts has changed"
    await publish(dashboards, grown())
    assert await table(dashboards) == (False, [2, 1, 66.5])
    await dashboards.drain()
    await dashboards.arrived()
    a_minute_later(dashboards)
    assert await table(dashboards) == (True, [2, 0, 50])


async def test_totals_say_that_a_version_was_published_since(embedded: Instance) -> None:
    await class_at_work(embedded)
    await aggregate(embedded.shared)
    await embedded.arrived(ACTIVITY_TOTALS)
    assert await table(embedded, mode="BATCH") == (True, [2, 1, 66.5])
    embedded.sets_clock(NOW + timedelta(minutes=2))
    await publish(embedded, grown())
    assert await table(embedded, mode="BATCH") == (False, [2, 1, 66.5])
    await embedded.drain()
    embedded.shared = Shared.of(embedded.stores, lambda: NOW + timedelta(minutes=4))
    await aggregate(embedded.shared)
    await embedded.arrived(ACTIVITY_TOTALS)
    assert await table(embedded, mode="BATCH") == (True, [2, 0, 50])


# --- a completion


async def test_a_completion_says_of_which_version_it_was_and_stays(cohort: Instance) -> None:
    """Ada completed version 1, Bob version 3, which asks for a alone; Eve, who is not enrolled, completed version 1.
    What the workers have not seen yet is told alike."""
    await class_at_work(cohort)
    await finish(cohort, "eve", "abc", "course", "course")
    await cohort.drain()
    now = written(NOW)

    async def told(user: str, context: str) -> tuple[int, str | None, int | None]:
        found = await data(
            cohort.session(user),
            """query ($context: String!) { me { summary(collectionId: "course", contextId: $context) {
              completionPercentage completedOn completedVersion } } }""",
            context=context,
        )
        await cohort.shared.background.settled()
        return tuple(found["me"]["summary"].values())

    places = {"ada": "batch", "bob": "batch", "eve": "course"}

    async def all_told() -> dict[str, Any]:
        return {user: await told(user, context) for user, context in places.items()}

    for document, expected in (
        (None, {"ada": (100, now, 1), "bob": (33, None, None), "eve": (100, now, 1)}),
        (grown(), {"ada": (75, now, 1), "bob": (25, None, None), "eve": (75, now, 1)}),
        (without("b", without("c")), {"ada": (100, now, 1), "bob": (100, now, 3), "eve": (100, now, 1)}),
        (COURSE, {"ada": (100, now, 1), "bob": (33, now, 3), "eve": (100, now, 1)}),
    ):
        if document is not None:
            await publish(cohort, document)
        assert await all_told() == expected, "before the workers"
        await cohort.drain()
        assert await all_told() == expected, "after them"


async def test_a_completion_from_before_versions_were_noted_has_none(embedded: Instance) -> None:
    """As schema version 4 left the rows."""
    await class_at_work(embedded)
    for table_, key in (
        (AGGREGATES, ("Course", "course", "ada", "cb:batch", "course")),
        (ENROLMENTS, ("ada", "course", "batch")),
    ):
        row = await embedded.stores.rows.get(table_, key)
        assert row is not None
        assert row["completed_version"] == 1
        await embedded.stores.rows.write(
            Write(table_, key, {"completed_version": None}, timestamp=row["version"] + 1, insert=False)
        )
    await publish(embedded, grown())
    await embedded.drain()
    found = await data(
        embedded.session("ada"),
        """{ me { enrolment(collectionId: "course", contextId: "batch") {
          completionPercentage completedOn completedVersion } } }""",
    )
    assert found["me"]["enrolment"] == {
        "completionPercentage": 75,
        "completedOn": written(NOW),
        "completedVersion": None,
    }
    assert (await reconcile(embedded.shared)).drifted == 0
