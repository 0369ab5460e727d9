"""In which tracking mode the rows of an instance are kept (rules/modes.py).

What the whole instance has agreed on is a row, written by conditions alone: processes that are set otherwise don't start.
"""

from datetime import datetime

from ingest.writes.retrying import Attempts
from rules.errors import Conflict
from rules.modes import Agreed
from rules.tracking import TrackingMode
from stores.rows import Equal, Rows
from stores.tables import ENROLMENTS, INSTANCE, VIEWS

TRACKING = ("tracking",)
"""The row of the agreement."""
RANGES = 16
"""Parts of the ring."""


async def agreed(rows: Rows) -> Agreed | None:
    """None in an instance that has not started yet, or not since there are modes."""
    row = await rows.get(INSTANCE, TRACKING)
    return None if row is None or row["value"] is None else Agreed.decode(row["value"])


async def agree(rows: Rows, wanted: TrackingMode, at: datetime) -> Agreed:
    """What holds once a process that is set to ``wanted`` starts: that, where nothing is kept yet; else what there is.

    One read. Where there is no agreement, or another one, it looks whether there is any data: rows from before there
    were modes are strict.
    """
    async for _ in Attempts():
        there = await agreed(rows)
        if there is not None and (there.to is not None or there.mode is wanted):
            return there
        data = await has_data(rows)
        if there is not None and data:
            return there
        mode = TrackingMode.STRICT if data else wanted
        values = {"value": Agreed(mode).encode(), "changed_on": at}
        if there is None:
            applied = await rows.insert_if_absent(INSTANCE, {**INSTANCE.named(TRACKING), **values})
        else:
            applied = await rows.update_if(INSTANCE, TRACKING, values, [Equal("value", there.encode())])
        if applied.applied:
            return Agreed(mode)
    raise Conflict("other processes keep agreeing on a tracking mode; start again", field="mode")


async def has_data(rows: Rows) -> bool:
    """Whether there is a view or an enrolment. Looks through the ring until it finds one."""
    for table in (ENROLMENTS, VIEWS):
        for token_range in rows.ranges(RANGES):
            async for page in rows.walk(table, token_range, columns=("userid",), page_size=1):
                if page.rows:
                    return True
    return False
