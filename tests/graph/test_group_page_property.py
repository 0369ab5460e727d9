"""A group page that is compiled answers exactly what the plain executor does, whatever is asked of whatever members."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st

from graph.execution.upstream import core_schema
from graph.group_activities import GroupActivity
from graph.learners import Learner
from graph.scalars import CONFIG
from loaders.entries import decoded, encoded
from resolvers.group_activities import ACTIVITY_METRICS, ActivityFigures, MemberEntry
from rules import learners
from rules.contents import Content, ContentKind
from rules.entries import NO_ENTRY, Entry, best_entry
from rules.group_figures import subject_figures, unknown_figures
from rules.learner_groups import Activity, GroupRole, Member
from rules.moments import moment
from rules.plans import AggregationMode, Source
from rules.progress import Progress, Status
from rules.scores import NO_SCORE, ActivityScore, Best
from rules.subjects import subject_of
from tests.graph.selections import LARGE, PARTS, TEXTS, World, asked_for, assert_alike, seeds, with_typename


@strawberry.type
class Query:
    @strawberry.field
    def activities(self) -> list[GroupActivity]:
        return self.shown  # type: ignore[attr-defined, no-any-return]


SCHEMA = core_schema(strawberry.Schema(Query, config=CONFIG))


@dataclass
class Root:
    shown: list[GroupActivity]


PAST, NEVER = -62_135_596_800_000, 253_402_300_800_000
"""The first moment that there is, and the first that there is not."""


def some_count(random: Random) -> int:
    return random.choice([0, 1, 3, 7, LARGE - 1] if random.random() < 0.98 else [LARGE, 10**18])


def some_ms(random: Random) -> int | None:
    usual = [None, 0, -1, 1, 59_999, 60_000, 1_772_366_400_123, NEVER - 1, PAST, random.randrange(2**41)]
    return random.choice(usual if random.random() < 0.99 else [NEVER, PAST - 1])


def some_score(random: Random) -> ActivityScore:
    attempted = random.sample(["do_1", "do_2", "ü"], random.choice([0, 0, 1, 3]))
    bests = {
        content: Best(
            *(random.choice([0.0, 1.33, 2.0]), random.choice([0.0, 3.0]), random.randrange(1, 4)),
            random.choice([None, datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)]),
        )
        for content in attempted
    }
    return ActivityScore(bests, 1, 1, 0) if bests else NO_SCORE


def some_entry(random: Random) -> Entry:
    status, score = random.choice([*Status]), some_score(random)
    progress = Progress(status, some_count(random), some_count(random))
    made = Entry.of("course", "cb:b", random.random() < 0.7, progress, some_count(random), None, score=score)
    return made._replace(accessed_at=some_ms(random), enrolled_at=some_ms(random), tree_version=1)


def world(random: Random) -> Root:
    """A page of some activities, known and unknown, with the members whom the viewer may see."""
    members = [
        Member("g", f"user-{number}", random.choice([*GroupRole]))
        for number in range(random.choice([0, 1, 2, 5, 20]))
    ]
    profiles = {
        member.user_id: learners.Learner(
            member.user_id,
            random.choice([None, *TEXTS]),
            random.choice([{}, {"district": "North"}]),
        )
        for member in members
    }
    whole = {user_id: Learner.of(profile) for user_id, profile in profiles.items()}
    shown = []
    for number in range(random.choice([1, 2, 3])):
        activity = Activity(f"course-{number}", random.choice(["Course", "Quiz"]))
        content = random.choice(
            [
                None,
                *(
                    Content(activity.id, "Name", kind, "Live", None, 3, activity.id, 1, None)
                    for kind in ContentKind
                ),
            ]
        )
        subject = subject_of(activity, content)
        entries = [None] * len(members)
        figures = unknown_figures(ACTIVITY_METRICS)
        if subject.is_known:
            known = [random.choice([NO_ENTRY, *[some_entry(random)] * 4]) for _ in members]
            figures, entries = _figures(subject, known), known  # type: ignore[assignment]
        found = ActivityFigures(
            *(activity, content, figures),
            [
                MemberEntry(
                    *(member, profiles[member.user_id], entry),
                    random.choice([None, datetime(2026, 1, 1, tzinfo=UTC)]),
                    subject.is_single_content,
                )
                for member, entry in zip(members, entries, strict=True)
            ],
            *(AggregationMode.QUERY, Source.STATES),
            *(random.choice([None, datetime(2026, 1, 2, tzinfo=UTC)]), random.random() < 0.5),
        )
        shown.append(GroupActivity.of(found, "g", whole))
    return Root(shown)


def _figures(subject: Any, entries: list[Entry]) -> Any:
    return subject_figures(subject, entries)


FIELDS = {
    "GroupActivity": [
        *("id", "activityId", "type", "name", "source", "asOf", "complete", "mode", "agg", "members"),
        *("enrolledCount", "completedMembersCount", "averageScore", "assessments", "leafNodesCount"),
    ],
    "ActivityMemberConnection": ["edges", "pageInfo", "totalCount"],
    "ActivityMemberEdge": ["node", "cursor"],
    "ActivityMember": [
        *("learner", "role", "status", "completionPercentage", "score", "enrolled", "enrolledOn", "leftOn"),
        *("lastAccessedOn", "completedCount", "requiredCount", "timeSpent", "assessments", "agg"),
    ],
    "AggregateMetric": ["metric", "value", "lastUpdatedOn"],
    "Learner": ["userId", "name", "district", "id"],
    "PageInfo": ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"],
    "ActivityAssessment": ["contentId", "averageScore", "lastAttemptedOn"],
    "MemberAssessment": ["contentId", "attemptsCount", "lastAttemptedOn"],
    "ActivityScore": ["score", "maxScore", "percentage", "assessmentsCount"],
}
BELOW = {
    ("GroupActivity", "agg"): "AggregateMetric",
    ("GroupActivity", "members"): "ActivityMemberConnection",
    ("GroupActivity", "assessments"): "ActivityAssessment",
    ("ActivityMemberConnection", "edges"): "ActivityMemberEdge",
    ("ActivityMemberConnection", "pageInfo"): "PageInfo",
    ("ActivityMemberEdge", "node"): "ActivityMember",
    ("ActivityMember", "agg"): "AggregateMetric",
    ("ActivityMember", "learner"): "Learner",
    ("ActivityMember", "score"): "ActivityScore",
    ("ActivityMember", "assessments"): "MemberAssessment",
}
ARGUMENTS = {
    ("GroupActivity", "agg"): ["", "(metrics: [ENROLLED_COUNT, SCORE])", "(metrics: [])"],
    ("GroupActivity", "members"): [
        *("", "(first: 3)", "(last: 2)", "(filter: {status: [COMPLETED]})", "(filter: {role: [ADMIN]})"),
        *("(first: 100, orderBy: {by: PROGRESS, direction: DESC})", "(first: 100, orderBy: {by: NAME})"),
        "(first: 0)",
    ],
    ("ActivityMember", "agg"): [
        "",
        "(metrics: [TIME_SPENT])",
        "(metrics: [SCORE, MAX_SCORE])",
        "(metrics: [])",
    ],
}


def some_fields(random: Random, of: str) -> Iterator[str]:
    names = FIELDS[of]
    chosen = random.sample(names, random.randint(1, min(len(names), random.choice([2, 6, 20]))))
    inner = {"ActivityMemberConnection": "edges", "ActivityMemberEdge": "node", "GroupActivity": "members"}
    for name in dict.fromkeys([*chosen, *([inner[of]] if of in inner else [])]):
        arguments = random.choice(ARGUMENTS.get((of, name), [""]))
        below = BELOW.get((of, name))
        selection = f"{{ {' '.join(with_typename(random, some_fields(random, below)))} }}" if below else ""
        yield asked_for(random, name, of, selection, arguments)


def document(random: Random) -> str:
    activities = " ".join(with_typename(random, some_fields(random, "GroupActivity")))
    return f"query ($yes: Boolean!) {{ activities {{ {activities} }} u: __typename @include(if: $yes) }}"


@pytest.mark.parametrize("part", PARTS)
@seeds
async def test_any_selection_of_a_group_page_is_answered_as_by_the_plain_executor(
    part: int, seed: int
) -> None:
    def same_to_both(random: Random) -> World:
        root = world(random)
        return root, root

    await assert_alike(SCHEMA, Random(f"{part} {seed}"), document, same_to_both)


moments = st.none() | st.integers(0, 2**41).map(moment)


@given(
    seed=st.integers(0, 2**32),
    progress=st.builds(Progress, st.sampled_from(Status), st.integers(0, 9), st.integers(0, 9)),
    accessed=moments,
    enrolled=moments,
)
def test_an_entry_says_what_it_was_made_of_also_after_it_was_written_down(
    seed: int, progress: Progress, accessed: datetime | None, enrolled: datetime | None
) -> None:
    score = some_score(Random(seed))
    made = Entry.of("course", "cb:b", True, progress, 5, accessed, enrolled, 3, score)
    read = decoded(orjson.loads(orjson.dumps(encoded(made))))
    assert read == made
    assert (read.progress, read.score, read.last_accessed_on, read.enrolled_on) == (
        *(progress, score),
        *(accessed, enrolled),
    )
    assert read.completion_percentage == progress.completion_percentage
    assert best_entry([read, NO_ENTRY]) == made
