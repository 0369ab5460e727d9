"""More processes of a command on this machine, which do a part of its work."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import typer

PATIENCE = 60.0
"""Seconds that they have for ending."""
BY_ITSELF = 5.0
"""Seconds of these in which they may find out by themselves that all is done."""


@dataclass
class Companions:
    """The processes that were started. ``errors`` has for each what it wrote to standard error."""

    processes: list["subprocess.Popen[bytes]"]
    errors: list[IO[bytes]]

    def start(self, count: int, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts ``cohort`` with these arguments ``count`` times. What they print goes nowhere: their work is told by
        this process."""
        for _ in range(count):
            errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process is
            command = [sys.executable, "-m", "gateway.cli", *arguments]
            self.processes.append(
                subprocess.Popen(  # noqa: S603 - it is this very program
                    *(command,),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=environment,
                )
            )
            self.errors.append(errors)

    def end(self, *, done: bool) -> None:
        """Waits for them, if the work is ``done``, and ends those that go on. Prints the last line of one that failed."""
        until = time.monotonic() + PATIENCE
        by_itself = {process.pid for process in self.processes if process.poll() is not None}
        if done:
            by_itself |= {process.pid for process in self.processes if _ends(process, BY_ITSELF)}
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process, errors in zip(self.processes, self.errors, strict=True):
            if not _ends(process, until - time.monotonic()):
                process.kill()
                process.wait()
            if process.pid in by_itself and process.returncode:
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                typer.echo(f"process {process.pid} {_ending(process.returncode, last)}", err=True)
            errors.close()


@contextmanager
def companions() -> Iterator[Companions]:
    """Gives the processes to start. However the body ends, they have ended behind it."""
    started = Companions([], [])
    try:
        yield started
    except BaseException:
        started.end(done=False)
        raise
    started.end(done=True)


def _ending(code: int, last_line: str) -> str:
    """Returns how a process ended. One that a signal has killed could not say why: its last line is of its work."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with {code}: {last_line}"


def _ends(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True
