"""How learners stand in single contents that a group does together: from their views, wherever they took the content."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

from loaders.entries import EntryKey, Found
from loaders.scores import StoredScores, scores_of_learners
from loaders.views import row_key
from rules.entries import Entry
from rules.identifiers import ViewKey
from rules.progress import Progress, Status, status_of
from rules.scores import NO_SCORE, ActivityScore, Best
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
    learners have been in these, one reads the views, and one the scores, as the workers wrote them. If views are kept
    by content there is only one place.
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
    every = [key for each in keys.values() for key in each]
    views, scores = await asyncio.gather(
        rows.get_many(VIEWS, [row_key(key) for key in every], _COLUMNS),
        scores_of_learners(rows, user_ids, contents),
    )
    return {
        entry_key: [
            entry
            for key in each
            if (entry := _entry(key, views.get(row_key(key)), scores.get(key))) is not None
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


def _entry(key: ViewKey, view: Row | None, scores: StoredScores | None) -> Entry | None:
    """None where the learner neither viewed the content there nor attempted it."""
    if view is None or view["status"] is None:
        view = {}
    if not view and scores is None:
        return None
    status = status_of(view.get("status"))
    return Entry.of(
        key.collection_id,
        key.context_id,
        active=False,
        progress=Progress(status, int(status is Status.COMPLETED), 1),
        time_spent=view.get("timespent") or 0,
        last_accessed_on=view.get("last_access_time"),
        score=NO_SCORE if scores is None else _score_of(scores),
    )


def _score_of(scores: StoredScores) -> ActivityScore:
    best = Best(scores.best, scores.max, scores.attempts, scores.updated_on)
    return ActivityScore({scores.key.content_id: best})
