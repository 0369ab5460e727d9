"""Reads are right whatever died before them, and cost a number of statements that does not grow with the page."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import ingest.calls.acknowledgement
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import update_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from loaders.session import Session, Shared
from loaders.touches import hash_key
from rules.identifiers import ProgressKey, view_key
from rules.progress import Progress, Status
from rules.standings import Figures, FirstCompletion, Standing, Touch
from rules.triggers import Trigger, TriggerKind, parse_trigger
from rules.views import ViewChange
from stores.columns import Table
from stores.rows import Write
from stores.tables import AGGREGATES, VIEWS
from stores.topics import TRIGGERS
from tests.conftest import NOW, Instance, embedded_urls, instance_of

KEY = ProgressKey("ada", "course", "batch")
TRIGGER = Trigger(TriggerKind.VIEW, "ada", "course", "batch")


async def finish(cohort: Instance, user: str, *contents: str) -> None:
    session = cohort.session(user)
    for content in contents:
        call = ViewCall(content, "course", "batch")
        await start_view(session, call)
        await end_view(session, call, ViewChange(NOW))
    await cohort.shared.background.settled()


async def standing(cohort: Instance, key: ProgressKey = KEY, shared: Shared | None = None) -> Standing:
    session = Session(cohort.session().viewer, shared or cohort.shared)
    found = await session.loaders.standings.load(key)
    assert found is not None
    return found


async def touches(cohort: Instance, key: ProgressKey = KEY, shared: Shared | None = None) -> dict[str, int]:
    session = Session(cohort.session().viewer, shared or cohort.shared)
    return {
        content: int(touch.status) for content, touch in (await session.loaders.touches.load(key)).items()
    }


async def sent(cohort: Instance) -> list[Trigger]:
    return [parse_trigger(record.value) async for record in cohort.stores.events.read(TRIGGERS.name)]


async def marks(cohort: Instance) -> list[str]:
    (fields,) = await cohort.stores.cache.hashes([hash_key(KEY)])
    return [name for name in fields if name.startswith("!")]


def later(cohort: Instance, seconds: float) -> Shared:
    return Shared.of(cohort.stores, lambda: NOW + timedelta(seconds=seconds))


async def die_before_the_trigger(cohort: Instance, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """The process is gone once the row is written: no trigger, and the mark in the hash stays."""

    def gone(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    call = ViewCall(content, "course", "batch")
    with monkeypatch.context() as patched:
        patched.setattr(ingest.calls.acknowledgement, "trigger_of", gone)
        with pytest.raises(asyncio.CancelledError):
            await end_view(cohort.session("ada"), call, ViewChange(NOW))


async def test_a_page_of_a_hundred_costs_as_much_as_one_of_ten(course: Instance) -> None:
    """A hundred learners with a view each: aggregates and partitions' statics in one statement of a hundred keys."""
    users = [f"user-{number}" for number in range(100)]
    gate = asyncio.Semaphore(8)

    async def learn(user: str) -> None:
        async with gate:
            await start_view(course.session(user), ViewCall("a", "course", "batch"))

    await asyncio.gather(*map(learn, users))
    await course.shared.background.settled()
    await course.drain()
    await course.stores.cache.delete(*(hash_key(ProgressKey(user, "course", "batch")) for user in users))
    counts = {}
    for many in (10, 100):
        session = course.session()
        with course.stores.rows.meter.measure() as counted:
            found = await session.loaders.standings.load_many(
                [ProgressKey(user, "course", "batch") for user in users[:many]]
            )
        assert [each and each.statuses for each in found] == [{"a": 1}] * many
        counts[many] = counted.total()
    assert counts[100] <= counts[10]
    assert counts[100] <= 2

    session = course.session()
    with course.stores.rows.meter.measure() as counted:
        await session.loaders.touches.load_many([ProgressKey(u, "course", "batch") for u in users])
    assert counted.total() <= 2
    # Now the hashes are whole, and the rows are not asked at all.
    with course.stores.rows.meter.measure() as counted:
        loader = course.session().loaders.touches
        await loader.load_many([ProgressKey(u, "course", "batch") for u in users])
    assert counted.total() == 0


async def test_two_hundred_leaves_cost_one_partition(embedded: Instance) -> None:
    leaves = [{"identifier": f"leaf-{number}", "name": "Leaf"} for number in range(200)]
    await embedded.publish({"identifier": "large", "name": "Large", "children": leaves})
    for leaf in leaves[:20]:
        await start_view(embedded.session("ada"), ViewCall(leaf["identifier"], "large"))
    await embedded.shared.background.settled()
    key = ProgressKey("ada", "large", "large")
    # As one who comes after an hour: the hash has expired.
    await embedded.stores.cache.delete(hash_key(key))
    await standing(embedded, key)
    await embedded.stores.cache.delete(hash_key(key))
    await embedded.stores.rows.write(
        *(
            Write(VIEWS, ("ada", "large", "large", "large", leaf["identifier"]), {"status": 1})
            for leaf in leaves
        )
    )
    with embedded.stores.rows.meter.measure() as counted:
        assert len(await touches(embedded, key)) == 200
    assert counted == {"select user_content_consumption": 1, "select user_activity_agg_v2": 1}
    with embedded.stores.rows.meter.measure() as counted:
        assert len(await touches(embedded, key)) == 200
    assert counted.total() == 0


async def test_a_call_that_died_before_its_trigger_heals_on_the_next_read(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row says 2, the hash says 1 and has the mark of a call under way, the log knows only the start."""
    await finish(course, "ada", "b", "c")
    await start_view(course.session("ada"), ViewCall("a", "course", "batch"))
    await course.shared.background.settled()
    await course.drain()
    await touches(course)  # fills the hash: without the mark it would now be trusted
    before = len(await sent(course))
    await die_before_the_trigger(course, monkeypatch, "a")
    assert len(await marks(course)) == 1
    assert len(await sent(course)) == before

    # At once, while the mark is young, and for readers of either kind.
    assert (await standing(course)).statuses == {"a": 2, "b": 2, "c": 2}
    assert await touches(course) == {"a": 2, "b": 2, "c": 2}
    assert (await sent(course))[before:] == [TRIGGER]
    assert len(await marks(course)) == 1
    await course.drain()
    tree = await course.shared.library.relation_tree(await course.shared.library.collection("course"))
    healed = await standing(course)
    assert healed.progress(tree).status is Status.COMPLETED

    # The mark goes once the call must have died, and only then is the hash trusted again.
    shared = later(course, 60)
    assert await touches(course, shared=shared) == {"a": 2, "b": 2, "c": 2}
    assert await marks(course) == []
    with course.stores.rows.meter.measure() as counted:
        assert await touches(course) == {"a": 2, "b": 2, "c": 2}
    assert counted.total() == 0


async def test_a_call_that_died_before_its_row_does_not_slow_reads_for_good(
    published: Instance,
) -> None:
    """Its mark is all there is; a reader that went to the rows takes it away, and the hash serves again."""
    await finish(published, "ada", "a")
    await published.drain()
    await published.stores.cache.raise_fields(hash_key(KEY), {"!dead": b"%015d" % 1}, 60)
    assert await touches(published) == {"a": 2}
    assert await marks(published) == []
    with published.stores.rows.meter.measure() as counted:
        assert await touches(published) == {"a": 2}
    assert counted.total() == 0


async def test_while_a_call_is_under_way_readers_go_to_the_rows(published: Instance) -> None:
    """Its mark is young and stays."""
    await finish(published, "ada", "a")
    await touches(published)
    now = int(NOW.timestamp() * 1000)
    await published.stores.cache.raise_fields(hash_key(KEY), {"!alive": b"%015d" % now}, 60)
    row = ("ada", "course", "course", "batch", "b")
    await published.stores.rows.write(Write(VIEWS, row, {"status": 2, "last_completed_time": NOW}))
    assert await touches(published) == {"a": 2, "b": 2}
    assert await marks(published) == ["!alive"]


async def test_reads_and_calls_are_right_with_the_cache_dead(tmp_path: Path) -> None:
    """Nobody listens on port 1: every figure comes from the rows, before and after the workers."""
    urls = {**embedded_urls(), "cache": "redis://127.0.0.1:1/0"}
    async with instance_of(urls, tmp_path) as cohort:
        await cohort.publish()
        await cohort.batch()
        await enrol(cohort.session("ada"), EnrolmentCall("course", "batch"))
        for contents, expected in ((("a",), {"a": 2}), (("b",), {"a": 2, "b": 2})):
            await finish(cohort, "ada", *contents)
            for _ in range(2):
                assert (await standing(cohort)).statuses == expected
                assert await touches(cohort) == expected
                await cohort.drain()
        assert (await standing(cohort)).last_accessed_on == NOW
        assert cohort.stores.cache.failures > 0


async def test_the_hash_and_the_rows_answer_alike(published: Instance) -> None:
    await finish(published, "ada", "a", "b", "c")
    await start_view(published.session("ada"), ViewCall("d", "course", "batch"))
    answers = [await standing(published) for _ in range(2)]  # from the rows, then from the hash
    await published.stores.cache.delete(hash_key(KEY))
    await published.drain()
    answers.append(await standing(published))  # the aggregate
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] == Standing({"a": 2, "b": 2, "c": 2, "d": 1}, FirstCompletion(NOW, 1), NOW)
    assert await published.session().loaders.touches.load(KEY) == {
        **dict.fromkeys("abc", Touch(Status.COMPLETED, 100, NOW, NOW)),
        "d": Touch(Status.IN_PROGRESS, 0, NOW, None),
    }


@pytest.mark.parametrize("worked", [False, True], ids=["before the worker", "after it"])
async def test_figures_are_those_of_the_statuses_whether_or_not_these_are_read(
    published: Instance, monkeypatch: pytest.MonkeyPatch, worked: bool
) -> None:
    """Three required leaves, a and b completed: 2 of 3. Of a fresh aggregate a page of figures leaves the statuses unread."""
    await finish(published, "ada", "a", "b")
    if worked:
        await published.drain()
    asked: list[Sequence[str] | None] = []
    partitions = published.stores.rows.partitions

    async def noted(table: Table, keys: Any, columns: Any = None, **how: Any) -> Any:
        if table is AGGREGATES:
            asked.append(columns)
        return await partitions(table, keys, columns, **how)

    monkeypatch.setattr(published.stores.rows, "partitions", noted)
    (bare,) = await published.session().loaders.figures_of_page([KEY], statuses=False)
    (whole,) = await published.session().loaders.figures_of_page([KEY], statuses=True)
    expected = Figures(Progress(Status.IN_PROGRESS, 2, 3), None, NOW, 0, {"a": 2, "b": 2})
    assert whole == expected
    assert bare == (replace(expected, statuses=None) if worked else expected)
    assert [columns and "content_status" in columns for columns in asked] == [False, None]


async def test_a_learner_without_anything_and_a_collection_that_is_gone(published: Instance) -> None:
    assert await standing(published) == Standing({})
    assert await touches(published) == {}
    assert await published.session().loaders.standings.load(ProgressKey("ada", "gone", "gone")) is None
    assert await published.session().loaders.views.load(view_key("ada", "a")) is None
    assert await sent(published) == []


async def test_one_learners_batches_of_a_course_do_not_mix(published: Instance) -> None:
    await published.batch("batch-2")
    await finish(published, "ada", "a")
    other = ProgressKey("ada", "course", "batch-2")
    await start_view(published.session("ada"), ViewCall("b", "course", "batch-2"))
    for _ in range(3):
        assert (await standing(published)).statuses == {"a": 2}
        assert (await standing(published, other)).statuses == {"b": 1}
        await published.stores.cache.delete(hash_key(KEY), hash_key(other))
        await published.drain()


async def test_a_change_by_another_process_is_seen_soon(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within FRESH_FOR, here a tenth of a second; by the process that made it at once."""
    monkeypatch.setattr("loaders.library.FRESH_FOR", 0.1)
    course = published
    ours, theirs = later(course, 0), later(course, 0)
    for shared in (ours, theirs):
        assert (await shared.library.context("batch")).name == "Batch batch"
    await update_context(Session(course.session().viewer, theirs), "batch", {"name": "Renamed"})
    assert (await theirs.library.context("batch")).name == "Renamed"
    async with asyncio.timeout(60):
        while (await ours.library.context("batch")).name != "Renamed":
            await asyncio.sleep(0.02)
