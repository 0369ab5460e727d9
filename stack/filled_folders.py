"""Folders that a tool fills: whole and of exactly one source, or not there."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError
from stack.processes import lock

LINES = 30
"""Of what a tool said last that are told where it fails."""


@dataclass(frozen=True, slots=True)
class Run:
    """A call of a tool. ``fault``: what is told where it fails. ``env``: its environment; this process's for None."""

    command: Sequence[str]
    fault: str
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FilledFolder:
    """``note``: the name of the file in it that says what it was filled from."""

    path: Path
    note: str

    def is_of(self, source: str) -> bool:
        """Whether it was filled from exactly this."""
        try:
            return (self.path / self.note).read_text() == source
        except FileNotFoundError:
            return False

    def fill(self, source: str, one_at_a_time: str, run_into: Callable[[Path], Run]) -> None:
        """Fills it by what ``run_into`` gives for a folder, unless it is of this source. StackError where the tool fails.

        That is a temporary folder, which is renamed when it is complete. So an interrupted run leaves nothing. ``one_at_a_time``: the
        name of the lock that is held meanwhile.
        """
        home = self.path.parent
        home.mkdir(parents=True, exist_ok=True)
        with lock(home.parent / one_at_a_time):
            if self.is_of(source):
                return
            with tempfile.TemporaryDirectory(prefix=f"{self.path.name}-", dir=home) as temporary:
                unfinished = Path(temporary) / self.path.name
                unfinished.mkdir()
                (unfinished / self.note).write_text(source)
                _run(run_into(unfinished))
                shutil.rmtree(self.path, ignore_errors=True)  # what is there is of another source
                unfinished.rename(self.path)


def _run(tool: Run) -> None:
    done = subprocess.run(  # noqa: S603
        tool.command,
        env=tool.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-LINES:])
        raise StackError(f"{tool.fault}:\n{end}")
