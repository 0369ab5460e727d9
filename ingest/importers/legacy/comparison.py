"""Compares a sample of enrolments, as the existing platform shows them, with what Cohort shows."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from ingest.importers.legacy.report import TableReport, told
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.views import consumed
from ingest.importers.legacy.writing import Migrating, each
from loaders.views import touches_by_key
from rules.contents import ContentKind
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.legacy.comparison import Figures, legacy_figures, reason_of_difference
from rules.legacy.enrolments import LegacyEnrolment, views_of_enrolment
from rules.progress import progress_of
from rules.views import View


def in_sample(key: ProgressKey, every: int) -> bool:
    """True for the same one key in ``every``, each time."""
    return crc32("\n".join((key.user_id, key.collection_id, key.context_id)).encode()) % every == 0


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
    every: int,
    report: TableReport,
) -> None:
    """Compares the enrolments in the sample. In a dry run it takes what would be here."""
    sample = [enrolment for enrolment in enrolments if in_sample(enrolment.key, every)]
    trees = await published(migrating, list({one.key.collection_id for one in sample}))
    known = [one for one in sample if one.key.collection_id in trees]
    report.not_compared += len(sample) - len(known)
    touches, _ = await touches_by_key(
        migrating.rows, migrating.shared.tracking, [one.key for one in known], trees
    )

    async def statuses_of(enrolment: LegacyEnrolment) -> dict[str, int]:
        statuses = {content: int(touch.status) for content, touch in touches[enrolment.key].items()}
        if migrating.dry_run:
            for content, status in (await _to_come(migrating, platform, enrolment)).items():
                statuses[content] = max(status, statuses.get(content, 0))
        return statuses

    for enrolment, statuses in zip(known, await each(known, statuses_of), strict=True):
        _compare_one(enrolment, trees[enrolment.key.collection_id], statuses, report)


def _compare_one(
    enrolment: LegacyEnrolment, tree: RelationTree, statuses: Mapping[str, int], report: TableReport
) -> None:
    progress = progress_of(tree.required(tree.root), statuses)
    before = legacy_figures(enrolment.progress, len(tree.leaf_nodes))
    after = Figures(int(progress.status), progress.completion_percentage)
    reason = None if before == after else reason_of_difference(enrolment, tree, statuses, progress)
    name = told(
        enrolment.key,
        f"status {before.status}, {before.percentage} % there;",
        f"status {after.status}, {after.percentage} % here",
    )
    report.compare(reason, name)


async def _to_come(migrating: Migrating, platform: Platform, enrolment: LegacyEnrolment) -> dict[str, int]:
    """Returns the statuses that this migration would bring of one enrolment."""
    statuses = {
        content: int(view.status)
        for content, view in (await consumed(migrating, platform, enrolment.key)).items()
    }
    for view in views_of_enrolment(enrolment, migrating.at):
        if isinstance(view, View):
            content = view.key.content_id
            statuses[content] = max(int(view.status), statuses.get(content, 0))
    return statuses
