"""Summaries of a learner's enrolments: a page of them, one of them, and all of them as a file (R-SUMMARY-1)."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import orjson

from ingest.commands.exports import write_export
from loaders.enrolments import Place
from loaders.session import Session
from resolvers import enrolments, summary
from resolvers.enrolments import Enrolled
from resolvers.paging import MOST, Page
from resolvers.progress import place_read
from rules.contents import Content, Metadata
from rules.identifiers import ProgressKey, checked_id, optional_id
from rules.scores import Score
from rules.summaries import (
    CollectionNote,
    EnrolmentSummary,
    SummaryFormat,
    csv_header,
    csv_lines,
    summary_document,
)

__all__ = [
    "DIRECT",
    "Download",
    "EnrolmentSummary",
    "SummaryFormat",
    "download",
    "read_summary",
    "summaries_page",
]

DIRECT = 1_000
"""Enrolments that a file may have to be answered with itself, if that is asked for. For more there is a link."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file of all enrolments: itself in ``content``, or a link to it that holds until ``expires_on``. ``size`` in
    bytes."""

    format: SummaryFormat
    rows: int
    size: int
    url: str | None = None
    expires_on: datetime | None = None
    content: bytes | None = None


async def summaries_page(
    session: Session, user_id: str, *, first: int, after: Place | None
) -> Page[EnrolmentSummary]:
    """A page of all enrolments, ended or not, in the order of collection and context.

    ``after``: collection and context of the last one seen. A page costs the same however many enrolments there are.
    """
    return await _page(session, user_id, first, after, scored=True)


async def read_summary(
    session: Session, user_id: str, collection_id: str, context_id: str | None
) -> EnrolmentSummary:
    """The summary of one enrolment; in move mode at the place that it has moved to. NotFound if the learner never
    enrolled there.

    Without a context it is of what was done in the collection by itself; in copy and move mode of the active
    enrolment in it.
    """
    session.viewer.check_may_see(user_id)
    collection_id = checked_id(collection_id, "collectionId")
    place = await place_read(session, user_id, collection_id, optional_id(context_id, "contextId"))
    scores = (await _scores(session, [place]))[place]
    if context_id is None and not place.has_context:
        alone = await summary.summary(session, user_id, collection_id, None)
        return EnrolmentSummary(
            key=place,
            active=False,
            enrolled_on=None,
            progress=alone.progress,
            completed_on=alone.completed_on,
            last_accessed_on=alone.last_accessed_on,
            content_status={
                content_id: int(status)
                for content_id, status in sorted(
                    (leaf["identifier"], s) for leaf, s in alone.learner_tree.contents()
                )
                if status
            },
            scores=scores,
            collection=await _note(session, alone.learner_tree.tree.content),
            completed_version=alone.completed_version,
        )
    found = await enrolments.enrolment(session, user_id, place.collection_id, place.context_id)
    note = None if found.collection is None else await _note(session, found.collection)
    return _summary(found, scores, note)


async def download(
    session: Session,
    user_id: str,
    format: SummaryFormat,  # noqa: A002 - the word for it
    *,
    direct: bool = False,
) -> Download:
    """Writes all enrolments as CSV or JSON to the blob store, a page at a time, and gives a link that expires.

    ``direct``: the file is in ``content`` if it has at most DIRECT enrolments. Forbidden, LimitReached,
    StoreUnavailable.
    """
    user_id = checked_id(user_id, "userId")
    session.viewer.check_may_see(user_id)
    file = _File(format)
    chunks = file.chunks(session, user_id)
    async with aclosing(chunks):
        begun: list[bytes] = []
        if direct:
            async for chunk in chunks:
                begun.append(chunk)
                if file.rows > DIRECT:
                    break
            else:
                content = b"".join(begun)
                return Download(format, file.rows, len(content), content=content)
        export = await write_export(session, user_id, f"summary.{format.value}", _continued(begun, chunks))
    return Download(format, file.rows, export.size, export.url, export.expires_on)


class _File:
    """A file as it is written. ``rows``: how many there are in it by now."""

    def __init__(self, format: SummaryFormat) -> None:  # noqa: A002
        self.rows = 0
        self._format = format

    async def chunks(self, session: Session, user_id: str) -> AsyncGenerator[bytes, None]:
        as_csv = self._format is SummaryFormat.CSV
        yield csv_header().encode() if as_csv else b'{"summary":['
        after: Place | None = None
        while True:
            page = await _page(session, user_id, MOST, after, scored=not as_csv)
            comma = b"," if self.rows else b""
            self.rows += len(page.members)
            if as_csv:
                yield csv_lines(page.members).encode()
            elif page.members:
                yield comma + b",".join(orjson.dumps(summary_document(one)) for one in page.members)
            if not page.has_more:
                break
            after = page.members[-1].key.collection_id, page.members[-1].key.context_id
        if not as_csv:
            yield b"]}"


async def _continued(begun: Sequence[bytes], others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in begun:
        yield chunk
    async for chunk in others:
        yield chunk


async def _page(
    session: Session, user_id: str, first: int, after: Place | None, *, scored: bool
) -> Page[EnrolmentSummary]:
    page = await enrolments.enrolments_page(
        session, user_id, first=first, after=after, active=None, statuses=True
    )
    scores = await _scores(session, [found.enrolment.key for found in page.members]) if scored else {}
    return Page(
        [_summary(found, scores.get(found.enrolment.key, {})) for found in page.members], page.has_more
    )


async def _scores(session: Session, keys: Sequence[ProgressKey]) -> dict[ProgressKey, dict[str, Score]]:
    """The best score in each assessment."""
    found = await session.loaders.scores.load_many(list(keys))
    return {
        key: {content: Score(best.score, best.max_score) for content, best in score.assessments.items()}
        for key, score in zip(keys, found, strict=True)
    }


def _summary(
    found: Enrolled, scores: Mapping[str, Score], note: CollectionNote | None = None
) -> EnrolmentSummary:
    enrolment, content = found.enrolment, found.collection
    return EnrolmentSummary(
        key=enrolment.key,
        active=enrolment.active,
        enrolled_on=enrolment.enrolled_on,
        progress=found.progress,
        completed_on=found.completed_on,
        last_accessed_on=found.last_accessed_on,
        certificates=enrolment.certificates,
        content_status={
            content_id: status for content_id, status in sorted(found.statuses.items()) if status
        },
        scores=scores,
        collection=note or (None if content is None else _note_of(content, {})),
        completed_version=found.completed_version,
    )


async def _note(session: Session, content: Content) -> CollectionNote:
    published = await session.library.metadata_of([content], ("appIcon", "description"))
    return _note_of(content, published[content.identifier])


def _note_of(content: Content, published: Metadata) -> CollectionNote:
    return CollectionNote(
        content.identifier,
        content.name,
        content.leaf_nodes_count,
        logo=_text(published.get("appIcon")),
        description=_text(published.get("description")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
