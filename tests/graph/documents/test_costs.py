"""What a request costs the stores does not depend on how much a page shows."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    is_abstract_type,
    parse,
    visit,
)

from graph.schema import schema
from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.exhaust_files import EXHAUSTS
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import start_view
from ingest.exhausts.job import EXHAUSTING
from ingest.exhausts.order import ExhaustOrder
from ingest.jobs.runner import Jobs
from ingest.learner_index.sync import sync_learners
from ingest.publishing.job import PUBLISHING, PublishOrder
from ingest.publishing.search_sync import sync_search
from loaders.session import Session, Shared
from resolvers.opaque_texts import encode
from rules.attempts import Question
from rules.contents import ContentKind
from rules.exhausts import ExhaustFormat, ExhaustKind
from rules.group_changes import AddMember
from rules.identifiers import ContextType, ViewKey
from rules.learner_groups import Activity
from rules.learners import ATTRIBUTES
from rules.prices import Budget, Price
from rules.viewers import Role, Viewer
from tests.attempts import store_attempt, store_scores
from tests.conftest import LEAF, NOW, Instance, instance_of, is_thorough, real_urls
from tests.graph.conftest import data, document, record

pytestmark = pytest.mark.long


def course_of(units: int, leaves: int, identifier: str = "big") -> dict[str, object]:
    return {
        "identifier": identifier,
        "name": "Big",
        "children": [
            {
                "identifier": f"{identifier}-{unit}",
                "name": f"Unit {unit}",
                "children": [
                    {"identifier": f"{identifier}-{unit}-{leaf}", "name": "L", "mimeType": LEAF}
                    for leaf in range(leaves)
                ],
            }
            for unit in range(units)
        ],
    }


async def page_cost(instance: Instance, units: int, leaves: int) -> tuple[Counter[str], Counter[str]]:
    """Statements to the rows and round trips to the cache of one course page, nothing being warm."""
    name = f"big-{units}x{leaves}"
    await instance.publish(course_of(units, leaves, name))
    await instance.batch(f"batch-{name}", name)
    place = {"collectionId": name, "contextId": f"batch-{name}"}
    for unit in range(units):
        await record(instance.session("ann"), "Start", contentId=f"{name}-{unit}-0", **place)
    shared = type(instance.shared).of(instance.stores, instance.shared.now)
    session = Session(Viewer("ann", frozenset({Role.LEARNER})), shared)
    with instance.stores.rows.meter.measure() as rows, instance.stores.cache.meter.measure() as cache:
        page = await data(session, document("course_page"), collection=name, context=place["contextId"])
    shown = [leaf for unit in page["collection"]["children"] for leaf in unit["children"]]
    assert [leaf["view"]["status"] for leaf in shown] == (
        ["IN_PROGRESS", *["NOT_STARTED"] * (leaves - 1)] * units
    )
    return rows, cache


async def test_a_course_page_of_200_leaves_costs_what_one_of_2_does(embedded: Instance) -> None:
    small, large = await page_cost(embedded, 1, 2), await page_cost(embedded, 5, 40)
    assert small == large
    assert sum(small[0].values()) <= 7, small


async def list_cost(instance: Instance, user: str, count: int) -> Counter[str]:
    for number in range(count):
        await instance.batch(f"{user}-{number}", f"list-{number}")
        await record(
            instance.session(user), "Enrol", collectionId=f"list-{number}", contextId=f"{user}-{number}"
        )
    shared = type(instance.shared).of(instance.stores, instance.shared.now)
    session = Session(Viewer(user, frozenset({Role.LEARNER})), shared)
    with instance.stores.rows.meter.measure() as rows:
        me = (await data(session, document("my_courses"), first=100))["me"]
    assert len(me["enrolments"]["edges"]) == count
    assert all(edge["node"]["collection"]["name"] == "Big" for edge in me["enrolments"]["edges"])
    return rows


async def test_a_list_of_100_enrolments_costs_what_one_of_2_does(embedded: Instance) -> None:
    for number in range(100):
        await embedded.publish(course_of(1, 1, f"list-{number}"))
    small, large = await list_cost(embedded, "bob", 2), await list_cost(embedded, "ann", 100)
    assert small == large


async def test_where_to_go_on_in_100_enrolments_costs_what_it_costs_in_2(embedded: Instance) -> None:
    """Each is in a course of its own, whose tree is read for it. The trees come from the cache, or in one statement for each
    version; workers have not seen anything."""
    for number in range(100):
        await embedded.publish(course_of(1, 1, f"list-{number}"))
    costs = []
    for user, count in (("bob", 2), ("ann", 100)):
        for number in range(count):
            await embedded.batch(f"{user}-{number}", f"list-{number}")
            place = {"collectionId": f"list-{number}", "contextId": f"{user}-{number}"}
            await record(embedded.session(user), "Enrol", **place)
            await record(embedded.session(user), "Start", contentId=f"list-{number}-0-0", **place)
        shared = type(embedded.shared).of(embedded.stores, embedded.shared.now)
        session = Session(Viewer(user, frozenset({Role.LEARNER})), shared)
        query = "{ me { enrolments(first: 100) { edges { node { timeSpent nextContent { identifier } units { status } } } } } }"
        with embedded.stores.rows.meter.measure() as rows, embedded.stores.cache.meter.measure() as cache:
            edges = (await data(session, query))["me"]["enrolments"]["edges"]
        await shared.background.settled()
        assert [edge["node"]["nextContent"]["identifier"] for edge in edges] == sorted(
            f"list-{number}-0-0" for number in range(count)
        )
        costs.append((rows, cache))
    (small, small_cache), (large, large_cache) = costs
    assert small == large
    assert sum(small.values()) <= 7, small
    # Keys: each tree once, although two fields look into it.
    assert (small_cache["cache mget"], large_cache["cache mget"]) == (2, 100)


# --- every field that reads, beneath a list of a few and beneath one of many

FEW, MANY = 2, 40 if is_thorough() else 10
"""So many that what each member reads by itself is seen."""
PAGES_LATER = 3
"""Statements more, of each kind, for the activities of MANY groups: each group's page is looked up in the cache by itself,
and what comes back later is read later."""
TRIES = 12
ATTRIBUTE_FIELDS = " ".join(
    first + "".join(map(str.title, rest)) for first, *rest in (name.split("_") for name in ATTRIBUTES)
)
PLACED = 'collectionId: "many-0", contextId: "batch-0"'
ENROLLED = "status collection { identifier } context { contextId }"
OF_LEARNER = {
    "profile": f"name {ATTRIBUTE_FIELDS}",
    "enrolments": f"enrolments {{ edges {{ node {{ {ENROLLED} }} }} }}",
    "active enrolments": f"enrolments(filter: {{ active: true }}) {{ edges {{ node {{ {ENROLLED} }} }} }}",
    "a page of enrolments": f"enrolments(first: 1) {{ edges {{ node {{ {ENROLLED} }} }} }}",
    "enrolments by name": "enrolments(first: 1, orderBy: { by: NAME }) { totalCount edges { node { status } } }",
    "enrolments by status": "enrolments(filter: { status: [IN_PROGRESS] }) { totalCount edges { node { status } } }",
    "where to go on": "enrolments(first: 2) { edges { node { timeSpent nextContent { name } units { status } } } }",
    "leaves of enrolments": "enrolments(first: 2) { edges { node { contentStatus { name } } } }",
    "assessments of enrolments": "enrolments(first: 2) { edges { node { assessments(first: 2) { edges { node { "
    "averageScore } } } } } }",
    "enrolment": f"enrolment({PLACED}) {{ {ENROLLED} }}",
    "two enrolments": f"a: enrolment({PLACED}) {{ status }} "
    'b: enrolment(collectionId: "many-1", contextId: "batch-1") { status }',
    "views": f"views({PLACED}) {{ edges {{ node {{ contentId timeSpent }} }} }}",
    "views of some": f'views({PLACED}, contentIds: ["many-0-0-0", "common"]) {{ edges {{ node {{ startedOn }} }} }}',
    "view": f'view(contentId: "many-0-0-0", {PLACED}) {{ status progressDetails }}',
    "a view not begun": f'view(contentId: "many-0-0-1", {PLACED}) {{ status }}',
    "what views are of": f"views({PLACED}) {{ edges {{ node {{ content {{ name }} collection {{ name }} "
    "context { name } assessmentScores { averageScore } } } }",
    "scores of enrolments": "enrolments { edges { node { score { score } } } }",
    "score of an enrolment": f"enrolment({PLACED}) {{ score {{ score }} }}",
    "scores of views": f"views({PLACED}) {{ edges {{ node {{ score {{ score }} }} }} }}",
    "assessments": "assessments { edges { node { best { score } assessment { name } collection { name } context { name } "
    "bestAttempt { attemptId } lastAttempt { attemptId } } } }",
    "attempts": "assessments(first: 3) { edges { node { attempts(first: 2) { edges { node { "
    "assessment { name } questions { questionId } questionsSource archiveId } } } } } }",
    "assessments of a course": 'assessments(filter: { collectionId: "many-0" }) { edges { node { attemptsCount } } }',
    "summary": f"summary({PLACED}) {{ completedCount units {{ completedCount unit {{ name }} }} "
    "contentStatus { name } nextContent { name } }",
    "groups": "groups(first: 2) { edges { node { membersCount } } }",
    "groups by role": "groups(filter: { role: MEMBER }, orderBy: { by: NAME }) { totalCount edges { node { name } } }",
    "members of groups": "groups(first: 2) { edges { node { members { edges { node { learner { name } } } } } } }",
    "activities of groups": "groups(first: 2) { edges { node { activities { agg { value } } } } }",
}
OF_COLLECTION = {
    "metadata": "metadata",
    "children": "children { name children { identifier metadata } }",
    "node": 'node(identifier: "common") { name }',
    "leaves": "leafNodes(first: 3) { totalCount edges { node { identifier } } }",
    "hierarchy": "hierarchy",
    "package": "package { url size }",
    "hierarchy of two levels": "hierarchy(depth: 1)",
    "progress": "progress { completedCount } viewerProgress { completedCount }",
    "contexts": "contexts { edges { node { name } } }",
    "contexts to join": "contexts(open: true, status: ONGOING) { edges { node { collections { name } } } }",
    "batches to join": "contexts(joinable: true, orderBy: { by: NAME }) { totalCount edges { node { name } } }",
    "progress in nodes": "children { progress { completedCount } children { view { status } } }",
    "views of leaves": "leafNodes(first: 3) { edges { node { view { "
    "timeSpent progressDetails startedOn lastUpdatedOn origin { kind } } } } }",
}
MEMBERS = "members(first: 100) { edges { node { learner { %s } } } }"
ENROLMENTS = "me { enrolments(first: 100) { edges { node { %s } } } }"


def aliases(count: int, ask: Callable[[str], str]) -> str:
    return " ".join(f"a{number}: {ask(str(number))}" for number in range(count))


def node(kind: str, *parts: str) -> str:
    return f'node(id: "{encode(kind, *parts)}")'


def documents(count: int) -> Iterator[tuple[str, str]]:
    """By name. Lists have ``count`` members: learners of a group, groups, collections, contexts, aliases."""
    group = f'group(groupId: "of-{count}")'
    for name, asked in OF_LEARNER.items():
        yield f"members: {name}", f"{group} {{ {MEMBERS % asked} }}"
        yield f"members in activities: {name}", f"{group} {{ activities {{ {MEMBERS % asked} }} }}"
        found = f'searchLearners(text: "name", first: {count})'
        yield f"learners found: {name}", f"{found} {{ totalCount edges {{ node {{ {asked} }} }} }}"
        if "a: " not in asked:  # else there would be more aliases than a document may have
            learner = f'learner(userId: "u#") {{ {asked} }}'
            yield f"aliases: learner's {name}", aliases(count, partial(learner.replace, "#"))
    ids = ", ".join(f'"many-{number}"' for number in range(count))
    for name, asked in OF_COLLECTION.items():
        yield f"collections: {name}", f"collections(identifiers: [{ids}]) {{ {asked} }}"
        yield (
            f"collections found: {name}",
            f'searchCollections(text: "many", first: {count}, facets: [SUBJECT]) {{ '
            f"totalCount edges {{ units {{ name }} node {{ {asked} }} }} }}",
        )
    for name, ask in {
        "learner node": lambda n: f"{node('Learner', f'u{n}')} {{ ... on Learner {{ name }} }}",
        "enrolment node": lambda n: (
            f"{node('Enrolment', f'u{n}', 'many-0', 'batch-0')} {{ ... on Enrolment {{ status }} }}"
        ),
        "view node": lambda n: (
            f"{node('View', f'u{n}', 'many-0', 'batch-0', 'many-0-0-0')} {{ ... on View {{ timeSpent }} }}"
        ),
        "scores node": lambda n: (
            f"{node('AssessmentScores', f'u{n}', 'many-0', 'batch-0', 'many-0-0-0')} "
            "{ ... on AssessmentScores { best { score } } }"
        ),
        "attempt node": lambda n: (
            f"{node('Attempt', f'u{n}', 'many-0', 'batch-0', 'many-0-0-0', 't1')} "
            "{ ... on Attempt { questions { questionId } } }"
        ),
        "group node": lambda n: f"{node('Group', f'class-{n}')} {{ ... on Group {{ name }} }}",
        "activity node": lambda n: (
            f"{node('GroupActivity', f'class-{n}', 'many-0', 'Course', 'query')} "
            "{ ... on GroupActivity { agg { value } } }"
        ),
        "publication node": lambda n: (
            f"{node('Publication', f'job-{n}')} {{ ... on Publication {{ version }} }}"
        ),
        "exhaust node": lambda n: (
            f"{node('Exhaust', f'job-{n}')} {{ ... on Exhaust {{ download {{ url }} }} }}"
        ),
        "collection node": lambda n: f"{node('Collection', f'many-{n}')} {{ ... on Collection {{ name }} }}",
        "context node": lambda n: f"{node('Context', f'batch-{n}')} {{ ... on Context {{ name }} }}",
        "group": lambda n: f'group(groupId: "class-{n}") {{ {MEMBERS % "name"} }}',
        "activities": lambda n: f'group(groupId: "class-{n}") {{ activities {{ agg {{ value }} }} }}',
        "totals": lambda n: (
            f'group(groupId: "class-{n}") {{ activities(mode: BATCH) {{ agg {{ value }} }} }}'
        ),
        "collection": lambda n: (
            f'collection(identifier: "many-{n}") {{ progress(contextId: "batch-{n}") {{ status }} }}'
        ),
        "content": lambda n: f'content(identifier: "many-{n}") {{ name metadata }}',
        "publication": lambda n: (
            f'publication(publicationId: "job-{n}") {{ version steps {{ name report }} }}'
        ),
        "exhaust": lambda n: f'exhaust(exhaustId: "job-{n}") {{ state download {{ url }} }}',
        "hierarchy node": lambda n: (
            f'hierarchyNode(identifier: "many-{n}-0") {{ name collection {{ name }} }}'
        ),
        "context": lambda n: f'context(contextId: "batch-{n}") {{ collections {{ progress {{ status }} }} }}',
        "metrics": lambda n: (
            f'activityMetrics(query: {{ metrics: [ENROLLED_COUNT], activityIds: ["many-0"], '
            f"dimensions: [COLLECTION], limit: 1{n}, labels: true }}) {{ rows records names }}"
        ),
        "active learners": lambda n: (
            'activeLearners(query: { from: "2026-03-01", to: "2026-03-31", every: MONTH, activityIds: ["many-0"] }) '
            "{ rows records }"
        ),
        "history": lambda n: (
            'activityHistory(query: { activityId: "many-0", from: "2026-03-01", to: "2026-03-31" }) { rows records }'
        ),
        "funnel": lambda n: 'activityFunnel(collectionId: "many-0") { enrolledCount steps { unitId name } }',
    }.items():
        yield f"aliases: {name}", aliases(count, ask)
    yield (
        "own enrolments",
        ENROLMENTS % f"{ENROLLED} context {{ collections {{ name progress {{ status }} }} }}",
    )
    yield "own enrolments in detail", ENROLMENTS % "nextContent { name } units { completedCount } timeSpent"
    yield (
        "own contexts",
        f"me {{ contexts(first: {count}) {{ totalCount edges {{ node {{ name collections {{ name }} }} }} }} }}",
    )
    yield (
        "roster",
        f'context(contextId: "batch-0") {{ roster(first: {count}) {{ totalCount '
        "edges { node { learner { name } enrolment { status collection { name } } } } } }",
    )
    yield (
        "own groups",
        "me { groups(first: 100) { edges { node { membership { role } activities { agg { value } } } } } }",
    )


def fields_that_read(of: GraphQLSchema) -> set[str]:
    """``Type.field`` of every resolver that awaits something, in the types that a query leads to."""
    found, seen = set(), set()

    def look(named: Any) -> None:
        type_ = get_named_type(named)
        if type_.name in seen or not hasattr(type_, "fields"):
            return
        seen.add(type_.name)
        for possible in of.get_possible_types(type_) if is_abstract_type(type_) else ():
            look(possible)
        definition = type_.extensions["strawberry-definition"]
        resolvers = {of_type.python_name: of_type.base_resolver for of_type in definition.fields}
        for name, declared in type_.fields.items():
            python_name = declared.extensions["strawberry-definition"].python_name
            resolver = resolvers[python_name]
            if resolver is not None and inspect.iscoroutinefunction(resolver.wrapped_func):
                found.add(f"{type_.name}.{name}")
            look(declared.type)

    look(of.query_type)
    return found


def fields_asked(of: GraphQLSchema, text: str) -> set[str]:
    found, types = set(), TypeInfo(of)

    class Fields(Visitor):
        def enter_field(self, asked: Any, *_: Any) -> None:
            parent = types.get_parent_type()
            assert isinstance(parent, GraphQLObjectType), f"ask {asked.name.value} of a type"
            found.add(f"{parent.name}.{asked.name.value}")

    visit(parse(f"{{ {text} }}"), TypeInfoVisitor(types, Fields()))
    return found


def test_every_field_that_reads_is_in_a_document_below() -> None:
    core = schema._schema
    asked = set().union(*(fields_asked(core, text) for _, text in documents(FEW)))
    reads = fields_that_read(core)
    assert {"Learner.enrolments", "View.origin", "Group.activities", "Query.node"} <= reads
    assert reads - asked == set()


async def school(instance: Instance) -> None:
    """MANY learners, each in two courses and, with one other, in a class; u0 in every course and class. Groups of FEW and
    of MANY. All learners have begun a leaf of their courses, and attempted it."""
    for number in range(MANY):
        unit = {
            "identifier": f"many-{number}-0",
            "name": "Unit",
            "children": [
                *({"identifier": f"many-{number}-0-{n}", "name": "L", "mimeType": LEAF} for n in range(2)),
                {"identifier": "common", "name": "C", "mimeType": LEAF},
            ],
        }
        await instance.publish({"identifier": f"many-{number}", "name": "Many", "children": [unit]})
        await sync_search(instance.shared, f"many-{number}")
        await instance.batch(f"batch-{number}", f"many-{number}")
        order = PublishOrder(
            f"job-{number}", f"many-{number}", ContentKind.COLLECTION, False, "ann", instance.shared.now(), ""
        )
        await Jobs(instance.shared).create(PUBLISHING, order.job, order.arguments())
        exhaust = ExhaustOrder(
            *(f"job-{number}", ExhaustKind.PROGRESS, f"many-{number}", f"batch-{number}", ExhaustFormat.CSV),
            *(
                EXHAUSTS.new_name(f"batch-{number}", "mo", instance.shared.now(), "f"),
                "mo",
                instance.shared.now(),
            ),
        )
        await Jobs(instance.shared).create(EXHAUSTING, exhaust.job, exhaust.arguments())
    service, activities = instance.session(), (Activity("many-0", "Course"), Activity("many-1", "Course"))
    for number in range(MANY):
        user = instance.session(f"u{number}")
        await save_profile(user, ProfileCall(f"Name {number}", {"district": "Pune"}))
        for course in range(MANY) if number == 0 else range(2):
            await enrol(user, EnrolmentCall(f"many-{course}", f"batch-{course}"))
        for course in range(2):
            await start_view(user, ViewCall(f"many-{course}-0-0", f"many-{course}", f"batch-{course}"))
            attempted = ViewKey(f"u{number}", f"many-{course}", f"batch-{course}", f"many-{course}-0-0")
            await store_attempt(instance.shared, attempted, "t1", 2.0, 3.0, NOW, questions=[Question("q")])
            await store_scores(instance.shared, attempted)
        members = tuple(AddMember(f"u{n}") for n in {0, number, (number + 1) % MANY})
        await create_group(
            service, NewGroup("Class", members=members, activities=activities, group_id=f"class-{number}")
        )
    for number in range(MANY):
        led = NewContext(ContextType.BATCH, "Led", ("many-0",), f"led-{number}", mentors=frozenset({"u0"}))
        await create_context(service, led)
    await sync_learners(instance.shared, [f"u{number}" for number in range(MANY)])
    for count in (FEW, MANY):
        await create_group(
            service,
            NewGroup(
                "Group",
                members=tuple(AddMember(f"u{n}") for n in range(count)),
                activities=activities,
                group_id=f"of-{count}",
            ),
        )


UNBOUNDED = Budget(Price(10**9, 10**9, 10**9))
"""Statements are compared here, of documents too that nobody may send."""


async def cost_of(instance: Instance, user: str, text: str) -> Counter[str]:
    """Statements to the rows, group queries and searches, nothing being kept from before."""
    shared = Shared.of(instance.stores, instance.shared.now, answers_ttl=0, budget=UNBOUNDED)
    session = Session(Viewer(user, frozenset({Role.LEARNER, Role.MENTOR, Role.CREATOR})), shared)
    stores = instance.stores
    with (
        stores.rows.meter.measure() as cost,
        stores.groups.meter.measure() as queries,
        stores.search.meter.measure() as searches,
        stores.learner_search.meter.measure() as of_learners,
    ):
        await data(session, f"{{ {text} }}")
    await shared.background.settled()
    return cost + queries + searches + of_learners


async def compared(instance: Instance, names: Callable[[str], bool] = bool) -> dict[str, Any]:
    """What costs more for MANY than for FEW, by document and statement. None of them reads more keys of a kind than a
    statement takes. On a busy machine a read may come a moment too late for the statement of the others: then the document is
    asked again."""
    more = {}
    for (name, few), (_, many) in zip(documents(FEW), documents(MANY), strict=True):
        if not names(name):
            continue
        user = "u0" if name.startswith(("own", "collections")) else "mo"
        small = await cost_of(instance, user, few)
        assert sum(small.values()) > 0, name
        asks_twice = (
            "activities" in name.partition(":")[2] or name.endswith("by name") or name == "own groups"
        )
        later = PAGES_LATER if asks_twice else 0
        for _ in range(TRIES):
            large = await cost_of(instance, user, many)
            what = {
                what: (small[what], count) for what, count in large.items() if count > small[what] + later
            }
            if not what:
                break
        else:
            more[name] = what
    return more


async def test_what_a_list_reads_costs_for_many_members_what_it_costs_for_2(embedded: Instance) -> None:
    """Whether the workers have seen what the learners did, or the rows have to be looked at. Quickly, half of the documents are
    asked before and the others after, and so all of them once."""
    await school(embedded)
    names = [name for name, _ in documents(FEW)]
    before, after = (names, names) if is_thorough() else (names[::2], names[1::2])
    assert await compared(embedded, before.__contains__) == {}
    await embedded.drain()
    await aggregate(embedded.shared)
    assert await compared(embedded, after.__contains__) == {}


@pytest.mark.stack
async def test_on_cassandra_as_well(tmp_path: Path) -> None:
    """The documents that cost most when each member's reads were statements of their own."""
    names = {
        "members: enrolments",
        "members: enrolment",
        "members: views",
        "members: view",
        "members: groups",
        "members: summary",
        "members: scores of enrolments",
        "members: assessments",
        "members: attempts",
        "members in activities: enrolments",
        "aliases: learner's profile",
        "aliases: enrolment node",
        "collections: progress in nodes",
        "own enrolments",
        "own enrolments in detail",
        "members: where to go on",
    }
    async with instance_of(real_urls(), tmp_path) as instance:
        await school(instance)
        await instance.drain()
        assert await compared(instance, names.__contains__) == {}
