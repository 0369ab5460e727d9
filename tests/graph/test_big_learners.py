"""Somebody who learns for years: lists and reads cost what a page costs, however much there is.

Two learners: one with 2,000 enrolments, one with 50,000 views (quickly, 20,000). Their rows are written as commands and
workers would have left them.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.workers.worker import Worker
from loaders.session import Session, Shared
from loaders.views import row_key, view_values
from resolvers.opaque_texts import encode
from resolvers.views import views_everywhere
from rules.identifiers import ContextType, ViewKey
from rules.moments import milliseconds
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.viewers import Role, Viewer
from rules.views import View, ViewChange
from stores.keys import MOST_KEYS
from stores.rows import Rows, Write
from stores.tables import AGGREGATES, CONTENTS, ENROLMENTS, LEARNER_SCOPES, RELATIONS, VIEWS
from tests.conftest import LEAF, NOW, Instance, embedded_urls, instance_of, is_thorough, real_urls
from tests.gateway.rest_calls import RestCalls
from tests.graph.conftest import data, document
from tests.graph.documents.test_costs import course_of

pytestmark = pytest.mark.long

MANY, LONG = "many", "long"
"""The learners: of many enrolments, and of a long history."""
PAGE = 100
CHANGED_AT = 1_764_000_000_000_000
SEEN, UNSEEN = 1, 2
"""Programs under which the workers have seen what the long learner did in the large collection, and have not."""


@dataclass(frozen=True)
class Size:
    """``collections`` times ``contexts`` enrolments; views under ``contexts_of_large`` contexts of a collection of
    20 × ``leaves_of_unit`` leaves and in it by itself, and of so many contents ``alone``."""

    collections: int
    contexts: int
    leaves_of_unit: int
    contexts_of_large: int
    alone: int

    @property
    def enrolments(self) -> int:
        return self.collections * self.contexts

    @property
    def leaves(self) -> int:
        return 20 * self.leaves_of_unit

    @property
    def views(self) -> int:
        """The leaves of the large collection were viewed alone as well, beside ``alone`` others."""
        return self.leaves * (self.contexts_of_large + 2) + self.alone


ALONE = 40_000 if is_thorough() else 10_000
BIG = Size(collections=500, contexts=4, leaves_of_unit=50, contexts_of_large=8, alone=ALONE)
SMALL = Size(collections=60, contexts=4, leaves_of_unit=6, contexts_of_large=3, alone=400)


def course_id(number: int) -> str:
    return f"list-{number:03d}"


def program_id(number: int) -> str:
    return f"program-{number}"


def leaf_of_large(number: int, size: Size) -> str:
    return f"large-{number // size.leaves_of_unit}-{number % size.leaves_of_unit}"


def completed(user: str, collection: str, context: str, content: str) -> Write:
    key = ViewKey(user, collection, context, content)
    view = View(key, Status.COMPLETED, 100, started_on=NOW, last_accessed_on=NOW, completed_on=NOW)
    return Write(VIEWS, row_key(key), {**view_values(view), "changed_at": CHANGED_AT})


async def fill(instance: Instance, size: Size) -> None:
    await _publish(instance, size)
    writes = [*_of_many(size), *_of_long(size)]
    assert sum(write.table is ENROLMENTS for write in writes) == size.enrolments
    assert sum(write.table is VIEWS and write.key[0] == LONG for write in writes) == size.views
    for start in range(0, len(writes), 5_000):
        await instance.stores.rows.write(*writes[start : start + 5_000])


async def _publish(instance: Instance, size: Size) -> None:
    """The large collection, and many small ones that are copied from the first of them."""
    rows = instance.stores.rows
    await instance.publish(course_of(20, size.leaves_of_unit, "large"))
    leaves = [{"identifier": f"{course_id(0)}-{n}", "name": "L", "mimeType": LEAF} for n in range(3)]
    await instance.publish({"identifier": course_id(0), "name": "Small", "children": leaves})
    content = await rows.get(CONTENTS, (course_id(0),))
    assert content is not None
    relations = await rows.partition(RELATIONS, (course_id(0), content["live_version"]))
    writes = []
    for number in range(1, size.collections):
        named = _renamed(content, course_id(number))
        writes.append(Write(CONTENTS, (named.pop("identifier"),), named))
        for relation in relations:
            row = _renamed(relation, course_id(number))
            writes.append(Write(RELATIONS, tuple(row.pop(name) for name in RELATIONS.key), row))
    await rows.write(*writes)
    for number in range(max(size.contexts, size.contexts_of_large)):
        collections = ("large", *map(course_id, range(size.collections)))
        program = NewContext(ContextType.PROGRAM, f"Program {number}", collections, program_id(number))
        await create_context(instance.session(), program)


def _renamed(row: dict[str, Any], identifier: str) -> dict[str, Any]:
    def named(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(course_id(0), identifier)
        return {named(each) for each in value} if isinstance(value, set | frozenset) else value

    return {column: named(value) for column, value in row.items()}


def last_access(collection: int, context: int) -> int:
    """Minutes before now: neighbours in this order are in different collections."""
    return context * 1_000 + collection


def _of_many(size: Size) -> Iterator[Write]:
    """Enrolled everywhere, one of three leaves completed in each; seen by the workers but under one context each."""
    for number in range(size.collections):
        collection, leaf = course_id(number), f"{course_id(number)}-0"
        yield completed(MANY, collection, collection, leaf)
        yield completed(MANY, leaf, leaf, leaf)
        for context in range(size.contexts):
            at = NOW - timedelta(minutes=last_access(number, context))
            yield completed(MANY, collection, program_id(context), leaf)
            yield Write(LEARNER_SCOPES, (MANY, collection, program_id(context)), {"scope": collection})
            yield Write(
                ENROLMENTS,
                (MANY, collection, program_id(context)),
                {
                    "active": True,
                    "enrolled_on": NOW,
                    "changed_at": CHANGED_AT,
                    "seen_changed_at": CHANGED_AT,
                    "status": 1,
                    "progress": 1,
                    "lastcontentaccesstime": at,
                },
            )
            seen = (number + context) % size.contexts
            yield aggregate_of(
                *(MANY, collection, program_id(context), {leaf: 2}, 3),
                seen_changed_at=CHANGED_AT if seen else 1,
                at=at,
            )


def _of_long(size: Size) -> Iterator[Write]:
    contexts = [*map(program_id, range(size.contexts_of_large)), "large"]
    for context in contexts:
        yield Write(LEARNER_SCOPES, (LONG, "large", context), {"scope": "large"})
        for number in range(size.leaves):
            yield completed(LONG, "large", context, leaf_of_large(number, size))
    alone = [*map(content_id, range(size.alone)), *(leaf_of_large(n, size) for n in range(size.leaves))]
    for content in alone:
        write = completed(LONG, content, content, content)
        yield write
        yield Write(LEARNER_SCOPES, (LONG, content, content), {"scope": write.key[1]})

    # Under one context the workers have seen everything.
    statuses = {leaf_of_large(number, size): 2 for number in range(size.leaves)}
    yield aggregate_of(LONG, "large", program_id(SEEN), statuses, size.leaves)


def aggregate_of(
    user: str,
    collection: str,
    context: str,
    statuses: dict[str, int],
    required: int,
    *,
    seen_changed_at: int = CHANGED_AT,
    at: datetime = NOW,
) -> Write:
    return Write(
        AGGREGATES,
        ("Course", collection, user, f"pr:{context}", collection),
        {
            "active": True,
            "enrolled_on": NOW,
            "status": 2 if len(statuses) == required else 1,
            "aggregates": {"completedCount": float(len(statuses)), "requiredCount": float(required)},
            "content_status": statuses,
            "last_access_time": at,
            "version": CHANGED_AT,
            "seen_changed_at": seen_changed_at,
            "seen_enrolment": CHANGED_AT,
            "seen_version": 1,
        },
    )


def content_id(number: int) -> str:
    return f"content-{number:05d}"


# --- measuring


@dataclass
class Cost:
    """Of one request: statements, rows given by them by table, and the most that came of one partition."""

    statements: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    largest: Counter[str] = field(default_factory=Counter)

    def count(self, table: str, *partitions: int) -> None:
        self.rows[table] += sum(partitions)
        self.largest[table] = max(self.largest[table], *partitions, 0)


@contextmanager
def measured(rows: Rows) -> Iterator[Cost]:
    """Every read of rows while it lasts."""
    cost = Cost()
    get, get_many, partition = rows.get, rows.get_many, rows.partition

    async def counting_get(table: Any, *args: Any, **named: Any) -> Any:
        found = await get(table, *args, **named)
        cost.count(table.name, found is not None)
        return found

    async def counting_get_many(table: Any, *args: Any, **named: Any) -> Any:
        found = await get_many(table, *args, **named)
        cost.count(table.name, *(1 for _ in found))
        return found

    async def counting_partition(table: Any, *args: Any, **named: Any) -> Any:
        found = await partition(table, *args, **named)
        cost.count(table.name, len(found))
        return found

    def counting_partitions(read: Any) -> Any:
        async def counting(table: Any, *args: Any, **named: Any) -> Any:
            found = await read(table, *args, **named)
            cost.count(table.name, *map(len, found.values()))
            return found

        return counting

    with pytest.MonkeyPatch.context() as patched, rows.meter.measure() as statements:
        patched.setattr(rows, "get", counting_get)
        patched.setattr(rows, "get_many", counting_get_many)
        patched.setattr(rows, "partition", counting_partition)
        patched.setattr(rows, "partitions", counting_partitions(rows.partitions))
        patched.setattr(rows, "tuples", counting_partitions(rows.tuples))
        yield cost
    cost.statements = statements


@dataclass
class Reader:
    """Asks as a learner whose caches are cold; each answer with what it cost."""

    instance: Instance

    def _shared(self) -> Shared:
        shared = self.instance.shared
        return Shared.of(self.instance.stores, shared.now, tracking=shared.tracking)

    async def graphql(self, user: str, query: str, **variables: Any) -> tuple[Any, Cost]:
        shared = self._shared()
        with measured(self.instance.stores.rows) as cost:
            me = (await data(Session(Viewer(user, frozenset({Role.LEARNER})), shared), query, **variables))[
                "me"
            ]
        await shared.background.settled()
        return me, cost

    async def rest(self, user: str, method: str, path: str, **named: Any) -> tuple[dict[str, Any], Cost]:
        shared = self._shared()
        with measured(self.instance.stores.rows) as cost:
            result = await RestCalls(self.instance).result(method, path, user=user, shared=shared, **named)
        await shared.background.settled()
        return result, cost


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded engines' files with both learners in them."""
    folder = tmp_path_factory.mktemp("big-learners")

    async def write() -> None:
        async with instance_of(embedded_urls(), folder) as instance:
            await fill(instance, BIG)

    asyncio.run(write())
    assert not [*folder.glob("rows.db-wal")], "all of it is in the one file once it is closed"
    return folder


@pytest.fixture
async def big(written: Path, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance of this test's own, on a copy of them."""
    shutil.copy(written / "rows.db", tmp_path)
    async with instance_of(embedded_urls(), tmp_path) as instance:
        yield instance


# --- enrolments

MODES = pytest.mark.parametrize("mode", TrackingMode)
PLACES = (0, 9, 18)
"""Pages that are asked for: the first, one in the middle, the one before the last."""


def in_order(size: Size = BIG) -> list[tuple[str, str]]:
    return [
        (course_id(number), program_id(context))
        for number in range(size.collections)
        for context in range(size.contexts)
    ]


def by_last_access(size: Size = BIG) -> list[tuple[int, str, str]]:
    """As the platform sorts them: with the cursor of each."""
    return sorted(
        (
            -milliseconds(NOW - timedelta(minutes=last_access(number, context))),
            course_id(number),
            program_id(context),
        )
        for number in range(size.collections)
        for context in range(size.contexts)
    )


def check_page_of_enrolments(cost: Cost, size: Size = BIG, *, described: bool = False) -> None:
    """Of no collection that is not on the page; of those that are, what the learner did in them under other contexts is
    in the same partition. ``described``: beside the pointers of the collections, what was published of them is read."""
    collections = cost.rows[CONTENTS.name] // (2 if described else 1)
    assert collections <= PAGE
    assert cost.rows[AGGREGATES.name] <= collections * size.contexts
    assert cost.rows[VIEWS.name] <= collections * (size.contexts + 1)
    assert cost.rows[LEARNER_SCOPES.name] == 0


def cursor(place: tuple[str, str]) -> str:
    """What the list of enrolments gives out behind this collection and context, in the order of the store."""
    return encode("COLLECTION ASC", "1", f"{10**17:020d}", "\t".join(place))


@MODES
async def test_a_page_of_2000_enrolments_costs_the_same_wherever_it_stands(
    big: Instance, mode: TrackingMode
) -> None:
    big.track(mode)
    reader, places = Reader(big), in_order()
    statements = []
    for page in PLACES:
        after = cursor(places[page * PAGE - 1]) if page else None
        me, cost = await reader.graphql(MANY, document("my_courses"), first=PAGE, after=after)
        edges = me["enrolments"]["edges"]
        assert me["enrolments"]["pageInfo"]["hasNextPage"]
        assert [
            (edge["node"]["collection"]["identifier"], edge["node"]["context"]["contextId"]) for edge in edges
        ] == places[page * PAGE : (page + 1) * PAGE]
        # One of three, from the aggregate or from the rows.
        assert {(edge["node"]["completedCount"], edge["node"]["completionPercentage"]) for edge in edges} == {
            (1, 33)
        }
        check_page_of_enrolments(cost)
        assert cost.rows[ENROLMENTS.name] == PAGE + 1
        statements.append(cost.statements)
    assert statements[0] == statements[1] == statements[2]


@MODES
async def test_the_platforms_list_reads_keys_of_all_and_rows_of_a_page(
    big: Instance, mode: TrackingMode
) -> None:
    """To sort by last access all keys are read, a thousand a statement; what a page shows is read of the page alone."""
    big.track(mode)
    reader, places = Reader(big), by_last_access()
    statements = []
    for page in PLACES:
        query = {"limit": str(PAGE)}
        if page:
            at, *place = places[page * PAGE - 1]
            query["after"] = encode(str(at), *place)
        path = f"/course/v1/user/enrollment/list/{MANY}"
        result, cost = await reader.rest(MANY, "GET", path, query=query)
        assert [(course["courseId"], course["batchId"]) for course in result["courses"]] == [
            (collection, context) for _, collection, context in places[page * PAGE : (page + 1) * PAGE]
        ]
        check_page_of_enrolments(cost, described=True)
        assert cost.rows[ENROLMENTS.name] == BIG.enrolments + PAGE
        assert cost.statements[f"select {ENROLMENTS.name}"] == 3 + PAGE // MOST_KEYS
        statements.append(cost.statements)
    assert statements[0] == statements[1] == statements[2]


async def test_a_walk_through_all_pages_meets_every_enrolment_once(big: Instance) -> None:
    for path, name in (
        (f"/course/v1/user/enrollment/list/{MANY}", "courses"),
        (f"/v1/summary/list/{MANY}", "summary"),
    ):
        met, pages, query = Counter[tuple[str, str]](), 0, {"limit": "200"}
        while True:
            result = await RestCalls(big).result("GET", path, user=MANY, query=query)
            met.update((one["collectionId"], one["contextId"]) for one in result[name])
            pages += 1
            if result["next"] is None:
                break
            query["after"] = result["next"]
        assert met == Counter(in_order())
        assert pages == 10


@MODES
async def test_a_page_of_summaries_costs_the_same_wherever_it_stands(
    big: Instance, mode: TrackingMode
) -> None:
    big.track(mode)
    reader, places = Reader(big), in_order()
    statements = []
    for page in PLACES:
        query = {"limit": str(PAGE)} | ({"after": encode(*places[page * PAGE - 1])} if page else {})
        result, cost = await reader.rest(MANY, "GET", f"/v1/summary/list/{MANY}", query=query)
        assert [(one["collectionId"], one["contextId"]) for one in result["summary"]] == places[
            page * PAGE : (page + 1) * PAGE
        ]
        check_page_of_enrolments(cost)
        assert cost.rows[ENROLMENTS.name] == PAGE + 1
        statements.append(cost.statements)
    assert statements[0] == statements[1] == statements[2]


# --- views

VIEWS_PAGE = """
query Listed($context: String, $after: String) { me {
  views(collectionId: "large", contextId: $context, first: 100, after: $after) {
    pageInfo { hasNextPage endCursor } edges { node { contentId status } }
  }
} }
"""


def alike(statements: Sequence[Counter[str]]) -> bool:
    return all(one == statements[0] for one in statements)


@MODES
async def test_a_page_of_views_costs_the_same_wherever_it_stands(big: Instance, mode: TrackingMode) -> None:
    big.track(mode)
    reader = Reader(big)
    leaves = sorted(leaf_of_large(number, BIG) for number in range(BIG.leaves))
    statements = []
    for page in (0, 4, 8):
        after = encode(leaves[page * PAGE - 1]) if page else None
        me, cost = await reader.graphql(LONG, VIEWS_PAGE, context=program_id(SEEN), after=after)
        found = [edge["node"]["contentId"] for edge in me["views"]["edges"]]
        assert found == leaves[page * PAGE : (page + 1) * PAGE]
        assert cost.rows[VIEWS.name] == PAGE + 1
        assert cost.rows[LEARNER_SCOPES.name] == 0
        statements.append(cost.statements)
    assert alike(statements), statements


async def test_a_page_of_few_views_in_a_large_collection_costs_no_more(big: Instance) -> None:
    """Where views are kept by content: of a learner who has begun nothing of it."""
    big.track(TrackingMode.CARRY_FORWARD_FULL)
    me, cost = await Reader(big).graphql("newcomer", VIEWS_PAGE, context=program_id(SEEN))
    assert me["views"]["edges"] == []
    assert cost.rows[VIEWS.name] == 0
    assert cost.statements[f"select {VIEWS.name}"] <= 1, cost.statements


STATE_READ = "/course/v1/content/state/read"


@MODES
async def test_states_of_named_contents_cost_what_is_named(big: Instance, mode: TrackingMode) -> None:
    big.track(mode)
    statements = []
    for start in (0, 500):
        named = [leaf_of_large(number, BIG) for number in range(start, start + 20)]
        result, cost = await Reader(big).rest(
            LONG, "POST", STATE_READ, courseId="large", batchId=program_id(UNSEEN), contentIds=named
        )
        assert [one["contentId"] for one in result["contentList"]] == sorted(named)
        assert cost.rows[VIEWS.name] == 20
        statements.append(sum(cost.statements.values()))
    # Contents that are kept by themselves are in up to 16 partitions.
    assert max(statements) <= (30 if mode is TrackingMode.CARRY_FORWARD_FULL else 10), statements


async def test_states_of_a_whole_collection_cost_its_leaves_under_that_context(big: Instance) -> None:
    """The platform's call has no pages: as many rows as there are leaves, whatever else the learner has done. Where no
    worker has seen the last change, what was done under the collection's other contexts is passed over as well."""
    under_all = BIG.leaves * (BIG.contexts_of_large + 1)
    for context, most in ((SEEN, BIG.leaves), (UNSEEN, under_all + BIG.leaves)):
        result, cost = await Reader(big).rest(
            LONG, "POST", STATE_READ, courseId="large", batchId=program_id(context)
        )
        assert len(result["contentList"]) == BIG.leaves
        assert cost.rows[VIEWS.name] == most


EVERYWHERE = "/v1/view/read"


@MODES
async def test_a_page_of_all_views_costs_the_same_wherever_it_stands(
    big: Instance, mode: TrackingMode
) -> None:
    """As they are kept: contents by themselves, then the large collection under each context."""
    big.track(mode)
    for places in (
        # The next page is of contents by themselves,
        [(content_id(number),) * 3 for number in (0, ALONE // 2, ALONE - 1_000)],
        # of one context of the large collection.
        [("large", program_id(2), leaf) for leaf in sorted(leaf_of_large(n, BIG) for n in (0, 5, 300))],
    ):
        statements = []
        for place in places:
            result, cost = await Reader(big).rest(
                LONG, "POST", EVERYWHERE, context="all", limit=PAGE, after=encode(*place)
            )
            assert len(result["contents"]) == PAGE
            told = [(one["collectionId"], one["contextId"], one["contentId"]) for one in result["contents"]]
            assert told == sorted(told)
            assert told[0] > place
            assert result["next"] is not None
            assert cost.rows[VIEWS.name] <= 2 * PAGE + 2
            assert cost.rows[LEARNER_SCOPES.name] <= 2 * PAGE + 2
            statements.append(cost.statements)
        assert alike(statements), statements


async def test_a_page_of_all_views_in_as_many_places_costs_a_statement_each(big: Instance) -> None:
    for after in (None, encode(*in_order()[999], f"{in_order()[999][0]}-0")):
        request = {} if after is None else {"after": after}
        result, cost = await Reader(big).rest(MANY, "POST", EVERYWHERE, context="all", limit=PAGE, **request)
        assert len({(one["collectionId"], one["contextId"]) for one in result["contents"]}) == PAGE
        assert sum(cost.statements.values()) <= PAGE + 4
        assert cost.rows[VIEWS.name] == PAGE + 1
        assert cost.rows[LEARNER_SCOPES.name] <= PAGE + 2


async def test_a_walk_through_all_views_of_a_collection_meets_each_once(big: Instance) -> None:
    met, request = Counter[tuple[str, str]](), dict[str, Any]()
    while True:
        result = await RestCalls(big).result(
            "POST", EVERYWHERE, user=LONG, context="all", courseId="large", **request
        )
        met.update((one["contextId"], one["contentId"]) for one in result["contents"])
        if result["next"] is None:
            break
        request["after"] = result["next"]
    contexts = [*map(program_id, range(BIG.contexts_of_large)), "large"]
    assert met == Counter((context, leaf_of_large(n, BIG)) for context in contexts for n in range(BIG.leaves))


async def test_a_page_of_all_views_reads_16_places_at_a_time(
    big: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun with one, so that a place that fills the page is the only one that is read."""
    at_once, most = 0, 0
    partition = big.stores.rows.partition

    async def watched(table: Any, *args: Any, **named: Any) -> Any:
        nonlocal at_once, most
        at_once += table is VIEWS
        most = max(most, at_once)
        try:
            return await partition(table, *args, **named)
        finally:
            at_once -= table is VIEWS

    monkeypatch.setattr(big.stores.rows, "partition", watched)
    reader = Reader(big)
    await reader.rest(MANY, "POST", EVERYWHERE, context="all", limit=PAGE)
    assert most == 16
    most = 0
    last = max(leaf_of_large(number, BIG) for number in range(BIG.leaves))
    result, cost = await reader.rest(
        LONG, "POST", EVERYWHERE, context="all", limit=PAGE, after=encode("large", program_id(0), last)
    )
    assert {one["contextId"] for one in result["contents"]} == {program_id(1)}
    assert most == 1
    assert cost.rows[VIEWS.name] <= 2 * PAGE + 2


@pytest.mark.parametrize("size", [1, 3, 17, 200])
async def test_a_walk_through_places_of_any_size_meets_each_view_once(embedded: Instance, size: int) -> None:
    """40 places with none, one, two or seven views, and contents by themselves among them."""
    places = [
        *(
            (f"course-{n:02}", f"batch-{n % 3}", [f"leaf-{m}" for m in range((1, 0, 2, 7)[n % 4])])
            for n in range(40)
        ),
        *((content := f"course-{n:02}-alone", content, [content]) for n in range(0, 40, 5)),
    ]
    expected = sorted((place, context, leaf) for place, context, leaves in places for leaf in leaves)
    for place, context, leaves in places:
        scope = ViewKey("ada", place, context, leaves[0]).scope if leaves else place
        await embedded.stores.rows.write(
            Write(LEARNER_SCOPES, ("ada", place, context), {"scope": scope}),
            *(completed("ada", place, context, leaf) for leaf in leaves),
        )
    met: list[tuple[str, str, str]] = []
    more = True
    while more:
        after = met[-1] if met else None
        page = await views_everywhere(embedded.session("ada"), "ada", first=size, after=after)
        found = [(v.key.collection_id, v.key.context_id, v.key.content_id) for v in page.members]
        assert found == expected[len(met) : len(met) + size]
        met, more = met + found, page.has_more
    assert met == expected


# --- copies

COPYING = '{"rules": [{"type": "always"}]}'


async def enrolling(instance: Instance, user: str, collection: str, context: str) -> list[Cost]:
    """Of the call, and of the workers after it, that find nothing in memory."""
    shared = instance.shared
    cold = Shared.of(instance.stores, shared.now, tracking=shared.tracking)
    viewer = Viewer(user, frozenset({Role.LEARNER}))
    with measured(instance.stores.rows) as call:
        await enrol(Session(viewer, cold), EnrolmentCall(collection, context))
    cold = Shared.of(instance.stores, shared.now, tracking=shared.tracking)
    with measured(instance.stores.rows) as work:
        await instance.drain(Worker(cold, wait=0.05))
    return [call, work]


async def test_enrolling_costs_what_the_collection_holds_not_what_was_learnt(big: Instance) -> None:
    """Where completions elsewhere are copied: a learner of 41,009 places enrols as a newcomer does."""
    big.track(TrackingMode.COPY, COPYING)
    for long, new in zip(
        await enrolling(big, LONG, course_id(0), program_id(0)),
        await enrolling(big, "newcomer", course_id(0), program_id(0)),
        strict=True,
    ):
        assert long.statements == new.statements
        assert long.rows == new.rows
        assert long.rows[LEARNER_SCOPES.name] == long.rows[VIEWS.name] == 0
    for cost in await enrolling(big, LONG, "large", program_id(UNSEEN)):
        # Each leaf was completed alone as well, and under the collection's other contexts.
        assert cost.rows[LEARNER_SCOPES.name] == BIG.leaves
        assert cost.statements[f"select {LEARNER_SCOPES.name}"] == BIG.leaves / MOST_KEYS
        assert cost.rows[VIEWS.name] <= 2 * BIG.leaves * (BIG.contexts_of_large + 2)


async def test_an_end_costs_the_enrolments_that_hold_the_content_not_all(big: Instance) -> None:
    """Where completions are copied: a learner of 2,000 enrolments completes what one collection holds, and what none
    does."""
    big.track(TrackingMode.COPY, COPYING)
    for content, enrolments in ((f"{course_id(0)}-1", BIG.contexts), (leaf_of_large(0, BIG), 0)):
        call, session = ViewCall(content), big.session(MANY)
        await start_view(session, call)
        await big.drain()
        await end_view(session, call, ViewChange(NOW))
        with measured(big.stores.rows) as cost:
            await big.drain()
        # To find them; and those that were copied into, to write their figures.
        assert cost.rows[ENROLMENTS.name] == 2 * enrolments
        assert cost.rows[LEARNER_SCOPES.name] == 0
        assert cost.rows[VIEWS.name] <= 1 + enrolments * (BIG.contexts + 1)


@pytest.mark.stack
async def test_pages_cost_the_same_on_the_real_servers(tmp_path: Path) -> None:
    """What is counted is what the driver sends. The embedded engines count what it would, with more of everything."""
    async with instance_of(real_urls(), tmp_path) as instance:
        await fill(instance, SMALL)
        reader, places, recent = Reader(instance), in_order(SMALL), by_last_access(SMALL)
        leaves = sorted(leaf_of_large(number, SMALL) for number in range(SMALL.leaves))
        listing = document("my_courses")
        home = f"/course/v1/user/enrollment/list/{MANY}"
        for page, (first, later) in {
            "enrolments": [
                await reader.graphql(MANY, listing, first=20, after=at) for at in (None, cursor(places[99]))
            ],
            "recent": [
                await reader.rest(MANY, "GET", home, query={"limit": "20", "after": encode(str(at), *place)})
                for at, *place in (recent[0], recent[99])
            ],
            "views": [
                await reader.graphql(
                    LONG, VIEWS_PAGE.replace("100", "20"), context=program_id(SEEN), after=at
                )
                for at in (None, encode(leaves[59]))
            ],
            "everywhere": [
                await reader.rest(LONG, "POST", EVERYWHERE, context="all", limit=20, after=encode(*(at,) * 3))
                for at in map(content_id, (0, 300))
            ],
        }.items():
            assert first[1].statements == later[1].statements, page
            assert first[0] != later[0], page
