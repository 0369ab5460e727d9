"""Compares a sample of enrolments, as the existing platform shows them, with what Cohort shows."""

import asyncio
from collections.abc import Mapping, Sequence

from ingest.importers.lanes import each
from ingest.importers.legacy.granting import granted
from ingest.importers.legacy.report import TableReport, told
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.views import consumed
from ingest.importers.legacy.writing import Migrating
from loaders.enrolments import enrolments_by_key
from loaders.views import touches_by_key, views_by_key
from rules.contents import ContentKind
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.legacy.comparison import (
    Figures,
    legacy_figures,
    reason_of_difference,
    reason_of_other_date,
)
from rules.legacy.enrolments import LegacyEnrolment, views_of_enrolment
from rules.legacy.views import merged
from rules.standings import FirstCompletion, Standing, Touch, standing_of
from rules.views import View


async def published(migrating: Migrating, collection_ids: Sequence[str]) -> dict[str, RelationTree]:
    """Returns the relations of those that are published collections of their own."""
    found = await migrating.shared.library.published(collection_ids)
    return {
        identifier: tree
        for identifier, (content, tree) in found.items()
        if tree is not None and content.kind is ContentKind.COLLECTION
    }


async def compare(
    migrating: Migrating,
    platform: Platform,
    enrolments: Sequence[LegacyEnrolment],
    report: TableReport,
) -> None:
    """Compares enrolments: figures, then dates of completion. In a dry run it takes what would be
    here."""
    trees = await published(migrating, list({one.key.collection_id for one in enrolments}))
    known = [one for one in enrolments if one.key.collection_id in trees]
    report.not_compared += len(enrolments) - len(known)
    keys = [one.key for one in known]
    (touches, _), stored = await asyncio.gather(
        touches_by_key(migrating.rows, migrating.shared.tracking, keys, trees),
        enrolments_by_key(migrating.rows, keys),
    )
    if migrating.dry_run:
        coming = await _coming(migrating, platform, known, trees)
        touches = {key: {**touches[key], **coming[key]} for key in keys}
    for one, here in zip(known, stored, strict=True):
        completed = here.completed if here is not None else None
        if migrating.dry_run and one.completed_on is not None:
            completed = FirstCompletion(one.completed_on)
        tree = trees[one.key.collection_id]
        _compare_one(one, tree, standing_of(touches[one.key], tree, completed), report)


def _compare_one(
    enrolment: LegacyEnrolment, tree: RelationTree, standing: Standing, report: TableReport
) -> None:
    progress = standing.progress(tree)
    before = legacy_figures(enrolment.progress, len(tree.leaf_nodes))
    after = Figures(int(progress.status), progress.completion_percentage)
    there, here = (
        f"status {before.status}, {before.percentage} %",
        f"status {after.status}, {after.percentage} %",
    )
    if before != after:
        reason: str | None = reason_of_difference(enrolment, tree, standing.statuses, progress)
    else:
        reason = reason_of_other_date(enrolment.completed_on, standing.completed_on)
        there, here = (f"completed {on or 'never'}" for on in (enrolment.completed_on, standing.completed_on))
    report.compare(reason, told(enrolment.key, f"{there} there;", f"{here} here"))


async def _coming(
    migrating: Migrating,
    platform: Platform,
    enrolments: Sequence[LegacyEnrolment],
    trees: Mapping[str, RelationTree],
) -> dict[ProgressKey, dict[str, Touch]]:
    """Returns what this migration would make of the contents of each enrolment."""
    grants = await granted(migrating, platform, enrolments, trees)

    async def coming(enrolment: LegacyEnrolment) -> dict[str, Touch]:
        views = list((await consumed(migrating, platform, enrolment.key)).values())
        views += [view for view in views_of_enrolment(enrolment, migrating.at) if isinstance(view, View)]
        views += grants.get(enrolment.key) or []
        found = await views_by_key(
            migrating.rows, migrating.shared.tracking, list(dict.fromkeys(view.key for view in views))
        )
        after = {view.key: view for view in found if view is not None}
        for view in views:
            after[view.key] = merged(after.get(view.key), view) or after[view.key]
        return {
            key.content_id: Touch(view.status, view.progress, view.last_accessed_on, view.completed_on)
            for key, view in after.items()
        }

    found = await each(enrolments, coming)
    return {enrolment.key: touches for enrolment, touches in zip(enrolments, found, strict=True)}
