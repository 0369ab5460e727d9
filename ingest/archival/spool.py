"""What a run has found to archive, on disk: first by bucket, then cut into the lines of one file each.

Before each line, with a tab behind it, is which attempt it is, and of which week: so a line is parsed by nobody. However much a run finds, memory holds a page of rows, and of one bucket where each of its lines begins.
"""

import asyncio
import shutil
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Any, Self
from zlib import crc32

import orjson

from rules.archives import (
    MOST_IN_A_FILE,
    ArchivedPart,
    AttemptVersion,
    IsoWeek,
    iso_week,
    version_of_archive_row,
)
from rules.moments import moment
from stores.column_files import LARGEST_LINE

BUCKETS = 64
_BEHIND = b"\t"
"""No JSON has it as it is."""


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """The rows of one file to be, in no order. ``lines`` has one JSON object each, behind its attempt (``read``), in a folder of
    its own. Whoever takes it removes the folder (``remove``)."""

    part: ArchivedPart
    lines: Path
    attempts: int

    async def read(self, most: int) -> AsyncGenerator[Sequence[tuple[AttemptVersion, bytes]], None]:
        """The lines, each with its attempt, so many at a time at most."""
        with await asyncio.to_thread(self.lines.open, "rb") as found:
            left = self.attempts
            while left > 0:
                some = await asyncio.to_thread(lambda: [*islice(found, most)])
                left -= most
                yield [*map(_spooled, some)]

    async def remove(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self.lines.parent)


class Spool:
    """Give it rows (``add``), then take files (``files``). ``folder`` is its own."""

    def __init__(self, folder: Path, buckets: Sequence[IO[bytes]], opened: ExitStack) -> None:
        self._folder = folder
        self._buckets = buckets
        self._opened = opened

    @classmethod
    def opened(cls, folder: Path) -> Self:
        with ExitStack() as stack:
            buckets = [stack.enter_context(_bucket(folder, number).open("wb")) for number in range(BUCKETS)]
            return cls(folder, buckets, stack.pop_all())

    def close(self) -> None:
        self._opened.close()

    async def add(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Takes up rows of files (rules/archives.py), and returns how many: those that are too large are left out. All that
        belong to one file get into the same bucket."""
        return await asyncio.to_thread(self._add, rows)

    async def files(self) -> AsyncIterator[SpooledFile]:
        """The files of all buckets. Nothing can be added any more."""
        await asyncio.to_thread(self.close)
        for number in range(BUCKETS):
            bucket = _bucket(self._folder, number)
            for part, starts in (await asyncio.to_thread(_starts, bucket)).items():
                for first, after in _even(len(starts), MOST_IN_A_FILE):
                    lines = await asyncio.to_thread(_cut, bucket, starts[first:after])
                    yield SpooledFile(part, lines, after - first)
            await asyncio.to_thread(bucket.unlink)

    def _add(self, rows: Sequence[Mapping[str, Any]]) -> int:
        taken = 0
        for row in rows:
            line = orjson.dumps(row) + b"\n"
            if len(line) <= LARGEST_LINE:
                at = row["updated_on"] if row["updated_on"] is not None else row["last_attempted_on"]
                attempt = orjson.dumps([*iso_week(moment(at)), *version_of_archive_row(row)])
                bucket = self._buckets[crc32(row["batch_id"].encode()) % BUCKETS]
                bucket.write(attempt + _BEHIND + line)
                taken += 1
        return taken


def _spooled(line: bytes) -> tuple[AttemptVersion, bytes]:
    attempt, _, rest = line.partition(_BEHIND)
    _, _, key, *version = orjson.loads(attempt)
    return AttemptVersion(tuple(key), *version), rest


def _part_of(line: bytes) -> ArchivedPart:
    """Of which context and week the line is: the week in which it was last updated, else attempted."""
    year, week, key, *_ = orjson.loads(line[: line.index(_BEHIND)])
    return ArchivedPart(key[2], IsoWeek(year, week))


def _bucket(folder: Path, number: int) -> Path:
    return folder / f"bucket-{number}.json"


def _starts(bucket: Path) -> dict[ArchivedPart, "array[int]"]:
    """Where each line of a part begins in the bucket."""
    starts: dict[ArchivedPart, array[int]] = {}
    at = 0
    with bucket.open("rb") as file:
        for line in file:
            starts.setdefault(_part_of(line), array("Q")).append(at)
            at += len(line)
    return starts


def _cut(bucket: Path, starts: Sequence[int]) -> Path:
    """Returns a file of the lines that begin there, in a new folder."""
    to = Path(mkdtemp(dir=bucket.parent), "lines.json")
    with (
        bucket.open("rb") as file,
        mmap(file.fileno(), 0, access=ACCESS_READ) as found,
        to.open("wb") as lines,
    ):
        lines.writelines(found[start : found.find(b"\n", start) + 1] for start in starts)
    return to


def _even(count: int, most: int) -> list[tuple[int, int]]:
    """Bounds of portions of about the same size, none larger than ``most``."""
    portions = -(-count // most)
    bounds = [count * number // portions for number in range(portions + 1)]
    return list(pairwise(bounds))
