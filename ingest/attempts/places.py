"""Where submitted attempts are kept, when they count, and which of them are refused."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.modes.strategies import added_by
from loaders.enrolments import enrolments_by_key
from loaders.session import Shared
from rules.assessments import AttemptRules, Submission
from rules.contents import Content, ContentKind
from rules.enrolments import worked_since
from rules.hierarchy import RelationTree
from rules.identifiers import ProgressKey, ViewKey
from rules.moments import counted_on, moment
from stores.events import Record

TOTAL = "totalQuestions"
"""The name of the metadata that says how many questions a content has."""

Published = Mapping[str, tuple[Content, RelationTree | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """A submission of the log, with its record. Each is itself alone."""

    record: Record
    submission: Submission

    @property
    def appended_on(self) -> datetime:
        return moment(self.record.appended_at)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedAttempt:
    """A submission that may be taken. Each is itself alone.

    - ``current``: where the progress of the place is now that the submission names.
    - ``key``: where the instance's mode keeps the attempt.
    - ``attempted_on``: the moment that counts, by the learner's beginning there and the time of the log.
    - ``collection_name`` and ``context_name``: of the place, where they are known.
    """

    received: Received
    current: ProgressKey
    key: ViewKey
    attempted_on: datetime
    collection_name: str | None = None
    context_name: str | None = None

    @property
    def asked(self) -> ProgressKey:
        """The place that the submission names."""
        return self.received.submission.key.progress_key

    @property
    def told_on(self) -> datetime:
        """What judges whether it is older than an erasure."""
        return min(self.received.submission.attempted_on, self.received.appended_on)


async def placed(
    shared: Shared, received: Sequence[Received], rules: AttemptRules
) -> tuple[list[PlacedAttempt], list[tuple[Record, str]]]:
    """Returns the submissions that may be taken, and the others, each with the reason why not.

    It costs one read of the enrolments. In move mode it costs one more for each collection. What the library knows costs
    nothing.
    """
    published, refusals = await _judged(shared, received, rules)
    taken = [one for one in received if one not in refusals]
    refused = [(one.record, refusals[one]) for one in received if one in refusals]
    asked = list(dict.fromkeys(one.submission.key.progress_key for one in taken))
    current = await added_by(shared.tracking).current_keys(shared, asked)
    keys = [key for key in dict.fromkeys(current.values()) if key.has_context]
    enrolments, contexts = await asyncio.gather(
        enrolments_by_key(shared.stores.rows, keys),
        shared.library.contexts.load_many([key.context_id for key in keys]),
    )
    known = dict(zip(keys, zip(enrolments, contexts, strict=True), strict=True))

    def place(one: Received) -> PlacedAttempt:
        submission = one.submission
        now = current[submission.key.progress_key]
        enrolment, context = known.get(now, (None, None))
        since = worked_since(enrolment, context.opened_on if context else None)
        collection = published.get(now.collection_id)
        return PlacedAttempt(
            one,
            now,
            shared.tracking.stored(submission.key._replace(context_id=now.context_id)),
            counted_on(submission.attempted_on, one.appended_on, since),
            collection[0].name if collection else None,
            context.name if context else None,
        )

    return [place(one) for one in taken], refused


async def _judged(
    shared: Shared, received: Sequence[Received], rules: AttemptRules
) -> tuple[Published, dict[Received, str]]:
    """Returns the published collections, and why some submissions are refused. What would be refused is judged by what is
    published now, and not a few seconds ago."""
    collections = list(dict.fromkeys(one.submission.key.collection_id for one in received))
    published = await shared.library.published(collections)
    if not rules.leaves_only:
        refusals: dict[Received, str] = {}
    elif refusals := _outside(received, published):
        doubted = list(dict.fromkeys(one.submission.key.collection_id for one in refusals))
        await shared.library.current(doubted)
        published = {**published, **await shared.library.published(doubted)}
        refusals = _outside(list(refusals), published)
    if rules.within_total:
        refusals |= await _above_total(shared, [one for one in received if one not in refusals])
    return published, refusals


def _outside(received: Collection[Received], published: Published) -> dict[Received, str]:
    """Returns the submissions that name no leaf of their collection, with the reason."""
    found = {one: _no_leaf(one.submission.key, published) for one in received}
    return {one: reason for one, reason in found.items() if reason is not None}


def _no_leaf(key: ViewKey, published: Published) -> str | None:
    content, tree = published.get(key.collection_id, (None, None))
    if key.is_content_alone:
        is_content = content is not None and content.kind is ContentKind.CONTENT
        return None if is_content else f"there is no content {key.content_id}"
    if content is None or content.kind is not ContentKind.COLLECTION or tree is None:
        return f"there is no published collection {key.collection_id}"
    if key.content_id not in tree.leaf_nodes:
        return f"collection {key.collection_id} has no content {key.content_id}"
    return None


async def _above_total(shared: Shared, received: Sequence[Received]) -> dict[Received, str]:
    """Returns the submissions with more questions than their content has, with the reason. A content that does not say
    how many it has may have any number."""
    asked = list(dict.fromkeys(one.submission.key.content_id for one in received))
    contents = [found for found in await shared.library.contents.load_many(asked) if found is not None]
    metadata = await shared.library.metadata_of(contents, {TOTAL})
    refusals = {}
    for one in received:
        total = metadata.get(one.submission.key.content_id, {}).get(TOTAL)
        count = len({event["edata"]["item"]["id"].strip() for event in one.submission.events})
        if isinstance(total, int | float) and count > total:
            refusals[one] = f"{count} questions, and {one.submission.key.content_id} has {total:g}"
    return refusals
