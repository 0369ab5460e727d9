"""What learners and those who look after them see when a course is published again (R-PROGRESS-3).

Percentages are those of the live version, a completion stays with its date and its version, and nothing that is kept of
the version before is shown beside the numbers of the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.calls.placing import ViewCall
from ingest.commands.collections import publish_collection
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from ingest.jobs.runner import Checkpoint
from ingest.publishing.learners import recompute_learners
from loaders.session import Session, Shared
from rules.group_changes import AddMember
from rules.learner_groups import Activity
from rules.moments import written
from rules.views import ViewChange
from tests.conftest import LEAF, NOW, Instance, examples
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
      id complete
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
        session = Session(self._cohort.session(self.user).viewer, self._cohort.shared)
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
    # A group's page may be a minute old where nothing was published: see that it has nothing from before.
    embedded.shared = Shared.of(embedded.stores, embedded.shared.now)
    await learning.check(all_seen=True)
    assert (await reconcile(embedded.shared, collection_id=learning.course, rate=1e9)).drifted == 0
