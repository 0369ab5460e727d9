"""Whatever dies or comes in between, wherever: each attempt has its questions once, live or in a file, and none is lost."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.archival import archive
from ingest.commands.erased_rows import ErasedRows
from ingest.commands.learner_erasure import LearnerErasure
from loaders.session import Shared
from rules.archives import ArchiveState
from rules.moments import milliseconds
from stores.tables import ATTEMPTS, ATTEMPTS_WITH_QUESTIONS
from tests.archives import archives, blob_names, read_archive, rows_of, store_old_attempt, stored_attempts
from tests.conftest import NOW, Instance, embedded_urls, instance_of, is_thorough, real_urls
from tests.ingest.interrupted_archival import LATER, ORDER, in_small_portions, store_attempts
from tests.ingest.interrupted_publish import Dying, Killed
from tests.ingest.interruptions import Interruption

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

UNBOUNDED = 1_000_000
ENGINES = pytest.mark.parametrize(
    "real", [False, pytest.param(True, marks=pytest.mark.stack)], ids=["embedded", "real"]
)


@pytest.fixture(autouse=True)
def _small_portions() -> Iterator[None]:
    with in_small_portions():
        yield


_changes: dict[bool, int] = {}
"""Of an undisturbed run, by whether the engines are real."""


class Instances:
    """Empty ones, as many as are asked for, with the attempts in them."""

    def __init__(self, real: bool, path: Path) -> None:
        self._real = real
        self._path = path
        self._made = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Instance]:
        self._made += 1
        path = self._path / str(self._made)
        path.mkdir()
        async with instance_of(real_urls() if self._real else embedded_urls(), path) as instance:
            await store_attempts(instance.shared)
            yield instance

    async def changes(self) -> int:
        """How many changes a run makes that nobody disturbs. It is counted once for all tests."""
        if self._real not in _changes:
            counting = Dying(UNBOUNDED)
            async with self.one() as instance:
                report = await archive(counting.of(instance.shared), ORDER)
                assert (report.archived, report.files) == (5, 4)
            _changes[self._real] = UNBOUNDED - counting.left
        return _changes[self._real]


def some(changes: int, of: int) -> range:
    """Of so many steps about ``of``, and five times as many if it is to be thorough: each takes an instance of its own."""
    return range(0, changes, max(1, changes // (5 * of if is_thorough() else of)))


def later(shared: Shared) -> Shared:
    """Another process, when the dead one's lease has run out."""
    return Shared.of(shared.stores, lambda: LATER)


@ENGINES
async def test_a_run_that_dies_before_any_change_is_made_good_by_the_next(tmp_path: Path, real: bool) -> None:
    instances = Instances(real, tmp_path)
    for step in some(await instances.changes(), 5):
        async with instances.one() as instance:
            before = await stored_attempts(instance.shared)
            with pytest.raises(Killed):
                await archive(Dying(step).of(instance.shared), ORDER)
            await archive(later(instance.shared), ORDER)
            assert await stored_attempts(instance.shared) == before, step
            assert len(await rows_of(instance.shared, ATTEMPTS_WITH_QUESTIONS)) == 1, step


@ENGINES
async def test_a_process_that_is_killed_is_followed_by_another(tmp_path: Path, real: bool) -> None:
    """By SIGKILL, and the one that follows is killed too, a few steps later."""
    instances = Instances(real, tmp_path)
    for step in some(await instances.changes(), 2):
        async with instances.one() as instance:
            before = await stored_attempts(instance.shared)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.ingest.archival_process"),
                *(json.dumps(instance.urls), str(instance.data), str(step)),
            )
            assert await process.wait() == -signal.SIGKILL
            with suppress(Killed):  # one that is killed near its end leaves fewer steps than these
                await archive(Dying(7).of(later(instance.shared)), ORDER)
            much_later = Shared.of(instance.stores, lambda: LATER + timedelta(minutes=5))
            await archive(much_later, ORDER)
            assert await stored_attempts(instance.shared) == before, step
            assert not [*(instance.data / "archival").iterdir()], "files of the dead are gone"


@ENGINES
async def test_an_attempt_that_is_updated_meanwhile_keeps_its_new_questions(
    tmp_path: Path, real: bool
) -> None:
    """Before any change of the run, so also between upload and deletion."""
    instances = Instances(real, tmp_path)
    for step in some(await instances.changes(), 5):
        async with instances.one() as instance:
            shared = instance.shared

            async def update(shared: Shared = shared) -> None:
                await store_old_attempt(shared, "ada", "a1", NOW, score=2.0)

            interruption = Interruption(step, update)
            await archive(interruption.of(shared), ORDER)
            if not interruption.happened:
                continue
            stored = await stored_attempts(shared)
            assert stored["ada", "course", "batch", "quiz", "a1"].attempt.score == 2.0, step
            assert len(stored) == 6, step


@ENGINES
async def test_what_is_erased_meanwhile_is_in_no_file(tmp_path: Path, real: bool) -> None:
    """Whether the erasure finds the file, or the run finds that the learner is gone."""
    instances = Instances(real, tmp_path)
    for step in some(await instances.changes(), 5):
        async with instances.one() as instance:
            shared = instance.shared

            async def erase(shared: Shared = shared) -> None:
                erased = ErasedRows(shared, "ada", NOW, milliseconds(NOW) * 1000)
                await LearnerErasure(shared, erased).erase()

            interruption = Interruption(step, erase)
            await archive(interruption.of(shared), ORDER)
            if not interruption.happened:
                continue
            await archive(later(shared), ORDER)
            files = await archives(shared, ArchiveState.ARCHIVED)
            for file in files:
                users = {whole.attempt.key.user_id for whole in await read_archive(shared, file)}
                assert "ada" not in users, step
            assert await blob_names(shared) == sorted(one.blob for one in files)
            live = await rows_of(shared, ATTEMPTS_WITH_QUESTIONS)
            assert [row["attempt_id"] for row in live] == ["c2"], step
            kept = [row["attempt_id"] for row in await rows_of(shared, ATTEMPTS)]
            assert sorted(kept) == ["b1", "b2", "c1", "c2"], step


async def test_a_file_that_was_damaged_on_its_way_is_discarded_and_written_again(tmp_path: Path) -> None:
    instances = Instances(False, tmp_path)
    async with instances.one() as instance:
        shared = instance.shared
        before = await stored_attempts(shared)
        damaging = replace(shared, stores=replace(shared.stores, blobs=_Damaging(shared)))  # type: ignore[arg-type]
        report = await archive(damaging, ORDER)
        # Two files of the week are written at the same time. Either of them may be the first.
        assert report.failed == 1
        assert report.archived + report.left == 5
        (failed,) = await archives(shared, ArchiveState.FAILED)
        assert failed.error == "what was read back is not what was written"
        assert await stored_attempts(shared) == before
        assert (await archive(later(shared), ORDER)).archived == report.left
        assert await stored_attempts(shared) == before


class _Damaging:
    """Changes a byte of the first file of a week."""

    def __init__(self, shared: Shared) -> None:
        self._blobs = shared.stores.blobs
        self._left = 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._blobs, name)

    async def put(self, name: str, content: AsyncIterator[bytes]) -> int:
        whole = b"".join([chunk async for chunk in content])
        if self._left and "2025-week-num-02" in name and "other" not in name:
            self._left -= 1
            whole = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]

        async def chunks() -> AsyncIterator[bytes]:
            yield whole

        return await self._blobs.put(name, chunks())
