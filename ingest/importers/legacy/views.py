"""Brings views into ``user_content_consumption``, by conditional writes as every call writes them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import reduce

from ingest.importers.legacy.report import ERASED, TableReport
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.writing import Erasures, Migrating, settle, stored_rows
from loaders import touches
from loaders.views import as_read, row_key, view_of, view_values
from rules.identifiers import ProgressKey, ViewKey
from rules.legacy.tables import CONSUMPTION, LegacyRow
from rules.legacy.values import Unreadable
from rules.legacy.views import merged, placed, view_of_consumption
from rules.views import View
from stores.rows import Change, Key, Row, Write
from stores.tables import LEARNER_SCOPES, VIEWS


async def bring_views(
    migrating: Migrating, rows: Sequence[LegacyRow], report: TableReport
) -> dict[ProgressKey, bool]:
    """Brings a page of user_content_consumption. Returns for each key, where views are kept, whether it was changed."""
    columns = ("user_id", "collection_id", "context_id", "content_id")
    mapped = list(
        report.readable(rows, columns, lambda row: view_of_consumption(row, migrating.at, migrating.zone))
    )
    erasures = await Erasures.of(migrating, (one.value.key for _, one in mapped))
    views = []
    for name, one in mapped:
        view = one.value
        if erasures.cover(view.key, view.last_updated_on):
            report.skip(ERASED, name)
        else:
            report.note(one.notes, name)
            views.append(view)
    changed = await write_views(migrating, views)
    return _count(migrating, views, changed, report)


async def consumed(migrating: Migrating, platform: Platform, key: ProgressKey) -> dict[str, View]:
    """Returns, by content, what the existing platform has of one key: what a dry run would have brought."""
    rows = await platform.rows(
        CONSUMPTION, user_id=key.user_id, collection_id=key.collection_id, context_id=key.context_id
    )
    views: dict[str, View] = {}
    for row in rows:
        with suppress(Unreadable):
            view = view_of_consumption(row, migrating.at, migrating.zone).value
            views[view.key.content_id] = view
    return views


def _count(
    migrating: Migrating, views: Sequence[View], changed: set[ViewKey], report: TableReport
) -> dict[ProgressKey, bool]:
    """Counts the views in the report. Returns for each key, where views are kept, whether it was changed."""
    keys: dict[ProgressKey, bool] = {}
    for view in views:
        stored = migrating.shared.tracking.stored(view.key)
        is_changed = stored in changed
        report.written += is_changed
        report.unchanged += not is_changed
        key = stored.progress_key
        keys[key] = is_changed or keys.get(key, False)
    return keys


async def write_views(migrating: Migrating, views: Iterable[View]) -> set[ViewKey]:
    """Merges these views, under the ids that clients name, into what is stored. Returns the keys of the rows that
    changed.

    If a hash in the cache was filled before, it is not trusted any more.
    """
    found: dict[Key, list[View]] = defaultdict(list)
    for view in views:
        stored_key = migrating.shared.tracking.stored(view.key)
        found[row_key(stored_key)].append(placed(view, stored_key))

    async def needed(keys: list[Key]) -> list[Change]:
        stored = await stored_rows(migrating.rows, VIEWS, keys)
        changes = [
            change
            for key in keys
            if (change := _change(key, stored.get(key), found[key], migrating.shared.change_moment))
        ]
        if migrating.dry_run:
            would.update(change.key for change in changes)
            return []
        await _enter_scopes(migrating, [found[change.key][0].key for change in changes])
        return changes

    would: set[Key] = set()
    changed = await settle(migrating.rows, VIEWS, found, needed) | would
    keys = {found[key][0].key for key in changed}
    if keys and not migrating.dry_run:
        hashes = {migrating.shared.tracking.source(key.progress_key) for key in keys}
        await touches.distrust(migrating.shared.stores.cache, list(hashes))
    return keys


def _change(
    key: Key, row: Row | None, found: Sequence[View], change_moment: Callable[[], int]
) -> Change | None:
    before = view_of(row)
    after = reduce(lambda view, one: merged(view, one) or view, found, before)
    if after is None or after is before:
        return None
    if before is None:
        # If a new row has no value for a column, the column is left out: a null would be a tombstone.
        changed = {name: value for name, value in view_values(after).items() if value is not None}
    else:
        stored = view_values(before)
        changed = {name: value for name, value in view_values(after).items() if value != stored[name]}
    conditions = [] if row is None else as_read(row)
    return Change(key, {**changed, "changed_at": change_moment()}, conditions) if changed else None


async def _enter_scopes(migrating: Migrating, keys: Iterable[ViewKey]) -> None:
    """Writes the places into the learner's list of scopes before their first row, as a start of a view does."""
    places = {(key.user_id, key.collection_id, key.context_id): key.scope for key in keys}
    await migrating.rows.write(
        *(Write(LEARNER_SCOPES, place, {"scope": scope}) for place, scope in places.items())
    )
