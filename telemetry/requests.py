"""What is noted of one request while it is answered, for its metrics and for the line that a slow one gets."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from telemetry import traces

SHORT = 12
"""Hex digits of a document's SHA-256 that tell it from others in logs."""


@dataclass(slots=True)
class Noted:
    """Nothing in it is a value that a client sent, but for the name of the operation, which a valid document has.

    - ``document``: the first digits of the SHA-256 of its text; ``type``: query or mutation.
    - ``caller``: who asked, as a keyed hash.
    - ``codes``: of errors in the answer.
    - ``statements``: how many of each kind were sent for this request. What it shares with other requests, which one of them
      has had read, is not counted.
    """

    document: str = ""
    type: str = ""
    operation: str = ""
    caller: str = ""
    codes: list[str] = field(default_factory=list)
    statements: dict[str, int] = field(default_factory=dict)
    estimate: int | None = None
    actual: int | None = None


_noted: ContextVar[Noted | None] = ContextVar("noted", default=None)


def noted() -> Noted | None:
    """What is noted of the current request; None outside of one."""
    return _noted.get()


@contextmanager
def noting() -> Iterator[Noted]:
    """Within, it is noted what the request does."""
    notes = Noted()
    token = _noted.set(notes)
    try:
        yield notes
    finally:
        _noted.reset(token)


def note_error(code: str) -> None:
    """Notes that the answer of the current request has an error."""
    if (notes := _noted.get()) is not None:
        notes.codes.append(code)


def note_cost(estimate: int | None = None, actual: int | None = None) -> None:
    """Notes the points of the current request: those estimated before it, or what it really cost."""
    if (notes := _noted.get()) is not None:
        notes.estimate = notes.estimate if estimate is None else estimate
        notes.actual = notes.actual if actual is None else actual


def note_statements(what: str, times: int) -> None:
    """Counts statements of the current request. In a trace each is an event of the call of the store."""
    if (notes := _noted.get()) is not None:
        notes.statements[what] = notes.statements.get(what, 0) + times
    if traces.are_on():
        traces.event(what)
