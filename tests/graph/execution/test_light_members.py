"""A list of enrolments answers from light members (graph/execution/light.py) exactly what the executor answers from whole objects."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Self

import pytest
import strawberry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.enrolment_lists import EnrolmentConnection
from graph.enrolments import ATTRIBUTES, Enrolment
from graph.execution.light import is_light
from graph.execution.upstream import core_schema
from graph.paging import Connection, connection, light_connection
from graph.scalars import CONFIG
from loaders.enrolments import NarrowEnrolment
from loaders.views import row_key as view_row_key
from resolvers.enrolment_lists import EnrolmentsWanted, place_of
from resolvers.enrolments import enrolments_page
from resolvers.listed_enrolments import ListedEnrolment, listed_enrolments
from resolvers.paging import Page
from rules.contents import Content, ContentKind
from rules.contexts import Context, EnrolmentType
from rules.identifiers import ContextType, ViewKey
from rules.progress import Status, percentage
from rules.tracking import TrackingMode
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, VIEWS
from tests.conftest import Instance, examples
from tests.graph.selections import LARGE, PARTS, TEXTS, asked_for, assert_alike, seeds, with_typename

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@strawberry.type
class Query:
    @strawberry.field
    def list(self) -> EnrolmentConnection:
        return self.shown  # type: ignore[attr-defined, no-any-return]


SCHEMA = core_schema(strawberry.Schema(Query, config=CONFIG))


@dataclass
class Root:
    shown: EnrolmentConnection

    @classmethod
    def of(cls, found: Connection[Enrolment]) -> Self:
        wanted = EnrolmentsWanted()
        return cls(
            EnrolmentConnection(
                edges=found.edges, page_info=found.page_info, user_id="ann", wanted=wanted, total=None
            )
        )


class Asker:
    """What whole objects are made for."""

    def now(self) -> datetime:
        return NOW


def some_moment(random: Random) -> datetime | None:
    ms = random.choice(
        [None, 0, -1, 1, 59_999, 1_772_366_400_123, 253_402_300_799_999, random.randrange(2**41)]
    )
    return (
        None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    )


def some_ms(random: Random) -> int | None:
    return random.choice(
        [None, 0, -1, 1, 59_999, 60_000, 1_772_366_400_123, 253_402_300_799_999, random.randrange(2**41)]
    )


def some_count(random: Random) -> int:
    return random.choice(
        [0, 1, 7, random.randrange(LARGE), LARGE - 1] if random.random() < 0.97 else [LARGE, 10**18]
    )


def listed(random: Random) -> ListedEnrolment:
    """As there may be any."""
    content, context = None, None
    if random.random() < 0.9:
        content = Content(
            *(f"course {random.randrange(9)}", random.choice(TEXTS), random.choice([*ContentKind])),
            *(random.choice(["Live", "Retired"]), random.choice([None, "video/mp4"]), some_count(random)),
            *("course", random.randrange(5), some_moment(random)),
        )
    if random.random() < 0.9:
        context = Context(
            *(
                f"batch {random.randrange(9)}",
                random.choice([*ContextType]),
                random.choice(TEXTS),
                ("course",),
            ),
            *(some_moment(random), some_moment(random), some_moment(random), some_moment(random)),
            *(
                random.choice([*EnrolmentType]),
                random.choice([None, *TEXTS]),
                frozenset(random.sample("abc", 2)),
            ),
        )
    active = random.random() < 0.8
    row = NarrowEnrolment(
        *(random.choice(["course", "ü"]), random.choice(["batch", "b 2"]), active, some_ms(random) or 0),
        *(some_ms(random), some_ms(random), 1, 1, 0, 0, some_ms(random), None, some_ms(random)),
        *(random.choice([None, "b 3"]), random.choice([None, "b 0"]), some_ms(random)),
    )
    done, required = some_count(random), some_count(random)
    completed_on = some_ms(random)
    return ListedEnrolment._make(
        (
            *("ann", row.collection_id, row.context_id, active),
            *(row.enrolled_on, row.reenrolled_on, row.unenrolled_on),
            *(random.choice([*Status]), done, required, percentage(done, required)),
            *(completed_on, None if completed_on is None else random.choice([None, 3])),
            *(some_ms(random), random.choice([None, 0, some_count(random)])),
            *(row.moved_to if row.has_moved else None, row.moved_from, content, context, row),
        )
    )


def world(random: Random) -> tuple[Root, Root]:
    """The same members, light and whole."""
    members = [listed(random) for _ in range(random.choice([0, 1, 2, 3, 20]))]
    page: Page[ListedEnrolment] = Page(members, random.random() < 0.5)
    whole = connection(page, lambda one: Enrolment.of(one.enrolled, NOW), place_of, begun=False)
    return Root.of(light_connection(page, begun=False)), Root.of(whole)


ENROLMENT = [*SCHEMA.type_map["Enrolment"].fields]  # type: ignore[attr-defined]
ASYNC = {"score", "contentStatus", "units", "nextContent", "assessments"}
"""What needs stores."""
CONTENT = [
    "identifier",
    "name",
    "status",
    "mimeType",
    "leafNodesCount",
    "publishedOn",
    "version",
    "versionKey",
    "id",
]
CONTEXT = [
    *("contextId", "type", "name", "description", "startDate", "endDate", "opensOn", "enrolmentEndDate"),
    *("enrolmentType", "status", "mentors", "id"),
]


def some_fields(random: Random, names: list[str], of: str) -> Iterator[str]:
    for name in random.sample(names, random.randint(1, min(len(names), random.choice([2, 6, 20])))):
        below = {"collection": CONTENT, "context": CONTEXT}.get(name)
        asked = "" if below is None else selection(random, below, name.capitalize())
        yield asked_for(random, name, of, asked)


def selection(random: Random, names: list[str], of: str) -> str:
    return f"{{ {' '.join(with_typename(random, some_fields(random, names, of)))} }}"


def document(random: Random) -> str:
    node = selection(random, [name for name in ENROLMENT if name not in ASYNC], "Enrolment")
    edge = random.choice(["", "cursor ", "__typename ", "n: "]) + f"node {node}"
    edges = f"edges {{ {random.choice(['cursor', 'at: cursor __typename', *[edge] * 6])} }}"
    page = random.choice(["", "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } "])
    return f"query ($yes: Boolean!) {{ list {{ {page}{edges} }} u: __typename @include(if: $yes) }}"


@pytest.mark.parametrize("part", PARTS)
@seeds
async def test_any_selection_of_a_list_is_answered_as_by_the_executor_from_whole_objects(
    part: int, seed: int
) -> None:
    await assert_alike(SCHEMA, Random(f"{part} {seed}"), document, world, Asker())


def test_a_listed_enrolment_has_each_attribute_that_it_stands_for() -> None:
    assert {*ATTRIBUTES, "collection", "context", "row"} == {*ListedEnrolment._fields}
    assert is_light(listed(Random(1)))


LIVE = 1
"""The version of the course that is published."""


def mostly(random: Random, usual: Any, *others: Any) -> Any:
    return usual if random.random() < 0.8 else random.choice(others)


def stored_enrolment(random: Random) -> dict[str, Any]:
    return {
        "active": mostly(random, True, False, None),
        "enrolled_on": mostly(random, NOW, None, some_moment(random)),
        "unenrolled_on": some_moment(random),
        "reenrolled_on": some_moment(random),
        "changed_at": mostly(random, 5, None, 6),
        "seen_changed_at": mostly(random, 5, None, 6),
        "status": random.choice([None, 0, 1, 2]),
        "progress": random.choice([None, 0, 3]),
        "completedon": some_moment(random),
        "completed_version": random.choice([None, 1, 2]),
        "lastcontentaccesstime": some_moment(random),
        "moved_to": mostly(random, None, "elsewhere"),
        "moved_from": random.choice([None, "before"]),
        "granted_on": mostly(random, None, some_moment(random)),
    }


def stored_aggregate(random: Random) -> dict[str, Any]:
    counts = ["completedCount", "requiredCount", "timeSpent", "score:a"]
    return {
        "aggregates": mostly(random, {name: float(random.randrange(9)) for name in counts}, None, {}),
        "status": random.choice([None, 0, 1, 2]),
        "completed_on": some_moment(random),
        "completed_version": random.choice([None, 1, 2]),
        "last_access_time": some_moment(random),
        "version": mostly(random, 7, None),
        "seen_changed_at": mostly(random, 5, None, 6),
        "seen_version": mostly(random, LIVE, None, 0, 2),
    }


PLACES = [
    ("course", "batch"),
    ("course", "gone batch"),
    ("course", "course"),
    ("gone", "batch"),
    ("unit-1", "batch"),
]


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
async def test_what_is_listed_is_what_is_read_one_by_one(
    published: Instance, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Also what is stale, gone or moved, and what is sent to be computed again."""
    random, user = Random(seed), secrets.token_hex(8)
    published.track(mostly(random, TrackingMode.STRICT, TrackingMode.CARRY_FORWARD_FULL))
    changed = mostly(random, 5, 6, None)
    writes = []
    for collection, context in PLACES:
        writes.append(Write(ENROLMENTS, (user, collection, context), stored_enrolment(random)))
        if random.random() < 0.9:
            in_rows = f"{'co' if collection == context else 'cb'}:{context}"
            place = ("Course", collection, user, in_rows, collection)
            writes.append(Write(AGGREGATES, place, stored_aggregate(random)))
    for content in "ab":
        values = {"status": random.choice([None, 0, 1, 2]), "timespent": 3, "last_access_time": NOW}
        alone = view_row_key(ViewKey(user, content, content, content))
        for key in ((user, "course", "course", "batch", content), alone):
            writes.append(Write(VIEWS, key, values))
            if changed is not None:
                writes.append(Write(VIEWS, key, {"changed_at": changed}, insert=False))
    await published.stores.rows.write(*writes)
    healed: list[Any] = []
    monkeypatch.setattr(published.shared.healing, "heal", lambda *asked: healed.append(asked))

    first, active = random.choice([1, 2, 5, 6]), random.choice([None, None, True, False])
    asked: dict[str, Any] = {"first": first, "after": None, "active": active}
    narrow = await listed_enrolments(published.session(user), user, **asked)
    healed_narrow, healed[:] = [*healed], []
    wide = await enrolments_page(published.session(user), user, **asked)
    assert [one.enrolled for one in narrow.members] == [
        replace(one, read_statuses=None) for one in wide.members
    ]
    assert narrow.has_more == wide.has_more
    assert sorted(map(repr, healed_narrow)) == sorted(map(repr, healed))


async def test_a_collection_that_goes_between_two_reads_leaves_a_list_whole(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = published.session("ann")
    places = [("course", "batch"), ("gone", "batch")]
    await published.stores.rows.write(
        *(Write(ENROLMENTS, ("ann", *place), {"active": True, "enrolled_on": NOW}) for place in places)
    )
    narrow = session.loaders.narrow_figures
    monkeypatch.setattr(
        session.loaders, "narrow_figures", lambda keys, *more: _without(narrow(keys, *more), 0)
    )
    page = await listed_enrolments(session, "ann", first=5, after=None, active=None)
    assert [(one.collection_id, one.context_id) for one in page.members] == places


async def _without(figures: Any, number: int) -> list[Any]:
    found = [*await figures]
    found[number] = None
    return found
