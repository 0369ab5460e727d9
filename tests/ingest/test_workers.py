"""What the workers promise: the rows decide, so that duplicates, order, rivals and restarts change nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from ingest.workers.dead_letters import pending
from ingest.workers.handlers import HANDLERS
from ingest.workers.worker import Worker
from loaders.aggregates import aggregates_by_key
from loaders.views import touched_leaves_by_key
from rules.errors import StoreUnavailable
from rules.identifiers import ContextType, ProgressKey
from rules.learners import ATTRIBUTES
from rules.triggers import Trigger, TriggerKind, parse_trigger
from rules.views import ViewChange
from stores.events import Message
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS_BY_CONTEXT
from stores.topics import PROFILES, STATES, TRIGGERS
from tests.aggregates import figures_key
from tests.conftest import COURSE, NOW, Instance, embedded_urls, instance_of
from tests.ingest.histories import live_through, send_again_shuffled, stored_figures
from tests.ingest.interruptions import Interruption
from tests.ingest.test_sample import rows_of


async def finish(cohort: Instance, user: str, content: str) -> None:
    session, call = cohort.session(user), ViewCall(content, "course", "batch")
    await start_view(session, call)
    await end_view(session, call, ViewChange(NOW))


@pytest.fixture
async def clean(tmp_path: Path) -> dict[str, list[dict[str, object]]]:
    """What one worker makes of the same history in one go."""
    folder = tmp_path / "clean"
    folder.mkdir()
    async with instance_of(embedded_urls(), folder) as instance:
        await instance.publish()
        await instance.batch()
        await live_through(instance)
        await instance.drain()
        return await stored_figures(instance)


async def test_the_clean_run_is_what_the_history_says(clean: dict[str, list[dict[str, object]]]) -> None:
    """Each enrolment has its root aggregate, and the two agree."""
    roots = {r["user_id"]: r for r in clean["user_activity_agg_v2"] if r["activity_id"] == "course"}
    assert len(clean["user_enrolments"]) > 20
    for enrolment in clean["user_enrolments"]:
        aggregate = roots[enrolment["userid"]]
        assert isinstance(aggregate["aggregates"], dict)
        assert enrolment["progress"] == aggregate["aggregates"]["completedCount"]
        assert enrolment["status"] == aggregate["status"]
        assert aggregate["aggregates"]["requiredCount"] == 3


async def test_triggers_sent_twice_and_shuffled_change_nothing(
    course: Instance, clean: dict[str, list[dict[str, object]]]
) -> None:
    await live_through(course)
    await send_again_shuffled(course)
    await course.drain()
    assert await stored_figures(course) == clean
    before = await stored_figures(course)
    await send_again_shuffled(course)
    await course.drain()
    assert await stored_figures(course) == before


async def test_workers_that_come_and_go_in_the_middle_change_nothing(
    course: Instance, clean: dict[str, list[dict[str, object]]]
) -> None:
    async def rival() -> None:
        worker = Worker(course.shared, most=7, wait=0.02)
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    rivals = asyncio.create_task(rival())
    await live_through(course)
    await send_again_shuffled(course)
    await course.drain(Worker(course.shared, most=5, wait=0.02), Worker(course.shared, most=11, wait=0.02))
    await rivals
    await course.drain()
    assert await stored_figures(course) == clean


async def test_a_slow_worker_never_overwrites_a_newer_row(course: Instance) -> None:
    """It read the views, paused, and lost its partition; meanwhile the learner went on and another worker wrote."""
    import ingest.workers.recompute as module
    from ingest.workers.rows_and_states import sealing_writes, unit_writes

    key, roots = ProgressKey("ada", "course", "batch"), [figures_key("course", "ada")]
    await finish(course, "ada", "a")
    (first,) = [record async for record in course.stores.events.read(TRIGGERS.name)][:1]
    sound = touched_leaves_by_key

    async def slow(*args: Any) -> Any:
        read = await sound(*args)
        with pytest.MonkeyPatch.context() as quick:
            quick.setattr(module, "touched_leaves_by_key", sound)
            await finish(course, "ada", "b")
            await course.drain()
        return read

    with pytest.MonkeyPatch.context() as paused:
        paused.setattr(module, "touched_leaves_by_key", slow)
        (stale,) = (await module.recompute(course.shared, [key])).done
    newer = await aggregates_by_key(course.stores.rows, roots)
    assert newer[0] is not None
    assert newer[0].completed_count == 2
    version = stale.next_version(first.appended_at, first.offset)
    versions = stale.versions(version, renew=True)
    await course.stores.rows.write(*unit_writes(stale, versions, version, enrolled=True))
    await course.stores.rows.write(*sealing_writes(stale, versions))
    assert await aggregates_by_key(course.stores.rows, roots) == newer


async def test_a_worker_that_died_before_it_sealed_leaves_nobody_in_a_contexts_list(course: Instance) -> None:
    """The next one uses the same version, as it does the same trigger again; but the learner has left meanwhile."""
    call = EnrolmentCall("course", "batch")
    await enrol(course.session("ada"), call)

    async def leaves_and_dies() -> None:
        await unenrol(course.session("ada"), call)
        raise StoreUnavailable("this process died here")

    # Step 0 writes what must be there first, step 1 seals it.
    await course.drain(Worker(Interruption(1, leaves_and_dies).of(course.shared), most=1, wait=0.005))
    rows = await rows_of(course.shared, ENROLMENTS_BY_CONTEXT)
    assert [(row["userid"], row["active"]) for row in rows] == [("ada", False)]


async def newest_states(cohort: Instance) -> dict[tuple[str, str], dict[str, Any]]:
    """By activity and learner, as rollup has them: of each key the one with the highest version."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    seen: dict[tuple[str, str, int], dict[str, Any]] = {}
    async for record in cohort.stores.events.read(STATES.name):
        state = orjson.loads(record.value)
        key = (state["activity_id"], state["user_id"])
        # Two different states must never share a version: Druid could not tell which is the newer.
        assert seen.setdefault((*key, state["version"]), state) == state
        if key not in newest or state["version"] > newest[key]["version"]:
            newest[key] = state
    return newest


def ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


async def check_that_rows_and_states_say_the_same(cohort: Instance) -> None:
    """Every column of a row that a state has as well; a state without a row is one of what vanished."""
    rows = (await stored_figures(cohort))["user_activity_agg_v2"]
    newest = await newest_states(cohort)
    assert rows
    for row in rows:
        state = newest.pop((row["activity_id"], row["user_id"]))
        assert {
            "activity_type": state["activity_type"],
            "context_id": state["context_id"],
            "collection_id": state["collection_id"],
            "aggregates": {
                "completedCount": state["completed_count"],
                "requiredCount": state["required_count"],
                "timeSpent": state["time_spent"],
            },
            "status": state["status"],
            "active": bool(state["active"]),
            "enrolled_on": state["enrolled_on"],
            "completed_on": state["completed_on"],
            "last_access_time": state["last_accessed_on"],
        } == {
            **{n: row[n] for n in ("activity_type", "context_id", "collection_id", "aggregates", "status")},
            "active": row["active"],
            **{name: ms(row[name]) for name in ("enrolled_on", "completed_on", "last_access_time")},
        }
        assert state["activity_type"] == ("Course" if row["activity_id"] == "course" else "CourseUnit")
    assert all(state["active"] == state["required_count"] == 0 for state in newest.values())


async def test_every_state_is_whole_and_the_last_version_tells_what_rows_tell(course: Instance) -> None:
    await live_through(course, 12)
    await send_again_shuffled(course)
    await course.drain()
    await check_that_rows_and_states_say_the_same(course)
    figures = await stored_figures(course)
    newest = await newest_states(course)
    assert {(r["activity_id"], r["user_id"]) for r in figures["user_activity_agg_v2"]} == set(newest)
    active = {r["userid"]: int(r["active"]) for r in figures["user_enrolments"]}
    assert all(state["active"] == active.get(user, 0) for (_, user), state in newest.items())


async def actives(cohort: Instance) -> dict[str, bool]:
    """Ada's rows by activity."""
    rows = (await stored_figures(cohort))["user_activity_agg_v2"]
    return {row["activity_id"]: row["active"] for row in rows if row["user_id"] == "ada"}


def without(*nodes: str) -> dict[str, Any]:
    """COURSE without these units or leaves."""
    document: Any = deepcopy(COURSE)
    document["children"] = [unit for unit in document["children"] if unit["identifier"] not in nodes]
    for unit in document["children"]:
        unit["children"] = [leaf for leaf in unit["children"] if leaf["identifier"] not in nodes]
    return cast("dict[str, Any]", document)


async def lose_a_viewed_leaf(cohort: Instance) -> None:
    """c is the only leaf of unit-2 that Ada viewed, and a new version, which the workers have seen, is without it."""
    await finish(cohort, "ada", "a")
    await finish(cohort, "ada", "c")
    await cohort.drain()
    await cohort.publish(without("c"))
    await reconcile(cohort.shared, rate=10_000)
    await cohort.drain()


async def test_one_who_leaves_leaves_every_unit_too_also_one_that_lost_its_viewed_leaf(
    course: Instance,
) -> None:
    """Of unit-2 the required b is left, and Ada has 0 of 1. She enrols four days ago, and again two days ago."""
    days = [NOW - timedelta(days=number) for number in (4, 3, 2, 1)]
    await enrol(course.session(), EnrolmentCall("course", "batch", "ada", days[0]))
    await lose_a_viewed_leaf(course)
    for command, at, active in ((unenrol, days[1], False), (enrol, days[2], True), (unenrol, days[3], False)):
        await command(course.session(), EnrolmentCall("course", "batch", "ada", at))
        await course.drain()
        assert await actives(course) == dict.fromkeys(("course", "unit-1", "unit-2"), active)
        await check_that_rows_and_states_say_the_same(course)
    unit = (await newest_states(course))["unit-2", "ada"]
    assert (unit["active"], unit["completed_count"], unit["required_count"]) == (0, 0, 1)
    assert unit["enrolled_on"] == ms(days[0])


async def test_a_learner_who_moves_is_moved_in_every_unit_too(course: Instance) -> None:
    """Also in one that lost its viewed leaf before."""
    await lose_a_viewed_leaf(course)
    for district in "NS":
        await save_profile(course.session(), ProfileCall(None, {"district": district}, "ada", NOW))
        await course.drain()
        newest = await newest_states(course)
        assert {activity: state["district"] for (activity, _), state in newest.items()} == dict.fromkeys(
            ("course", "unit-1", "unit-2"), district
        )


async def test_what_changes_while_rows_cannot_be_written_gets_a_version_of_its_own(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are away for the root of a trigger, the learner goes on, and the same trigger is handled again."""
    await embedded.publish()
    await embedded.batch()
    await finish(embedded, "ada", "a")
    write, failed = embedded.stores.rows.write, False

    async def write_when_back(*writes: Write) -> None:
        nonlocal failed
        if not failed and any(w.table is AGGREGATES and w.key[1] == "course" for w in writes):
            failed = True
            await finish(embedded, "ada", "b")
            raise StoreUnavailable("the rows are away")
        await write(*writes)

    monkeypatch.setattr(embedded.stores.rows, "write", write_when_back)
    await embedded.drain(Worker(embedded.shared, most=1, wait=0.005))
    assert failed
    assert (await newest_states(embedded))["course", "ada"]["completed_count"] == 2
    await check_that_rows_and_states_say_the_same(embedded)


VANISHED = {
    "activity_type": "CourseUnit",
    "activity_id": "unit-2",
    "collection_id": "course",
    "context_id": "cb:batch",
    "user_id": "ada",
    "tree_version": None,
    **dict.fromkeys(("status", "completed_count", "required_count", "completion_percentage"), 0),
    **dict.fromkeys(("time_spent", "active"), 0),
    **dict.fromkeys(
        ("attempts_count", "assessed_count", "right_first_count", "passable_count", "passed_count"), 0
    ),
    **dict.fromkeys(("score", "max_score", "score_percentage")),
    "scores": "{}",
    **dict.fromkeys(("enrolled_on", "completed_on", "last_accessed_on", *ATTRIBUTES)),
}
"""The state of Ada's unit-2 once a new version of the course is without it, but for time and version."""


async def test_a_unit_that_a_new_version_drops_vanishes_from_rows_and_states(course: Instance) -> None:
    """Ada completed b and c: unit-2 (b, c) 2 of 2, of the course 2 of a, b, c; without unit-2, 1 of a, b."""
    await enrol(course.session("ada"), EnrolmentCall("course", "batch"))
    await finish(course, "ada", "b")
    await finish(course, "ada", "c")
    await finish(course, "bob", "a")
    await course.drain()
    before = (await newest_states(course))["unit-2", "ada"]
    assert (before["completed_count"], before["active"]) == (2, 1)

    await course.publish(without("unit-2"))
    report = await reconcile(course.shared, rate=10_000)
    assert "ada course batch: course, unit-2, enrolment" in report.examples
    await course.drain()
    assert set(await actives(course)) == {"course", "unit-1"}
    newest = await newest_states(course)
    gone = newest["unit-2", "ada"]
    assert gone["version"] > before["version"]
    assert gone == {**VANISHED, "time": before["time"], "version": gone["version"]}
    assert (newest["course", "ada"]["completed_count"], newest["course", "ada"]["required_count"]) == (1, 2)
    assert ("unit-2", "bob") not in newest, "he has no row there"
    await check_that_rows_and_states_say_the_same(course)
    assert (await reconcile(course.shared, rate=10_000)).drifted == 0

    await course.publish()
    await reconcile(course.shared, rate=10_000)
    await course.drain()
    assert set(await actives(course)) == {"course", "unit-1", "unit-2"}
    back = (await newest_states(course))["unit-2", "ada"]
    assert back == {**before, "version": back["version"], "tree_version": 3}
    assert back["version"] > gone["version"]
    await check_that_rows_and_states_say_the_same(course)


@pytest.mark.parametrize("last_step", range(5))
async def test_a_worker_that_dies_while_a_unit_vanishes_leaves_neither_row_nor_figures(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, last_step: int
) -> None:
    """At each of its steps: units, the states of what vanished, their rows, the root, the states."""
    await embedded.publish()
    await embedded.batch()
    await finish(embedded, "ada", "b")
    await embedded.drain()
    await embedded.publish(without("unit-2"))
    await reconcile(embedded.shared, rate=10_000)
    steps = 0

    def mortal(call: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def step(*arguments: Any) -> None:
            nonlocal steps
            if steps == last_step:
                raise asyncio.CancelledError
            steps += 1
            await call(*arguments)

        return step

    with monkeypatch.context() as dying:
        dying.setattr(embedded.stores.rows, "write", mortal(embedded.stores.rows.write))
        dying.setattr(embedded.stores.events, "send", mortal(embedded.stores.events.send))
        (died,) = await asyncio.gather(Worker(embedded.shared, wait=0.005).run(), return_exceptions=True)
    assert isinstance(died, asyncio.CancelledError)
    assert steps == last_step
    await embedded.drain()
    newest = await newest_states(embedded)
    assert set(await actives(embedded)) == {"course", "unit-1"}
    unit = newest["unit-2", "ada"]
    assert unit == {**VANISHED, "time": unit["time"], "version": unit["version"]}
    await check_that_rows_and_states_say_the_same(embedded)
    assert (await reconcile(embedded.shared, rate=10_000)).drifted == 0


async def test_a_course_that_leaves_a_program_keeps_the_rows_of_its_own(embedded: Instance) -> None:
    """It is taken by itself as well, under the same context: the rows are those of the course, not of a unit."""
    await embedded.publish()
    extra = {"identifier": "extra", "name": "Extra", "children": [{"identifier": "e", "name": "E"}]}
    program = {"identifier": "program", "name": "Program", "children": [COURSE, extra]}
    await embedded.publish(program)
    await create_context(
        embedded.session(), NewContext(ContextType.BATCH, "Batch", ("program", "course"), "batch")
    )
    session, call = embedded.session("ada"), ViewCall("a", "program", "batch")
    await start_view(session, call)
    await end_view(session, call, ViewChange(NOW))
    await embedded.drain()
    await finish(embedded, "ada", "a")
    await embedded.drain()
    await embedded.publish({**program, "children": [extra]})
    await reconcile(embedded.shared, collection_id="program", rate=10_000)
    await embedded.drain()
    rows = (await stored_figures(embedded))["user_activity_agg_v2"]
    assert {row["activity_id"]: row["collection_id"] for row in rows} == {
        "course": "course",
        "unit-1": "course",
        "program": "program",
    }


async def test_what_cannot_be_processed_is_put_away_with_its_reason_and_the_rest_is_done(
    course: Instance,
) -> None:
    unknown = Trigger(TriggerKind.VIEW, "ada", "no-such-course", "batch").encode()
    nowhere = Trigger(TriggerKind.VIEW, "ada", "course", "no-such-batch").encode()
    bad = [b"not json", b"[]", b'{"kind":"view"}', b'{"kind":"dance","userId":"ada"}', unknown, nowhere]
    await course.stores.events.send(TRIGGERS.name, *(Message("ada", value) for value in bad))
    await course.stores.events.send(
        PROFILES.name, Message("ada", b'{"userId":"ada","updatedOn":"yesterday"}')
    )
    await live_through(course, 3)
    worker = await course.drain()
    reasons = sorted([letter.reason async for letter in pending(course.stores)])
    assert len(reasons) == worker.dead == 7
    assert [reason.partition(":")[0] for reason in reasons] == ["INVALID_INPUT"] * 5 + ["NOT_FOUND"] * 2
    assert any("updatedOn must be a moment" in reason for reason in reasons)
    assert any("no-such-course" in reason for reason in reasons)
    assert (await stored_figures(course))["user_activity_agg_v2"]


def test_every_kind_of_trigger_has_one_handler() -> None:
    assert sorted(handler.kind.value for handler in HANDLERS) == sorted(kind.value for kind in TriggerKind)


async def test_a_record_that_breaks_the_worker_is_put_away_alone(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ingest.workers.handlers

    sound = parse_trigger

    def fragile(value: bytes) -> Trigger:
        trigger = sound(value)
        if trigger.user_id == "poison":
            raise RuntimeError("a bug")
        return trigger

    monkeypatch.setattr(ingest.workers.handlers, "parse_trigger", fragile)
    await live_through(course, 3)
    poison = Trigger(TriggerKind.VIEW, "poison", "course", "batch")
    await course.stores.events.send(TRIGGERS.name, Message("poison", poison.encode()))
    await course.drain()
    assert [letter.reason async for letter in pending(course.stores)] == [
        "internal error: RuntimeError('a bug')"
    ]
    assert (await stored_figures(course))["user_activity_agg_v2"]


async def test_a_store_that_is_away_is_waited_for_and_nothing_is_lost(
    course: Instance, clean: dict[str, list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_through(course)
    write, failures = course.stores.rows.write, iter(range(4))

    async def write_when_back(*writes: object) -> None:
        if next(failures, None) is not None:
            raise StoreUnavailable("the rows are away")
        await write(*writes)  # type: ignore[arg-type]

    monkeypatch.setattr(course.stores.rows, "write", write_when_back)
    await course.drain()
    assert await stored_figures(course) == clean


async def test_a_stopped_worker_ends_within_its_batch(course: Instance) -> None:
    worker = Worker(course.shared)
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    worker.stop()
    async with asyncio.timeout(60):
        await task


async def test_a_trigger_of_what_does_not_exist_is_put_away_beside_a_profile_of_the_same_learner(
    embedded: Instance,
) -> None:
    """The learner once enrolled in a collection that is gone: what expands the profile to it must not hide that."""
    from stores.tables import LEARNER_SCOPES

    await embedded.stores.rows.write(Write(LEARNER_SCOPES, ("ada", "gone", "gone"), {"scope": "gone"}))
    triggers = [Trigger(TriggerKind.VIEW, "ada", "gone", "gone"), Trigger(TriggerKind.PROFILE, "ada")]
    await embedded.stores.events.send(TRIGGERS.name, *(Message("ada", t.encode()) for t in triggers))
    await embedded.drain()
    (letter,) = [letter async for letter in pending(embedded.stores)]
    assert "there is no collection gone" in letter.reason


async def test_a_record_too_large_to_put_away_whole_is_put_away_cut(embedded: Instance) -> None:
    await embedded.stores.events.send(TRIGGERS.name, Message("ada", b"x" * 950_000))
    worker = await embedded.drain()
    (letter,) = [letter async for letter in pending(embedded.stores)]
    assert worker.dead == 1
    assert len(letter.value) == 900_000
    assert letter.reason.endswith("(cut from 950000 bytes)")


async def test_readers_see_a_change_that_a_gateway_without_a_cache_made(tmp_path: Path) -> None:
    """One gateway has the learner's hash in the cache; another one can't reach it and takes the call all the same.
    When the worker has seen the change, the first one shows it."""
    async with instance_of(embedded_urls(), tmp_path) as cohort:
        await cohort.publish()
        await cohort.batch()
        await finish(cohort, "ada", "a")
        await cohort.shared.background.settled()
        key = ProgressKey("ada", "course", "batch")
        assert (await cohort.session("ada").loaders.touches.load(key)).keys() == {"a"}
        other = Instance(embedded_urls() | {"cache": "redis://127.0.0.1:1/0"}, tmp_path)
        async with other.opened() as other.shared:
            await finish(other, "ada", "b")
        await cohort.drain()
        assert (await cohort.session("ada").loaders.touches.load(key)).keys() == {"a", "b"}
