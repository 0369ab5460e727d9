"""What a run of the archive leaves: the same attempts, with their questions elsewhere (R-ASSESS-5)."""

import gc
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.archival import ArchivalOrder, archive, archive_when_due
from ingest.archival import spool as spooling
from ingest.archival.standing import standing
from loaders.session import Shared
from rules.archives import ArchiveState, AttemptVersion, IsoWeek
from rules.errors import Conflict, InvalidInput
from stores.column_files import FileFormat
from stores.rows import Write
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS, LEASES
from tests.archives import archives, blob_names, read_archive, rows_of, store_old_attempt, stored_attempts
from tests.conftest import NOW, Instance, embedded_urls, instance_of, is_thorough, real_urls

OLD = ArchivalOrder(timedelta(days=90))
JANUARY = datetime(2025, 1, 6, 9, tzinfo=UTC)
"""A Monday: of week 2."""


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.stack)], ids=["embedded", "real"])
async def instance(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    async with instance_of(real_urls() if request.param else embedded_urls(), tmp_path) as found:
        yield found


async def test_questions_go_into_a_file_for_each_context_and_week_and_every_attempt_stays(
    instance: Instance,
) -> None:
    shared = instance.shared
    for user, attempt_id, at, context in (
        ("ada", "a1", JANUARY, "batch"),
        ("ben", "b1", JANUARY + timedelta(days=6), "batch"),  # Sunday of the same week
        ("ada", "a2", JANUARY + timedelta(days=7), "batch"),  # the next Monday
        ("ada", "a3", JANUARY, "other"),
        ("ada", "a4", NOW - timedelta(days=89), "batch"),
    ):
        await store_old_attempt(shared, user, attempt_id, at, context=context)
    before = await stored_attempts(shared)
    report = await archive(shared, OLD)
    assert (report.walked, report.due, report.archived, report.files, report.left) == (5, 4, 4, 3, 0)
    done = await archives(shared)
    assert [(one.part.context_id, one.part.week, one.attempts, one.state) for one in done] == [
        ("batch", IsoWeek(2025, 2), 2, ArchiveState.ARCHIVED),
        ("batch", IsoWeek(2025, 3), 1, ArchiveState.ARCHIVED),
        ("other", IsoWeek(2025, 2), 1, ArchiveState.ARCHIVED),
    ]
    assert report.size == sum(one.size or 0 for one in done) > 0
    assert [one.attempt.key.user_id for one in await read_archive(shared, done[0])] == ["ada", "ben"]
    assert len(await rows_of(shared, ATTEMPTS_WITH_QUESTIONS)) == 1
    assert await stored_attempts(shared) == before
    again = await archive(shared, OLD)
    assert (again.due, again.files, again.settled) == (0, 0, 0)
    assert not [*(instance.data / "archival").iterdir()], "nothing is left on disk"


async def test_a_run_tells_how_many_attempts_it_has_looked_at_and_then_how_many_of_those_due_are_done(
    instance: Instance,
) -> None:
    for number in range(20):
        await store_old_attempt(
            instance.shared, f"learner-{number}", "a1", JANUARY + timedelta(weeks=number % 3)
        )
    await store_old_attempt(instance.shared, "ada", "a1", NOW)
    told: list[tuple[str, int, int]] = []
    await archive(instance.shared, OLD, lambda *one: told.append(one))
    looked = [(done, total) for phase, done, total in told if phase == "looked at"]
    assert looked == sorted(looked, key=lambda one: one[0])
    # How many there are is a guess until the walk's end: never fewer than were seen.
    assert all(done < total for done, total in looked[:-1])
    assert looked[-1] == (21, 21)
    assert told[len(looked) :][:1] == [("due", 0, 20)]
    assert [(phase, total) for phase, _, total in told[len(looked) :]] == [("due", 20)] * 4
    assert told[-1] == ("due", 20, 20)


async def test_a_run_with_nothing_to_do_is_at_its_end_at_once(instance: Instance) -> None:
    told: list[tuple[str, int, int]] = []
    await archive(instance.shared, OLD, lambda *one: told.append(one))
    assert told == [("looked at", 0, 0), ("due", 0, 0)]


@pytest.mark.parametrize(
    ("at", "week"),
    [
        (datetime(2021, 1, 1, tzinfo=UTC), IsoWeek(2020, 53)),
        (datetime(2024, 12, 30, tzinfo=UTC), IsoWeek(2025, 1)),
    ],
)
async def test_year_and_week_are_those_of_iso_8601(instance: Instance, at: datetime, week: IsoWeek) -> None:
    await store_old_attempt(instance.shared, "ada", "a1", at)
    await archive(instance.shared, OLD)
    (done,) = await archives(instance.shared)
    assert done.part.week == week
    assert f"batch-{week.year}-week-num-{week.week:02}-" in done.blob


async def test_contexts_with_any_id_have_files_of_their_own(instance: Instance) -> None:
    contexts = ["a b", "a_b", "a/b", "..", "Ünï", "x" * 256, "-", "batch-2025-week-num-02-1"]
    for context in contexts:
        await store_old_attempt(instance.shared, "ada", "a1", JANUARY, context=context)
    before = await stored_attempts(instance.shared)
    assert (await archive(instance.shared, OLD)).files == len(contexts)
    assert len({*await blob_names(instance.shared)}) == len(contexts)
    assert await stored_attempts(instance.shared) == before


async def test_files_are_also_written_as_compressed_csv(instance: Instance) -> None:
    for user in ("ada", "ben", "cyd"):
        await store_old_attempt(instance.shared, user, "a1", JANUARY, score=0.1 + 0.2)
    before = await stored_attempts(instance.shared)
    assert (await archive(instance.shared, replace(OLD, form=FileFormat.CSV_GZ))).archived == 3
    (name,) = await blob_names(instance.shared)
    assert name.endswith(".csv.gz")
    assert await stored_attempts(instance.shared) == before


async def test_a_large_week_has_several_files(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "MOST_IN_A_FILE", 3)
    for number in range(8):
        await store_old_attempt(instance.shared, f"learner-{number}", "a1", JANUARY)
    before = await stored_attempts(instance.shared)
    await archive(instance.shared, OLD)
    # Eight in portions of at most three: 2, 3 and 3.
    assert sorted(one.attempts for one in await archives(instance.shared)) == [2, 3, 3]
    assert await stored_attempts(instance.shared) == before


async def test_an_attempt_without_its_slim_row_stays_live(instance: Instance) -> None:
    """The one who wrote it died between the two: its event comes again."""
    shared = instance.shared
    attempt = await store_old_attempt(shared, "ada", "a1", JANUARY)
    (row,) = await rows_of(shared, ATTEMPTS)
    key = tuple(row[name] for name in ATTEMPTS.key)
    await shared.stores.rows.write(Write(ATTEMPTS, key, {}, attempt.written_at, delete=True))
    report = await archive(shared, OLD)
    assert (report.due, report.archived, report.left) == (1, 0, 1)
    assert len(await rows_of(shared, ATTEMPTS_WITH_QUESTIONS)) == 1
    assert not await rows_of(shared, ATTEMPTS), "no slim row comes into being"
    assert not await blob_names(shared)


async def test_rows_of_before_schema_6_are_archived_too(instance: Instance) -> None:
    """They have no write time of their own, and no hash: they were written at their moment."""
    shared = instance.shared
    values = {"last_attempted_on": JANUARY, "updated_on": JANUARY, "total_score": 1.0, "total_max_score": 2.0}
    key, at = ("ada", "course", "batch", "quiz", "a1"), int(JANUARY.timestamp()) * 1_000_000
    await shared.stores.rows.write(
        Write(ATTEMPTS, key, values, at),
        Write(ATTEMPTS_WITH_QUESTIONS, key, {**values, "grand_total": "1.0/2.0"}, at),
    )
    assert (await archive(shared, OLD)).archived == 1
    (whole,) = (await stored_attempts(shared)).values()
    assert (whole.grand_total, whole.attempt.written_at) == ("1.0/2.0", at)


async def test_two_runs_at_once_do_not_collide(instance: Instance) -> None:
    shared = instance.shared
    await store_old_attempt(shared, "ada", "a1", JANUARY)
    before = await stored_attempts(shared)
    in_the_way = _Between(shared, "put", lambda: archive(shared, OLD))
    with pytest.raises(Conflict, match="is archiving; it is left alone while it gives signs of life"):
        await archive(in_the_way.shared, OLD)
    assert in_the_way.happened
    # The first was broken off by the second's error here; its lease is free again, and another run does the rest.
    report = await archive(shared, OLD)
    assert (report.settled, report.archived) == (1, 1)
    assert await stored_attempts(shared) == before


async def test_a_run_that_was_taken_for_dead_and_is_not_leaves_no_file(instance: Instance) -> None:
    shared = instance.shared
    await store_old_attempt(shared, "ada", "a1", JANUARY)
    before = await stored_attempts(shared)

    async def taken_over() -> None:
        elsewhere = replace(shared.stores, data=shared.stores.data / "other-machine")
        later = replace(shared, stores=elsewhere, now=lambda: NOW + timedelta(minutes=5))
        assert (await archive(later, OLD)).archived == 1

    slow = _Between(shared, "put", taken_over)
    with pytest.raises(Conflict):
        await archive(slow.shared, OLD)
    assert slow.happened
    assert await stored_attempts(shared) == before
    assert [one.state for one in await archives(shared)].count(ArchiveState.ARCHIVED) == 1


async def test_a_schedule_archives_when_the_last_run_is_long_ago(instance: Instance) -> None:
    shared, week = instance.shared, timedelta(days=7)
    assert await archive_when_due(shared, OLD, week) is not None
    assert await archive_when_due(shared, OLD, week) is None
    at = NOW + timedelta(days=6, hours=23)
    assert await archive_when_due(replace(shared, now=lambda: at), OLD, week) is None
    at = NOW + timedelta(days=7)
    assert await archive_when_due(replace(shared, now=lambda: at), OLD, week) is not None
    row = await shared.stores.rows.get(LEASES, ("archival",))
    assert row is not None
    assert (row["owner"], row["done_on"]) == (None, at)


async def test_however_much_is_archived_few_attempts_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With questions those of two pages of the walk, without them those of a page, and of the files that are made at the same
    time."""
    page, files, most = 10, 2, 10
    monkeypatch.setattr("ingest.archival.job.PAGE", page)
    monkeypatch.setattr("ingest.archival.job.FILES_AT_ONCE", files)
    monkeypatch.setattr(spooling, "MOST_IN_A_FILE", most)
    held: dict[type, list[int]] = {dict: [], AttemptVersion: []}

    def count() -> None:
        gc.collect()
        there = Counter(type(one) for one in gc.get_objects() if type(one) is not dict or "assess_ts" in one)
        for kind, counts in held.items():
            counts.append(there[kind])

    async def counted(*arguments: Any) -> Any:
        count()
        return await standing(*arguments)

    def cut(*arguments: Any) -> Any:
        count()
        return spooling_cut(*arguments)

    def spooled(self: spooling.Spool, rows: Any) -> int:
        count()
        return spooling_add(self, rows)

    spooling_cut, spooling_add = spooling._cut, spooling.Spool._add
    monkeypatch.setattr(spooling, "_cut", cut)
    monkeypatch.setattr(spooling.Spool, "_add", spooled)
    for module in ("filing", "finishing"):
        monkeypatch.setattr(f"ingest.archival.{module}.standing", counted)
    learners = 200 if is_thorough() else 100
    gc.freeze()  # what was there before is not looked through each time
    async with instance_of(embedded_urls(), tmp_path) as instance:
        for number in range(learners):
            await store_old_attempt(instance.shared, f"learner-{number}", "a1", JANUARY)
        count()
        before = {kind: counts.pop() for kind, counts in held.items()}
        assert (await archive(instance.shared, OLD)).archived == learners
    assert 0 < max(held[dict]) - before[dict] <= 2 * 2 * page
    # Of each file what is to be filed, and what is filed.
    assert 0 < max(held[AttemptVersion]) - before[AttemptVersion] <= 3 * files * most


async def test_an_order_that_can_not_be_is_refused(tmp_path: Path) -> None:
    async with instance_of(embedded_urls(), tmp_path) as instance:
        with pytest.raises(InvalidInput) as age:
            await archive(instance.shared, ArchivalOrder(timedelta(days=-1)))
        with pytest.raises(InvalidInput) as form:
            await archive(instance.shared, replace(OLD, form=FileFormat.CSV))
    assert (age.value.field, form.value.field) == ("olderThan", "format")


class _Between:
    """Stores with which something happens before the first blob is put."""

    def __init__(self, shared: Shared, at: str, then: object) -> None:
        self.happened = False
        self._then = then
        self._blobs = shared.stores.blobs
        self.shared = replace(shared, stores=replace(shared.stores, blobs=self))  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._blobs, name)

    async def put(self, *arguments: object) -> object:
        if not self.happened:
            self.happened = True
            await self._then()  # type: ignore[operator]
        return await self._blobs.put(*arguments)  # type: ignore[arg-type]
