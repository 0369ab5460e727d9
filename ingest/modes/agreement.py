"""The tracking mode in which the rows of an instance are kept (rules/modes.py).

The agreement of the whole instance is a row, written by conditions alone. Processes that are set otherwise don't start.
"""

from datetime import datetime

from ingest.writes.retrying import Attempts
from rules.errors import Conflict
from rules.modes import Agreed
from rules.tracking import TrackingMode
from stores.rows import Equal, Rows, has_rows
from stores.tables import ENROLMENTS, INSTANCE, VIEWS

TRACKING = ("tracking",)
"""The row of the agreement."""
RANGES = 16
"""Parts of the ring."""


async def agreed(rows: Rows) -> Agreed | None:
    """Returns None if no mode was ever stored."""
    row = await rows.get(INSTANCE, TRACKING)
    return None if row is None or row["value"] is None else Agreed.decode(row["value"])


async def agree(rows: Rows, wanted: TrackingMode, at: datetime) -> Agreed:
    """Returns the mode that holds. An empty instance takes ``wanted``; otherwise the stored mode stays.

    It costs one read. If there is no agreement, or another one, it also looks whether there is any data. If there is
    data but no agreement, the mode is strict: the rows are from before there were modes.
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
    """Returns True if there is a view or an enrolment."""
    return await has_rows(rows, ENROLMENTS, RANGES) or await has_rows(rows, VIEWS, RANGES)
