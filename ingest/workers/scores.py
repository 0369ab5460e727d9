"""The scores of assessments, in ``assessment_aggregator_v2``: computed from the slim attempts, which archiving keeps.

Like aggregates they are computed from rows alone, whatever a trigger says, and written USING TIMESTAMP version. So late,
doubled and reordered attempts and triggers end the same, and a slow process can't overwrite what is newer.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from ingest.workers.work import Assessed, Work
from loaders.attempts import attempts_kept_at
from loaders.scores import StoredScores, scores_key, scores_of_learners, scores_values
from loaders.session import Shared
from rules.aggregates import next_version
from rules.identifiers import ProgressKey, ViewKey
from rules.scores import AssessmentScores, scores_by_content
from stores.events import Record
from stores.rows import Rows, Write
from stores.tables import SCORES

MOST_PLACES = 500
"""Places that are read, compared and written together."""

Contents = Set[str] | None
"""Assessments of a place. None means all of them."""


@dataclass(frozen=True, slots=True)
class ChangedScores:
    """An assessment whose row differs from its attempts. ``scores``: None if no attempt with a score is left."""

    key: ViewKey
    stored: StoredScores | None
    scores: AssessmentScores | None

    def write(self, record: Record) -> Write:
        """Returns the write that mends the row, at a version above the stored one. The stored row was read before the
        attempts. So whoever reads attempts later also gets the higher version."""
        stored = self.stored.version if self.stored else None
        version = next_version(stored, record.appended_at, record.offset)
        key = scores_key(self.key)
        if self.scores is None:
            return Write(SCORES, key, {}, timestamp=version, delete=True)
        values = scores_values(StoredScores.of(self.key, self.scores, version))
        return Write(SCORES, key, values, timestamp=version)


async def refresh_scores(shared: Shared, work: Work) -> None:
    """Writes the scores that changed, and deletes those whose attempts are gone."""
    assessed = _with_sources(shared, work.assessed)
    places = list(assessed)
    for start in range(0, len(places), MOST_PLACES):
        chunk = places[start : start + MOST_PLACES]
        compared = await compare_scores(
            shared.stores.rows, {place: assessed[place].contents for place in chunk}
        )
        writes = [
            each.write(assessed[place].record) for place, changed in compared.items() for each in changed
        ]
        if writes:
            await shared.stores.rows.write(*writes)


async def compare_scores(
    rows: Rows, wanted: Mapping[ProgressKey, Contents]
) -> dict[ProgressKey, Sequence[ChangedScores]]:
    """Compares what is stored of these assessments with their attempts. ``wanted``: the assessments of each place where
    attempts are kept.

    Returns what differs, by place. A place where there are neither scores nor attempts with a score is left out.
    Costs three statements for 100 places, whatever was attempted there.
    """
    stored = await _stored(rows, wanted)  # before the attempts: see ChangedScores.write
    attempts = await attempts_kept_at(rows, wanted)
    compared: dict[ProgressKey, Sequence[ChangedScores]] = {}
    for place, contents in wanted.items():
        mine = stored.get(place, {})
        scores = scores_by_content(
            attempt for attempt in attempts[place] if contents is None or attempt.key.content_id in contents
        )
        if mine or scores:
            compared[place] = [
                ChangedScores(
                    ViewKey(place.user_id, place.collection_id, place.context_id, content), row, new
                )
                for content in sorted(mine.keys() | scores.keys())
                if not _agree(row := mine.get(content), new := scores.get(content))
            ]
    return compared


async def _stored(
    rows: Rows, wanted: Mapping[ProgressKey, Contents]
) -> dict[ProgressKey, dict[str, StoredScores]]:
    """Returns what is stored of the wanted assessments, by place and content."""
    whole = {place.user_id for place, contents in wanted.items() if contents is None}
    others = {place.user_id for place in wanted} - whole
    contents = {each for those in wanted.values() if those is not None for each in those}
    found = {
        **await scores_of_learners(rows, others, contents),
        **await scores_of_learners(rows, whole, None),
    }
    by_place: dict[ProgressKey, dict[str, StoredScores]] = {}
    for key, stored in found.items():
        place = key.progress_key
        if place in wanted and ((of_place := wanted[place]) is None or key.content_id in of_place):
            by_place.setdefault(place, {})[key.content_id] = stored
    return by_place


def _with_sources(shared: Shared, assessed: Mapping[ProgressKey, Assessed]) -> dict[ProgressKey, Assessed]:
    """Adds the places that keep the attempts of those that are looked at whole: where attempts are carried, a repair or
    an erasure names the one that shows them."""
    sources = {
        shared.tracking.source(place): asked for place, asked in assessed.items() if asked.contents is None
    }
    return {**assessed, **sources}


def _agree(stored: StoredScores | None, scores: AssessmentScores | None) -> bool:
    if stored is None or scores is None:
        return stored is None and scores is None
    return stored.says(scores)
