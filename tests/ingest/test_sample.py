"""The sample for development: what the start page's queries rely on."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.commands.learner_groups import delete_group
from ingest.importers import sample
from ingest.importers.sample import load_sample
from ingest.importers.sample_attempts import PASS_MARK, SAMPLE_ASSESSMENT
from loaders.enrolments import enrolments_page
from loaders.learner_groups import groups_by_id, rosters_by_id
from loaders.learners import learners_by_id
from loaders.session import Shared
from rules.contexts import ContextStatus, check_open
from rules.learner_groups import GroupRole, GroupStatus
from rules.learners import ATTRIBUTES
from rules.progress import Status
from stores.columns import Table
from stores.rows import Write
from stores.tables import (
    ENROLMENTS,
    GROUP_MEMBERS,
    LEARNER_GROUPS,
    LEARNERS,
    SCORES,
    TABLES,
    USER_GROUPS,
    VIEWS,
)
from tests.conftest import NOW, Instance, embedded_urls, instance_of

pytestmark = pytest.mark.long


async def rows_of(shared: Shared, table: Table) -> list[dict[str, Any]]:
    [everything] = shared.stores.rows.ranges(1)
    return [row async for page in shared.stores.rows.walk(table, everything) for row in page.rows]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded engines' files with the sample in them, and what it sent to the workers."""
    folder = tmp_path_factory.mktemp("sample")

    async def write() -> None:
        async with instance_of(embedded_urls(), folder) as instance:
            await load_sample(instance.shared)

    asyncio.run(write())
    return folder


@pytest.fixture
async def loaded(written: Path, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance of this test's own, on a copy of them."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    async with instance_of(embedded_urls(), tmp_path) as instance:
        yield instance


async def test_the_first_learner_has_an_enrolment_in_every_state(loaded: Instance) -> None:
    await loaded.drain()
    enrolments, _ = await enrolments_page(
        loaded.stores.rows, sample.FIRST_LEARNER, after=None, limit=20, active=None
    )
    states = {e.key.collection_id: (e.active, e.status, e.completed_count) for e in enrolments}
    assert states == {
        "sky": (True, Status.IN_PROGRESS, 4),
        "bread": (True, Status.COMPLETED, 5),
        "chance": (True, Status.NOT_STARTED, 0),
        "garden": (False, Status.IN_PROGRESS, 1),
    }
    [ada] = await learners_by_id(loaded.stores.rows, [sample.FIRST_LEARNER])
    assert ada is not None
    assert ada.name == "Ada Okafor"


async def test_sixty_learners_have_every_attribute(loaded: Instance) -> None:
    learners = await rows_of(loaded.shared, LEARNERS)
    assert len(learners) == 60
    assert len({row["name"] for row in learners}) == 60
    assert all(set(row["attributes"]) == set(ATTRIBUTES) for row in learners)


async def test_there_is_progress_in_every_state_with_time_and_details(loaded: Instance) -> None:
    await loaded.drain()
    enrolments = await rows_of(loaded.shared, ENROLMENTS)
    states = Counter((row["active"], row["status"]) for row in enrolments)
    assert {state for state in states if state[0]} == {(True, 0), (True, 1), (True, 2)}
    assert any(not active for active, _ in states)
    assert len({row["contextid"] for row in enrolments}) == 6
    views = await rows_of(loaded.shared, VIEWS)
    assert {row["status"] for row in views} == {1, 2}
    assert all(row["timespent"] > 0 for row in views)
    assert all((row["progressdetails"] is not None) == (row["status"] == 1) for row in views)
    assert all(row["last_access_time"] < NOW for row in views)


async def test_the_tree_has_three_levels_an_optional_leaf_and_one_in_two_units(loaded: Instance) -> None:
    library = loaded.shared.library
    tree = await library.relation_tree(await library.collection(sample.SAMPLE_COLLECTION))
    assert tree.leaf_nodes - tree.required("sky") == {"sky-photos", SAMPLE_ASSESSMENT}
    assert tree.nodes["sky-words"].ancestors == {"sky", "sky-start", "sky-near", "sky-planets"}


async def test_the_ready_queries_name_what_is_there(loaded: Instance) -> None:
    shared = loaded.shared
    views = await rows_of(shared, VIEWS)
    of_ada = {row["contentid"] for row in views if row["userid"] == sample.FIRST_LEARNER}
    assert sample.SAMPLE_CONTENT not in of_ada
    library = shared.library
    assert sample.SAMPLE_CONTENT in (await library.hierarchy(await library.collection("sky"))).nodes
    for context_id in (sample.SAMPLE_CONTEXT, sample.ENROLABLE_CONTEXT):
        check_open(await library.context(context_id), NOW)
    assert (await library.context(sample.ENROLABLE_CONTEXT)).collection_ids == (sample.ENROLABLE_COLLECTION,)


async def test_the_first_course_has_a_batch_of_each_kind(loaded: Instance) -> None:
    contexts = [
        await loaded.shared.library.context(f"{sample.SAMPLE_COLLECTION}-{key}")
        for key in ("ended", "open", "upcoming")
    ]
    assert [context.status_at(NOW) for context in contexts] == [
        ContextStatus.COMPLETED,
        ContextStatus.ONGOING,
        ContextStatus.UPCOMING,
    ]


async def test_the_first_learner_leads_a_group_with_members_in_every_state(loaded: Instance) -> None:
    await loaded.drain()
    [group] = await groups_by_id(loaded.stores.rows, [sample.SAMPLE_GROUP])
    [roster] = await rosters_by_id(loaded.stores.rows, [sample.SAMPLE_GROUP])
    assert group is not None
    assert [activity.id for activity in group.activities] == [sample.SAMPLE_COLLECTION, "sky-near", "bread"]
    admins = [member.user_id for member in roster.active() if member.role is GroupRole.ADMIN]
    assert (admins, len(roster.active())) == ([sample.FIRST_LEARNER], 13)
    assert roster.counted() == roster.active(), "else its admin would see nobody's figures"
    states: dict[str, set[tuple[bool, int]]] = {member.user_id: set() for member in roster.active()}
    for row in await rows_of(loaded.shared, ENROLMENTS):
        if row["collectionid"] == sample.SAMPLE_COLLECTION and row["userid"] in states:
            states[row["userid"]].add((row["active"], row["status"]))
    assert {state for of in states.values() for state in of} == {
        (True, Status.NOT_STARTED),
        (True, Status.IN_PROGRESS),
        (True, Status.COMPLETED),
        (False, Status.IN_PROGRESS),
    }
    assert set() in states.values()
    batches = await loaded.stores.rows.partition(ENROLMENTS, (sample.RETURNING,))
    assert {row["contextid"] for row in batches if row["collectionid"] == sample.SAMPLE_COLLECTION} == {
        "sky-ended",
        "sky-open",
    }


async def test_a_sample_of_before_there_were_groups_gets_its_group(loaded: Instance) -> None:
    rows, members = loaded.stores.rows, [m["userid"] for m in await rows_of(loaded.shared, GROUP_MEMBERS)]
    await rows.write(
        Write(LEARNER_GROUPS, (sample.SAMPLE_GROUP,), {}, delete=True),
        *(Write(GROUP_MEMBERS, (sample.SAMPLE_GROUP, user), {}, delete=True) for user in members),
        *(Write(USER_GROUPS, (user, sample.SAMPLE_GROUP), {}, delete=True) for user in members),
    )
    assert await groups_by_id(rows, [sample.SAMPLE_GROUP]) == [None]
    await load_sample(loaded.shared)
    [roster] = await rosters_by_id(rows, [sample.SAMPLE_GROUP])
    assert [member.user_id for member in roster.active()] == sorted(members)


async def test_a_quiz_was_taken_with_scores_of_every_kind(loaded: Instance) -> None:
    """The first learner had three of five right, then four; some passed, some did not, some never took it."""
    await loaded.drain()
    rows = [row for row in await rows_of(loaded.shared, SCORES) if row["assessment_id"] == SAMPLE_ASSESSMENT]
    assert {row["total_max_score"] for row in rows} == {5}
    (ada,) = [row for row in rows if row["user_id"] == sample.FIRST_LEARNER]
    kept = [ada[name] for name in ("best_score", "lowest_score", "average_score", "attempts_count")]
    assert kept == [4, 3, 3.5, 2]
    shares = {100 * row["best_score"] / row["total_max_score"] >= PASS_MARK for row in rows}
    assert shares == {True, False}
    assert len({row["best_score"] for row in rows}) >= 4
    assert {row["attempts_count"] for row in rows} == {1, 2}
    takers = {(row["user_id"], row["context_id"]) for row in rows}
    enrolled = {
        (row["userid"], row["contextid"])
        for row in await rows_of(loaded.shared, ENROLMENTS)
        if row["collectionid"] == sample.SAMPLE_COLLECTION
    }
    assert takers < enrolled


async def test_a_sample_of_before_there_was_a_quiz_gets_it(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the scores of a new one, and the progress that was there."""
    course = sample.COURSES[0]

    def without(node: dict[str, Any]) -> dict[str, Any]:
        children = [
            without(child) for child in node.get("children", ()) if child["identifier"] != SAMPLE_ASSESSMENT
        ]
        return {**node, "children": children} if "children" in node else node

    with monkeypatch.context() as before:
        before.setattr(sample, "COURSES", (without(course), *sample.COURSES[1:]))
        before.setattr(sample, "submit_attempts", _submits_nothing)
        await load_sample(embedded.shared)
        await embedded.drain()
    assert await rows_of(embedded.shared, SCORES) == []
    enrolments = await rows_of(embedded.shared, ENROLMENTS)
    await load_sample(embedded.shared)
    await embedded.drain()
    assert len(await rows_of(embedded.shared, SCORES)) > 10
    after = await rows_of(embedded.shared, ENROLMENTS)
    figures = ("status", "progress", "completedon")
    assert [[row[name] for name in figures] for row in after] == [
        [row[name] for name in figures] for row in enrolments
    ]


async def _submits_nothing(*_: Any, **__: Any) -> None:
    pass


async def test_a_group_that_was_deleted_stays_so(loaded: Instance) -> None:
    await delete_group(loaded.session(sample.FIRST_LEARNER), sample.SAMPLE_GROUP)
    await load_sample(loaded.shared)
    [group] = await groups_by_id(loaded.stores.rows, [sample.SAMPLE_GROUP])
    assert group is not None
    assert group.status is GroupStatus.INACTIVE


async def test_a_second_load_sends_nothing(loaded: Instance) -> None:
    before, lag = [await rows_of(loaded.shared, table) for table in TABLES], await loaded.lag()
    await load_sample(loaded.shared)
    assert [await rows_of(loaded.shared, table) for table in TABLES] == before
    assert await loaded.lag() == lag


async def test_an_interrupted_load_goes_on(
    embedded: Instance, tmp_path_factory: pytest.TempPathFactory
) -> None:
    task: asyncio.Task[None]

    def stop_in_the_middle(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("learners", total // 2):
            task.cancel()

    task = asyncio.create_task(load_sample(embedded.shared, stop_in_the_middle))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await rows_of(embedded.shared, LEARNERS)) < 60
    steps: list[tuple[str, int, int]] = []
    await load_sample(embedded.shared, lambda *step: steps.append(step))
    assert steps[-1] == ("learners", 60, 60)
    assert len(await rows_of(embedded.shared, LEARNERS)) == 60
    assert not [row for row in await rows_of(embedded.shared, VIEWS) if row["timespent"] == 0]
