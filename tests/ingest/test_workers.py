"""What the workers promise: the rows decide, so that duplicates, order, rivals and restarts change nothing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.dead_letters import pending
from ingest.views import ViewCall, end_view, start_view
from ingest.workers import Worker
from loaders.aggregates import aggregates_by_key
from loaders.views import touches_by_key
from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind, parse_trigger
from rules.views import ViewChange
from stores.events import Message
from stores.rows import Rows
from stores.topics import PROFILES, STATES, TRIGGERS
from tests.conftest import NOW, Instance, embedded_urls, instance_of
from tests.ingest.histories import live_through, send_again_shuffled, stored_figures


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
    """It read the views, paused, and lost its partition; meanwhile the learner went on and another worker wrote."""
    import ingest.recompute as module

    key, roots = ProgressKey("ada", "course", "batch"), [("course", "ada", "cb:batch")]
    await finish(course, "ada", "a")
    (first,) = [record async for record in course.stores.events.read(TRIGGERS.name)][:1]
    sound = touches_by_key

    async def slow(rows: Rows, keys: Sequence[ProgressKey], columns: Sequence[str]) -> Any:
        read = await sound(rows, keys, columns)
        with pytest.MonkeyPatch.context() as quick:
            quick.setattr(module, "touches_by_key", sound)
            await finish(course, "ada", "b")
            await course.drain()
        return read

    with pytest.MonkeyPatch.context() as paused:
        paused.setattr(module, "touches_by_key", slow)
        (stale,) = (await module.recompute(course.shared, [key])).done
    newer = await aggregates_by_key(course.stores.rows, roots)
    assert newer[0] is not None
    assert newer[0].completed_count == 2
    versions = stale.versions(stale.next_version(first.appended_at, first.offset), renew=True)
    await course.stores.rows.write(*module.unit_writes(stale, versions))
    await course.stores.rows.write(*module.sealing_writes(stale, versions))
    assert await aggregates_by_key(course.stores.rows, roots) == newer


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
