"""More processes of a command: they end when it does, however it ends, and what went wrong in one is told."""

import os
from pathlib import Path

import pytest

from gateway.commands.companions import Companions, companions

pytestmark = pytest.mark.long


def environment(data: Path) -> dict[str, str]:
    return {**os.environ, "COHORT_DATA": str(data)}


def test_one_that_fails_by_itself_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with companions() as others:
        others.start(1, ["jobs", "resume", "nothing", "1"], environment(tmp_path))
        others.processes[0].wait(60)
    told = capsys.readouterr().err
    assert told.startswith(f"process {others.processes[0].pid} ended with 1: cohort: ")
    assert told.count("\n") == 1


def test_of_one_that_was_killed_the_signal_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it wrote last is no reason."""
    with companions() as others:
        others.start(1, ["worker"], environment(tmp_path))
        others.processes[0].kill()
        others.processes[0].wait(60)
    assert capsys.readouterr().err == f"process {others.processes[0].pid} was killed by SIGKILL\n"


def test_they_end_with_the_command_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Workers would go on for ever."""
    started: list[Companions] = []

    def fails() -> None:
        with companions() as others:
            started.append(others)
            others.start(2, ["worker"], environment(tmp_path))
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is this test's own
        fails()
    (others,) = started
    assert all(process.returncode is not None for process in others.processes)
    assert capsys.readouterr().err == "", "they were ended, which is no failure of theirs"


def test_without_any_nothing_is_waited_for() -> None:
    with companions() as others:
        others.start(0, ["worker"], {})
    assert others.processes == []
