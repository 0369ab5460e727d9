"""Drift between what is stored and what the rows say is found, named, and mended by the workers."""

from collections import Counter
from copy import deepcopy
from typing import Any

import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import RANGES, reconcile, report_of
from ingest.jobs.runner import Jobs
from loaders.aggregates import StoredAggregate, aggregate_place, aggregates_by_key
from rules.errors import InvalidInput
from rules.identifiers import ProgressKey
from rules.jobs import JobState
from rules.views import ViewChange
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS
from stores.topics import STATES
from tests.aggregates import figures_key
from tests.conftest import COURSE, NOW, Instance

FAST = 100_000.0


async def aggregate(cohort: Instance, user: str, activity: str = "course") -> StoredAggregate:
    (found,) = await aggregates_by_key(cohort.stores.rows, [figures_key(activity, user)])
    assert found is not None
    return found


async def drift(cohort: Instance, user: str, activity: str = "course", **figures: float) -> None:
    """By hand, over what a worker wrote."""
    stored = await aggregate(cohort, user, activity)
    wrong: dict[str, Any] = {
        "aggregates": {"completedCount": 9.0, "requiredCount": 9.0, "timeSpent": 0.0, **figures},
        "version": stored.version + 1,
    }
    key = aggregate_place(figures_key(activity, user))
    await cohort.stores.rows.write(Write(AGGREGATES, key, wrong, timestamp=stored.version + 1))


async def learn(cohort: Instance, *users: str) -> None:
    """Each completes a, one of the required a, b, c; the first one is enrolled."""
    await enrol(cohort.session(users[0]), EnrolmentCall("course", "batch"))
    for user in users:
        call = ViewCall("a", "course", "batch")
        await start_view(cohort.session(user), call)
        await end_view(cohort.session(user), call, ViewChange(NOW))
    await cohort.drain()


async def test_drift_is_found_reported_and_mended(course: Instance) -> None:
    await learn(course, "ada", "bob", "cleo")
    clean = await reconcile(course.shared, rate=FAST)
    assert (clean.checked, clean.drifted, clean.failed, list(clean.examples)) == (3, 0, 0, [])

    await drift(course, "ada")
    await drift(course, "bob", "unit-1", completedCount=0)
    found = await reconcile(course.shared, rate=FAST)
    assert (found.checked, found.drifted, found.failed) == (3, 2, 0)
    assert sorted(found.examples) == ["ada course batch: course", "bob course batch: unit-1"]
    assert (await aggregate(course, "ada")).completed_count == 9  # the workers are the one writer
    await course.drain()
    mended = await aggregate(course, "ada")
    assert (mended.completed_count, mended.required_count) == (1, 3)
    assert (await aggregate(course, "bob", "unit-1")).completed_count == 1
    assert (await reconcile(course.shared, rate=FAST)).drifted == 0


async def change_statuses(cohort: Instance, user: str, activity: str, statuses: dict[str, int]) -> None:
    """By hand, of the statuses of leaves alone: the row keeps its version and its digest."""
    stored = await aggregate(cohort, user, activity)
    key = aggregate_place(figures_key(activity, user))
    wrong = {"content_status": statuses}
    await cohort.stores.rows.write(Write(AGGREGATES, key, wrong, timestamp=stored.version + 1, insert=False))


async def test_statuses_that_were_changed_by_hand_are_drift_and_mended(course: Instance) -> None:
    """The digest beside them says what the worker wrote: it does not hide them."""
    await learn(course, "ada", "bob", "cleo")
    await change_statuses(course, "ada", "course", {"a": 1, "b": 2})
    await change_statuses(course, "bob", "unit-1", {})
    found = await reconcile(course.shared, rate=FAST)
    assert (found.checked, found.drifted) == (3, 2)
    assert sorted(found.examples) == ["ada course batch: course", "bob course batch: unit-1"]
    await course.drain()
    for user, activity in (("ada", "course"), ("bob", "unit-1")):
        assert (await aggregate(course, user, activity)).content_status == {"a": 2}
    assert (await reconcile(course.shared, rate=FAST)).drifted == 0


async def test_a_learner_in_two_contexts_of_a_course_has_no_drift(course: Instance) -> None:
    """Her views of both are in one partition: a view under one moves the mark by which both are known to be seen."""
    await course.batch("second")
    for context in ("batch", "second"):
        await enrol(course.session("ada"), EnrolmentCall("course", context))
        call = ViewCall("a", "course", context)
        await start_view(course.session("ada"), call)
        await end_view(course.session("ada"), call, ViewChange(NOW))
        await course.drain()
    report = await reconcile(course.shared, rate=FAST)
    assert (report.checked, report.drifted) == (2, 0)


async def states(cohort: Instance) -> Counter[tuple[str, str, str, int]]:
    """How often each version of each key was sent."""
    found = [orjson.loads(record.value) async for record in cohort.stores.events.read(STATES.name)]
    return Counter((s["activity_id"], s["user_id"], s["context_id"], s["version"]) for s in found)


async def test_every_state_is_sent_again_where_it_is_asked_for(course: Instance) -> None:
    """As when a data source is lost: from then on there is a state for every row, with the version that it has.
    Ada is enrolled, Bob only views; a left unit-1 with the new version, and its row stays."""
    await learn(course, "ada", "bob")
    moved: Any = deepcopy(COURSE)
    moved["children"][0]["children"].pop(0)
    await course.publish(moved)
    await reconcile(course.shared, rate=FAST)
    await course.drain()
    before = await states(course)
    assert (await reconcile(course.shared, rate=FAST)).drifted == 0
    await course.drain()
    assert await states(course) == before

    report = await reconcile(course.shared, rate=FAST, states=True)
    assert (report.checked, report.drifted, list(report.examples)) == (2, 0, [])
    await course.drain()
    sent = await states(course) - before
    keys = [(activity, user, "cb:batch") for activity in ("course", "unit-1") for user in ("ada", "bob")]
    rows = [await aggregate(course, user, activity) for activity, user, _ in keys]
    assert sent == {(*key, row.version): 1 for key, row in zip(keys, rows, strict=True)}


async def test_a_lost_enrolment_figure_is_drift_too(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await learn(embedded, "ada")
    version = (await aggregate(embedded, "ada")).version + 1
    wrong = {"progress": 3, "status": 2}
    await embedded.stores.rows.write(Write(ENROLMENTS, ("ada", "course", "batch"), wrong, timestamp=version))
    found = await reconcile(embedded.shared, rate=FAST)
    assert list(found.examples) == ["ada course batch: enrolment"]
    await embedded.drain()
    stored = await embedded.session().loaders.enrolments.load(ProgressKey("ada", "course", "batch"))
    assert stored is not None
    assert (stored.completed_count, stored.status) == (1, 1)


async def test_of_one_learner_or_of_one_collection_alone(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await learn(embedded, "ada", "bob")
    await drift(embedded, "ada")
    await drift(embedded, "bob")
    one = await reconcile(embedded.shared, user_id="bob", rate=FAST)
    assert (one.checked, list(one.examples)) == (1, ["bob course batch: course"])
    await embedded.drain()
    assert (await aggregate(embedded, "bob")).completed_count == 1
    assert (await aggregate(embedded, "ada")).completed_count == 9

    await embedded.publish({**COURSE, "identifier": "other"})
    assert (await reconcile(embedded.shared, collection_id="other", rate=FAST)).checked == 0
    assert (await reconcile(embedded.shared, user_id="nobody", rate=FAST)).checked == 0
    assert (await reconcile(embedded.shared, collection_id="course", rate=FAST)).drifted == 1


async def test_it_is_a_job_with_a_step_for_each_part_of_the_ring(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await learn(embedded, "ada")
    seen: list[int] = []
    report = await reconcile(embedded.shared, rate=FAST, on_progress=lambda job: seen.append(job.steps_done))
    (job,) = await Jobs(embedded.shared).list()
    assert (job.kind, job.state, job.total, job.steps_done) == (
        "reconcile",
        JobState.DONE,
        2 * RANGES,
        2 * RANGES,
    )
    assert report_of(job) == report
    assert seen == sorted(seen)
    assert seen[-1] == 2 * RANGES


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": -1}, "rate"),
        ({"user_id": " "}, "userId"),
        ({"collection_id": ""}, "collectionId"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    embedded: Instance, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await reconcile(embedded.shared, **arguments)
    assert refused.value.field == field
    assert await Jobs(embedded.shared).list() == []


async def test_a_low_rate_leaves_signs_of_life(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """At half a key a second a page must have no more keys than twenty seconds take, or others take the job over."""
    await embedded.publish()
    await embedded.batch()
    users = [f"user-{number}" for number in range(30)]
    for user in users:
        await enrol(embedded.session(user), EnrolmentCall("course", "batch"))
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("ingest.jobs.runner.asyncio.sleep", sleep)
    assert (await reconcile(embedded.shared, rate=0.1)).checked == 30
    assert max(pauses) <= 20
    assert sum(pauses) > 290


async def test_a_unit_that_lost_its_leaf_to_a_new_version_is_mended(course: Instance) -> None:
    """a moves from unit-1 (a, b) to unit-2: unit-1 goes from 1 of 2 to 0 of 1, unit-2 from 0 to 1 of 3 (a, b, c)."""
    session = course.session("ada")
    call = ViewCall("a", "course", "batch")
    await start_view(session, call)
    await end_view(session, call, ViewChange(NOW))
    await course.drain()
    moved: Any = deepcopy(COURSE)
    unit_1, unit_2 = moved["children"]
    unit_2["children"].append(unit_1["children"].pop(0))
    await course.publish(moved)
    report = await reconcile(course.shared)
    assert report.drifted == 1
    await course.drain()
    keys = [figures_key(unit, "ada") for unit in ("unit-1", "unit-2", "course")]
    found = await aggregates_by_key(course.stores.rows, keys)
    assert [(f.completed_count, f.required_count) for f in found if f] == [(0, 1), (1, 3), (1, 3)]
    assert (await reconcile(course.shared)).drifted == 0
