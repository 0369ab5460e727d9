"""In every mode, whatever a learner does, and however often triggers come again: no attempt is lost, none is doubled, and
each counts wherever the mode lets it."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.jobs.mode_change import change_mode
from ingest.modes.strategies import added_by
from loaders.attempts import attempt_key, attempts_by_key
from rules.attempts import Attempt
from rules.identifiers import ProgressKey, ViewKey, view_key
from rules.tracking import TrackingMode
from stores.tables import ATTEMPTS_WITH_QUESTIONS, ENROLMENTS, LEARNER_SCOPES, VIEWS
from tests.attempts import store_attempt
from tests.conftest import Instance, examples
from tests.ingest.kept_attempts import slim
from tests.ingest.test_mode_properties import (
    ALWAYS,
    CONTEXTS,
    COURSES,
    EVERYTHING,
    FOLLOWING,
    LEAVES,
    PLACES,
    Learning,
    Step,
    agrees_on,
    begin,
)
from tests.ingest.test_sample import rows_of

_KINDS = (
    "enrol",
    "enrol",
    "unenrol",
    "finish",
    "assess",
    "assess",
    "assess",
    "assess again",
    "replay",
    "work",
)
histories = st.lists(
    st.builds(
        Step,
        st.sampled_from(_KINDS),
        st.sampled_from(PLACES),
        st.sampled_from(EVERYTHING),
        st.sampled_from(sorted(CONTEXTS)),
    ),
    min_size=4,
    max_size=12,
)


class Assessed(Learning):
    """A history with attempts. ``made``: where the learner made each one, and its latest score."""

    def __init__(self, cohort: Instance) -> None:
        super().__init__(cohort)
        self.made: dict[str, tuple[ViewKey, float]] = {}

    async def live(self, step: Step) -> None:
        match step.what:
            case "assess":
                collection, context = step.place
                if collection is not None and step.leaf not in LEAVES[collection]:
                    return
                asked = view_key(self.user, step.leaf, collection, context)
                await self._assess(asked, f"attempt-{len(self.made)}", self._moment())
                await super().live(Step("finish", step.place, step.leaf, step.context))
            case "assess again" if self.made:
                attempt_id, (asked, _) = list(self.made.items())[-1]
                await self._assess(asked, attempt_id, self._moment())
            case "assess again":
                pass
            case _:
                await super().live(step)

    async def _assess(self, asked: ViewKey, attempt_id: str, at: datetime) -> None:
        """As an attempt taker does: it follows a move that it knows of."""
        shared = self._cohort.shared
        stored = shared.tracking.stored(asked)
        place = await added_by(shared.tracking).current_key(shared, stored.progress_key)
        key = ViewKey(place.user_id, place.collection_id, place.context_id, stored.content_id)
        score = float(len(self.made) + at.minute % 7)
        self.made[attempt_id] = (asked, score)
        await store_attempt(shared, key, attempt_id, score, 99, at)

    async def check_attempts(self) -> None:
        """Each is where it belongs, as it was made last; in both forms."""
        stored = await slim(self._cohort, self.user)
        for one in stored:
            assert one.score == self.made[one.attempt_id][1], one
        written = {
            tuple(row[name] for name in ATTEMPTS_WITH_QUESTIONS.key): row["written_at"]
            for row in await rows_of(self._cohort.shared, ATTEMPTS_WITH_QUESTIONS)
            if row["user_id"] == self.user
        }
        assert written == {attempt_key(one): one.written_at for one in stored}
        tracking = self._cohort.shared.tracking
        match tracking.mode:
            case TrackingMode.COPY:
                await self._check_copies(stored)
            case TrackingMode.MOVE:
                found = Counter((one.attempt_id, one.key.collection_id, one.key.content_id) for one in stored)
                assert found == Counter(
                    (attempt, key.collection_id, key.content_id) for attempt, (key, _) in self.made.items()
                )
            case _:
                keys = {(one.attempt_id, one.key) for one in stored}
                assert keys == {(attempt, tracking.stored(key)) for attempt, (key, _) in self.made.items()}
                assert len(stored) == len(keys)

    async def _check_copies(self, stored: list[Attempt]) -> None:
        there = {(one.attempt_id, one.key) for one in stored}
        assert {(attempt, key) for attempt, (key, _) in self.made.items()} <= there
        completed = {
            ViewKey(self.user, row["collectionid"], row["contextid"], row["contentid"])
            for row in await self._mine(VIEWS)
            if row["status"] == 2
        }
        for row in await self._mine(ENROLMENTS):
            course, context = row["collectionid"], row["contextid"]
            for attempt, (key, _) in self.made.items():
                if row["active"] and key in completed and key.content_id in LEAVES[course]:
                    assert (attempt, ViewKey(self.user, course, context, key.content_id)) in there

    async def shown(self) -> dict[ProgressKey, set[str]]:
        """The attempts that the mode shows, wherever the learner is, was or has been."""
        shared = self._cohort.shared
        found = [*await self._mine(ENROLMENTS), *await self._mine(LEARNER_SCOPES)]
        keys = {ProgressKey(self.user, row["collectionid"], row["contextid"]) for row in found}
        keys = {key for key in keys if key.collection_id in COURSES}
        sources = {key: await added_by(shared.tracking).current_key(shared, key) for key in keys}
        trees = {
            course: tree for course, (_, tree) in (await shared.library.published(list(COURSES))).items()
        }
        counted = await attempts_by_key(
            shared.stores.rows, shared.tracking, set(sources.values()), {c: t for c, t in trees.items() if t}
        )
        return {key: {one.attempt_id for one in counted[source]} for key, source in sources.items()}


@pytest.mark.parametrize("mode", TrackingMode)
@settings(
    max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories)
async def test_no_attempt_is_lost_or_doubled_in_any_mode(
    embedded: Instance, mode: TrackingMode, history: list[Step]
) -> None:
    embedded.track(mode, ALWAYS if mode in FOLLOWING else None)
    await begin(embedded)
    learning = Assessed(embedded)
    for step in history:
        await learning.live(step)
    await learning.settle()
    await learning.check_attempts()
    before = await slim(embedded, learning.user)
    await learning.replay()
    await learning.settle()
    assert await slim(embedded, learning.user) == before


@settings(
    max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    modes=st.lists(st.sampled_from(TrackingMode), min_size=2, max_size=4, unique=True),
    history=histories,
    later=histories,
)
async def test_no_place_loses_an_attempt_when_the_mode_changes(
    embedded: Instance, modes: list[TrackingMode], history: list[Step], later: list[Step]
) -> None:
    """Between several modes, with a life in between."""
    await begin(embedded)
    await agrees_on(embedded, modes[0])
    learning = Assessed(embedded)
    for old, new in pairwise(modes):
        embedded.track(old, ALWAYS if old in FOLLOWING else None)
        for step in history if old is modes[0] else later:
            await learning.live(step)
        await learning.settle()
        before = await learning.shown()
        await change_mode(embedded.shared, old, new)
        embedded.track(new, ALWAYS if new in FOLLOWING else None)
        after = await learning.shown()
        for key, attempts in before.items():
            assert attempts <= after[key], key
