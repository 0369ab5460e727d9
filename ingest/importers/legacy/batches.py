"""Brings batches into ``context``. They are written as ``create_context`` and ``update_context`` write them.

They may be of any course: one that is not published yet may be published later.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial, reduce

from ingest.importers.legacy.report import TableReport
from ingest.importers.legacy.writing import Migrating, settle
from ingest.writes.context_lists import list_contexts, unlist_context
from loaders.library import context_values
from rules.contexts import Context
from rules.legacy.batches import context_of_batch, merged_context
from rules.legacy.tables import LegacyRow
from stores.rows import Change, Equal, Key
from stores.tables import CONTEXTS


async def bring_batches(migrating: Migrating, rows: Sequence[LegacyRow], report: TableReport) -> None:
    """Brings a page of course_batch."""
    found: dict[Key, list[Context]] = defaultdict(list)
    read = partial(context_of_batch, zone=migrating.zone, buckets=migrating.shared.context_buckets)
    for name, mapped in report.readable(rows, ("collection_id", "context_id"), read):
        report.note(mapped.notes, name)
        found[mapped.value.context_id,].append(mapped.value)
    library, would = migrating.shared.library, set[Key]()
    replaced: dict[Key, tuple[Context, Context]] = {}
    for (context_id,) in found:
        library.contexts.forget(context_id)

    async def needed(keys: list[Key]) -> list[Change]:
        changes, wanted, undated = [], list[Context](), set[str]()
        for key in keys:
            replaced.pop(key, None)  # of an attempt that was refused
            stored = await library.contexts.load(key[0])
            after = reduce(lambda one, more: merged_context(one, more) or one, found[key], stored)
            if after is not None and after != stored:
                if stored is not None:
                    replaced[key] = stored, after
                    if stored.updated_on == after.updated_on:
                        undated.add(after.context_id)
                wanted.append(after)
                changes.append(
                    Change(
                        key,
                        context_values(after),
                        [] if stored is None else [Equal("updated_on", stored.updated_on)],
                    )
                )
            library.contexts.forget(key[0])
        if migrating.dry_run:
            would.update(change.key for change in changes)
            return []
        await list_contexts(migrating.rows, wanted, undated)
        return changes

    changed = await settle(migrating.rows, CONTEXTS, found, needed) | would
    for before, after in () if migrating.dry_run else replaced.values():
        await unlist_context(migrating.rows, before, after)
    for key, contexts in found.items():
        if key in changed:
            report.written += len(contexts)
            if migrating.brought_before:
                report.changed_contexts.append(key[0])
        else:
            report.unchanged += len(contexts)
