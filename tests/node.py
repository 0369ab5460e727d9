"""Node for tests: what a folder's package-lock.json names, exactly, and its test files. Node and what they need are never
skipped: a test that is marked ``node`` fails where they are missing."""

import os
import shutil
import subprocess
from pathlib import Path

OLDEST = 20
"""The major version of Node that the packages in the locks need."""
TIME = 600.0
"""Seconds that test files may take."""


def installed(folder: Path) -> None:
    """Installs the packages of the folder's lock, once for each state of it."""
    node = shutil.which("node")
    assert node, f"tests marked `node` need Node {OLDEST} or newer, with npm"
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    assert int(version.lstrip("v").partition(".")[0]) >= OLDEST, f"Node {version} is older than {OLDEST}"
    lock, stamp = folder / "package-lock.json", folder / "node_modules" / ".stamp"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(lock.read_text())


def run_tests(file: Path, **environment: str) -> None:
    """Runs a file of node:test. An assertion has what it says where a test of it fails."""
    installed(file.parent)
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", file.name],
        cwd=file.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIME,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def chromium() -> str:
    """The path of a Chromium: what the variable CHROMIUM says, or the first that is on the PATH."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    assert found, "tests in a browser need Chromium: apt-get install chromium, or name it in CHROMIUM"
    return found
