"""Java, Maven, and the jars that Maven resolves for each server."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from stack.errors import MissingProgram
from stack.filled_folders import FilledFolder, Run

INSTALL = "apt-get install -y openjdk-17-jre-headless maven"
OLDEST_JAVA = 17


@cache
def java() -> str:
    """The path of Java: of JAVA_HOME, else on the PATH. MissingProgram where there is none, or it is too old."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home) / "bin") if home else None) or shutil.which("java")
    if program is None:
        raise MissingProgram(f"Java {OLDEST_JAVA} or newer is not installed. On Debian and Ubuntu: {INSTALL}")
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None or int(version[1]) < OLDEST_JAVA:
        found = answer.stderr.strip().partition("\n")[0] or "does not run"
        raise MissingProgram(
            f"Java {OLDEST_JAVA} or newer is needed; {program} is: {found}. On Debian and Ubuntu: {INSTALL}"
        )
    return program


def maven() -> str:
    """The path of `mvn`, which is needed only until the jars are there. MissingProgram where there is none."""
    program = shutil.which("mvn")
    if program is None:
        raise MissingProgram(
            f"Maven is not installed, and there are jars to fetch. On Debian and Ubuntu: {INSTALL}"
        )
    return program


def present(home: Path, pom: str) -> bool:
    """Whether HOME/lib has the jars of exactly this pom."""
    return _folder(home).is_of(pom)


def fetch(home: Path, pom: str) -> None:
    """Fill HOME/lib with the jars of this pom and all that they depend on, unless they are there. StackError where Maven fails."""
    # One at a time: two Mavens would write to the same ~/.m2, and share the network anyway.
    _folder(home).fill(pom, "jars.lock", lambda unfinished: _copying(unfinished, home.name))


def _folder(home: Path) -> FilledFolder:
    return FilledFolder(home / "lib", "pom.xml")


def _copying(unfinished: Path, server: str) -> Run:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}", "-DincludeScope=runtime"]
    command = [maven(), "-q", "-B", "-f", str(unfinished / "pom.xml"), *goal]
    return Run(command, f"Maven could not fetch the jars of {server}")
