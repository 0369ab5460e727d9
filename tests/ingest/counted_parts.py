"""A parted job that counts: two phases, and three things in each part."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ingest.jobs.plans import Checkpoint, JobKind, Part
from rules.errors import CohortError

PARTS = [
    *(Part(f"early {number:02}", 0) for number in range(4)),
    *(Part(f"late {number:02}", 1) for number in range(3)),
]
THINGS = [f"{part.name}: {number}" for part in PARTS for number in range(3)]
"""Three things in each part, with a checkpoint behind each."""


@dataclass
class CountedParts:
    """``before`` runs ahead of each thing and may wait, fail or look around. ``begun`` has where each run began.

    ``refused``: why this process can't open what is counted. ``holders``: how many have it open.
    """

    done: list[str] = field(default_factory=list)
    begun: list[tuple[str, str | None]] = field(default_factory=list)
    before: Callable[[str], Awaitable[object] | None] = lambda _: None
    refused: CohortError | None = None
    holders: int = 0

    @property
    def kind(self) -> JobKind:
        return JobKind("parted", lambda *_: self, parted=True)

    def parts(self) -> Sequence[Part]:
        return PARTS

    async def open(self) -> None:
        if self.refused is not None:
            raise self.refused
        self.holders += 1

    async def close(self) -> None:
        self.holders -= 1

    async def run(self, step: str, start: Checkpoint) -> AsyncIterator[Checkpoint]:
        assert self.holders
        self.begun.append((step, start.resume))
        for number in range(int(start.resume or 0), 3):
            thing = f"{step}: {number}"
            if (waiting := self.before(thing)) is not None:
                await waiting
            self.done.append(thing)
            yield Checkpoint(None if number == 2 else str(number + 1), number + 1, {"seen": number + 1})
