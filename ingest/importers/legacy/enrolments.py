"""Brings enrolments into ``user_enrolments``, with what their contentstatus knows beyond the views."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import partial
from itertools import islice

from ingest.importers.lanes import each
from ingest.importers.legacy.comparison import published
from ingest.importers.legacy.granting import granted
from ingest.importers.legacy.report import ERASED, TableReport, told
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.views import consumed, write_views
from ingest.importers.legacy.writing import Erasures, Migrating, settle, stored_rows
from loaders.enrolments import enrolment_of, row_key
from loaders.views import row_key as view_key
from rules.identifiers import ProgressKey, ViewKey
from rules.legacy.enrolments import (
    WAITS,
    Beginning,
    LegacyEnrolment,
    date_of,
    enrolment_of_row,
    enrolment_values,
)
from rules.legacy.enrolments import views_of_enrolment as views_of
from rules.legacy.tables import BATCHES, LegacyRow
from rules.legacy.values import Mapped, Unreadable, first_moment
from rules.legacy.views import merged, outdoes_guess
from rules.origins import Origin
from rules.views import View
from stores.rows import Change, Condition, Equal, Key, Row
from stores.tables import ENROLMENTS, VIEWS

VIEWS_AT_ONCE = 2000
"""Contents of contentstatus that are looked up together. A page of enrolments may have many times as many."""
_TELLING = ("status", "last_access_time", "last_completed_time", "origin")
"""Columns of a view by which it is judged against a guess."""
_GUARDS = ("enrolled_on", "reenrolled_on", "active", "changed_at", "moved_to")


async def bring_enrolments(
    migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow], report: TableReport
) -> dict[ProgressKey, bool]:
    """Brings a page of user_enrolments. Returns by key whether something was changed.

    The keys include those where views are kept.
    """
    enrolments, erasures = await take_enrolments(migrating, platform, rows, report)
    changed = await _write(migrating, {row_key(one.key): one for one in enrolments}, report)
    touched = {one.key: row_key(one.key) in changed for one in enrolments}
    filled = await _fill(migrating, platform, enrolments, erasures, report)
    for key in filled | await _grant(migrating, platform, enrolments, erasures, report):
        touched[key] = True
    return touched


async def take_enrolments(
    migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow], report: TableReport
) -> tuple[list[LegacyEnrolment], Erasures]:
    """Returns the enrolments of these rows that can be read and were not erased here, and the erasures."""
    columns = ("user_id", "collection_id", "context_id")
    beginnings = await _beginnings(migrating, platform, rows)

    def read(row: LegacyRow) -> Mapped[LegacyEnrolment]:
        return enrolment_of_row(row, migrating.zone, beginnings.get(tuple(row[name] for name in columns)))

    mapped = [one for _, one in report.readable(rows, columns, read)]
    erasures = await Erasures.of(migrating, (one.value.key for one in mapped))
    taken: list[LegacyEnrolment] = []
    for one in mapped:
        found = one.value
        if erasures.cover(found.key, max(found.enrolled_on, found.changed_on or found.enrolled_on)):
            report.skip(ERASED, told(found.key))
            continue
        report.note(one.notes, told(found.key))
        if found.completed_on is not None and erasures.cover(found.key, found.completed_on):
            found = replace(found, completed_on=None)  # it is of before the erasure
        taken.append(found)
    return taken, erasures


async def _beginnings(
    migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow]
) -> dict[tuple[str, ...], Beginning]:
    """Returns what enrolments without a date are dated by. It reads the consumption of each, and each batch once."""
    asked = [_ids(row) for row in rows if all(_ids(row)) and _is_undated(row, migrating.zone)]
    places = list({(collection_id, context_id) for _, collection_id, context_id in asked})
    started = dict(zip(places, await each(places, partial(_started_on, migrating, platform)), strict=True))

    async def beginning(ids: tuple[str, str, str]) -> Beginning:
        views = (await consumed(migrating, platform, ProgressKey(*ids))).values()
        completed = (view.completed_on for view in views if view.completed_on is not None)
        return Beginning(min(completed, default=None), started[ids[1:]])

    return dict(zip(asked, await each(asked, beginning), strict=True))


async def _started_on(migrating: Migrating, platform: Platform, place: tuple[str, str]) -> datetime | None:
    """Returns the start of the batch as the platform has it, if it is there and can be read."""
    rows = await platform.rows(BATCHES, collection_id=place[0], context_id=place[1])
    with suppress(Unreadable):
        for row in rows:
            return first_moment(row, "start_date", "startdate", notes=[], zone=migrating.zone)
    return None


def _is_undated(row: LegacyRow, zone: tzinfo) -> bool:
    try:
        return date_of(row, zone, []) is None
    except Unreadable:
        return False  # of such a row nothing is brought


def _ids(row: LegacyRow) -> tuple[str, str, str]:
    return row["user_id"], row["collection_id"], row["context_id"]


async def _write(
    migrating: Migrating, enrolments: Mapping[Key, LegacyEnrolment], report: TableReport
) -> set[Key]:
    """Writes the enrolments. Returns the keys of those that were changed. The report counts all."""
    left, would = set[Key](), set[Key]()

    async def needed(keys: list[Key]) -> list[Change]:
        stored = await stored_rows(migrating.rows, ENROLMENTS, keys)
        changes = []
        for key in keys:
            values = _values(stored.get(key), enrolments[key])
            left.discard(key)
            if values is None:
                left.add(key)
            elif values:
                changes.append(_change(key, stored.get(key), values, migrating.shared.change_moment()))
        if migrating.dry_run:
            would.update(change.key for change in changes)
            return []
        return changes

    changed = await settle(migrating.rows, ENROLMENTS, enrolments, needed) | would
    for key, found in enrolments.items():
        if key in changed:
            report.written += 1
        elif key in left:
            report.leave(told(found.key))
        else:
            report.unchanged += 1
    return changed


def _values(row: Row | None, found: LegacyEnrolment) -> dict[str, object] | None:
    return enrolment_values(enrolment_of(row), None if row is None else row["certificates"], found)


def _change(key: Key, row: Row | None, values: Mapping[str, object], changed_at: int) -> Change:
    """Returns the change of an enrolment. By ``changed_at`` the workers see that there is something to do."""
    conditions: list[Condition] = []
    if row is None:
        values = {name: value for name, value in values.items() if value is not None}
    else:
        conditions = [Equal(name, row[name]) for name in _GUARDS]
    return Change(key, {**values, "changed_at": changed_at}, conditions)


async def _fill(
    migrating: Migrating,
    platform: Platform,
    enrolments: Sequence[LegacyEnrolment],
    erasures: Erasures,
    report: TableReport,
) -> set[ProgressKey]:
    """Writes what contentstatus has and views don't. Returns their keys, where views are kept."""
    views: list[View] = []
    known = await _known(migrating, enrolments)
    for enrolment, there in zip(
        enrolments, await _not_here_yet(migrating, platform, enrolments), strict=True
    ):
        for view in views_of(enrolment, migrating.at, known[enrolment.key]):
            if isinstance(view, Unreadable):
                report.note([f"contentstatus: {view.reason}"], told(enrolment.key))
            elif erasures.cover(enrolment.key, enrolment.changed_on or enrolment.last_accessed_on):
                continue
            elif merged(there.get(view.key.content_id), view) is not None:
                views.append(view)
    changed = await _write_guesses(migrating, views)
    report.filled += len(changed)
    return {key.progress_key for key in changed}


async def _known(migrating: Migrating, enrolments: Iterable[LegacyEnrolment]) -> dict[ProgressKey, set[str]]:
    """Returns for each enrolment the contents of which a view here says all that contentstatus says. They are nearly all,
    so only columns that tell it are read, and no view is made of them."""
    known: dict[ProgressKey, set[str]] = {enrolment.key: set() for enrolment in enrolments}
    told = (
        (enrolment, content, status)
        for enrolment in enrolments
        for content, status in enrolment.content_status.items()
        if status
    )
    while some := list(islice(told, VIEWS_AT_ONCE)):
        places = [
            view_key(migrating.shared.tracking.stored(ViewKey(*row_key(one.key), content)))
            for one, content, _ in some
        ]
        stored = await stored_rows(migrating.rows, VIEWS, places, _TELLING)
        for (one, content, guess), place in zip(some, places, strict=True):
            row = stored.get(place)
            if row is None or row["status"] is None:
                continue
            accessed = one.last_accessed_on if content == one.last_read_content_id else None
            is_accessed = accessed is None or (
                row["last_access_time"] is not None and row["last_access_time"] >= accessed
            )
            origin = None if row["origin"] is None else Origin.decode(row["origin"])
            if is_accessed and outdoes_guess(row["status"], row["last_completed_time"], origin, guess):
                known[one.key].add(content)
    return known


async def _grant(
    migrating: Migrating,
    platform: Platform,
    enrolments: Sequence[LegacyEnrolment],
    erasures: Erasures,
    report: TableReport,
) -> set[ProgressKey]:
    """Writes what the platform completed without details. Returns the keys, where views are kept."""
    kept = [one for one in enrolments if not erasures.cover(one.key, one.granted_on)]
    trees = await published(migrating, list({one.key.collection_id for one in kept if one.is_granted(())}))
    views: list[View] = []
    for key, found in (await granted(migrating, platform, kept, trees)).items():
        if found is None:
            report.note([WAITS], told(key))
        else:
            views += found
    changed = await _write_guesses(migrating, views)
    report.granted += len(changed)
    return {key.progress_key for key in changed}


async def _write_guesses(migrating: Migrating, views: Sequence[View]) -> set[ViewKey]:
    """Writes views that no row of consumption tells of. Returns the keys of the rows that changed."""
    changed: set[ViewKey] = set()
    rest = iter(views)
    while some := list(islice(rest, VIEWS_AT_ONCE)):
        changed |= await write_views(migrating, some)
    return changed


async def _not_here_yet(
    migrating: Migrating, platform: Platform, enrolments: Sequence[LegacyEnrolment]
) -> list[dict[str, View]]:
    """Returns for each enrolment the views that a dry run has not written."""
    if not migrating.dry_run:
        return [{} for _ in enrolments]
    return await each(enrolments, lambda enrolment: consumed(migrating, platform, enrolment.key))
