"""How learners stand in single contents that a group does together: from their views, wherever they took the content."""

from collections.abc import Collection, Iterable, Sequence

from loaders.entries import EntryKey, Found
from loaders.views import row_key
from rules.entries import Entry
from rules.identifiers import ViewKey
from rules.progress import Progress, Status, status_of
from rules.subjects import Subject
from rules.tracking import Tracking
from stores.rows import Row, Rows
from stores.tables import LEARNER_SCOPES, NODE_ROOTS, VIEWS

_COLUMNS = ("status", "last_access_time", "timespent")
_SCOPE = ("userid", "collectionid", "contextid")


async def content_entries(
    rows: Rows, tracking: Tracking, subjects: Iterable[Subject], user_ids: Collection[str]
) -> Found:
    """One entry for each place where a learner took the content: by itself, and in each collection that holds it,
    under each context.

    For all contents and learners together one batched read tells which collections hold the contents, one where the
    learners have been in these, and one reads the views. If views are kept by content there is only one place.
    """
    contents = [subject.activity.id for subject in subjects if subject.is_single_content]
    if not contents or not user_ids:
        return {}
    keys = {
        (content, user_id): [ViewKey(user_id, content, content, content)]
        for content in contents
        for user_id in user_ids
    }
    if not tracking.keeps_by_content:
        for entry_key, key in await _in_collections(rows, contents, user_ids):
            keys[entry_key].append(key)
    found = await rows.get_many(VIEWS, [row_key(key) for each in keys.values() for key in each], _COLUMNS)
    return {
        entry_key: [
            _entry(key, row)
            for key in each
            if (row := found.get(row_key(key))) is not None and row["status"] is not None
        ]
        for entry_key, each in keys.items()
    }


async def _in_collections(
    rows: Rows, contents: Sequence[str], user_ids: Collection[str]
) -> list[tuple[EntryKey, ViewKey]]:
    """Where these learners may have taken the contents in a collection."""
    held = await rows.partitions(NODE_ROOTS, [(content,) for content in contents], ("node", "root"))
    roots = {content: {row["root"] for row in held[content,]} - {content} for content in contents}
    collections = sorted(set().union(*roots.values()))
    if not collections:
        return []
    users = [(user_id,) for user_id in user_ids]
    scopes = await rows.partitions(LEARNER_SCOPES, users, _SCOPE, among=collections)
    return [
        (
            (content, row["userid"]),
            ViewKey(row["userid"], row["collectionid"], row["contextid"], content),
        )
        for partition in scopes.values()
        for row in partition
        for content in contents
        if row["collectionid"] in roots[content]
    ]


def _entry(key: ViewKey, row: Row) -> Entry:
    status = status_of(row["status"])
    return Entry(
        key.collection_id,
        key.context_id,
        active=False,
        progress=Progress(status, int(status is Status.COMPLETED), 1),
        time_spent=row["timespent"] or 0,
        last_accessed_on=row["last_access_time"],
    )
