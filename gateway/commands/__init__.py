"""The command groups of `cohort`, one module each. gateway/cli.py puts them together.

Modules import what they need inside the commands, so that a short command stays fast.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from gateway.wiring import Cohort

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a command to its end, on uvloop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


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
