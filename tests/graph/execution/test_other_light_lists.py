"""Lists of views, rosters, and enrolments in any order answer from light members (graph/execution/light.py) exactly what the executor answers
from whole objects, and what is read without light members."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from random import Random
from typing import Any

import pytest
import strawberry
from graphql import GraphQLObjectType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.collections import OwnTree
from graph.context_rosters import RosterConnection, RosterEntry
from graph.enrolment_lists import EnrolmentConnection
from graph.enrolments import Enrolment
from graph.execution.upstream import core_schema
from graph.learners import Learner
from graph.paging import Connection, connection, counted_connection, light_connection
from graph.scalars import CONFIG
from graph.summary import ContentStatus, LeafStatus
from graph.views import View
from resolvers import context_rosters
from resolvers.collections import Tree
from resolvers.enrolment_lists import (
    EnrolmentOrder,
    EnrolmentsWanted,
    Listed,
    OrderedEnrolment,
    OrderedPage,
    enrolments_count,
    listed_page,
)
from resolvers.enrolments import Enrolled
from resolvers.learners import ProfiledLearner
from resolvers.listed_enrolments import ListedEnrolment
from resolvers.listed_views import ListedView, ListedViews
from resolvers.ordering import Ordering
from resolvers.paging import Asked, Page
from resolvers.views import ViewsWanted, views_page, views_page_in_short
from rules import learners, views
from rules.contents import Content, ContentKind
from rules.contexts import bucket_of
from rules.hierarchy import Hierarchy, Relations, RelationTree
from rules.identifiers import ProgressKey, ViewKey
from rules.moments import known_moment
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.viewers import Role
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, VIEWS
from tests.conftest import Instance, examples
from tests.graph.execution.test_light_members import (
    ASYNC,
    CONTENT,
    CONTEXT,
    ENROLMENT,
    NOW,
    PLACES,
    Asker,
    listed,
    mostly,
    some_count,
    some_moment,
    some_ms,
    stored_aggregate,
    stored_enrolment,
)
from tests.graph.selections import PARTS, TEXTS, World, asked_for, assert_alike, seeds, with_typename


@strawberry.type
class Query:
    @strawberry.field
    def enrolments(self) -> EnrolmentConnection:
        return self.of_enrolments  # type: ignore[attr-defined, no-any-return]

    @strawberry.field
    def views(self) -> Connection[View]:
        return self.of_views  # type: ignore[attr-defined, no-any-return]

    @strawberry.field
    def roster(self) -> RosterConnection:
        return self.of_roster  # type: ignore[attr-defined, no-any-return]

    @strawberry.field
    def statuses(self) -> list[ContentStatus]:
        return self.of_leaves  # type: ignore[attr-defined, no-any-return]


SCHEMA = core_schema(strawberry.Schema(Query, config=CONFIG))


@dataclass
class Root:
    of_enrolments: EnrolmentConnection
    of_views: Connection[View]
    of_roster: RosterConnection
    of_leaves: Any


_ORDER: Ordering[Any] = Ordering("ENROLLED_ON", attrgetter("enrolled_on"), attrgetter("collection_id"))


def some_view(random: Random) -> ListedView:
    return ListedView(
        *(random.choice(["leaf", "ü"]), random.choice([*Status]), some_count(random), some_ms(random)),
        *(some_ms(random), ProgressKey("ann", "course", "batch"), some_count(random)),
        *(some_ms(random), some_ms(random)),
        random.choice([None, Origin(random.choice([*OriginKind]), ("course", "b 2"), "rule", NOW)]),
    )


def whole_view(one: ListedView) -> View:
    return View.of(
        views.View(
            ViewKey(*one.place, one.content_id),
            one.status,
            one.progress,
            one.time_spent,
            known_moment(one.started_on),
            known_moment(one.last_accessed_on),
            known_moment(one.last_updated_on),
            known_moment(one.completed_on),
            origin=one.origin,
        )
    )


def some_entry(random: Random) -> context_rosters.RosterEntry:
    profile = learners.Learner(
        random.choice(["ann", "ben"]),
        random.choice([None, *TEXTS]),
        random.choice([{}, {"district": "North"}]),
    )
    return context_rosters.RosterEntry(
        ProfiledLearner(profile.user_id, profile),
        one := listed(random),
        context_rosters._Row(profile.user_id, one.row),
        Ordering("USER_ID", lambda _: "", attrgetter("user_id")),
    )


def whole_entry(found: context_rosters.RosterEntry) -> RosterEntry:
    assert isinstance(found.enrolment, ListedEnrolment)
    return RosterEntry(
        learner=Learner.of(found.learner.profile), enrolment=Enrolment.of(found.enrolment.enrolled, NOW)
    )


def some_leaves(random: Random, number: int) -> tuple[list[LeafStatus], list[ContentStatus]]:
    """Light ones, and the same whole."""
    leaves = [
        {
            "identifier": f"leaf-{each}",
            "name": random.choice(TEXTS),
            "mimeType": random.choice([None, "video/mp4"]),
            "relationalMetadata": {"optional": random.random() < 0.5},
        }
        for each in range(number)
    ]
    root = {"identifier": "course", "name": "Course", "children": leaves}
    content = Content("course", "Course", ContentKind.COLLECTION, "Live", None, number, "course", 1, None)
    relations = RelationTree("course", 1, {"course": Relations("course", frozenset())})
    tree = OwnTree(Tree(content, Hierarchy(root), relations))
    values = [(leaf["identifier"], leaf["name"], random.choice([*Status]), tree, leaf) for leaf in leaves]
    return [LeafStatus._make(one) for one in values], [
        ContentStatus(content_id=id_, name=name, status=status, own_tree=own, leaf=leaf)  # type: ignore[arg-type]
        for id_, name, status, own, leaf in values
    ]


async def _no_count() -> int | None:
    return None


def roster_of(page: Page[Any], node: Any) -> RosterConnection:
    return counted_connection(RosterConnection, page, node, attrgetter("place"), _no_count, begun=False)


def enrolments_in(found: Connection[Enrolment]) -> EnrolmentConnection:
    return EnrolmentConnection(
        edges=found.edges, page_info=found.page_info, user_id="ann", wanted=EnrolmentsWanted(), total=3
    )


def world(random: Random) -> World:
    """The same members, light and whole."""
    number = random.choice([0, 1, 2, 3, 20])
    cursor = attrgetter("cursor")
    enrolments = OrderedPage([OrderedEnrolment(listed(random), _ORDER) for _ in range(number)], has_more=True)
    shown = ListedViews([some_view(random) for _ in range(number)], has_more=False)
    roster = Page([some_entry(random) for _ in range(number)], has_more=True)
    leaves, whole_leaves = some_leaves(random, number)
    light = Root(
        enrolments_in(light_connection(enrolments, begun=False)),
        light_connection(shown, begun=False),
        roster_of(roster, None),
        leaves,
    )
    whole = Root(
        enrolments_in(connection(enrolments, lambda one: Enrolment.of(one.node.enrolled, NOW), cursor)),
        connection(shown, whole_view, lambda view: (view.content_id,)),
        roster_of(roster, whole_entry),
        whole_leaves,
    )
    return light, whole


BUCKETS = 16
"""Of the list of a context."""
FIELDS: dict[str, Sequence[str]] = {
    "EnrolmentConnection": ["edges", "pageInfo", "totalCount"],
    "ViewConnection": ["edges", "pageInfo"],
    "RosterConnection": ["edges", "pageInfo", "totalCount"],
    "EnrolmentEdge": ["node", "cursor"],
    "ViewEdge": ["node", "cursor"],
    "RosterEntryEdge": ["node", "cursor"],
    "Enrolment": [name for name in ENROLMENT if name not in ASYNC],
    "Collection": CONTENT,
    "Context": CONTEXT,
    "RosterEntry": ["learner", "enrolment"],
    "Learner": ["userId", "name", "district", "school", "id"],
    "View": [
        *("contentId", "status", "progress", "lastAccessedOn", "completedOn", "collectionId", "contextId"),
        *("timeSpent", "startedOn", "lastUpdatedOn", "origin", "id"),
    ],
    "Origin": ["kind", "collectionId", "contextId", "reason", "at"],
    "ContentStatus": ["contentId", "name", "status", "node"],
    "HierarchyNode": [
        *("identifier", "name", "kind", "mimeType", "primaryCategory", "leafNodesCount", "optional"),
    ],
    "PageInfo": ["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"],
}


def some_fields(random: Random, of: GraphQLObjectType) -> Iterator[str]:
    names = FIELDS[of.name]
    chosen = random.sample(names, random.randint(1, min(len(names), random.choice([2, 6, 20]))))
    if "node" in names and "node" not in chosen and random.random() < 0.8:
        chosen.append("node")
    for name in chosen:
        within = get_named_type(of.fields[name].type)
        below = selection(random, within) if isinstance(within, GraphQLObjectType) else ""
        yield asked_for(random, name, of.name, below)


def selection(random: Random, of: GraphQLObjectType) -> str:
    return f"{{ {' '.join(with_typename(random, some_fields(random, of)))} }}"


def document(random: Random) -> str:
    query = SCHEMA.query_type
    assert query is not None
    name = random.choice([*query.fields])
    within = get_named_type(query.fields[name].type)
    assert isinstance(within, GraphQLObjectType)
    asked = f"{name} {selection(random, within)}"
    return f"query ($yes: Boolean!) {{ {asked} u: __typename @include(if: $yes) }}"


@pytest.mark.parametrize("part", PARTS)
@seeds
async def test_any_selection_of_these_lists_is_answered_as_by_the_executor_from_whole_objects(
    part: int, seed: int
) -> None:
    await assert_alike(SCHEMA, Random(f"{part} {seed}"), document, world, Asker())


IN_A_WORLD = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def some_rows(instance: Instance, random: Random, user: str) -> None:
    """Enrolments, aggregates and views of a learner, mostly fresh."""
    changed = mostly(random, 5, 6, None)
    writes = []
    for collection, context in PLACES:
        enrolled = stored_enrolment(random)
        writes.append(Write(ENROLMENTS, (user, collection, context), enrolled))
        if random.random() < 0.9:
            in_rows = f"{'co' if collection == context else 'cb'}:{context}"
            place = ("Course", collection, user, in_rows, collection)
            writes.append(Write(AGGREGATES, place, stored_aggregate(random)))
    listing = {"active": True, "enrolled_on": NOW}
    listed_at = ("batch", "course", bucket_of(user, BUCKETS), user)
    writes.append(Write(ENROLMENTS_BY_CONTEXT, listed_at, listing))
    for context in ("batch", "course"):
        for content in "ab":
            values = {
                "status": mostly(random, random.choice([0, 1, 2]), None),
                "progress": random.choice([None, 7]),
                "timespent": random.choice([None, 3]),
                "started_on": some_moment(random),
                "last_access_time": some_moment(random),
                "last_updated_time": some_moment(random),
                "last_completed_time": some_moment(random),
                "origin": random.choice(
                    [None, Origin(OriginKind.CARRIED, ("course", "batch"), "rule", NOW).encode()]
                ),
            }
            key = (user, "course", "course", context, content)
            writes.append(Write(VIEWS, key, values))
            if changed is not None:
                writes.append(Write(VIEWS, key, {"changed_at": changed}, insert=False))
    await instance.stores.rows.write(*writes)


def healings(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    healed: list[Any] = []
    monkeypatch.setattr(instance.shared.healing, "heal", lambda *asked: healed.append(asked))
    return healed


def _healed(healed: list[Any]) -> set[str]:
    found = {*map(repr, healed)}
    healed.clear()
    return found


@IN_A_WORLD
@given(seed=st.integers(0, 2**32))
async def test_enrolments_in_any_order_are_the_same_with_the_status_of_leaves_and_without(
    published: Instance, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random, user = Random(seed), secrets.token_hex(8)
    published.track(random.choice([*TrackingMode]))
    await some_rows(published, random, user)
    healed = healings(published, monkeypatch)
    wanted = EnrolmentsWanted(
        active=mostly(random, None, True, False),
        statuses=mostly(random, None, random.sample([*Status], 2)),
        collection_ids=mostly(random, None, ["course", "nowhere"]),
        order=random.choice([*EnrolmentOrder]),
        descending=random.choice([True, None]),
    )
    if wanted.reads_all is None:
        wanted = replace(wanted, descending=True)
    asked = Asked(random.choice([1, 2, 6]), backward=random.random() < 0.3)

    light = await listed_page(published.session(user), user, wanted, asked)
    of_light = _healed(healed)
    whole = await listed_page(published.session(user), user, replace(wanted, leaves=True), asked)

    assert isinstance(light, OrderedPage)
    wide = [one for one in whole.members if isinstance(one, Listed)]
    assert [one.node.enrolled for one in light.members] == [
        replace(one.enrolled, read_statuses=None) for one in wide
    ]
    assert [one.cursor for one in light.members] == [one.cursor for one in wide]
    assert (light.has_more, light.has_earlier, light.total) == (
        whole.has_more,
        whole.has_earlier,
        whole.total,
    )
    assert of_light == _healed(healed)
    assert await enrolments_count(published.session(user), user, wanted) == light.total


@IN_A_WORLD
@given(seed=st.integers(0, 2**32))
async def test_a_roster_is_the_same_with_the_status_of_leaves_and_without(
    published: Instance, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random, users = Random(seed), [secrets.token_hex(8) for _ in range(3)]
    published.track(mostly(random, TrackingMode.STRICT, *TrackingMode))
    for user in users:
        await some_rows(published, random, user)
    healed = healings(published, monkeypatch)
    session = published.session("admin", Role.ADMIN)
    context = await session.library.context("batch")
    wanted = context_rosters.RosterWanted(
        active=mostly(random, None, True, False),
        statuses=mostly(random, None, frozenset(random.sample([*Status], 2))),
        by=random.choice([*context_rosters.RosterOrder]),
        descending=random.random() < 0.5,
    )
    asked = Asked(200, backward=random.random() < 0.3)

    async def page(*, leaves: bool) -> list[tuple[str, Any, Any]]:
        roster = context_rosters.ContextRoster(session, context, "course", leaves=leaves)
        found = await roster.page(wanted, asked)
        return [
            (one.learner.user_id, one.place, _without_statuses(one.enrolment))
            for one in found.members
            if one.learner.user_id in users
        ]

    light = await page(leaves=False)
    of_light = _healed(healed)
    session.refresh()
    assert light == await page(leaves=True)
    assert of_light == _healed(healed)


def _without_statuses(one: Enrolled | ListedEnrolment) -> Enrolled:
    return one.enrolled if isinstance(one, ListedEnrolment) else replace(one, read_statuses=None)


@IN_A_WORLD
@given(seed=st.integers(0, 2**32))
async def test_views_are_the_same_with_what_the_player_noted_and_without(
    published: Instance, seed: int
) -> None:
    random, user = Random(seed), secrets.token_hex(8)
    mode = random.choice([mode for mode in TrackingMode if mode is not TrackingMode.CARRY_FORWARD_FULL])
    published.track(mode)
    await some_rows(published, random, user)
    session = published.session(user)
    first, after = random.choice([1, 2, 9]), random.choice([None, "a", "0"])
    wanted = ViewsWanted("course", random.choice([None, "batch", "course"]))

    light = await views_page_in_short(session, user, wanted, first=first, after=after)
    whole = await views_page(session, user, wanted, first=first, after=after)

    assert [View.of_listed(one).key() for one in light.members if isinstance(one, ListedView)] == [
        View.of(one).key() for one in whole.members
    ]
    assert light.has_more == whole.has_more
    for one, wide in zip(light.members, whole.members, strict=True):
        assert isinstance(one, ListedView)
        told = whole_view(one).whole
        assert told == replace(wide, progress_details=None, recent_calls=(), changed_at=None)
