"""Starts and stops server processes, and always knows which ones are ours.

A pid file names the process that we started: its pid and the time of its start, which tells it from a later process with
the same pid. A process whose start differs is never killed.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def spawn(command: Sequence[str], *, cwd: Path, log: Path, pid_file: Path) -> int:
    """Start a command that runs on after us, in a session of its own. Its output goes into `log`. Returns its pid.

    The previous log is kept as `.1`: it may say why that run ended.
    """
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    pid_file.write_text(f"{child.pid} {identity(child.pid)}\n")
    # It is meant to outlive this Popen object, which would otherwise warn. identity() reaps it when it ends.
    child.returncode = 0
    return child.pid


def running(pid_file: Path) -> int | None:
    """The pid of the process that this file names, if that process still runs; else None."""
    try:
        pid, recorded = pid_file.read_text().strip().split(" ", 1)
        return int(pid) if identity(int(pid)) == recorded else None
    except (FileNotFoundError, ValueError):  # never started, or a damaged file
        return None


def stop(pid_file: Path, *, kill: bool = False, patience: float = 10.0) -> bool:
    """Stop the recorded process: TERM to its group, KILL after `patience` seconds (or at once, with `kill`).

    Returns whether there was anything to stop.
    """
    pid = running(pid_file)
    for number in [signal.SIGKILL] if kill else [signal.SIGTERM, signal.SIGKILL]:
        if pid is not None and running(pid_file) == pid:
            with suppress(ProcessLookupError):  # it ended this very moment
                os.killpg(pid, number)
            _wait_until_gone(pid_file, patience)
    pid_file.unlink(missing_ok=True)
    return pid is not None


def identity(pid: int) -> str | None:
    """A text that tells this process from every other with the same pid, before or later; None if it has ended."""
    with suppress(ChildProcessError):  # not our child: started by an earlier command
        os.waitpid(pid, os.WNOHANG)  # an ended child of ours must not stay as a zombie
    return _identity_from_proc(pid) if Path("/proc/self/stat").exists() else _identity_from_ps(pid)


def _identity_from_proc(pid: int) -> str | None:
    try:
        # The name, in parentheses, may hold anything; after it come the state and, 19 fields on, the start time.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()  # start times count from the boot
    return None if fields[0] == "Z" else f"{fields[19]} {boot}"


def _identity_from_ps(pid: int) -> str | None:  # macOS has no /proc
    command = ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    state, _, started = found.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two commands, or two threads, do not do the same work at the same time."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _wait_until_gone(pid_file: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while running(pid_file) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
