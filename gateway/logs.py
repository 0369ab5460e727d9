"""Logging of a whole process: one line for each event, to standard error.

A traceback means a fault of Cohort. What goes wrong elsewhere, such as a server that is away, is one line. No line has
personal data, unless the level is debug: ids and names are in messages of errors, which are left out (``loggable``).
"""

import logging
import re
import time
from collections.abc import Callable

from gateway.log_lines import JsonLines, TextLines, with_context
from rules.errors import CohortError, loggable

LIBRARIES = ("aiokafka", "cassandra", "httpx", "opensearch", "opentelemetry", "redis")
"""Clients of other servers. Errors that they log are those servers' errors."""
QUIET = ("cassandra", "httpx", "mcp")
"""Libraries that log more than an operator wants. Only their warnings and errors are shown, unless the level is debug."""
WARNINGS_OF_SERVERS = "cassandra.protocol"
EVERY = 60.0
"""Seconds between two warnings of one kind, at least."""


def log_to_stderr(level: str, form: str = "text") -> None:
    """Sets up logging of this process. ``form``: ``text`` for people, or ``json``, an object a line (log_lines.py)."""
    debugging = level == "debug"
    logging.basicConfig(level=level.upper(), force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines(texts=debugging) if form == "json" else TextLines(texts=debugging))
        handler.addFilter(with_context)
    if level == "debug":
        return
    for handler in logging.getLogger().handlers:
        handler.addFilter(without_traceback)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    # All their failures reach us as exceptions, and are logged once by whoever handles them.
    for name in ("aiokafka", "opensearch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings = logging.getLogger(WARNINGS_OF_SERVERS)
    for filter_ in [one for one in warnings.filters if isinstance(one, NowAndThen)]:
        warnings.removeFilter(filter_)
    warnings.addFilter(NowAndThen())


def log_errors(level: str) -> None:
    """Sets up logging of a command, whose output is what it prints: errors alone, or all if ``level`` is debug."""
    log_to_stderr("debug" if level == "debug" else "error")


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter that lets every record pass. If an error is no fault of ours, its text replaces its traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name == "asyncio":  # it shows the task, and with it the error's text
        record.msg, record.args = record.getMessage().partition("\n")[0], None
    if error is not None and (isinstance(error, CohortError) or _is_of_a_library(record.name)):
        told = loggable(error) if isinstance(error, CohortError) else str(error)
        text = " ".join(told.split()) or type(error).__name__
        record.msg, record.args = f"{record.getMessage().rstrip(': ')}: {text}", None
        record.exc_info = record.exc_text = None
    return True


def _is_of_a_library(logger: str) -> bool:
    return logger.partition(".")[0] in LIBRARIES


class NowAndThen(logging.Filter):
    """Lets one warning of each kind pass in EVERY seconds, with the number of those that were held back since the last.

    The kind of a warning is its text without names and numbers.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._since: dict[str, tuple[float, int]] = {}
        """By kind: when one passed, and how many were held back since then."""

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = record.getMessage(), self._clock()
        kind = _NAMES_AND_NUMBERS.sub("", text)[:60]
        told_at, held = self._since.get(kind, (now - EVERY, 0))
        if now - told_at < EVERY:
            self._since[kind] = told_at, held + 1
            return False
        self._since[kind] = now, 0
        if held:
            record.msg, record.args = f"{text} (and {held} like it in the last {now - told_at:.0f} s)", None
        return True


_NAMES_AND_NUMBERS = re.compile(r"\[[^\]]*\]|'[^']*'|\S*\d\S*")
