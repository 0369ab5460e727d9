"""Lines of the log as programs read them, and the line that a slow request gets."""

import io
import json
import logging
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from gateway.callers import CallerNames
from gateway.logs import log_to_stderr
from tests.conftest import Instance
from tests.gateway.conftest import KEY
from tests.gateway.watched_calls import WatchedCalls

VIEWS = "query Mine { me { userId enrolments { edges { node { completionPercentage } } } } }"


@pytest.fixture
def lines() -> Iterator[Any]:
    """Sets up the log in a form, and gives what it has written since."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    filters = logging.getLogger("cassandra.protocol").filters[:]

    def set_up(form: str, level: str = "info") -> io.StringIO:
        log_to_stderr(level, form)
        for handler in root.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(stream)
        return stream

    yield set_up
    root.handlers[:], root.level = handlers, level
    for name in ("aiokafka", "cassandra", "httpx", "opensearch"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("cassandra.protocol").filters[:] = filters


def test_a_line_is_an_object_with_its_fields(lines: Any) -> None:
    stream = lines("json")
    logging.getLogger("gateway.x").warning("it is %s", "away", extra={"fields": {"seconds": 2.5}})
    told = json.loads(stream.getvalue())
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "gateway.x",
        "message": "it is away",
        "fields": {"seconds": 2.5},
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_has_kinds_of_errors_and_no_texts(lines: Any, form: str) -> None:
    stream, learner = lines(form), "-".join(("ada", "17"))
    try:
        try:
            raise KeyError(learner)
        except KeyError as error:
            raise ValueError(f"{learner} is not there") from error
    except ValueError:
        logging.getLogger("gateway.x").exception("it broke")
    told = stream.getvalue()
    assert "KeyError" in told
    assert "ValueError" in told
    assert "test_log_lines.py" in told
    assert learner not in told


def test_the_level_debug_tells_texts(lines: Any) -> None:
    stream = lines("text", "debug")
    try:
        raise KeyError("ada")
    except KeyError:
        logging.getLogger("gateway.x").exception("it broke")
    assert stream.getvalue().rstrip().endswith("KeyError: 'ada'")


async def test_a_slow_request_is_told_by_document_and_statements(published: Instance, lines: Any) -> None:
    stream = lines("json")
    calls = WatchedCalls(published, slow=1e-9)
    await calls.ask(VIEWS, calls.token("ada"), headers={"X-Request-Id": "r-1"})
    (told,) = [json.loads(line) for line in stream.getvalue().splitlines() if "a slow request" in line]
    assert (told["request"], told["fields"]["route"], told["fields"]["status"]) == ("r-1", "/graphql", "200")
    assert told["fields"]["document"] == sha256(VIEWS.encode()).hexdigest()[:12]
    assert (told["fields"]["type"], told["fields"]["operation"]) == ("query", "Mine")
    assert told["fields"]["statements"] == {"select user_enrolments": 1}
    assert told["fields"]["caller"] == CallerNames(KEY.encode()).name("ada", None)
    assert told["fields"]["seconds"] >= 0


async def test_a_request_that_is_not_slow_is_no_news(published: Instance, lines: Any) -> None:
    stream = lines("json")
    calls = WatchedCalls(published, slow=60)
    await calls.ask(VIEWS, calls.token("ada"))
    assert stream.getvalue() == ""


def test_a_caller_has_one_name_that_tells_nobody_who_it_is() -> None:
    names, others = CallerNames(KEY.encode()), CallerNames(b"x" * 32)
    assert names.name("ada", None) == CallerNames(KEY.encode()).name("ada", None)
    assert names.name("ada", None) != others.name("ada", None)
    assert names.name("ada", None) != names.name(None, "ada")
