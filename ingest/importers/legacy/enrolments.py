"""Brings enrolments into ``user_enrolments``, with what their contentstatus knows beyond the views."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from ingest.importers.legacy.report import ERASED, TableReport, told
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.views import consumed, write_views
from ingest.importers.legacy.writing import Erasures, Migrating, each, settle, stored_rows
from loaders.enrolments import enrolment_of, row_key
from rules.identifiers import ProgressKey
from rules.legacy.enrolments import LegacyEnrolment, enrolment_of_row, enrolment_values
from rules.legacy.enrolments import views_of_enrolment as views_of
from rules.legacy.tables import LegacyRow
from rules.legacy.values import Unreadable
from rules.legacy.views import filled
from rules.views import View
from stores.rows import Change, Condition, Equal, Key, Row
from stores.tables import ENROLMENTS

VIEWS_AT_ONCE = 2000
"""Contents of contentstatus that are looked up together. A page of enrolments may have many times as many."""
_GUARDS = ("enrolled_on", "reenrolled_on", "active", "changed_at")


async def bring_enrolments(
    migrating: Migrating, platform: Platform, rows: Sequence[LegacyRow], report: TableReport
) -> tuple[list[LegacyEnrolment], dict[ProgressKey, bool]]:
    """Brings a page of user_enrolments. Returns those that were taken, and by key whether something was changed.

    The keys include those where views are kept.
    """
    columns = ("user_id", "collection_id", "context_id")
    mapped = [one for _, one in report.readable(rows, columns, enrolment_of_row)]
    erasures = await Erasures.of(migrating, (one.value.key for one in mapped))
    enrolments: dict[Key, LegacyEnrolment] = {}
    for one in mapped:
        found = one.value
        if erasures.cover(found.key, last_change(found)):
            report.skip(ERASED, told(found.key))
            continue
        report.note(one.notes, told(found.key))
        enrolments[row_key(found.key)] = found
    changed = await _write(migrating, enrolments, report)
    touched = {found.key: key in changed for key, found in enrolments.items()}
    for key in await _fill(migrating, platform, list(enrolments.values()), erasures, report):
        touched[key] = True
    return list(enrolments.values()), touched


def last_change(enrolment: LegacyEnrolment) -> datetime:
    """Returns the last moment at which the platform changed an enrolment. An erasure after it covers the enrolment."""
    return max(enrolment.enrolled_on, enrolment.changed_on or enrolment.enrolled_on)


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
    """Writes views that contentstatus has and that are missing or less far here. Returns their keys, where views are
    kept."""
    views: list[View] = []
    for enrolment, there in zip(
        enrolments, await _not_here_yet(migrating, platform, enrolments), strict=True
    ):
        for view in views_of(enrolment, migrating.at):
            if isinstance(view, Unreadable):
                report.note([f"contentstatus: {view.reason}"], told(enrolment.key))
            elif erasures.cover(enrolment.key, view.last_updated_on):
                continue
            elif filled(there.get(view.key.content_id), view) is not None:
                views.append(view)
    keys: set[ProgressKey] = set()
    rest = iter(views)
    while some := list(islice(rest, VIEWS_AT_ONCE)):
        changed = await write_views(migrating, some, filled)
        report.filled += len(changed)
        keys |= {key.progress_key for key in changed}
    return keys


async def _not_here_yet(
    migrating: Migrating, platform: Platform, enrolments: Sequence[LegacyEnrolment]
) -> list[dict[str, View]]:
    """Returns for each enrolment the views that a dry run has not written."""
    if not migrating.dry_run:
        return [{} for _ in enrolments]
    return await each(enrolments, lambda enrolment: consumed(migrating, platform, enrolment.key))
