"""What an operator reads: a line an event, and a traceback for faults of Cohort alone."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TypeVar

import pytest
from starlette.types import Message

from gateway.app import create_app
from gateway.logs import EVERY, NowAndThen, log_errors, log_to_stderr
from gateway.settings import Settings, load_settings
from rules.errors import StoreUnavailable
from tests.gateway.conftest import KEY, Serving, copy_data, http_scope

pytestmark = pytest.mark.long


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    """pytest's handlers, and everybody's levels and filters."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level for name in ("aiokafka", "cassandra", "httpx", "opensearch")
    }
    filters = logging.getLogger("cassandra.protocol").filters[:]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)  # and no logger remembers another one
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    logging.getLogger("cassandra.protocol").filters[:] = filters


E = TypeVar("E", bound=Exception)


def raised(error: E) -> E:
    """With a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.usefixtures("_as_it_was")
def test_a_traceback_is_of_a_fault_of_cohort(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    log = logging.getLogger
    log("cassandra.cluster").warning(
        "Error connecting to %s:", "a:1", exc_info=raised(OSError("refused\nthere"))
    )
    log("gateway.supervision").error("the worker died", exc_info=raised(StoreUnavailable("the log is away")))
    log("gateway.supervision").error("the worker died", exc_info=raised(KeyError("x")))
    lines = [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines[:3] == [
        "WARNING cassandra.cluster: Error connecting to a:1: refused there",
        "ERROR gateway.supervision: the worker died: the log is away",
        "ERROR gateway.supervision: the worker died",
    ]
    assert lines[-1] == ""  # KeyError, without its key: that may be a learner
    assert len(lines) > 5


@pytest.mark.usefixtures("_as_it_was")
def test_a_command_hears_of_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log_errors("info")
    logging.getLogger("cassandra.cluster").warning("Host down")
    assert capsys.readouterr().err == ""


def test_a_warning_of_a_server_is_told_once_a_minute_with_a_count() -> None:
    now = 1000.0
    now_and_then = NowAndThen(lambda: now)

    def told(text: str, *args: object) -> str | None:
        record = logging.LogRecord("cassandra.protocol", logging.WARNING, "", 0, text, args, None)
        return record.getMessage() if now_and_then.filter(record) else None

    def batch(table: str, size: float) -> str | None:
        warning = f"Batch for [cohort.{table}] is of size {size}KiB, exceeding specified threshold of 5.000KiB by {size - 5}KiB."
        return told("Server warning: %s", warning)

    first = batch("views", 6.1)
    assert first is not None
    assert first.startswith("Server warning: Batch for [cohort.views] is of size 6.1KiB")
    now += EVERY / 2
    assert [batch("views", 7.5), batch("user_enrolments", 9.25)] == [None, None]
    other = told("Server warning: %s", "Read 100 live rows and 2000 tombstone cells for query SELECT")
    assert other is not None, "another kind"
    now += EVERY / 2
    again = batch("views", 8.5)
    assert again is not None
    assert again.startswith("Server warning: Batch for [cohort.views] is of size 8.5KiB")
    assert again.endswith("(and 2 like it in the last 60 s)")
    now += EVERY
    last = batch("views", 6.0)
    assert last is not None
    assert "like it" not in last


# --- clients that leave


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/graphql"),
        ("POST", "/v1/view/start"),
        ("DELETE", "/v1/summary/delete/ada"),
        ("POST", "/nowhere"),
    ],
)
async def test_who_leaves_before_the_body_is_whole_is_no_error(
    serving: Serving, settings: Settings, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    messages: list[Message] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"{", "more_body": True},
    ]

    async def receive() -> Message:
        return messages.pop() if len(messages) > 1 else messages[0]

    async def send(_message: Message) -> None:
        pass

    scope = http_scope(method, path, content_type="application/json", content_length="100")
    async with serving(settings) as client:
        async with asyncio.timeout(60):
            await client.app(scope, receive, send)  # type: ignore[attr-defined]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- servers that are away


async def test_an_instance_that_cannot_start_says_why_in_a_line() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    app = create_app(load_settings(jwt_key=KEY))
    with pytest.raises(Exception, match="cohort init"):
        await app({"type": "lifespan"}, receive, send)
    [failed] = sent
    assert failed["message"].startswith("can't start: the schema is not there yet")
    assert "\n" not in failed["message"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("migrate", "legacy", "--from", "cassandra://a:b@127.0.0.1:1/x"), {}),
        (("jobs", "list"), {"COHORT_ROWS": "cassandra://a:b@127.0.0.1:1/x"}),
        (("init",), {"COHORT_ROWS": "cassandra://a:b@127.0.0.1:1/x"}),
        (("init",), {"COHORT_EVENTS": "kafka://127.0.0.1:1"}),
        (("serve",), {"COHORT_ROWS": "cassandra://a:b@127.0.0.1:1/x", "COHORT_JWT_KEY": KEY}),
        (("worker",), {"COHORT_ROWS": "cassandra://a:b@127.0.0.1:1/x"}),
    ],
    ids=["migrate", "command", "init", "kafka", "serve", "worker"],
)
async def test_a_server_that_is_away_is_told_in_one_line(
    settings: Settings, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    await copy_data(settings)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "gateway.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("cohort: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
