"""What stands in the head of a request, read once for all who look there."""

from collections.abc import Iterable, Mapping, Sequence

from starlette.types import Scope

_HEADS = "cohort.heads"


def heads_of(scope: Scope) -> Mapping[bytes, bytes]:
    """The headers of a request by their names in small letters, as ASGI has them; the first of those that are sent again."""
    found: Mapping[bytes, bytes] | None = scope.get(_HEADS)
    if found is None:
        found = scope[_HEADS] = dict(reversed(scope["headers"]))
    return found


def texts_in(scope: Scope, name: bytes) -> Sequence[str]:
    """The values of a header as texts, each time that it was sent."""
    if name not in heads_of(scope):
        return ()
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def text_in(scope: Scope, name: bytes) -> str | None:
    """The value of a header as text; None without it."""
    value = heads_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


Headers = list[tuple[bytes, bytes]]
"""Of an answer."""


def announced_in(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """How many bytes the headers of an answer announce; None where they do not."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
