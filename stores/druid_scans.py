"""Every row that Druid has stored of a data source, as the events that it was stored from: what a copy elsewhere begins with.

A scan groups nothing, so Druid keeps nothing in memory for it, and it may be of any length. A key has a row for each time
that it was stored since the last compaction; whoever reads them takes the highest version.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson

from druid_specs import VERSION, DataSource
from rules.errors import StoreUnavailable
from rules.states import DAYS, FIRST_DAY
from stores.druid_filters import decoded

ROWS = 500
"""Rows that Druid puts together in its answer, and that are parsed at a time: some 0.7 MB, 2 ms."""
PATIENCE = 600.0
"""Seconds that the scan of one day may take."""
PRIORITY = -10
"""Behind every query that somebody waits for."""
_BATCH = b'{"segmentId":'
"""A batch begins so. A text cannot have it in it: its quotes would be escaped."""

Event = dict[str, Any]


def scans(source: DataSource, name: str) -> list[dict[str, Any]]:
    """The queries that have all rows of the source together, one for each day of synthetic times. ``name``: of the data
    source in Druid."""
    return [
        {
            "queryType": "scan",
            "dataSource": name,
            "intervals": [f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}/P1D"],
            "columns": [*source.key, VERSION, *source.latest],
            "resultFormat": "compactedList",
            "batchSize": ROWS,
            "context": {"timeout": int(PATIENCE * 1000), "priority": PRIORITY},
        }
        for day in range(DAYS)
    ]


async def batches(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Parts an answer that comes in pieces into the JSON of its batches. StoreUnavailable where it has no end: then Druid broke
    off."""
    left = bytearray()
    async for piece in pieces:
        seen = max(0, len(left) - len(_BATCH))
        left += piece
        while (at := left.find(b"," + _BATCH, max(seen, 1))) >= 0:
            yield bytes(left[:at]).removeprefix(b"[")
            del left[: at + 1]
            seen = 1
    answer = bytes(left).strip()
    if not answer.endswith(b"]"):
        raise StoreUnavailable(
            "the groups store's answer broke off", detail=f"after a scan's {len(answer)} bytes"
        )
    last = answer.removeprefix(b"[")[:-1]
    if last:
        yield last


def events_in(source: DataSource, batch: bytes) -> list[Event]:
    """The events of a batch. What follows the version is stored as a pair of both."""
    try:
        found = orjson.loads(batch)
    except orjson.JSONDecodeError as error:
        raise StoreUnavailable(
            "the groups store's answer broke off", detail=f"in a batch of {len(batch)} bytes"
        ) from error
    columns: list[str] = found["columns"]
    texts = {name for name, type_ in source.latest.items() if type_ == "string"}
    events = []
    for row in found["events"]:
        event = dict(zip(columns, row, strict=True))
        for name in source.latest:
            pair = event.get(name)
            value = pair["rhs"] if isinstance(pair, dict) else pair
            event[name] = decoded(value) if name in texts else value
        events.append(event)
    return events
