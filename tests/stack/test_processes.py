"""A process is ours only if it is the very one we started."""

import time
from pathlib import Path

import pytest

from stack import processes


def start(folder: Path, script: str) -> tuple[int, Path]:
    pid_file = folder / "it.pid"
    pid = processes.spawn(["/bin/sh", "-c", script], cwd=folder, log=folder / "it.log", pid_file=pid_file)
    return pid, pid_file


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_process_that_got_the_pid_of_an_old_one_of_ours_is_not_killed(tmp_path: Path) -> None:
    pid, pid_file = start(tmp_path, "exec sleep 60")
    truth = pid_file.read_text()
    pid_file.write_text(f"{pid} 1 started-at-another-time\n")
    assert processes.running(pid_file) is None
    assert processes.stop(pid_file, kill=True) is False
    assert processes.identity(pid) is not None
    pid_file.write_text(truth)
    assert processes.stop(pid_file, kill=True) is True


def test_a_stopped_process_takes_its_children_with_it(tmp_path: Path) -> None:
    _, pid_file = start(tmp_path, "sleep 60 & echo $! > child.tmp; mv child.tmp child; wait")
    wait_for(tmp_path / "child")
    child = int((tmp_path / "child").read_text())
    assert processes.identity(child) is not None
    processes.stop(pid_file)
    deadline = time.monotonic() + 60
    while processes.identity(child) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes.identity(child) is None


def test_a_process_that_does_not_heed_term_is_killed_when_patience_ends(tmp_path: Path) -> None:
    _, pid_file = start(tmp_path, "trap '' TERM; touch deaf; while :; do sleep 0.05; done")
    wait_for(tmp_path / "deaf")
    assert processes.stop(pid_file, patience=0.2) is True
    assert not pid_file.exists()


def test_a_process_that_ended_by_itself_is_not_running(tmp_path: Path) -> None:
    pid, pid_file = start(tmp_path, "exit 3")
    deadline = time.monotonic() + 60
    while processes.running(pid_file) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes.running(pid_file) is None
    assert processes.identity(pid) is None


def test_a_process_is_told_apart_without_proc_as_on_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "identity", processes._identity_from_ps)
    _, pid_file = start(tmp_path, "exec sleep 60")
    assert processes.running(pid_file) is not None
    monkeypatch.undo()
    assert processes.running(pid_file) is None  # recorded in the other way, so not taken for ours
    monkeypatch.setattr(processes, "identity", processes._identity_from_ps)
    assert processes.stop(pid_file, kill=True, patience=0.5) is True


@pytest.mark.parametrize("content", ["", "12", "pid 12", "1\n"])
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "it.pid").write_text(content)
    assert processes.running(tmp_path / "it.pid") is None


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for word in ["first", "second"]:
        _, pid_file = start(tmp_path, f"echo {word}; touch {word}; exec sleep 60")
        wait_for(tmp_path / word)
        processes.stop(pid_file, kill=True)
    assert (tmp_path / "it.log").read_text() == "second\n"
    assert (tmp_path / "it.log.1").read_text() == "first\n"
