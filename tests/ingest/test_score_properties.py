"""Attempts come late, twice and in any order, with views between: what the workers keep and send of them is the same, and
it is what a plain count of the newest versions says."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingest.workers.rows_and_states as rows_and_states
from ingest.calls.placing import ViewCall
from ingest.commands.views import end_view, start_view
from ingest.workers.worker import Worker
from loaders.scores import scores_of_learner
from rules.aggregates import activity_type
from rules.identifiers import ViewKey
from rules.states import State, encode_state
from rules.views import ViewChange
from stores.columns import Table
from stores.rows import Key
from stores.tables import AGGREGATES, SCORES
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance, examples

UNITS = {"unit-1": {"a", "b"}, "unit-2": {"b", "c", "d"}}
ACTIVITIES = {"course": {"a", "b", "c", "d"}, **UNITS}
"""COURSE: by activity its leaves."""


@dataclass(frozen=True)
class Version:
    """A version of one of two attempts at a content. Of an attempt the version of the latest moment counts."""

    content: str
    attempt: int
    minute: int
    score: int
    maximum: int

    @property
    def at(self) -> datetime:
        return NOW - timedelta(days=1) + timedelta(minutes=self.minute)


@dataclass(frozen=True)
class Viewed:
    content: str


class Worked:
    """The workers take what has come up to now."""


Event = Version | Viewed | Worked
contents = st.sampled_from(["a", "b", "c", "d", "no-leaf"])
versions = st.builds(
    Version, contents, st.integers(0, 1), st.integers(0, 60), st.integers(0, 4), st.integers(4, 5)
)
distinct_versions = st.lists(
    versions, min_size=1, max_size=8, unique_by=lambda one: (one.content, one.attempt, one.minute)
)
viewed = st.lists(st.builds(Viewed, st.sampled_from("abcd")), max_size=3)
_numbers = count()


def another_way(found: Sequence[Event], dice: random.Random) -> list[Event]:
    """The same in another order, some of it twice, and with workers in between."""
    way = [*found, *(each for each in found if dice.random() < 0.3)]
    dice.shuffle(way)
    worked: list[Event] = []
    for each in way:
        worked.append(each)
        if dice.random() < 0.3:
            worked.append(Worked())
    return worked


async def live(cohort: Instance, user: str, events: Sequence[Event]) -> None:
    for event in events:
        if isinstance(event, Version):
            key = ViewKey(user, "course", "batch", event.content)
            name = f"{event.content}-{event.attempt}"
            await store_attempt(cohort.shared, key, name, event.score, event.maximum, event.at)
        elif isinstance(event, Viewed):
            call = ViewCall(event.content, "course", "batch")
            await start_view(cohort.session(user), call)
            await end_view(cohort.session(user), call, ViewChange(NOW))
        else:
            await work(cohort)
    await work(cohort)


async def work(cohort: Instance) -> None:
    await cohort.drain(Worker(cohort.shared, wait=0.001))


async def kept(cohort: Instance, user: str) -> dict[str, Any]:
    """Aggregates and scores of assessments, without what tells when they were written."""
    own = {"version", "status_digest", "changed_at", "seen_changed_at", "seen_enrolment", "user_id"}
    partitions: Mapping[Table, Sequence[Key]] = {
        AGGREGATES: [(activity_type(activity, "course"), activity, user) for activity in ACTIVITIES],
        SCORES: [(user,)],
    }
    return {
        table.name: [
            {name: value for name, value in row.items() if name not in own}
            for key in keys
            for row in await cohort.stores.rows.partition(table, key)
        ]
        for table, keys in partitions.items()
    }


def counted(found: Sequence[Version]) -> dict[str, list[Version]]:
    """The newest version of each attempt, by content and in the order of their moments."""
    newest: dict[tuple[str, int], Version] = {}
    for version in sorted(found, key=lambda one: one.minute):
        newest[version.content, version.attempt] = version
    by_content: defaultdict[str, list[Version]] = defaultdict(list)
    for version in sorted(newest.values(), key=lambda one: (one.minute, one.attempt)):
        by_content[version.content].append(version)
    return dict(by_content)


def best_of(found: Sequence[Version]) -> Version:
    most = max(version.score for version in found)
    widest = max(version.maximum for version in found if version.score == most)
    return next(v for v in found if (v.score, v.maximum) == (most, widest))


async def check_counts(cohort: Instance, user: str, by_content: dict[str, list[Version]], rows: Any) -> None:
    stored = {each.key.content_id: each for each in await scores_of_learner(cohort.stores.rows, user)}
    assert stored.keys() == by_content.keys()
    for content, found in by_content.items():
        best, scores = best_of(found), stored[content]
        numbers = [version.score for version in found]
        assert (scores.best, scores.max, scores.attempts) == (best.score, best.maximum, len(found))
        assert (scores.lowest, scores.first, scores.last) == (min(numbers), numbers[0], numbers[-1])
        assert scores.average == pytest.approx(sum(numbers) / len(numbers))
        assert scores.updated_on == found[-1].at
    for row in rows:
        below = {
            content: found
            for content, found in by_content.items()
            if content in ACTIVITIES[row["activity_id"]]
        }
        expected = {f"score:{content}": best_of(found).score for content, found in below.items()}
        expected |= {f"max_score:{content}": best_of(found).maximum for content, found in below.items()}
        expected |= {f"attempts_count:{content}": len(found) for content, found in below.items()}
        if below:
            right = [found[0].score == found[0].maximum for found in below.values()]
            expected |= {"rightFirstCount": sum(right), "passableCount": 0, "passedCount": 0}
        figures = {name: value for name, value in row["aggregates"].items() if name not in _OF_VIEWS}
        assert figures == expected, row["activity_id"]
        times = {name: at for name, at in row["agg_last_updated"].items() if name != "completedCount"}
        assert times == {f"score:{content}": found[-1].at for content, found in below.items()}


_OF_VIEWS = ("completedCount", "requiredCount", "timeSpent")


@settings(
    max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(distinct_versions, viewed, st.randoms(use_true_random=False))
async def test_whatever_the_way_the_end_is_the_same_and_what_a_recount_says(
    embedded: Instance,
    monkeypatch: pytest.MonkeyPatch,
    found: list[Version],
    views: list[Viewed],
    dice: random.Random,
) -> None:
    newest: dict[tuple[str, str], State] = {}

    def noted(state: State) -> bytes:
        if state.version >= newest.get((state.user_id, state.activity_id), state).version:
            newest[state.user_id, state.activity_id] = state
        return encode_state(state)

    monkeypatch.setattr(rows_and_states, "encode_state", noted)
    if await embedded.session().library.contexts.load("batch") is None:
        await embedded.publish()
        await embedded.batch()
    users = [f"learner-{next(_numbers)}" for _ in range(2)]
    ends, states = [], []
    for user in users:
        await live(embedded, user, another_way([*found, *views], dice))
        ends.append(await kept(embedded, user))
        states.append(
            {
                activity: replace(state, user_id="", version=0)
                for (of, activity), state in newest.items()
                if of == user
            }
        )
    assert ends[0] == ends[1]
    assert states[0] == states[1]
    rows = ends[0][AGGREGATES.name]
    assert {row["activity_id"] for row in rows} == states[0].keys()
    for row in rows:
        scored = states[0][row["activity_id"]].score.assessments
        assert {f"score:{content}": best.score for content, best in scored.items()} == {
            name: value for name, value in row["aggregates"].items() if name.startswith("score:")
        }
    await check_counts(embedded, users[0], counted(found), rows)
