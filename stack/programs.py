"""Go, and the programs that it builds from Go modules."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from stack.errors import MissingProgram, StackError
from stack.processes import lock

OLDEST_GO = (1, 25)
INSTALL = "apt-get install -y golang-go, where that is as new; else as go.dev/doc/install has it"
FLAGS = ["-gcflags=all=-N -l", "-ldflags=-s -w"]
"""No optimisation: the build takes a third less time, and here the program need not be fast."""


def go() -> str:
    """The path of Go, which is needed only until the programs are there. MissingProgram where there is none, or it is too
    old."""
    needed = ".".join(map(str, OLDEST_GO))
    program = shutil.which("go")
    if program is None:
        raise MissingProgram(
            f"Go {needed} or newer is not installed, and there is a program to build. "
            f"On Debian and Ubuntu: {INSTALL}"
        )
    answer = subprocess.run([program, "version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_GO:
        found = answer.stdout.strip() or "does not run"
        raise MissingProgram(
            f"Go {needed} or newer is needed; {program} is: {found}. On Debian and Ubuntu: {INSTALL}"
        )
    return program


def present(home: Path, module: str) -> bool:
    """Whether HOME/bin has the program of exactly this module, ``path@version``."""
    try:
        return (home / "bin" / "module").read_text() == module
    except FileNotFoundError:
        return False


def build(home: Path, module: str) -> None:
    """Fill HOME/bin with the program of this module, unless it is there.

    The program goes into a temporary folder, which is renamed when it is complete. So an interrupted build leaves nothing.
    StackError where Go fails.
    """
    home.mkdir(parents=True, exist_ok=True)
    with lock(home.parent / "programs.lock"):
        if present(home, module):
            return
        with tempfile.TemporaryDirectory(prefix="bin-", dir=home) as temporary:
            unfinished = Path(temporary) / "bin"
            unfinished.mkdir()
            done = subprocess.run(  # noqa: S603
                [go(), "install", *FLAGS, module],
                env={**os.environ, "GOBIN": str(unfinished), "CGO_ENABLED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                end = "\n".join(done.stdout.splitlines()[-30:])
                raise StackError(f"Go could not build {module}:\n{end}")
            (unfinished / "module").write_text(module)
            shutil.rmtree(home / "bin", ignore_errors=True)  # the program of another version
            unfinished.rename(home / "bin")
