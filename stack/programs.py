"""Go, and the programs that it builds from Go modules."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from stack.errors import MissingProgram
from stack.filled_folders import FilledFolder, Run

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
    return _folder(home).is_of(module)


def build(home: Path, module: str) -> None:
    """Fill HOME/bin with the program of this module, unless it is there. StackError where Go fails."""
    _folder(home).fill(module, "programs.lock", lambda unfinished: _installing(unfinished, module))


def _folder(home: Path) -> FilledFolder:
    return FilledFolder(home / "bin", "module")


def _installing(unfinished: Path, module: str) -> Run:
    env = {**os.environ, "GOBIN": str(unfinished), "CGO_ENABLED": "0"}
    return Run([go(), "install", *FLAGS, module], f"Go could not build {module}", env)
