"""The command line: what is printed where, exit codes, and that errors are a line."""

import asyncio
import json
import re
import signal
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from gateway import logs
from gateway.cli import app
from gateway.dev_tokens import with_development_key
from gateway.identity import Tokens
from gateway.server import listen
from gateway.settings import Settings, SettingsError, load_settings
from ingest.importers.sample import FIRST_LEARNER
from rules.viewers import Role, Viewer
from tests.gateway.conftest import KEY

pytestmark = pytest.mark.long

COHORT = [sys.executable, "-m", "gateway.cli"]
PATIENCE = 60.0


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def cohort(*arguments: str, **environment: str) -> Done:
    """In this process, which is faster than another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "log_to_stderr", lambda _level, _form="text": None)  # the log is pytest's
        result = CliRunner().invoke(app, arguments, "cohort", env=environment, catch_exceptions=False)
    return Done(result.exit_code, result.stdout, result.stderr)


def cohort_process(*arguments: str) -> Done:
    done = subprocess.run(
        [*COHORT, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def viewer_of(settings: Settings, printed: str) -> Viewer:
    return asyncio.run(Tokens.of(settings).viewer(f"Bearer {printed}"))


def test_token_prints_the_token_and_nothing_else() -> None:
    done = cohort_process("token")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", done.stdout)
    settings = with_development_key(load_settings())
    assert viewer_of(settings, done.stdout) == Viewer(FIRST_LEARNER, frozenset({Role.LEARNER}))
    assert stat.S_IMODE(Path(".cohort/jwt.key").stat().st_mode) == 0o600


def test_token_is_of_whom_and_for_what_was_asked() -> None:
    done = cohort("token", "--user", "mira", "--role", "mentor", "--role", "admin", COHORT_JWT_KEY=KEY)
    assert viewer_of(load_settings(jwt_key=KEY), done.stdout) == Viewer(
        "mira", frozenset({Role.MENTOR, Role.ADMIN})
    )
    assert not Path(".cohort").exists(), "a key that is set is the one that is used"


@pytest.mark.parametrize("arguments", [("--role", "king"), ("--ttl", "soon"), ("--ttl", "5y")])
def test_token_refuses_what_makes_no_sense(arguments: tuple[str, str]) -> None:
    done = cohort("token", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[1] in done.stderr


def test_settings_shows_values_and_origins_and_no_secret() -> None:
    Path("cohort.toml").write_text("port = 81")
    done = cohort("settings", COHORT_JWT_KEY=KEY, COHORT_CACHE="redis://:hush@cache/0")
    assert done.returncode == 0
    lines = dict(re.findall(r"^(\w+) = (.+?) +# .+$", done.stdout, re.MULTILINE))
    assert (lines["port"], lines["jwt_key"], lines["cache"]) == ("81", '"***"', '"redis://:***@cache/0"')
    assert re.search(r"^port .*# cohort.toml$", done.stdout, re.MULTILINE)
    assert re.search(r"^cache .*# environment, COHORT_CACHE$", done.stdout, re.MULTILINE)
    assert KEY not in done.stdout
    assert "hush" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (("serve",), {}, "COHORT_JWT_KEY is not set"),
        (("serve",), {"COHORT_JWT_KEY": KEY}, "run `cohort init`"),
        (("serve", "--workers", "2"), {"COHORT_JWT_KEY": KEY}, "set COHORT_CACHE"),
        (
            ("serve", "--workers", "2"),
            {"COHORT_JWT_KEY": KEY, "COHORT_CACHE": "redis://127.0.0.1:6379/0"},
            "set COHORT_GROUPS",
        ),
        (("worker",), {}, "run `cohort init`"),
        (("jobs", "list"), {}, "run `cohort init`"),
        (("init",), {"COHORT_ROWS": "mysql://db"}, "COHORT_ROWS): must be sqlite:///FILE or cassandra://"),
        (("settings",), {"COHORT_PROT": "1"}, "do you mean COHORT_PORT?"),
        (("init",), {"COHORT_DATA": "/dev/null/x"}, "/dev/null"),
    ],
)
def test_an_error_is_a_line_and_the_exit_code_1(
    arguments: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    done = cohort(*arguments, **environment)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("cohort: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_debug_shows_where_an_error_comes_from() -> None:
    assert "Traceback" in cohort_process("--debug", "serve").stderr
    with pytest.raises(SettingsError):
        cohort("serve", COHORT_LOG_LEVEL="debug")


def test_a_fault_of_ours_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("gateway.settings.load", broken)
    done = cohort("settings")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "cohort: RuntimeError: broken (a fault; --debug shows where)\n"


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.socket.listen()
        port = taken.url.rpartition(":")[2]
        done = cohort("dev", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"can't listen on 127.0.0.1, port {port}: " in done.stderr
    assert "--port" in done.stderr


def test_init_says_what_it_did_and_does_nothing_twice() -> None:
    assert "created table user_enrolments" in cohort("init").stdout
    assert cohort("init").stdout == "nothing to do: everything is there\n"


def test_version_prints_the_version_and_nothing_else() -> None:
    assert cohort("--version").stdout == f"cohort {version('cohort')}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed_and_completes_commands(shell: str) -> None:
    assert "--install-completion" in cohort("--help", COLUMNS="200").stdout
    variables = {
        "_COHORT_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "cohort mig",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "cohort mig",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "migrate" in cohort(**variables).stdout


def test_init_names_every_store_that_is_away() -> None:
    done = cohort(
        "init",
        COHORT_ROWS="cassandra://127.0.0.1:1/keyspace",
        COHORT_CACHE="redis://127.0.0.1:1",
        COHORT_SEARCH="opensearch://127.0.0.1:1",
    )
    assert done.returncode == 1
    assert all(f"{kind}: " in done.stderr for kind in ("rows", "cache", "search")), done.stderr
    assert "events" not in done.stderr


def test_help_names_every_command() -> None:
    done = cohort("--help", COLUMNS="200")
    commands = re.findall(r"^│ ([a-z][a-z-]+) ", done.stdout, re.MULTILINE)
    assert commands == [
        *("dev", "serve", "worker", "init", "token", "caller", "settings", "schema", "backup"),
        *("restore", "doctor", "reconcile"),
        *("publish", "jobs", "aggregate", "archive", "blobs", "dead-letters", "documents", "druid"),
        *("exhaust", "learners", "load", "migrate", "modes", "search", "views", "stack"),
    ]
    assert "up" in cohort("stack", "--help").stdout


@pytest.mark.usefixtures("initialised")
def test_the_commands_on_an_instance_that_is_empty() -> None:
    Path("course.json").write_text(json.dumps({"identifier": "c", "name": "C", "children": []}))
    Path("broken.json").write_text("{")
    assert cohort("jobs", "list").stdout == ""
    assert cohort("dead-letters", "replay").stdout == "0 replayed\n"
    assert cohort("blobs", "sweep").stdout == "0 deleted\n"
    assert cohort("dead-letters", "replay", "triggers:0:9").stderr.startswith(
        "cohort: no dead letter waits at"
    )
    assert cohort("reconcile").stdout == "0 checked, 0 drifted, 0 failed\n"
    assert cohort("jobs", "list").stdout.startswith("reconcile ")
    assert cohort("views", "close", "--idle", "30d").stdout == "0 looked at, 0 closed\n"
    assert cohort("views", "close", "--idle", "90m", "--dry-run").stdout == "0 looked at, 0 would be closed\n"
    assert cohort("views", "close", "--idle", "30").returncode == 2
    assert cohort("learners", "erase", "ada").returncode == 1  # not confirmed
    assert cohort("learners", "erase", "ada", "--yes").stdout == (
        "0 places with 0 views and 0 groups deleted; the workers delete what they computed\n"
    )
    assert cohort("jobs", "resume", "reconcile", "x").stderr == "cohort: there is no job reconcile x\n"
    assert cohort("load", "collection", "broken.json").stderr.startswith("cohort: broken.json is not JSON")
    assert cohort("load", "collection", "course.json").stdout == "c: live, version 1, 0 leaf nodes\n"
    assert cohort("load", "collection", "course.json").stdout == "c: live already, 0 leaf nodes\n"
    Path("course.json").write_text(json.dumps({"identifier": "c", "name": "Other", "children": []}))
    assert cohort("load", "collection", "course.json").stdout == "c: live, version 2, 0 leaf nodes\n"


@pytest.mark.usefixtures("initialised")
def test_load_hierarchy_takes_trees_and_answers_one_after_the_other() -> None:
    tree = {"identifier": "c", "name": "C", "children": [{"identifier": "a", "name": "A"}]}
    Path("tree.json").write_text(json.dumps(tree))
    Path("answer.json").write_text(json.dumps({"result": {"content": {**tree, "identifier": "d"}}}))
    Path("wrong.json").write_text(json.dumps({"result": {"collection": {**tree, "children": [tree]}}}))
    done = cohort("load", "hierarchy", "tree.json", "answer.json", "wrong.json", "tree.json")
    assert done.stdout.splitlines() == [
        "c: live, version 1, 1 leaf nodes",
        "d: live, version 1, 1 leaf nodes",
    ]
    assert (done.returncode, done.stderr) == (
        1,
        "cohort: wrong.json: collection.children[0]: c is below itself\n",
    )


@pytest.mark.usefixtures("initialised")
def test_the_example_of_a_collection_can_be_loaded() -> None:
    example = Path(__file__).parents[2] / "examples" / "collection.json"
    done = cohort("load", "hierarchy", str(example))
    assert done.stdout == "first-aid: live, version 1, 4 leaf nodes\n"


def test_dev_serves_the_sample_until_it_is_stopped_and_tells_nothing_of_clients_that_leave() -> None:
    """Those leave a server that runs, over a socket, with all that uvicorn would log."""
    process = subprocess.Popen(
        [*COHORT, "dev", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        output = ""
        while "Ctrl-C" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        url = re.findall(r"Cohort is ready: (\S+)/", output)[0]
        token = re.findall(r"^TOKEN=(\S+)$", output, re.MULTILINE)[0]
        query = json.loads(re.findall(r"-d '(.+)'$", output, re.MULTILINE)[0])
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE) as client:
            answer = client.post("/graphql", json=query).json()
            assert len(answer["data"]["me"]["enrolments"]["edges"]) == 4
            health = client.get("/health/ready").json()
            assert [health[name]["status"] for name in ("worker", "attempt_taker")] == ["running"] * 2
        leave(url)
    finally:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    assert output.splitlines()[-1] == f"Cohort is ready: {url}/ (Ctrl-C stops it)"
    for word in ("ERROR", "WARNING", "Traceback", "nanobind", "created "):
        assert word not in told, told
    assert "steps, which --verbose lists" in told


def leave(url: str) -> None:
    """Leaves in the middle of requests. Returns once the server has answered a whole one after them."""
    host, port = url.removeprefix("http://").split(":")
    for path in ("/graphql", "/v1/view/start", "/private/v1/content/state/read"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode()
            )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_dev_lists_what_it_creates_when_it_is_asked_to() -> None:
    """Before it loads the sample, for which nobody waits here."""
    process = subprocess.Popen(
        [*COHORT, "dev", "--port", "0", "--verbose"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert any(line == "created table user_enrolments\n" for line in process.stderr)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


@pytest.mark.usefixtures("initialised")
def test_a_worker_stops_when_it_is_told_to() -> None:
    process = subprocess.Popen([*COHORT, "worker"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log = process.stderr.readline()
    assert "at work" in log
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert (process.wait(PATIENCE), "stopped" in rest) == (0, True), rest
    process.stderr.close()
