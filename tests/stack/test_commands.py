"""`cohort stack` as typed: its output and exit codes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.commands import stack as stack_commands
from tests.stack.small import ENDS, MakeStack, small_server

Run = Callable[..., Result]


@pytest.fixture
def run(make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `cohort stack WORDS` on a stack of one good and one bad server."""
    servers = [small_server("good"), small_server("bad", program=ENDS)]
    monkeypatch.setattr(stack_commands, "Stack", lambda _directory: make_stack(*servers))
    return lambda *words: CliRunner().invoke(stack_commands.app, words)


def test_up_prints_only_export_lines_on_standard_output(run: Run) -> None:
    result = run("up", "good")
    assert result.exit_code == 0
    assert result.stdout.startswith("export GOOD=small://127.0.0.1:")
    assert len(result.stdout.splitlines()) == 1
    assert "good" in result.stderr


def test_up_tells_without_a_terminal_in_plain_lines_how_far_each_is(run: Run) -> None:
    lines = run("up", "good").stderr.splitlines()
    assert [line.split()[-1] for line in lines] == ["starting", "up"]


def test_up_exits_with_1_and_the_log_when_a_server_fails_and_down_stops_the_rest(run: Run) -> None:
    result = run("up")
    assert result.exit_code == 1
    assert "bad: has ended" in result.stderr
    assert "line 99" in result.stderr
    assert result.stdout == ""
    assert run("down").stderr == "stopped: good\n"
    assert run("down").stderr == "nothing of ours was running\n"


@pytest.mark.usefixtures("programs")
def test_up_exits_with_2_and_the_apt_line_when_java_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(stack_commands.app, ["up", "kafka", "--dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "apt-get install -y openjdk-17-jre-headless maven" in result.stderr


def test_env_prints_the_settings_for_eval() -> None:
    assert CliRunner().invoke(stack_commands.app, ["env"]).stdout.splitlines() == [
        "export COHORT_ROWS=cassandra://cohort:cohort@127.0.0.1:9042/cohort",
        "export COHORT_EVENTS=kafka://127.0.0.1:9092",
        "export COHORT_CACHE=redis://127.0.0.1:6379/0",
        "export COHORT_SEARCH=opensearch://127.0.0.1:9200",
        "export COHORT_GROUPS='druid://127.0.0.1:8082?coordinator=127.0.0.1:8081'",
        "export COHORT_BLOBS='s3://cohort:cohort-secret@cohort?endpoint=http://127.0.0.1:7070&region=us-east-1'",
    ]


def test_stop_of_what_does_not_run_is_an_error(run: Run) -> None:
    result = run("stop", "good")
    assert result.exit_code == 1
    assert "not running, or not ours" in result.stderr


def test_status_restart_and_logs_tell_what_they_are_asked(run: Run) -> None:
    run("up", "good")
    assert run("restart", "good", "--kill").exit_code == 0
    assert [line.split()[0] for line in run("status").stdout.splitlines()] == ["server", "good", "bad"]
    assert run("logs", "good", "-n", "5").exit_code == 0
    assert run("logs", "bad").exit_code == 1
    assert run("down", "--wipe").stderr == "stopped: good\ndeleted: all data\n"


def test_the_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_STACK_DIR", str(tmp_path / "elsewhere"))
    result = CliRunner().invoke(stack_commands.app, ["logs", "kafka"])
    assert f"from {tmp_path / 'elsewhere'}:" in result.stderr


def test_a_cluster_is_asked_for_by_the_number_of_its_nodes(tmp_path: Path) -> None:
    run = CliRunner()
    exports = run.invoke(stack_commands.app, ["env", "cassandra", "--nodes", "3"]).stdout
    assert exports.startswith(
        "export COHORT_ROWS='cassandra://cohort:cohort@127.0.1.1,127.0.1.2,127.0.1.3:9042/"
    )
    told = run.invoke(stack_commands.app, ["logs", "kafka-2", "--nodes", "3", "--dir", str(tmp_path)]).stderr
    assert f"from {tmp_path}/cluster: no log" in told
    two = run.invoke(stack_commands.app, ["up", "--nodes", "2", "--dir", str(tmp_path)])
    assert (two.exit_code, two.stderr) == (1, "a cluster has 3 nodes: with 2, none may be away\n")
