"""Whether all that was acknowledged is there once every server is well again, and the figures are those of a recount."""

import re
from collections.abc import Iterable
from typing import Any

from ingest.jobs.reconcile import reconcile
from rules.learner_groups import GroupStatus
from stores.tables import ATTEMPTS, ENROLMENTS, ERASURES, LEARNER_GROUPS, VIEWS
from tests.conftest import Instance
from tests.ingest.test_sample import rows_of
from tests.outages.questions import Question

FAST = 100_000.0
"""Keys a second: as fast as it goes."""


async def missing(instance: Instance, acknowledged: Iterable[Question]) -> list[str]:
    """What is not there although a call was told that it is. Runs the workers first."""
    await instance.drain()
    shared = instance.shared
    active = {row["userid"]: row["active"] for row in await rows_of(shared, ENROLMENTS)}
    views = {(row["userid"], row["contentid"]): row for row in await rows_of(shared, VIEWS)}
    attempts = {row["user_id"] for row in await rows_of(shared, ATTEMPTS)}
    erased = {row["userid"] for row in await rows_of(shared, ERASURES)}
    groups = {row["groupid"]: row for row in await rows_of(shared, LEARNER_GROUPS)}
    owners = {row["created_by"] for row in groups.values()}

    def is_there(name: str, learner: str, group: Any) -> bool:
        view = views.get((learner, "b"), {})
        match name.lower():
            case "mutation.enrol" | "post /course/v1/enrol":
                return bool(active.get(learner))
            case "mutation.unenrol" | "post /course/v1/unenrol":
                return active.get(learner) is False
            case "mutation.startview" | "post /v1/view/start":
                return bool(view)
            case "mutation.updateview" | "post /v1/view/update":
                return bool(view.get("progress") == 10)
            case "mutation.endview" | "post /v1/view/end":
                return bool(view.get("status") == 2)
            case "patch /course/v1/content/state/update":
                return (learner, "c") in views
            case "mutation.submitassessment" | "post /v1/assessment/submit":
                return learner in attempts
            case (
                "mutation.eraselearner"
                | "mutation.deletesummary"
                | "delete /v1/summary/delete/{user_id:path}"
            ):
                return learner in erased
            case "mutation.creategroup" | "post /v1/group/create":
                return learner in owners
            case "mutation.updategroup" | "patch /v1/group/update":
                return bool(group["name"] == "H")
            case "mutation.deletegroup" | "post /v1/group/delete":
                return bool(group["status"] == GroupStatus.INACTIVE.value)
        return True

    lost = []
    for one in acknowledged:
        text = f"{one.path} {(one.sent or b'').decode()}"
        learner, group = (re.search(rf"\b{letters}\d+\b", text) for letters in ("ann", "g"))
        if not is_there(one.name, learner[0] if learner else "", groups.get(group[0]) if group else None):
            lost.append(f"{one.name}: {text}")
    found = await reconcile(shared, rate=FAST)
    if found.drifted or found.failed or not found.checked:
        lost.append(f"figures: {found}")
    return lost
