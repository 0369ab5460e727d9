"""Processes of Cohort that begin with everything imported, as importing is most of what a short one does.

``Popen([sys.executable, "-m", "gateway.cli", …])``, and so asyncio's processes and ``subprocess.run``, ask a process that has
imported it all to fork, where ``start_from_ready`` was called. What is forked is a child of the test's process like any other: it
has an id, signals, files, a folder and an environment of its own, and ends as an interpreter does. Tests of what is imported,
and thorough runs, start whole interpreters.
"""

import ctypes
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

PROGRAMS = ("gateway.cli", "tests.ingest.")
IMPORTED = (
    "gateway.app",
    "gateway.cli",
    "gateway.server",
    "gateway.served_schema",
    "gateway.worker_process",
    "stores.engines",
)
"""What the programs import of Cohort. Nothing of pytest and Hypothesis: with those an interpreter does not end as one of Cohort's."""
_MOST = 1 << 18
"""Bytes of an order."""
_SUBREAPER = 36
"""Of prctl(2)."""
_orders = Lock()


def start_from_ready() -> None:
    """Where the system can: children of a child that has ended must become ours."""
    if sys.platform != "linux":
        return
    started: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    # The names are those of the standard library, which passes them by position.
    def execute_child(self: Any, args: Any, *given: Any) -> None:
        executable, preexec_fn, _, pass_fds, cwd, env = given[:6]
        shell, (p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite) = given[8], given[9:15]
        words = [] if isinstance(args, str | bytes | os.PathLike) else [os.fsdecode(word) for word in args]
        plain = executable is preexec_fn is None and not pass_fds and not shell
        if not (plain and words[:2] == [sys.executable, "-m"] and words[2].startswith(PROGRAMS)):
            started(self, args, *given)
            return
        order = {
            "words": words[2:],
            "folder": os.fspath(cwd or Path.cwd()),
            "environment": dict(env if env is not None else os.environ),
            "session": given[20],
        }
        files = [one if one != -1 else usual for usual, one in enumerate((p2cread, c2pwrite, errwrite))]
        self.pid = _forked(order, files)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    subprocess.Popen._execute_child = execute_child  # type: ignore[attr-defined]


def _forked(order: dict[str, Any], files: list[int]) -> int:
    """The id of the new process, which is our child."""
    with _orders:
        ready, libc = _ready(), ctypes.CDLL(None)
        libc.prctl(_SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(ready, [json.dumps(order).encode()], files)
            return int(ready.recv(_MOST))
        finally:
            libc.prctl(_SUBREAPER, 0, 0, 0, 0)


@cache
def _ready() -> socket.socket:
    """Of the process that forks, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        for one in (ours, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST)
        command = [sys.executable, "-m", "tests.ready_process", str(theirs.fileno())]
        root = str(Path(__file__).parents[1])
        _running.append(subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=root))
    return ours


_running: list[subprocess.Popen[bytes]] = []


def end_ready_process() -> None:
    if _running:
        _ready().close()
        _running.pop().wait()


def _fork_each(asked: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Returns in each process that is forked: the order, and its files. None at the end."""
    while True:
        message, files, *_ = socket.recv_fds(asked, _MOST, 3)
        if not message:
            return None
        told, tell = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if not child:
                return json.loads(message), files
            os.write(tell, str(child).encode())
            os._exit(0)
        for one in (*files, tell):
            os.close(one)
        os.waitpid(between, 0)  # from here on the child is that of who asked
        asked.send(os.read(told, 64))
        os.close(told)


def _become(order: dict[str, Any], files: list[int]) -> None:
    if order["session"]:
        os.setsid()
    kept = [os.dup(one) for one in files]  # none of them is 0, 1 or 2: those are open
    for usual, one in enumerate(kept):
        os.dup2(one, usual)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    tempfile.tempdir = None
    program, *sys.argv[1:] = order["words"]
    sys.modules.pop(program, None)  # it is run, not imported
    runpy.run_module(program, run_name="__main__", alter_sys=True)


def main() -> None:
    for name in IMPORTED:
        import_module(name)
    asked = socket.socket(fileno=int(sys.argv[1]))
    found = _fork_each(asked)
    if found is not None:
        asked.detach()
        _become(*found)


if __name__ == "__main__":
    main()
