"""Finds contents that the platform completed with their enrolment without keeping details of them."""

from collections.abc import Mapping, Sequence

from ingest.importers.lanes import each
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.views import consumed
from ingest.importers.legacy.writing import Migrating
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey
from rules.legacy.enrolments import LegacyEnrolment, granted_views
from rules.progress import Status
from rules.views import View


async def granted(
    migrating: Migrating,
    platform: Platform,
    enrolments: Sequence[LegacyEnrolment],
    trees: Mapping[str, RelationTree],
) -> dict[ProgressKey, list[View] | None]:
    """Returns the views of each enrolment that the platform completed without telling of all contents that it counted:
    of the contents that its collection requires now, those that are not told of. None if the collection is not in
    ``trees``.

    What the platform tells of is read there, so that learners at work here change nothing. That costs one read for each
    such enrolment whose contentstatus does not have all of them.
    """
    asked = [one for one in enrolments if one.is_granted(one.told_completed)]
    found = await each(asked, lambda one: consumed(migrating, platform, one.key))
    result: dict[ProgressKey, list[View] | None] = {}
    for one, views in zip(asked, found, strict=True):
        completed = {content for content, view in views.items() if view.status is Status.COMPLETED}
        completed |= one.told_completed
        # What was completed later is not among what the platform counted.
        later = {
            content
            for content, view in views.items()
            if (view.completed_on or one.granted_on) > one.granted_on
        }
        if one.is_granted(completed - later):
            tree = trees.get(one.key.collection_id)
            missing = None if tree is None else tree.required(tree.root) - completed
            result[one.key] = None if missing is None else granted_views(one, missing, migrating.at)
    return result
