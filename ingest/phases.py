"""How far a long command is, which goes by phases: what it tells whoever started it."""

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Phase, done, total. It is called in the event loop, often."""


def quiet(phase: str, done: int, total: int) -> None:
    """For whom nobody waits."""
