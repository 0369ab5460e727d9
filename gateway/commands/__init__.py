"""The command groups of `cohort`, one module each. gateway/cli.py puts them together.

Modules import what they need inside the commands, so that a short command stays fast.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from gateway.wiring import Cohort

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a command to its end, on uvloop where there is one.

    SIGTERM cancels it, as SIGINT does: it gives back what it holds. Then the process ends as that signal ends one. A
    command that handles the signal itself, such as `cohort worker`, ends in its own way.
    """
    with _sigterm() as sigterm:

        async def cancellable() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.create_task(main)
            sigterm.cancels(lambda: loop.call_soon_threadsafe(task.cancel))
            return await task

        if sys.platform == "win32":
            return asyncio.run(cancellable())
        import uvloop

        return uvloop.run(cancellable())


class _Sigterm:
    """The first SIGTERM of the process cancels its command."""

    def __init__(self) -> None:
        self.came = False
        self._cancel: Callable[[], object] | None = None

    def cancels(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        if self.came:
            cancel()

    def handle(self, *_: object) -> None:
        if self._cancel is not None and not self.came:
            self._cancel()
        self.came = True


@contextmanager
def _sigterm() -> Iterator[_Sigterm]:
    """Handles SIGTERM in the body. If it came, the process ends by it at the end of the body.

    Uses ``signal.signal``: the handlers of uvicorn and of ``loop.add_signal_handler`` replace it while they are there.
    Uvicorn sends the signal again when it has ended.
    """
    sigterm = _Sigterm()
    if threading.current_thread() is not threading.main_thread():
        yield sigterm
        return
    before = signal.signal(signal.SIGTERM, sigterm.handle)
    try:
        yield sigterm
    except asyncio.CancelledError:
        if sigterm.came:
            typer.echo("cohort: ended by SIGTERM", err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        if sigterm.came:
            sys.stdout.flush()
            signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def instance(*, in_any_mode: bool = False) -> AsyncIterator["Cohort"]:
    """The instance of this shell's settings, for one command."""
    from gateway.dev_tokens import with_kept_key
    from gateway.logs import log_errors
    from gateway.settings import load_settings
    from gateway.wiring import running

    settings = with_kept_key(load_settings())
    log_errors(settings.log_level)
    async with running(settings, in_any_mode=in_any_mode) as cohort:
        yield cohort
