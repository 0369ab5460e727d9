"""Views as rows have them, whole."""

from collections.abc import Sequence

import orjson

from rules.identifiers import ProgressKey, ViewKey, scope_of
from rules.progress import status_of
from rules.standings import Touch
from rules.views import View
from stores.rows import Row, Rows
from stores.tables import VIEWS

TOUCH_COLUMNS = (
    "contextid",
    "contentid",
    "changed_at",
    "status",
    "progress",
    "last_access_time",
    "last_completed_time",
)
FIGURE_COLUMNS = (*TOUCH_COLUMNS, "timespent")
"""What the workers' figures need beyond what pages show."""


def row_key(key: ViewKey) -> tuple[str, str, str, str, str]:
    """The primary key of the view's row."""
    return key.user_id, key.scope, key.collection_id, key.context_id, key.content_id


async def views_by_key(rows: Rows, keys: Sequence[ViewKey]) -> list[View | None]:
    found = await rows.get_many(VIEWS, [row_key(key) for key in keys])
    return [view_of(found.get(row_key(key))) for key in keys]


def view_of(row: Row | None) -> View | None:
    """None where there is no row, or one without a status: only a start makes a view."""
    if row is None or row["status"] is None:
        return None
    details = row["progressdetails"]
    return View(
        key=ViewKey(row["userid"], row["collectionid"], row["contextid"], row["contentid"]),
        status=status_of(row["status"]),
        progress=row["progress"] or 0,
        time_spent=row["timespent"] or 0,
        started_on=row["started_on"],
        last_accessed_on=row["last_access_time"],
        last_updated_on=row["last_updated_time"],
        completed_on=row["last_completed_time"],
        progress_details=None if details is None else orjson.loads(details),
        recent_calls=tuple(row["last_call"].split("\n")) if row["last_call"] else (),
        changed_at=row["changed_at"],
    )


def touch_of(row: Row) -> Touch:
    """Of a row with a status."""
    return Touch(
        status_of(row["status"]),
        row["progress"] or 0,
        row["last_access_time"],
        row["last_completed_time"],
        row.get("timespent") or 0,
    )


def partition_of(key: ProgressKey) -> tuple[str, str]:
    """Where the views of a key are, beside those of the learner's other contexts of the collection."""
    return key.user_id, scope_of(key.collection_id)


async def touches_by_key(
    rows: Rows, keys: Sequence[ProgressKey], columns: Sequence[str] = TOUCH_COLUMNS
) -> tuple[dict[ProgressKey, dict[str, Touch]], dict[ProgressKey, int | None]]:
    """The views of each key in short, by content, and the last change of the partition that the key is in."""
    partitions = {key: partition_of(key) for key in keys}
    found = await rows.partitions(VIEWS, list(set(partitions.values())), columns)
    touches = {
        key: {
            row["contentid"]: touch_of(row)
            for row in found[partition]
            if row["contextid"] == key.context_id and row["status"] is not None
        }
        for key, partition in partitions.items()
    }
    changed = {key: found[at][0]["changed_at"] if found[at] else None for key, at in partitions.items()}
    return touches, changed


def view_values(view: View) -> dict[str, object]:
    """The columns of a view that calls change, apart from the static ``changed_at``."""
    details = view.progress_details
    return {
        "status": int(view.status),
        "progress": view.progress,
        "timespent": view.time_spent,
        "progressdetails": None if details is None else orjson.dumps(details).decode(),
        "started_on": view.started_on,
        "last_access_time": view.last_accessed_on,
        "last_updated_time": view.last_updated_on,
        "last_completed_time": view.completed_on,
        "last_call": "\n".join(view.recent_calls) or None,
    }
