"""Stacks of small servers, and machines with few programs."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack import jars
from stack.servers import Server
from stack.stack import Stack
from tests.stack.small import MakeStack


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[MakeStack]:
    """Stacks in the test's folder; what they started ends with the test."""
    made: list[Stack] = []

    def make(*servers: Server, patience: float = 60.0, directory: str = "stack") -> Stack:
        made.append(Stack(tmp_path / directory, servers=servers, patience=patience))
        return made[-1]

    yield make
    for stack in made:
        for server in stack.servers:
            stack.stop(server.name, kill=True)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes a machine on which only the shell's own programs are installed, and those that the test writes."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ["sh", "cp", "touch"]:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    jars.java.cache_clear()

    def install(name: str, script: str) -> None:
        (folder / name).write_text(f"#!{os.path.realpath(folder / 'sh')}\n{script}\n")
        (folder / name).chmod(0o755)

    return install


@pytest.fixture(autouse=True)
def _forget_java() -> Iterator[None]:
    yield
    jars.java.cache_clear()
