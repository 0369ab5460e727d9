"""A thread of SQLite is free again once nobody waits for what it does."""

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from rules.errors import DeadlineExceeded
from stores.deadline import deadline
from stores.sqlite_lane import Lane

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def endless(connection: sqlite3.Connection) -> object:
    return connection.execute(ENDLESS).fetchone()


def one(connection: sqlite3.Connection) -> object:
    return connection.execute("SELECT 1").fetchone()


@pytest.mark.parametrize("by", ["its caller leaves", "its deadline"])
async def test_a_statement_is_interrupted_when(by: str, tmp_path: Path) -> None:
    """Without that, the one thread would be busy for ten seconds more."""
    lane = Lane(tmp_path / "rows.db", 1, "reader")
    assert await lane.run(one) == (1,)
    began = time.monotonic()
    if by == "its deadline":
        with deadline(0.1), pytest.raises(DeadlineExceeded):
            await lane.run(endless)
    else:
        call = asyncio.create_task(lane.run(endless))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await lane.run(one) == (1,)
    assert time.monotonic() - began < 8
    await lane.close()
