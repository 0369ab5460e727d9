"""What is written and sent of recomputed figures.

Only this module and ``tombstones.py`` write aggregates and the workers' columns of enrolments.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from ingest.workers.figures import Recomputed
from ingest.workers.tombstones import day_message
from loaders.aggregates import aggregate_place, score_figures, score_times, status_digest
from loaders.enrolments import row_key
from rules.active_days import ActiveDay, encode_days
from rules.aggregates import Aggregate
from rules.contexts import bucket_of
from rules.enrolments import Enrolment
from rules.learners import Learner
from rules.states import encode_state, state_of
from stores.events import Message
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT


def unit_writes(
    recomputed: Recomputed, versions: Mapping[str, int], version: int, *, enrolled: bool
) -> Iterator[Write]:
    """Gives the rows that follow from a change but do not mark it as seen. They must be written first.

    The row in the context's list is written for each trigger of an enrolment (``enrolled``), also if its change was seen.
    A worker that died may have written that row for an earlier trigger under the ``version`` that another worker then used
    for a later state: of two values with one version any may win. No figure is compared with that row, so nothing else
    would mend it. The trigger of the last change always finds the last state.
    """
    key, enrolment = recomputed.key, recomputed.enrolment
    for figure in recomputed.figures[1:]:
        yield from _aggregate_write(recomputed, figure, versions)
    if enrolment is not None and (enrolled or recomputed.enrolment_has_changed):
        buckets = recomputed.context.buckets if recomputed.context else 1
        yield Write(
            ENROLMENTS_BY_CONTEXT,
            (key.context_id, key.collection_id, bucket_of(key.user_id, buckets), key.user_id),
            {"active": enrolment.active, "enrolled_on": enrolment.enrolled_on},
            timestamp=version,
        )


def sealing_writes(recomputed: Recomputed, versions: Mapping[str, int]) -> Iterator[Write]:
    """Gives the root's aggregate and the enrolment. They mark the change as seen.

    If there is no enrolment, none is written: an update would leave a phantom row.
    """
    yield from _aggregate_write(recomputed, recomputed.root, versions)
    enrolment, key = recomputed.enrolment, recomputed.key
    if enrolment is None or not recomputed.enrolment_has_changed:
        return
    root, copies, version = recomputed.root, recomputed.copies, versions[recomputed.root.activity_id]
    yield Write(
        ENROLMENTS,
        row_key(key),
        {
            "status": int(root.progress.status),
            "progress": root.progress.completed_count,
            "completedon": root.completed_on,
            "completed_version": root.completed_version,
            "lastreadcontentid": root.last_content_id,
            "lastcontentaccesstime": root.last_accessed_on,
            "collection_name": copies.collection_name,
            "context_name": copies.context_name,
            "context_start_date": copies.context_start_date,
            "context_end_date": copies.context_end_date,
            "seen_changed_at": enrolment.changed_at,
            "version": version,
        },
        timestamp=version,
        insert=False,
    )


def _aggregate_write(
    recomputed: Recomputed, figure: Aggregate, versions: Mapping[str, int]
) -> Iterator[Write]:
    """Gives the whole row if it gets a new version, USING TIMESTAMP version.

    So a slow process that lost its partition can't overwrite what is newer.
    """
    stored, version = recomputed.stored.get(figure.activity_id), versions[figure.activity_id]
    if stored is not None and stored.version == version:
        return
    seen = recomputed.seen(figure)
    yield Write(
        AGGREGATES,
        aggregate_place(recomputed.aggregate_key(figure.activity_id)),
        {
            "aggregates": {
                "completedCount": float(figure.progress.completed_count),
                "requiredCount": float(figure.progress.required_count),
                "timeSpent": float(figure.time_spent),
                **score_figures(figure.score),
            },
            "content_status": figure.content_status,
            "status_digest": status_digest(version, figure.content_status),
            "agg_last_updated": _last_updated(figure, recomputed.enrolment),
            "status": int(figure.progress.status),
            "completed_on": figure.completed_on,
            "completed_version": figure.completed_version,
            "last_access_time": figure.last_accessed_on,
            "version": version,
            "seen_changed_at": seen.changed_at,
            "seen_enrolment": seen.enrolment,
            "seen_version": seen.tree_version,
            "active": recomputed.active,
            "enrolled_on": recomputed.enrolled_on,
            "active_days": encode_days(recomputed.days) if figure is recomputed.root else None,
        },
        timestamp=version,
    )


def state_messages(
    recomputed: Recomputed, versions: Mapping[str, int], learner: Learner | None
) -> Iterator[Message]:
    """Gives a whole state for every figure, changed or not. So a crash between the rows and the topic leaves nothing
    out."""
    key = recomputed.key
    for figure in recomputed.figures:
        state = state_of(
            figure,
            user_id=key.user_id,
            collection_id=key.collection_id,
            aggregate_context_id=recomputed.aggregate_context_id,
            enrolment=recomputed.enrolment,
            learner=learner,
            version=versions[figure.activity_id],
            tree_version=recomputed.tree_version,
        )
        yield Message(state.key, encode_state(state))


def day_messages(recomputed: Recomputed, version: int, *, again: bool) -> Iterator[Message]:
    """Gives the days that the row does not have yet, and takes those back that it is to have no more. ``again``: gives all.

    They must be sent before the row is written: as long as the row lacks a day, whoever comes after a crash sends it.
    """
    before, days = recomputed.stored_days, recomputed.days
    key = recomputed.aggregate_key(recomputed.key.collection_id)
    for day in sorted(days if again else days - before):
        yield day_message(ActiveDay(key, day, version))
    for day in sorted(before - days):
        yield day_message(ActiveDay(key, day, version, is_active=False))


def _last_updated(figure: Aggregate, enrolment: Enrolment | None) -> dict[str, datetime]:
    """Returns the times of the events themselves, so that a recount gives the same."""
    at = figure.last_accessed_on or (enrolment.enrolled_on if enrolment else None)
    return ({} if at is None else {"completedCount": at}) | score_times(figure.score)
