"""What the workers promise: the rows decide, so that duplicates, order, rivals and restarts change nothing."""

import asyncio
from pathlib import Path

import orjson
import pytest

from ingest.dead_letters import pending
from ingest.workers import Worker
from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind, parse_trigger
from stores.events import Message
from stores.topics import PROFILES, STATES, TRIGGERS
from tests.conftest import Instance, embedded_urls, instance_of
from tests.ingest.histories import live_through, send_again_shuffled, stored_figures


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
    roots = {r["user_id"]: r for r in clean["user_activity_agg"] if r["activity_id"] == "course"}
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
    """Two workers recompute the same key; the one whose trigger came first writes last, and loses."""
    from ingest.recompute import aggregate_writes, recompute
    from loaders.aggregates import aggregates_by_key

    key = ProgressKey("learner-1", "course", "batch")
    await live_through(course, 2)
    (slow,) = (await recompute(course.shared, [key])).done
    await course.drain()
    before = await aggregates_by_key(course.stores.rows, [("course", "learner-1", "cb:batch")])
    assert before[0] is not None
    stale = slow.versions(before[0].version - 1, renew=True)
    await course.stores.rows.write(*aggregate_writes(slow, stale))
    assert await aggregates_by_key(course.stores.rows, [("course", "learner-1", "cb:batch")]) == before


async def test_every_state_is_whole_and_the_last_version_tells_what_rows_tell(course: Instance) -> None:
    await live_through(course, 12)
    await send_again_shuffled(course)
    await course.drain()
    newest: dict[tuple[str, str], dict[str, object]] = {}
    seen: dict[tuple[str, str, object], dict[str, object]] = {}
    async for record in course.stores.events.read(STATES.name):
        state = orjson.loads(record.value)
        key = (state["activity_id"], state["user_id"])
        # Two different states must never share a version: Druid could not tell which is the newer.
        assert seen.setdefault((*key, state["version"]), state) == state
        if key not in newest or state["version"] > newest[key]["version"]:
            newest[key] = state
    figures = await stored_figures(course)
    assert {(r["activity_id"], r["user_id"]) for r in figures["user_activity_agg"]} == set(newest)
    for row in figures["user_activity_agg"]:
        state = newest[row["activity_id"], row["user_id"]]
        assert state["completed_count"] == row["aggregates"]["completedCount"]
        assert state["status"] == row["status"]
    active = {r["userid"]: int(r["active"]) for r in figures["user_enrolments"]}
    assert all(state["active"] == active.get(user, 0) for (_, user), state in newest.items())


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
    assert (await stored_figures(course))["user_activity_agg"]


async def test_a_record_that_breaks_the_worker_is_put_away_alone(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ingest.workers

    sound = parse_trigger

    def fragile(value: bytes) -> Trigger:
        trigger = sound(value)
        if trigger.user_id == "poison":
            raise RuntimeError("a bug")
        return trigger

    monkeypatch.setattr(ingest.workers, "parse_trigger", fragile)
    await live_through(course, 3)
    poison = Trigger(TriggerKind.VIEW, "poison", "course", "batch")
    await course.stores.events.send(TRIGGERS.name, Message("poison", poison.encode()))
    await course.drain()
    assert [letter.reason async for letter in pending(course.stores)] == [
        "internal error: RuntimeError('a bug')"
    ]
    assert (await stored_figures(course))["user_activity_agg"]


async def test_a_store_that_is_away_is_waited_for_and_nothing_is_lost(
    course: Instance, clean: dict[str, list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rules.errors import StoreUnavailable

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
    async with asyncio.timeout(10):
        await task


async def test_a_trigger_of_what_does_not_exist_is_put_away_beside_a_profile_of_the_same_learner(
    embedded: Instance,
) -> None:
    """The learner once enrolled in a collection that is gone: what expands the profile to it must not hide that."""
    from stores.rows import Write
    from stores.tables import LEARNER_SCOPES

    await embedded.stores.rows.write(Write(LEARNER_SCOPES, ("ada", "gone", "gone"), {"scope": "gone"}))
    triggers = [Trigger(TriggerKind.VIEW, "ada", "gone", "gone"), Trigger(TriggerKind.PROFILE, "ada")]
    await embedded.stores.events.send(TRIGGERS.name, *(Message("ada", t.encode()) for t in triggers))
    await embedded.drain()
    (letter,) = [letter async for letter in pending(embedded.stores)]
    assert "there is no collection gone" in letter.reason
