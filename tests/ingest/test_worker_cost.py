"""What a trigger costs the workers in statements follows the collection, not the learner's past."""

from collections import Counter
from datetime import timedelta

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from loaders.views import row_key, view_values
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.views import View, ViewChange
from stores.rows import Write
from stores.tables import ATTEMPTS, ENROLMENTS, LEARNER_SCOPES, VIEWS
from tests.conftest import NOW, Instance

OTHERS, EARLIER = 12, 6
"""Collections that a learner took before, and changes of this one that the workers have seen before."""


async def finish(cohort: Instance, user: str, content: str) -> None:
    call = ViewCall(content, "course", "batch")
    await start_view(cohort.session(user), call)
    await end_view(cohort.session(user), call, ViewChange(NOW))


async def live(cohort: Instance, user: str) -> None:
    """Views, attempts and enrolments of other collections, views of this one that were deleted, and versions of its figures that later ones
    have replaced."""
    writes = []
    for number in range(OTHERS):
        place = (user, f"past-{number}", f"past-batch-{number}")
        view = View(ViewKey(*place, "leaf"), Status.COMPLETED, 100, started_on=NOW, last_accessed_on=NOW)
        score = {"total_score": 1.0, "total_max_score": 2.0, "last_attempted_on": NOW, "updated_on": NOW}
        writes += [
            Write(VIEWS, row_key(view.key), {**view_values(view), "changed_at": 1}),
            Write(ATTEMPTS, (*place, "leaf", "one"), score),
            Write(ENROLMENTS, place, {"active": True, "enrolled_on": NOW, "changed_at": 1}),
            Write(LEARNER_SCOPES, place, {"scope": place[1]}),
            Write(VIEWS, row_key(ViewKey(user, "course", "batch", f"gone-{number}")), {}, delete=True),
        ]
    await cohort.stores.rows.write(*writes)
    for number in range(EARLIER):
        later = NOW + timedelta(minutes=number)
        call = ViewCall("a", "course", "batch")
        await start_view(cohort.session(user), call)
        await end_view(cohort.session(user), call, ViewChange(later))
        await cohort.drain()


async def cost(cohort: Instance, *users: str) -> Counter[str]:
    """The statements of the workers after each of them has viewed one leaf more."""
    for user in users:
        await finish(cohort, user, "b")
    with cohort.stores.rows.meter.measure() as counts:
        await cohort.drain()
    return Counter(counts)


@pytest.mark.parametrize("learners", [1, 3])
async def test_a_trigger_costs_the_same_statements_whatever_the_learner_did_before(
    course: Instance, learners: int
) -> None:
    new, old = ([f"{name}-{n}" for n in range(learners)] for name in ("new", "old"))
    for user in (*new, *old):
        await enrol(course.session(user), EnrolmentCall("course", "batch"))
        await finish(course, user, "a")
    await course.drain()
    for user in old:
        await live(course, user)
    of_new, of_old = await cost(course, *new), await cost(course, *old)
    assert of_new["select user_activity_agg_v2"], "the figures are there and compared"
    assert of_old == of_new
