"""What compiled code is given, and what it gives (graph/execution/projection.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resolvers.nouns import Bill


@dataclass(slots=True)
class Caller:
    """Whose request is answered, for what is compiled for the requests of all: the session, and the bill. ``made_whole``: light
    members of whom the whole object was made."""

    session: Any
    bill: Bill
    made_whole: int = 0


Read = Callable[[Any], Any]
"""From an object to what a field of it answers."""
Show = Callable[[Any, Caller], Any]
"""From an object or a value to what stands for it in the answer."""


class NotPlain(Exception):
    """A value that is not plainly of its type, or a resolver that refused: only the executor can tell that at its path."""
