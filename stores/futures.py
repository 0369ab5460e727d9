"""What is done with a future that nobody may be waiting for any more."""

import asyncio
from typing import Any


def looked_at(future: "asyncio.Future[Any]") -> None:
    """Takes note of the future's error, if it has one: asyncio logs each that nobody asked for as a fault."""
    if not future.cancelled():
        future.exception()
