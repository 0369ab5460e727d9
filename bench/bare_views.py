"""Views beside their floors: the rows that starting, updating and ending one writes, and the statements and the send of each."""

import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from bench.floor import Floor
from loaders.views import row_key, view_values
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.views import View
from stores.tables import VIEWS

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDING = {
    "status": int(Status.COMPLETED),
    "progress": 100,
    "last_access_time": AT,
    "last_updated_time": AT,
    "last_completed_time": AT,
    "changed_at": 1,
}


def view(user: str, leaf: int) -> View:
    """A started view in the course ``big``."""
    key = ViewKey(user, "big", "batch", f"big-leaf-{leaf}")
    return View(key, Status.IN_PROGRESS, started_on=AT, last_accessed_on=AT, last_updated_on=AT)


def start_row(started: View) -> dict[str, Any]:
    return {**VIEWS.named(row_key(started.key)), **view_values(started), "changed_at": time.time_ns() // 1000}


def bare_calls(floor: Floor) -> dict[str, Callable[[View], Coroutine[Any, Any, None]]]:
    """What each operation of a player needs, by its name."""

    async def start(of: View) -> None:
        await floor.start(start_row(of))
        await floor.send(of.key.user_id)

    async def update(of: View) -> None:
        await floor.view(row_key(of.key))
        await floor.end(row_key(of.key), {**ENDING, "status": 1, "progress": 40})
        await floor.send(of.key.user_id)

    async def end(of: View) -> None:
        await floor.end(row_key(of.key), ENDING)
        await floor.send(of.key.user_id)

    return {"Start": start, "Update": update, "End": end}
