"""Publishing: a reader sees one version or the next, and learners keep what they had."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from ingest.publishing.direct import publish_collection
from loaders.aggregates import aggregates_by_key
from loaders.enrolments import enrolments_by_key
from loaders.library import Library
from loaders.session import Shared
from loaders.trees import LIVE
from rules.contents import ContentKind
from rules.errors import Conflict, Forbidden, InvalidInput, NotFound
from rules.identifiers import ProgressKey
from rules.progress import Status
from rules.viewers import Role
from rules.views import ViewChange
from stores.meter import Meter
from stores.rows import Applied, Condition, Rows
from stores.tables import CONTENTS, HIERARCHIES, NODE_ROOTS, RELATIONS
from tests.aggregates import figures_key
from tests.conftest import COURSE, LEAF, NOW, Instance

Json = dict[str, Any]

GROWN: Json = {**COURSE, "name": "Grown"}
GROWN["children"] = [
    *COURSE["children"],
    {"identifier": "unit-3", "name": "Unit 3", "children": [{"identifier": "e", "name": "E"}]},
]
"""One more required leaf: a, b, c, e."""


class Failing:
    """Rows whose conditional writes fail: the process died before the pointer flipped."""

    meter: Meter

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    async def update_if(self, *_: Any) -> Applied:
        raise asyncio.CancelledError


async def publish_and_die(cohort: Instance, document: Json) -> None:
    stores = cohort.stores
    dying = Shared.of(replace(stores, rows=Failing(stores.rows)), lambda: NOW)
    session = replace(cohort.session(), shared=dying)
    with pytest.raises(asyncio.CancelledError):
        await publish_collection(session, document)


def reader(cohort: Instance) -> Library:
    """Of another process, that has nothing in memory."""
    return Library(cohort.stores.rows, cohort.stores.cache)


async def seen(cohort: Instance) -> tuple[str, int, frozenset[str], tuple[str, ...], list[str]]:
    """Name, version, leaves, collections, and the units of the tree, as a reader sees them now."""
    library = reader(cohort)
    content = await library.collection("course")
    tree, hierarchy = await library.relation_tree(content), await library.hierarchy(content)
    units = [child["identifier"] for child in hierarchy.root["children"]]
    return content.name, content.live_version, tree.leaf_nodes, tree.collections, units


OLD = ("Course", 1, frozenset("abcd"), ("course", "unit-1", "unit-2"), ["unit-1", "unit-2"])
NEW = (
    "Grown",
    3,
    frozenset("abcde"),
    ("course", "unit-1", "unit-2", "unit-3"),
    ["unit-1", "unit-2", "unit-3"],
)


async def test_republishing_from_first_to_last(course: Instance) -> None:
    """Completed with a, b, c; then e is asked for too: 3 of 4 are floor(75) %, and the completion date stays."""
    service, day = course.session(), NOW - timedelta(days=3)
    again = await publish_collection(service, COURSE)
    assert (again.changed, again.version, again.leaf_nodes_count) == (False, 1, 4)
    await enrol(service, EnrolmentCall("course", "batch", "ada", day))
    for leaf in "abc":
        call = ViewCall(leaf, "course", "batch", "ada", day)
        await start_view(service, call)
        await end_view(service, call, ViewChange(NOW))
    await course.drain()

    await publish_and_die(course, GROWN)
    assert await seen(course) == OLD
    grown = await publish_collection(service, GROWN)
    assert (grown.changed, grown.version, grown.leaf_nodes_count) == (True, 3, 5)
    assert await seen(course) == NEW

    found = await reconcile(course.shared, collection_id="course", rate=10_000)
    assert (found.checked, found.drifted, found.failed) == (1, 1, 0)
    await course.drain()
    (root,) = await aggregates_by_key(course.stores.rows, [figures_key("course", "ada")])
    (enrolment,) = await enrolments_by_key(course.stores.rows, [ProgressKey("ada", "course", "batch")])
    assert root is not None
    assert enrolment is not None
    assert (root.completed_count, root.required_count, root.status) == (3, 4, Status.IN_PROGRESS)
    assert (root.completed_on, enrolment.completed_on, enrolment.status) == (day, day, Status.IN_PROGRESS)
    assert (await reconcile(course.shared, rate=10_000)).drifted == 0


async def test_a_unit_is_read_in_the_version_that_is_live(embedded: Instance) -> None:
    """The pointer of the collection flips last; a unit must not run ahead of it."""
    await embedded.publish()
    unit = {"identifier": "unit-1", "name": "Renamed", "children": [{"identifier": "e", "name": "E"}]}
    await publish_and_die(embedded, {**COURSE, "children": [unit]})
    library = reader(embedded)
    content = await library.content("unit-1", "identifier")
    hierarchy = await library.hierarchy(content)
    assert [child["identifier"] for child in hierarchy.root["children"]] == ["a", "b"]


async def test_what_a_dead_publish_left_does_no_harm_to_the_next(embedded: Instance) -> None:
    """It took a version for itself, so that nothing of it is ever read: version 3 is the next."""
    await embedded.publish()
    noise = random.Random(7).randbytes(400_000).hex()
    await publish_and_die(embedded, {**GROWN, "description": noise})
    await embedded.publish(GROWN)
    assert await seen(embedded) == NEW


async def test_old_versions_are_dropped(embedded: Instance) -> None:
    for number in range(5):
        await embedded.publish({**COURSE, "name": f"Version {number + 1}"})
    without = {**COURSE, "name": "Without", "children": COURSE["children"][:1]}
    for name in ("Without 1", "Without 2"):
        await embedded.publish({**without, "name": name})
    rows = embedded.stores.rows
    for node in ("course", "unit-1"):
        versions = {row["version"] for row in await rows.partition(HIERARCHIES, (node, LIVE))}
        assert versions == {6, 7}
    for version in range(1, 8):
        relations = await rows.partition(RELATIONS, ("course", version))
        assert bool(relations) == (version >= 6)
    assert await rows.partition(NODE_ROOTS, ("c",)) == []
    assert [row["root"] for row in await rows.partition(NODE_ROOTS, ("a",))] == ["course"]


async def test_a_course_in_a_program_stays_a_course_of_its_own(embedded: Instance) -> None:
    """However often the program is published, and with whatever it has of the course."""
    await embedded.publish()
    await embedded.publish({"identifier": "alone", "name": "Alone", "mimeType": LEAF})
    outdated = {**COURSE, "name": "Outdated", "children": [{"identifier": "old", "name": "Old"}]}
    for number in range(4):
        alone = {"identifier": "alone", "name": "Alone", "mimeType": LEAF}
        program = {"identifier": "program", "name": f"Program {number}", "children": [outdated, alone]}
        await embedded.publish(program)
        assert await seen(embedded) == OLD
    library = reader(embedded)
    program_content = await library.collection("program")
    assert (await library.relation_tree(program_content)).leaf_nodes == {"old", "alone"}
    assert (await library.content("alone", "contentId")).root == "alone"
    assert (await library.content("old", "contentId")).root == "program"
    roots = await embedded.stores.rows.partition(NODE_ROOTS, ("course",))
    assert [row["root"] for row in roots] == ["course", "program"]


async def test_a_unit_that_becomes_a_course_of_its_own_outlives_its_old_collection(
    embedded: Instance,
) -> None:
    for number in range(2):
        await embedded.publish({"identifier": "program", "name": f"Program {number}", "children": [COURSE]})
    assert (await reader(embedded).content("course", "identifier")).kind is ContentKind.UNIT
    await embedded.publish()
    for number in range(2, 6):
        await embedded.publish({"identifier": "program", "name": f"Program {number}", "children": [COURSE]})
    assert await seen(embedded) == OLD


async def test_a_leaf_is_a_content_in_no_collection(embedded: Instance) -> None:
    publication = await publish_collection(embedded.session(), {"identifier": "alone", "name": "Alone"})
    assert (publication.version, publication.leaf_nodes_count) == (1, 0)
    library = reader(embedded)
    assert (await library.content("alone", "contentId")).kind is ContentKind.CONTENT
    with pytest.raises(NotFound, match="alone is a content, not a collection of its own"):
        await library.collection("alone")


async def test_of_two_publishers_at_once_one_is_told(embedded: Instance) -> None:
    """The one that came second at the pointer; the same document sent again then settles it."""
    await embedded.publish()

    class Slow(Failing):
        async def update_if(
            self, table: Any, key: Any, values: Any, conditions: Sequence[Condition]
        ) -> Applied:
            await embedded.publish(GROWN)
            return await self._rows.update_if(table, key, values, conditions)

    stores = embedded.stores
    session = replace(
        embedded.session(), shared=Shared.of(replace(stores, rows=Slow(stores.rows)), lambda: NOW)
    )
    other = {**COURSE, "name": "Other"}
    with pytest.raises(Conflict):
        await publish_collection(session, other)
    assert (await reader(embedded).collection("course")).name == "Grown"
    assert (await publish_collection(embedded.session(), other)).version == 4


async def test_what_the_loser_of_two_wrote_is_never_read(embedded: Instance) -> None:
    """It writes its data after the winner has written its own, and before the winner flips the pointer."""
    await embedded.publish()

    class Slow(Failing):
        async def update_if(self, *arguments: Any) -> Applied:
            await publish_and_die(embedded, {**COURSE, "name": "Loser", "children": COURSE["children"][:1]})
            return await self._rows.update_if(*arguments)

    stores = embedded.stores
    session = replace(
        embedded.session(), shared=Shared.of(replace(stores, rows=Slow(stores.rows)), lambda: NOW)
    )
    assert (await publish_collection(session, GROWN)).version == 2
    name, version, *rest = await seen(embedded)
    assert (name, version) == ("Grown", 2)
    assert rest == list(NEW[2:])
    for number in range(2):
        await embedded.publish({**COURSE, "name": f"Later {number}"})
    assert {row["version"] for row in await stores.rows.partition(HIERARCHIES, ("course", LIVE))} == {4, 5}


@pytest.mark.parametrize("role", [Role.LEARNER, Role.MENTOR, Role.REPORTER])
async def test_only_those_who_create_may_publish(embedded: Instance, role: Role) -> None:
    with pytest.raises(Forbidden):
        await publish_collection(embedded.session("ada", role), COURSE)


async def test_a_malformed_document_leaves_nothing(embedded: Instance) -> None:
    with pytest.raises(InvalidInput) as refused:
        await embedded.publish({**COURSE, "children": [{"identifier": "a"}]})
    assert refused.value.field == "collection.children[0].name"
    rows = embedded.stores.rows
    for table in (CONTENTS, HIERARCHIES, RELATIONS):
        async for page in rows.walk(table, rows.ranges(1)[0]):
            assert page.rows == []
