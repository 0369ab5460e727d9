"""Java, Maven, and the jars that Maven resolves for each server."""

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from stack.errors import MissingProgram, StackError
from stack.processes import lock

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
    try:
        return (home / "lib" / "pom.xml").read_text() == pom
    except FileNotFoundError:
        return False


def fetch(home: Path, pom: str) -> None:
    """Fill HOME/lib with the jars of this pom and all that they depend on, unless they are there.

    The jars go into a temporary folder, which is renamed when it is complete. So an interrupted download leaves nothing.
    StackError where Maven fails.
    """
    home.mkdir(parents=True, exist_ok=True)
    # One at a time: two Mavens would write to the same ~/.m2, and share the network anyway.
    with lock(home.parent / "jars.lock"):
        if present(home, pom):
            return
        with tempfile.TemporaryDirectory(prefix="lib-", dir=home) as temporary:
            unfinished = Path(temporary) / "lib"
            unfinished.mkdir()
            (unfinished / "pom.xml").write_text(pom)
            goal = [
                "dependency:copy-dependencies",
                f"-DoutputDirectory={unfinished}",
                "-DincludeScope=runtime",
            ]
            command = [maven(), "-q", "-B", "-f", str(unfinished / "pom.xml"), *goal]
            done = subprocess.run(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                end = "\n".join(done.stdout.splitlines()[-30:])
                raise StackError(f"Maven could not fetch the jars of {home.name}:\n{end}")
            shutil.rmtree(home / "lib", ignore_errors=True)  # jars of another version
            unfinished.rename(home / "lib")
