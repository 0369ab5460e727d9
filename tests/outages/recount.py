"""Whether all that was acknowledged is there once every server is well again, and the figures are those of a recount."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ingest.jobs.reconcile import reconcile
from loaders.session import Shared
from rules.learner_groups import GroupStatus
from stores.tables import ATTEMPTS, ENROLMENTS, ERASURES, LEARNER_GROUPS, VIEWS
from tests.conftest import Instance
from tests.ingest.test_sample import rows_of
from tests.outages.questions import Question

FAST = 100_000.0
"""Keys a second: as fast as it goes."""


@dataclass(frozen=True)
class Stored:
    """What the rows have, by learner, or by group."""

    active: Mapping[str, bool]
    views: Mapping[tuple[str, str], Mapping[str, Any]]
    attempts: frozenset[str]
    erased: frozenset[str]
    groups: Mapping[str, Mapping[str, Any]]
    founders: frozenset[str]

    @classmethod
    async def of(cls, shared: Shared) -> "Stored":
        groups = {row["groupid"]: row for row in await rows_of(shared, LEARNER_GROUPS)}
        return cls(
            {row["userid"]: bool(row["active"]) for row in await rows_of(shared, ENROLMENTS)},
            {(row["userid"], row["contentid"]): row for row in await rows_of(shared, VIEWS)},
            frozenset(row["user_id"] for row in await rows_of(shared, ATTEMPTS)),
            frozenset(row["userid"] for row in await rows_of(shared, ERASURES)),
            groups,
            frozenset(row["created_by"] for row in groups.values()),
        )

    def view(self, learner: str, content: str = "b") -> Mapping[str, Any]:
        return self.views.get((learner, content), {})


Check = Callable[[Stored, str], bool]
CHECKS: dict[str, Check] = {
    **dict.fromkeys(("Mutation.enrol", "POST /course/v1/enrol"), lambda stored, ann: stored.active[ann]),
    **dict.fromkeys(
        ("Mutation.unenrol", "POST /course/v1/unenrol"), lambda stored, ann: stored.active[ann] is False
    ),
    **dict.fromkeys(
        ("Mutation.startView", "POST /v1/view/start"), lambda stored, ann: stored.view(ann) != {}
    ),
    **dict.fromkeys(
        ("Mutation.updateView", "POST /v1/view/update"),
        lambda stored, ann: stored.view(ann)["progress"] == 10,
    ),
    **dict.fromkeys(
        ("Mutation.endView", "POST /v1/view/end"), lambda stored, ann: stored.view(ann)["status"] == 2
    ),
    "PATCH /course/v1/content/state/update": lambda stored, ann: stored.view(ann, "c")["status"] == 1,
    **dict.fromkeys(
        ("Mutation.submitAssessment", "POST /v1/assessment/submit"),
        lambda stored, ann: ann in stored.attempts,
    ),
    **dict.fromkeys(
        (
            "Mutation.eraseLearner",
            "Mutation.deleteSummary",
            "DELETE /v1/summary/delete/{user_id:path}",
        ),
        lambda stored, ann: ann in stored.erased,
    ),
    **dict.fromkeys(
        ("Mutation.createGroup", "POST /v1/group/create"), lambda stored, ann: ann in stored.founders
    ),
    **dict.fromkeys(
        ("Mutation.updateGroup", "PATCH /v1/group/update"),
        lambda stored, group: stored.groups[group]["name"] == "H",
    ),
    **dict.fromkeys(
        ("Mutation.deleteGroup", "POST /v1/group/delete"),
        lambda stored, group: stored.groups[group]["status"] == GroupStatus.INACTIVE.value,
    ),
}
"""What an acknowledged call has left, of the learner or the group that it names."""


async def missing(instance: Instance, acknowledged: Iterable[Question]) -> list[str]:
    """What is not there although a call was told that it is. Runs the workers first."""
    await instance.drain()
    stored = await Stored.of(instance.shared)
    lost = []
    for one in acknowledged:
        if (check := CHECKS.get(one.name)) is not None:
            text = f"{one.path} {(one.sent or b'').decode()}"
            named = re.search(r"\b(ann|g)\d+\b", text)
            assert named, text
            try:
                is_there = check(stored, named[0])
            except KeyError:
                is_there = False
            if not is_there:
                lost.append(f"lost: {one.name}: {text}")
    found = await reconcile(instance.shared, rate=FAST)
    if found.drifted or found.failed or not found.checked:
        lost.append(f"figures: {found}")
    return lost
