"""Lines of the log, as text for people or as JSON for what gathers logs. Both have the request's id, the trace's id, and the
fields that a message was given: ``log.warning("…", extra={"fields": {…}})``."""

import logging
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from gateway.http.request_ids import request_id
from telemetry import traces

_Fault = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def with_context(record: logging.LogRecord) -> bool:
    """A filter that lets every record pass. It gives the record the ids of the request and the trace, or None."""
    record.request, record.trace = request_id(), traces.trace_id()
    return True


class _Lines(logging.Formatter):
    """``texts``: whether tracebacks have the texts of errors. These may name learners."""

    def __init__(self, *, texts: bool) -> None:
        super().__init__()
        self._texts = texts

    def formatException(self, ei: _Fault) -> str:  # noqa: N802 - the library's name
        error = ei[1]
        if error is None:
            return ""
        if self._texts:
            return "".join(traceback.format_exception(error)).rstrip()
        return "".join(_without_texts(error)).rstrip()

    def _fault(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""


class TextLines(_Lines):
    """``2026-03-01T12:00:00.000Z WARNING gateway.app [request trace]: message field=value``."""

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(one for one in (_of(record, "request"), _of(record, "trace")) if one)
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}{f' [{ids}]' if ids else ''}: {record.getMessage()}{fields}"
        fault = self._fault(record)
        return f"{line}\n{fault}" if fault else line


class JsonLines(_Lines):
    """An object with ``time``, ``level``, ``logger``, ``message``, and what there is of ``request``, ``trace``, ``fields`` and
    ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": _of(record, "request"),
            "trace": _of(record, "trace"),
            "fields": _fields(record),
            "traceback": self._fault(record),
        }
        return orjson.dumps({name: value for name, value in told.items() if value}, default=str).decode()


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _of(record: logging.LogRecord, name: str) -> str | None:
    value: str | None = getattr(record, name, None)
    return value


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{one}" for name, one in value.items())
    return str(value)


def _without_texts(error: BaseException) -> Iterator[str]:
    """The traceback of an error and of those that it came from, each told by its kind alone."""
    if error.__cause__ is not None:
        yield from _without_texts(error.__cause__)
        yield "\nThe above exception was the direct cause of the following exception:\n\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _without_texts(error.__context__)
        yield "\nDuring handling of the above exception, another exception occurred:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__qualname__}\n"
    for one in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _without_texts(one)
